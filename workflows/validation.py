"""What is wrong with a definition: errors that saving refuses, warnings, and counts (contract §5, §6)."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from core.errors import Problem, bounded
from core.outbound_policy import OutboundError, check_url
from core.types import JSONObject, JSONValue
from workflows.advice import warnings
from workflows.components import registry
from workflows.components.base import Component
from workflows.definition import (
    ComponentSpec,
    Definition,
    DefinitionError,
    body_of,
    build,
    form_problems,
    graph_problems,
    json_problems,
    parts,
)
from workflows.definition_schema import DEFAULT_LIMITS, Limits
from workflows.expressions import ExpressionError, has_expression
from workflows.literal_secrets import without_secrets
from workflows.schemas import Schema, one_of, received, short
from workflows.texts import parse_text, texts_with_expressions

logger = logging.getLogger(__name__)

_COMPONENT_FIELD = re.compile(r"definition\.components\[(\d+)\]")
_TYPE_FIELD = re.compile(r"definition(?:\.components\[\d+\]\.config)*\.components\[\d+\]\.type")


@dataclass(frozen=True, slots=True)
class Report:
    """The answer of `validate`: entries as the API reference prints them."""

    errors: list[JSONObject]
    warnings: list[JSONObject]
    info: list[JSONObject]

    @property
    def is_valid(self) -> bool:
        return not self.errors


def load(raw: JSONValue, limits: Limits = DEFAULT_LIMITS, *, unknown_types: bool = False) -> Definition:
    """The parsed definition, with its bodies. Raises DefinitionError with everything that saving refuses.

    What it raises repeats no literal secret.

    `unknown_types` lets types pass that are not installed here: another worker may know them.
    """
    unreadable = bounded(json_problems(raw, limits.nesting))
    if unreadable:
        raise DefinitionError(unreadable)
    found = form_problems(raw, "definition", limits)
    if found:
        raise DefinitionError(without_secrets(found, raw))
    definition = build(raw)
    whole = replace(definition, bodies=_bodies(definition, "definition", found, limits))
    found += graph_problems(raw)
    found += [
        problem
        for problem in _problems_of(whole, accepted=unknown_types)
        if not (unknown_types and _is_unknown_type(problem))
    ]
    found += _shared_ids(whole, limits)
    if found:
        # What a body lacks, the schema of the component around it may miss too.
        distinct = {(problem.field, problem.message): problem for problem in found}
        raise DefinitionError(without_secrets(bounded(distinct.values()), raw))
    return whole


def unknown_type_problems(definition: Definition, path: str = "definition") -> list[Problem]:
    """The components, bodies included, whose types are not installed here."""
    return [
        _unknown_type(spec.type, f"{where}.components[{spec.position}].type")
        for where, part in parts(definition, path)
        for spec in part.components
        if registry.get(spec.type) is None
    ]


def _is_unknown_type(problem: Problem) -> bool:
    return problem.field is not None and _TYPE_FIELD.fullmatch(problem.field) is not None


def _bodies(definition: Definition, path: str, found: list[Problem], limits: Limits) -> dict[str, Definition]:
    """The definitions inside the components that loop; what is wrong with their shape and graph goes to `found`.

    A body whose shape is wrong is left out: there is no more to say of it.
    """
    bodies: dict[str, Definition] = {}
    for spec in definition.components:
        component = registry.get(spec.type)
        if component is None or not component.has_body:
            continue
        where = f"{path}.components[{spec.position}].config"
        raw = body_of(spec)
        broken = form_problems(raw, where, limits)
        if broken:
            found += broken
            continue
        found += graph_problems(raw, where)
        body = build(raw)
        for start in body.components:
            if start.type == "start":
                message = "A start begins a workflow; a body begins with the components nothing leads to"
                details = {"expected": "a component that is no start", "received": "start"}
                found.append(Problem(message, field=f"{where}.components[{start.position}].type", details=details))
        bodies[spec.id] = replace(body, bodies=_bodies(body, where, found, limits))
    return bodies


def _shared_ids(definition: Definition, limits: Limits) -> Iterator[Problem]:
    """Ids used by two of the definition and its bodies, and more components than a workflow may have in all."""
    homes: dict[str, str] = {}
    count = 0
    for path, part in parts(definition):
        count += len(part.components)
        for spec in part.components:
            if homes.setdefault(spec.id.lower(), path) != path:
                message = f"The id {spec.id} is used outside this body already"
                details = {"expected": "an id of its own", "received": spec.id}
                yield Problem(message, field=f"{path}.components[{spec.position}].id", details=details)
    if count > limits.components:
        details = {"expected": f"at most {limits.components}", "received": str(count)}
        yield Problem(f"More than {limits.components} components, bodies included", field="definition", details=details)


def problems(raw: JSONValue) -> list[Problem]:
    """Everything that saving refuses: shape, graph, types, configs, expressions."""
    try:
        load(raw)
    except DefinitionError as error:
        return list(error.problems)
    return []


def check_rendered(spec: ComponentSpec, config: JSONObject) -> list[Problem]:
    """Faults of a rendered config, with paths below the config; asked before each run.

    Fields that the component evaluates itself are still as written, and were checked so when they were saved.
    """
    component = registry.get(spec.type)
    assert component is not None, "the caller has found the component already"
    found = _schema_of(component).problems(config, "")
    return [problem for problem in found if _first_key(problem) not in component.unrendered]


def _first_key(problem: Problem) -> str:
    return re.split(r"[.\[]", problem.field or "", maxsplit=1)[0]


def _problems_of(definition: Definition, *, accepted: bool) -> Iterator[Problem]:
    for path, part in parts(definition):
        for spec in part.components:
            yield from check_config(spec, f"{path}.components[{spec.position}]", accepted=accepted)
        for connection in part.connections:
            if connection.condition is not None:
                field = f"{path}.connections[{connection.index}].condition"
                yield from _text_problems(connection.condition, field, is_condition=True)
    concurrency = definition.settings.concurrency
    if concurrency is not None:
        yield from _text_problems(concurrency.key, "definition.settings.concurrency.key", is_condition=False)


def check_config(spec: ComponentSpec, path: str, *, accepted: bool = False) -> Iterator[Problem]:
    """Type, config and expressions of one component. A string with an expression stands for any value.

    What the type's own check raises is raised where the config was `accepted` before: another worker may do better.
    """
    component = registry.get(spec.type)
    if component is None:
        yield _unknown_type(spec.type, f"{path}.type")
        return
    broken = list(_expression_problems(component, spec.config, f"{path}.config"))
    yield from broken
    faults = bounded(_schema_of(component).problems(spec.config, "", has_expression))
    yield from (_below(f"{path}.config", problem) for problem in faults)
    if not faults and not broken:
        own = component.check(spec.config) if accepted else _checked(component, spec.config)
        yield from (_below(f"{path}.config", problem) for problem in own)


def _checked(component: Component, config: JSONObject) -> list[Problem]:
    """What the type's own check says. One that fails itself, of a plug-in most likely, is a fault of the config too."""
    try:
        return list(component.check(config))
    except (MemoryError, OSError):
        raise
    except Exception:
        logger.exception("Check of a component type failed: %s", component.type, extra={"action": "check_failed"})
        return [Problem(f"The check of the component type {component.type} failed; the server's log says why")]


