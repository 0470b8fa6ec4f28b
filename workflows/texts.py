"""The texts of a component's config that may hold expressions, and what they read."""

from collections.abc import Iterator
from dataclasses import replace

from core.types import JSONObject, JSONValue
from workflows.components import registry
from workflows.components.base import Component
from workflows.definition import BODY_FIELDS, ComponentSpec, Definition
from workflows.expressions import References, has_expression, parse_condition, references
from workflows.schemas import join_path


def parse_text(text: str, is_condition: bool) -> References:
    """What the text reads. Raises ExpressionError."""
    return parse_condition(text).references if is_condition else references(text)


def texts_with_expressions(component: Component, config: JSONObject) -> Iterator[tuple[str, str, bool]]:
    """Path, text, and whether it is a condition, of each text that may hold expressions.

    Conditions are what stands under a key `condition` in fields that the component evaluates itself. A body's texts
    are not the component's own.
    """
    stack: list[tuple[tuple[str | int, ...], JSONValue, bool]] = [
        ((name,), value, name in component.unrendered)
        for name, value in reversed(config.items())
        if name not in component.verbatim and not (component.has_body and name in BODY_FIELDS)
    ]
    while stack:
        trail, value, unrendered = stack.pop()
        if isinstance(value, str):
            is_condition = unrendered and trail[-1] == "condition"
            if is_condition or has_expression(value):
                yield join_path("", trail), value, is_condition
        elif isinstance(value, dict):
            stack.extend(((*trail, key), item, unrendered) for key, item in reversed(value.items()))
        elif isinstance(value, list):
            stack.extend(((*trail, index), item, unrendered) for index, item in reversed([*enumerate(value)]))


def references_of(definition: Definition, spec: ComponentSpec) -> References:
    """What its config and the conditions on its outgoing connections read; a body reads for itself."""
    component = registry.get(spec.type)
    if component is None:
        # Not installed here: which of its fields are conditions is unknown, and those with braces are enough.
        return references(spec.config)
    found = component.reads(spec.config)
    for _, text, is_condition in texts_with_expressions(component, spec.config):
        reads = parse_text(text, is_condition)
        found |= replace(reads, names=reads.names - component.own_names) if is_condition else reads
    for connection in definition.outgoing[spec.id]:
        if connection.condition is not None:
            found |= parse_condition(connection.condition).references
    return found
