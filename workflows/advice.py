"""What `validate` warns of in a definition that can be saved (contract §5)."""

from collections.abc import Iterator, Set
from dataclasses import dataclass

from workflows.components import registry
from workflows.definition import ComponentSpec, Definition, parts
from workflows.expressions import References, references
from workflows.texts import references_of

# The names that the engine itself gives to every expression, and to those in a body.
ENGINE_NAMES = frozenset({"parameters", "components", "input", "error", "secrets", "execution", "workflow"})
LOOP_NAMES = frozenset({"item", "index"})
EXTERNAL_TYPES = frozenset({"http_request", "notification", "email", "database_query"})
WAITING_TYPES = frozenset({"wait_for_signal", "approval"})


@dataclass(frozen=True, slots=True)
class _Around:
    """What an expression in a body sees of the definitions around it."""

    names: Set[str] = frozenset()
    components: Set[str] = frozenset()
    ended: Set[str] = frozenset()


def warnings(definition: Definition) -> Iterator[tuple[str | None, str]]:
    """(component id or None, message), in the order of the definition, bodies after the component they are in."""
    reachable = _reachable(definition)
    for spec in definition.components:
        if spec.id not in reachable:
            yield spec.id, "Component cannot be reached from start"
    names = frozenset(parameter.name for parameter in definition.parameters) | ENGINE_NAMES
    yield from _part_warnings(definition, _Around(names))
    yield from ((None, message) for message in _parameter_warnings(definition))


def _part_warnings(definition: Definition, around: _Around) -> Iterator[tuple[str | None, str]]:
    ancestors = _ancestors(definition)
    known = around.components | definition.by_id.keys()
    for spec in definition.components:
        yield from ((spec.id, message) for message in _component_warnings(definition, spec))
        # Sets of thousands are only copied where there is something to add.
        ended = ancestors[spec.id] | around.ended if around.ended else ancestors[spec.id]
        for message in _undefined(references_of(definition, spec), around.names, known, ended, own=spec.id):
            yield spec.id, message
        body = definition.bodies.get(spec.id)
        if body is not None:
            yield from _part_warnings(body, _Around(around.names | LOOP_NAMES, known, ended))


def _component_warnings(definition: Definition, spec: ComponentSpec) -> Iterator[str]:
    if spec.type in EXTERNAL_TYPES:
        handled = any(connection.type == "error" for connection in definition.outgoing[spec.id])
        if not handled and spec.retry_policy.max_attempts == 1:
            yield "Component has no error handling configured"
        if _has_timeout(spec.type) and spec.timeout_seconds is None and "timeout" not in spec.config:
            yield "Component calls an external service without a timeout"
    if spec.type in WAITING_TYPES and "timeout_seconds" not in spec.config:
        yield "Component may wait for ever: it has no timeout_seconds"
    if spec.type == "repeat_until" and "max_iterations" not in spec.config:
        yield "Loop names no max_iterations; it fails after 100"


def _parameter_warnings(definition: Definition) -> Iterator[str]:
    concurrency = definition.settings.concurrency
    key = references(concurrency.key) if concurrency is not None else References()
    parameters = frozenset(parameter.name for parameter in definition.parameters)
    for message in _undefined(key, parameters | ENGINE_NAMES, definition.by_id.keys(), frozenset()):
        yield f"settings.concurrency.key: {message}"
    names = key.names.union(*(reads.names for reads in _all_references(definition)))
    for parameter in definition.parameters:
        if parameter.name in ENGINE_NAMES:
            yield f"{parameter.name} is a name of the platform's own; read it as parameters.{parameter.name}"
        # `parameters` as a whole may read any of them.
        elif parameter.name not in names and "parameters" not in names:
            yield f"Parameter {parameter.name} is never used"
        for rule in parameter.idle_rules:
            yield f"Parameter {parameter.name} is of type {parameter.type}, which the rule {rule} does not apply to"


def _all_references(definition: Definition) -> Iterator[References]:
    for _, part in parts(definition):
        yield from (references_of(part, spec) for spec in part.components)


def _has_timeout(type_: str) -> bool:
    """Whether its calls last as long as the config says; the platform bounds those of other types (email) itself."""
    component = registry.get(type_)
    return component is not None and "timeout" in component.config_schema["properties"]


def _undefined(
    reads: References, names: Set[str], components: Set[str], ended: Set[str], own: str | None = None
) -> Iterator[str]:
    for name in sorted(reads.names - names - {own}):
        if name not in components:
            yield f"{name} is no parameter, component or known name"
        elif name not in ended:
            yield f"Component {name} does not run before this one"
    for component_id in sorted(reads.components - {own}):
        if component_id in components:
            if component_id not in ended:
                yield f"Component {component_id} does not run before this one"
        else:
            yield f"There is no component {component_id}"


def _reachable(definition: Definition) -> Set[str]:
    starts = [spec.id for spec in definition.components if spec.type == "start"]
    return definition.downstream(starts) if starts else definition.by_id.keys()


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
