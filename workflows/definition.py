"""The definition language: shape, parse into dataclasses, and the graph's own rules (contract §6)."""

import graphlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from core.errors import Problem, bounded
from core.types import JSONObject, JSONValue
from workflows.definition_schema import DEFAULT_LIMITS, Limits, definition_schema
from workflows.parameters import Parameter, parameter_problems, parse_parameter
from workflows.schemas import Schema, join_path, received, short

# The fields of a component that loops that are a definition of their own.
BODY_FIELDS = frozenset({"components", "connections"})
# A cycle of a thousand is found, and its beginning shown.
MAX_CYCLE_SHOWN = 20


@lru_cache(maxsize=8)
def _shape(limits: Limits) -> Schema:
    return Schema(definition_schema(limits))


class DefinitionError(ValueError):
    """The definition breaks the language's rules; `problems` has those found, each with its path (`bounded`)."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(bounded(problems))
        told = ((problem.field, problem.message) for problem in self.problems)
        super().__init__("; ".join(": ".join(filter(None, each)) for each in told))


class ConnectionType(StrEnum):
    """Taken on success, on final failure, or on success when the condition is true."""

    SUCCESS = "success"
    ERROR = "error"
    CONDITIONAL = "conditional"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a failed component is tried, and how long between; the default is once."""

    max_attempts: int = 1
    initial_delay_seconds: float = 1
    max_delay_seconds: float = 60
    backoff_multiplier: float = 2


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """One component as written; `position` is its place in the list."""

    id: str
    type: str
    name: str
    config: JSONObject
    retry_policy: RetryPolicy
    timeout_seconds: float | None
    join: Literal["all", "any"]
    position: int


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection; `index` is its place in the list."""

    index: int
    source: str
    target: str
    type: ConnectionType
    condition: str | None


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many executions of one key may run at once, and what happens to the next."""

    limit: int
    key: str
    strategy: Literal["queue", "skip", "cancel_running"]