def _unknown_type(type_: str, path: str) -> Problem:
    if registry.is_broken(type_):
        message = f"The plug-in for the component type {short(type_)} did not load; the server's log says why"
    else:
        message = f"There is no component type {short(type_)}"
    details = {"expected": one_of([item.type for item in registry.all_types()]), "received": received(type_)}
    return Problem(message, field=path, details=details)


def _below(root: str, problem: Problem) -> Problem:
    return replace(problem, field=f"{root}.{problem.field}" if problem.field else root)


@lru_cache(maxsize=256)
def _schema_of(component: Component) -> Schema:
    return Schema(component.config_schema, formats={"uri": _is_url})


def _is_url(text: str) -> bool:
    """Whether `core.outbound` can read it: international URLs too, which are sent percent-encoded."""
    try:
        check_url(text)
    except OutboundError as error:
        # Readable, and refused: which addresses and ports are open is the operator's word, given when it is called.
        return error.kind != "invalid_url"
    return True


def _expression_problems(component: Component, config: JSONObject, path: str) -> Iterator[Problem]:
    for place, text, is_condition in texts_with_expressions(component, config):
        yield from _text_problems(text, f"{path}.{place}", is_condition=is_condition)


def _text_problems(text: str, path: str, *, is_condition: bool) -> Iterator[Problem]:
    try:
        parse_text(text, is_condition)
    except ExpressionError as error:
        details = {"expected": "an expression of the language", "received": received(error.expression or text)}
        yield Problem(str(error), field=path, details=details)


def report(raw: JSONValue, limits: Limits = DEFAULT_LIMITS) -> Report:
    """What `validate` answers; nothing is run, nothing fetched."""
    try:
        definition = load(raw, limits)
    except DefinitionError as error:
        written = raw.get("components") if isinstance(raw, dict) else None
        return Report([error_entry(problem, written) for problem in error.problems], [], [])
    advised = [_entry("warning", message, component_id=component_id) for component_id, message in warnings(definition)]
    everywhere = [part for _, part in parts(definition)]
    components = sum(len(part.components) for part in everywhere)
    connections = sum(len(part.connections) for part in everywhere)
    counts = f"Workflow contains {components} components and {connections} connections"
    return Report([], advised, [_entry("info", counts)])


def _entry(severity: str, message: str, *, component_id: str | None = None) -> JSONObject:
    where = {"component_id": component_id} if component_id is not None else {}
    return {**where, "message": message, "severity": severity}


def error_entry(problem: Problem, components: JSONValue) -> JSONObject:
    """One of `Report.errors`; `components` as they came, for the id of the one that the problem is in."""
    match = _COMPONENT_FIELD.match(problem.field or "")
    component = components[int(match[1])] if match and isinstance(components, list) else None
    component_id = component.get("id") if isinstance(component, dict) else None
    return {
        **_entry("error", problem.message, component_id=component_id if isinstance(component_id, str) else None),
        "code": "VALIDATION_ERROR",
        **({"field": problem.field} if problem.field else {}),
        **({"details": problem.details} if problem.details else {}),
    }
