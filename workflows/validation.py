"""What is wrong with a definition: errors that saving refuses, warnings, and counts (contract §5, §6)."""

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from functools import lru_cache

from core.errors import Problem
from core.outbound_policy import OutboundError, check_url
from core.types import JSONObject, JSONValue
from workflows.components import registry
from workflows.components.base import Component
from workflows.definition import ComponentSpec, Definition, DefinitionError, build, graph_problems, shape_problems
from workflows.expressions import ExpressionError, References, has_expression, parse_condition, references
from workflows.schemas import Schema, join_path, one_of, received, short

# The names that the engine itself gives to every expression.
ENGINE_NAMES = frozenset({"parameters", "components", "input", "error", "secrets", "execution", "workflow"})
_COMPONENT_FIELD = re.compile(r"definition\.components\[(\d+)\]")
EXTERNAL_TYPES = frozenset({"http_request", "notification", "email", "database_query"})


@dataclass(frozen=True, slots=True)
class Report:
    """The answer of `validate`: entries as the API reference prints them."""

    errors: list[JSONObject]
    warnings: list[JSONObject]
    info: list[JSONObject]

    @property
    def is_valid(self) -> bool:
        return not self.errors


def load(raw: JSONValue) -> Definition:
    """The parsed definition. Raises DefinitionError with everything that saving refuses."""
    found = shape_problems(raw)
    if not found:
        definition = build(raw)
        found = [*graph_problems(raw), *_problems_of(definition)]
    if found:
        raise DefinitionError(found)
    return definition


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


def _problems_of(definition: Definition) -> Iterator[Problem]:
    for spec in definition.components:
        yield from check_config(spec, f"definition.components[{spec.position}]")
    for connection in definition.connections:
        if connection.condition is not None:
            yield from _text_problems(
                connection.condition, f"definition.connections[{connection.index}].condition", is_condition=True
            )
    concurrency = definition.settings.concurrency
    if concurrency is not None:
        yield from _text_problems(concurrency.key, "definition.settings.concurrency.key", is_condition=False)


def check_config(spec: ComponentSpec, path: str) -> Iterator[Problem]:
    """Type, config and expressions of one component. A string with an expression stands for any value."""
    component = registry.get(spec.type)
    if component is None:
        yield _unknown_type(spec.type, f"{path}.type")
        return
    broken = list(_expression_problems(component, spec.config, f"{path}.config"))
    yield from broken
    faults = list(_schema_of(component).problems(spec.config, "", has_expression))
    yield from (_below(f"{path}.config", problem) for problem in faults)
    if not faults and not broken:
        yield from (_below(f"{path}.config", problem) for problem in component.check(spec.config))


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
    for place, text, is_condition in _texts_with_expressions(component, config):
        yield from _text_problems(text, f"{path}.{place}", is_condition=is_condition)


def _text_problems(text: str, path: str, *, is_condition: bool) -> Iterator[Problem]:
    try:
        _parse(text, is_condition)
    except ExpressionError as error:
        details = {"expected": "an expression of the language", "received": received(error.expression or text)}
        yield Problem(str(error), field=path, details=details)


def _parse(text: str, is_condition: bool) -> References:
    """What the text reads. Raises ExpressionError."""
    return parse_condition(text).references if is_condition else references(text)