@dataclass(frozen=True, slots=True)
class Retention:
    """How long ended executions of the workflow are kept: days since the end, the newest so many; None: no word."""

    days: int | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for the whole execution; `max_parallel` 0 is without a limit. `retention` is for when it has ended."""

    timeout_seconds: float | None = None
    on_failure: Literal["stop", "continue"] = "stop"
    max_parallel: int = 0
    concurrency: Concurrency | None = None
    retention: Retention = Retention()


@dataclass(frozen=True)
class Definition:
    """A parsed definition: its lists in written order, and the graph read off them once.

    `bodies` holds the definition inside each component that loops; no id stands twice in all of them.
    """

    components: tuple[ComponentSpec, ...]
    connections: tuple[Connection, ...]
    parameters: tuple[Parameter, ...]
    settings: Settings
    bodies: Mapping[str, "Definition"] = field(default_factory=dict)

    @cached_property
    def by_id(self) -> Mapping[str, ComponentSpec]:
        """Component id -> component."""
        return MappingProxyType({component.id: component for component in self.components})

    @cached_property
    def outgoing(self) -> Mapping[str, tuple[Connection, ...]]:
        """Component id -> connections that it is the source of."""
        return self._ends("source")

    @cached_property
    def incoming(self) -> Mapping[str, tuple[Connection, ...]]:
        """Component id -> connections that it is the target of."""
        return self._ends("target")

    @cached_property
    def entry_points(self) -> tuple[str, ...]:
        """Components without an incoming connection; at least one."""
        return tuple(component.id for component in self.components if not self.incoming[component.id])

    def downstream(self, starts: Iterable[str]) -> frozenset[str]:
        """These components and all that follow them."""
        seen = set(starts)
        waiting = list(seen)
        while waiting:
            for connection in self.outgoing[waiting.pop()]:
                if connection.target not in seen:
                    seen.add(connection.target)
                    waiting.append(connection.target)
        return frozenset(seen)

    def _ends(self, end: Literal["source", "target"]) -> Mapping[str, tuple[Connection, ...]]:
        found: dict[str, list[Connection]] = {component.id: [] for component in self.components}
        for connection in self.connections:
            found[getattr(connection, end)].append(connection)
        return MappingProxyType({id_: tuple(connections) for id_, connections in found.items()})


def parts(definition: Definition, path: str = "definition") -> Iterator[tuple[str, Definition]]:
    """The definition and every body in it, each with its path."""
    yield path, definition
    for spec in definition.components:
        if spec.id in definition.bodies:
            yield from parts(definition.bodies[spec.id], f"{path}.components[{spec.position}].config")


def parse(raw: JSONValue) -> Definition:
    """The definition of its JSON. Knows nothing of component types. Raises DefinitionError with all problems."""
    problems = shape_problems(raw) or graph_problems(raw)
    if problems:
        raise DefinitionError(problems)
    return build(raw)


def shape_problems(raw: JSONValue, limits: Limits = DEFAULT_LIMITS) -> list[Problem]:
    """What is no JSON that can be kept; if all is, what is not of the shape of a definition."""
    return list(json_problems(raw, limits.nesting)) or form_problems(raw, "definition", limits)


def body_of(spec: ComponentSpec) -> JSONObject:
    """The raw definition inside a component that loops."""
    return {name: spec.config[name] for name in BODY_FIELDS & spec.config.keys()}


def form_problems(raw: JSONValue, path: str, limits: Limits) -> list[Problem]:
    """What is not of the shape of a definition in JSON at `path`: the whole, or a body."""
    return bounded(_shape(limits).problems(raw, path))


def graph_problems(raw: JSONObject, path: str = "definition") -> list[Problem]:
    """Faults of graph and parameters, in JSON that has the shape."""
    return [*_graph_problems(raw, path), *parameter_problems(raw.get("parameters", []))]


def build(raw: JSONObject) -> Definition:
    """The dataclasses of JSON that has the shape; what reads the graph off them needs a sound one."""
    return Definition(
        components=tuple(_component(item, index) for index, item in enumerate(raw["components"])),
        connections=tuple(_connection(item, index) for index, item in enumerate(raw.get("connections", []))),
        parameters=tuple(map(parse_parameter, raw.get("parameters", []))),
        settings=_settings(raw.get("settings", {})),
    )


def _component(raw: JSONObject, position: int) -> ComponentSpec:
    return ComponentSpec(
        id=raw["id"],
        type=raw["type"],
        name=raw.get("name", ""),
        config=raw.get("config", {}),
        retry_policy=_retry_policy(raw.get("retry_policy", {})),
        timeout_seconds=raw.get("timeout_seconds"),
        join=raw.get("join", "all"),
        position=position,
    )


def _retry_policy(raw: JSONObject) -> RetryPolicy:
    # To JSON Schema 3.0 is an integer, to range() it is none.
    whole = {"max_attempts": int(raw["max_attempts"])} if "max_attempts" in raw else {}
    return RetryPolicy(**{**raw, **whole})


def _connection(raw: JSONObject, index: int) -> Connection:
    return Connection(
        index=index,
        source=raw["source"],
        target=raw["target"],
        type=ConnectionType(raw.get("type", "success")),
        condition=raw.get("condition"),
    )


def _settings(raw: JSONObject) -> Settings:
    concurrency = raw.get("concurrency")
    return Settings(
        timeout_seconds=raw.get("timeout_seconds"),
        on_failure=raw.get("on_failure", "stop"),
        max_parallel=int(raw.get("max_parallel", 0)),
        concurrency=Concurrency(
            limit=int(concurrency.get("limit", 1)),
            key=concurrency.get("key", ""),
            strategy=concurrency.get("strategy", "queue"),
        )
        if concurrency is not None
        else None,
        # To JSON Schema 3.0 is an integer.
        retention=Retention(**{name: int(value) for name, value in raw.get("retention", {}).items()}),
    )


def _graph_problems(raw: JSONObject, root: str) -> Iterator[Problem]:
    components, connections = raw["components"], raw.get("connections", [])
    yield from _component_problems(components, root)
    types = {component["id"]: component["type"] for component in components}
    seen: dict[tuple[Any, ...], int] = {}
    for index, connection in enumerate(connections):
        path = f"{root}.connections[{index}]"
        yield from _end_problems(connection, types, path)
        yield from _condition_problems(connection, path)
        type_ = connection.get("type", "success")
        key = (connection["source"], connection["target"], type_, connection.get("condition"))
        if key in seen:
            earlier = f"{root}.connections[{seen[key]}]"
            yield _problem(f"The same connection as {earlier}", path, "every connection once", f"that of {earlier}")
        seen.setdefault(key, index)
    cycle = _cycle(types, connections)
    if cycle:
        more = len(cycle) - MAX_CYCLE_SHOWN
        shown = " → ".join(cycle[:MAX_CYCLE_SHOWN]) + (f" → … ({more} more)" if more > 0 else "")
        yield Problem(
            f"Components form a cycle: {shown}",
            field=f"{root}.connections",
            details={"expected": "a graph without cycles", "received": cycle[:MAX_CYCLE_SHOWN]},
        )


def _component_problems(components: list[JSONObject], root: str) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    start = None
    for index, component in enumerate(components):
        path, id_ = f"{root}.components[{index}]", component["id"]
        earlier = seen.get(id_.lower())
        if earlier == id_:
            yield _problem(f"Two components have the id {id_}", f"{path}.id", "an id of its own", id_)
        elif earlier is not None:
            # Two such ids look the same wherever people read them.
            yield _problem(f"The id differs from {earlier} in case only", f"{path}.id", "an id of its own", id_)
        seen.setdefault(id_.lower(), id_)
        if component["type"] == "start":
            if start is not None:
                message = f"A workflow has at most one start, and {start} is one"
                yield _problem(message, f"{path}.type", "at most one start", "start")
            start = start or id_


def _end_problems(connection: JSONObject, types: Mapping[str, str], path: str) -> Iterator[Problem]:
    for end in ("source", "target"):
        if connection[end] not in types:
            message = f"No component has the id {short(connection[end])}"
            yield _problem(message, f"{path}.{end}", "the id of a component", connection[end])
    if connection["source"] == connection["target"]:
        message = f"Component {connection['source']} is connected to itself"
        yield _problem(message, path, "two different components", connection["source"])
    if types.get(connection["target"]) == "start":
        message = f"Nothing leads to a start, and {connection['target']} is one"
        yield _problem(message, f"{path}.target", "a component that is no start", connection["target"])


def _condition_problems(connection: JSONObject, path: str) -> Iterator[Problem]:
    type_, condition = connection.get("type", "success"), connection.get("condition")
    if type_ == ConnectionType.CONDITIONAL and condition is None:
        yield _problem("A conditional connection needs a condition", f"{path}.condition", "a condition", "nothing")
    elif type_ != ConnectionType.CONDITIONAL and condition is not None:
        message = f"A connection of type {type_} takes no condition"
        yield _problem(message, f"{path}.condition", "no condition, or the type conditional", condition)


def _cycle(ids: Iterable[str], connections: Iterable[JSONObject]) -> list[str]:
    """The ids of one cycle in the way of the connections, the first again at the end; [] without one.

    Connections to themselves and to nowhere are told by themselves.
    """
    sources: dict[str, list[str]] = {id_: [] for id_ in ids}
    for connection in connections:
        source, target = connection["source"], connection["target"]
        if source != target and source in sources and target in sources:
            sources[target].append(source)
    try:
        graphlib.TopologicalSorter(sources).prepare()
    except graphlib.CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle
    return []


# A place in a JSON value: that of its container, and its own key or index. Most are never written out.
_Trail: TypeAlias = "tuple[_Trail, str | int] | None"


def json_problems(raw: JSONValue, nesting: int) -> Iterator[Problem]:
    """Values that are no JSON, numbers that are none, nesting beyond the limit. Iterative: any depth may come."""
    stack: list[tuple[JSONValue, _Trail, int]] = [(raw, None, 0)]
    while stack:
        value, trail, depth = stack.pop()
        if isinstance(value, dict | list):
            if depth == nesting:
                message = f"Nested deeper than {nesting}"
                yield _problem(message, _path(trail), f"at most {nesting} levels", "more")
            elif isinstance(value, list):
                stack.extend((child, (trail, index), depth + 1) for index, child in enumerate(value))
            elif all(isinstance(key, str) for key in value):
                stack.extend((child, (trail, key), depth + 1) for key, child in value.items())
            else:
                yield _problem("Keys of an object are text", _path(trail), "text as keys", "another key")
        elif isinstance(value, float):
            if not math.isfinite(value):
                yield _problem("Numbers are finite", _path(trail), "a finite number", str(value))
        elif value is not None and not isinstance(value, str | int):
            yield _problem("Not a JSON value", _path(trail), "a JSON value", type(value).__name__)


def _path(trail: _Trail) -> str:
    parts: list[str | int] = []
    while trail is not None:
        trail, part = trail
        parts.append(part)
    return join_path("definition", parts[::-1])


def _problem(message: str, field: str, expected: str, value: str) -> Problem:
    return Problem(message, field=field, details={"expected": expected, "received": received(value)})
