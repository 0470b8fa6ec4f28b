"""What is wrong with a definition: errors that saving refuses, warnings, and counts (contract §5, §6)."""

import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace
from functools import lru_cache

from core.errors import Problem
from core.types import JSONObject, JSONValue
from workflows.components import registry
from workflows.components.base import Component
from workflows.definition import ComponentSpec, Definition, DefinitionError, parse
from workflows.expressions import ExpressionError, References, has_expression, parse_condition, references
from workflows.schemas import Schema, join_path, short

# The names that the engine itself gives to every expression.
ENGINE_NAMES = frozenset({"parameters", "components", "input", "error", "secrets", "execution", "workflow"})
_COMPONENT_FIELD = re.compile(r"definition\.components\[(\d+)\]")
EXTERNAL_TYPES = frozenset({"http_request"})


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
    definition = parse(raw)
    found = list(_problems_of(definition))
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
    """Faults of a rendered config, with paths below the config; asked before each run."""
    component = registry.get(spec.type)
    assert component is not None, "the caller has found the component already"
    return list(_schema_of(component).problems(config, ""))


def _problems_of(definition: Definition) -> Iterator[Problem]:
    for spec in definition.components:
        yield from check_config(spec, f"definition.components[{spec.position}]")
    for connection in definition.connections:
        if connection.condition is not None:
            try:
                parse_condition(connection.condition)
            except ExpressionError as error:
                yield Problem(str(error), field=f"definition.connections[{connection.index}].condition")


def check_config(spec: ComponentSpec, path: str) -> Iterator[Problem]:
    """Type, config and expressions of one component. A string with an expression stands for any value."""
    component = registry.get(spec.type)
    if component is None:
        expected = "one of " + ", ".join(item.type for item in registry.all_types())
        details = {"expected": expected, "received": short(spec.type)}
        yield Problem(f"There is no component type {short(spec.type)}", field=f"{path}.type", details=details)
        return
    broken = list(_expression_problems(component, spec.config, f"{path}.config"))
    yield from broken
    faults = list(_schema_of(component).problems(spec.config, "", has_expression))
    yield from (_below(f"{path}.config", problem) for problem in faults)
    if not faults and not broken:
        yield from (_below(f"{path}.config", problem) for problem in component.check(spec.config))


def _below(root: str, problem: Problem) -> Problem:
    return replace(problem, field=f"{root}.{problem.field}" if problem.field else root)


@lru_cache(maxsize=256)
def _schema_of(component: Component) -> Schema:
    return Schema(component.config_schema)


def _expression_problems(component: Component, config: JSONObject, path: str) -> Iterator[Problem]:
    for name, value in config.items():
        if name in component.unrendered:
            for text, place in _condition_texts(value, name, join_path(path, [name])):
                try:
                    parse_condition(text)
                except ExpressionError as error:
                    yield Problem(str(error), field=place)
        else:
            try:
                references(value)
            except ExpressionError as error:
                place = join_path(path, [name])
                yield Problem(str(error), field=f"{place}.{error.path}" if error.path else place)


def _condition_texts(value: JSONValue, name: str, path: str) -> Iterator[tuple[str, str]]:
    """The texts under keys called `condition`, with their paths."""
    if isinstance(value, str) and name == "condition":
        yield value, path
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _condition_texts(item, "", f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _condition_texts(item, key, join_path(path, [key]))


def report(raw: JSONValue) -> Report:
    """What `validate` answers; nothing is run, nothing fetched."""
    try:
        definition = load(raw)
    except DefinitionError as error:
        components = raw.get("components") if isinstance(raw, dict) else None
        return Report([_error_entry(problem, components) for problem in error.problems], [], [])
    warnings = [
        _entry("warning", message, component_id=component_id) for component_id, message in _warnings(definition)
    ]
    counts = f"Workflow contains {len(definition.components)} components and {len(definition.connections)} connections"
    return Report([], warnings, [_entry("info", counts)])


def _entry(severity: str, message: str, *, component_id: str | None = None) -> JSONObject:
    where = {"component_id": component_id} if component_id is not None else {}
    return {**where, "message": message, "severity": severity}


def _error_entry(problem: Problem, components: JSONValue) -> JSONObject:
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
    used = {id_: _references_of(definition, spec) for id_, spec in definition.by_id.items()}
    reachable = _reachable(definition)
    ancestors = _ancestors(definition)
    for spec in definition.components:
        if spec.type in EXTERNAL_TYPES:
            handled = any(connection.type == "error" for connection in definition.outgoing[spec.id])
            if not handled and spec.retry_policy.max_attempts == 1:
                yield spec.id, "Component has no error handling configured"
            if spec.timeout_seconds is None and "timeout" not in spec.config:
                yield spec.id, "Component calls an external service without a timeout"
        if spec.id not in reachable:
            yield spec.id, "Component cannot be reached from start"
        for message in _undefined(definition, used[spec.id], ancestors[spec.id], spec.id):
            yield spec.id, message
    names = frozenset[str]().union(*(reads.names for reads in used.values()))
    for parameter in definition.parameters:
        # `parameters` as a whole may read any of them.
        if parameter.name not in names and "parameters" not in names:
            yield None, f"Parameter {parameter.name} is never used"


def _references_of(definition: Definition, spec: ComponentSpec) -> References:
    component = registry.get(spec.type)
    unrendered = component.unrendered if component else frozenset[str]()
    conditions = [c.condition for c in definition.outgoing[spec.id] if c.condition is not None]
    for name in unrendered & spec.config.keys():
        conditions += [text for text, _ in _condition_texts(spec.config[name], name, name)]
    found = references({name: value for name, value in spec.config.items() if name not in unrendered})
    for condition in conditions:
        found |= parse_condition(condition).references
    return found


def _undefined(definition: Definition, reads: References, ancestors: Set[str], own: str) -> Iterator[str]:
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