def _texts_with_expressions(component: Component, config: JSONObject) -> Iterator[tuple[str, str, bool]]:
    """Path, text, and whether it is a condition, of each text that may hold expressions.

    Conditions are what stands under a key `condition` in fields that the component evaluates itself.
    """
    stack: list[tuple[tuple[str | int, ...], JSONValue, bool]] = [
        ((name,), value, name in component.unrendered)
        for name, value in reversed(config.items())
        if name not in component.verbatim
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


def report(raw: JSONValue) -> Report:
    """What `validate` answers; nothing is run, nothing fetched."""
    try:
        definition = load(raw)
    except DefinitionError as error:
        components = raw.get("components") if isinstance(raw, dict) else None
        return Report([error_entry(problem, components) for problem in error.problems], [], [])
    warnings = [
        _entry("warning", message, component_id=component_id) for component_id, message in _warnings(definition)
    ]
    counts = f"Workflow contains {len(definition.components)} components and {len(definition.connections)} connections"
    return Report([], warnings, [_entry("info", counts)])


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


def _warnings(definition: Definition) -> Iterator[tuple[str | None, str]]:
    used = {id_: references_of(definition, spec) for id_, spec in definition.by_id.items()}
    reachable = _reachable(definition)
    ancestors = _ancestors(definition)
    for spec in definition.components:
        if spec.type in EXTERNAL_TYPES:
            handled = any(connection.type == "error" for connection in definition.outgoing[spec.id])
            if not handled and spec.retry_policy.max_attempts == 1:
                yield spec.id, "Component has no error handling configured"
            if _has_timeout(spec.type) and spec.timeout_seconds is None and "timeout" not in spec.config:
                yield spec.id, "Component calls an external service without a timeout"
        if spec.id not in reachable:
            yield spec.id, "Component cannot be reached from start"
        for message in _undefined(definition, used[spec.id], ancestors[spec.id], spec.id):
            yield spec.id, message
    yield from ((None, message) for message in _parameter_warnings(definition, used))


def _has_timeout(type_: str) -> bool:
    """Whether its calls last as long as the config says; the platform bounds those of other types (email) itself."""
    component = registry.get(type_)
    return component is not None and "timeout" in component.config_schema["properties"]


def _parameter_warnings(definition: Definition, used: Mapping[str, References]) -> Iterator[str]:
    key = _key_references(definition)
    for message in _undefined(definition, key, frozenset(), None):
        yield f"settings.concurrency.key: {message}"
    names = key.names.union(*(reads.names for reads in used.values()))
    for parameter in definition.parameters:
        if parameter.name in ENGINE_NAMES:
            yield f"{parameter.name} is a name of the platform's own; read it as parameters.{parameter.name}"
        # `parameters` as a whole may read any of them.
        elif parameter.name not in names and "parameters" not in names:
            yield f"Parameter {parameter.name} is never used"
        for rule in parameter.idle_rules:
            yield f"Parameter {parameter.name} is of type {parameter.type}, which the rule {rule} does not apply to"


def _key_references(definition: Definition) -> References:
    concurrency = definition.settings.concurrency
    return references(concurrency.key) if concurrency is not None else References()


def references_of(definition: Definition, spec: ComponentSpec) -> References:
    """What its config and the conditions on its outgoing connections read."""
    component = registry.get(spec.type)
    assert component is not None, "the definition was loaded, which knows the type"
    found = component.reads(spec.config)
    for _, text, is_condition in _texts_with_expressions(component, spec.config):
        reads = _parse(text, is_condition)
        found |= replace(reads, names=reads.names - component.own_names) if is_condition else reads
    for connection in definition.outgoing[spec.id]:
        if connection.condition is not None:
            found |= parse_condition(connection.condition).references
    return found


def _undefined(definition: Definition, reads: References, ancestors: Set[str], own: str | None) -> Iterator[str]:
    parameters = {parameter.name for parameter in definition.parameters}
    for name in sorted(reads.names - ENGINE_NAMES - parameters - {own}):
        if name not in definition.by_id:
            yield f"{name} is no parameter, component or known name"
        elif name not in ancestors:
            yield f"Component {name} does not run before this one"
    for component_id in sorted(reads.components - ancestors - {own}):
        if component_id in definition.by_id:
            yield f"Component {component_id} does not run before this one"
        else:
            yield f"There is no component {component_id}"


def _reachable(definition: Definition) -> Set[str]:
    starts = [spec.id for spec in definition.components if spec.type == "start"]
    return _closure(definition, starts) if starts else definition.by_id.keys()


def _closure(definition: Definition, starts: Iterable[str]) -> Set[str]:
    seen = set(starts)
    pending = list(seen)
    while pending:
        for connection in definition.outgoing[pending.pop()]:
            if connection.target not in seen:
                seen.add(connection.target)
                pending.append(connection.target)
    return seen


def _ancestors(definition: Definition) -> dict[str, Set[str]]:
    """Component id -> the components that run before it."""
    found: dict[str, set[str]] = {}
    waiting = {id_: len(definition.incoming[id_]) for id_ in definition.by_id}
    ready = list(definition.entry_points)
    while ready:
        id_ = ready.pop()
        sources = {connection.source for connection in definition.incoming[id_]}
        found[id_] = sources.union(*(found[source] for source in sources))
        for connection in definition.outgoing[id_]:
            waiting[connection.target] -= 1
            if not waiting[connection.target]:
                ready.append(connection.target)
    return dict(found)
