"""The definition language: shape, parse into dataclasses, and the graph's own rules (contract §6)."""

import graphlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from core.errors import Problem
from core.redact import looks_secret
from core.types import JSONObject, JSONValue
from workflows.definition_schema import DEFINITION_SCHEMA
from workflows.parameters import Parameter, parameter_problems, parse_parameter
from workflows.schemas import Schema, short

MAX_NESTING = 32

_SHAPE = Schema(DEFINITION_SCHEMA)


class DefinitionError(ValueError):
    """The definition breaks the language's rules; `problems` has every one found, each with its path."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{problem.field}: {problem.message}" for problem in self.problems))


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
class Settings:
    """What holds for the whole execution; `max_parallel` 0 is without a limit."""

    timeout_seconds: float | None = None
    on_failure: Literal["stop", "continue"] = "stop"
    max_parallel: int = 0
    concurrency: Concurrency | None = None


@dataclass(frozen=True)
class Definition:
    """A parsed definition: its lists in written order, and the graph read off them once."""

    components: tuple[ComponentSpec, ...]
    connections: tuple[Connection, ...]
    parameters: tuple[Parameter, ...]
    settings: Settings

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

    def _ends(self, end: Literal["source", "target"]) -> Mapping[str, tuple[Connection, ...]]:
        found: dict[str, list[Connection]] = {component.id: [] for component in self.components}
        for connection in self.connections:
            found[getattr(connection, end)].append(connection)
        return MappingProxyType({id_: tuple(connections) for id_, connections in found.items()})


def parse(raw: JSONValue) -> Definition:
    """The definition of its JSON. Knows nothing of component types. Raises DefinitionError with all problems."""
    problems = list(_SHAPE.problems(raw, "definition"))
    if not problems:
        problems = [*_too_deep(raw), *_graph_problems(raw), *parameter_problems(raw.get("parameters", []))]
    if problems:
        raise DefinitionError(problems)
    definition = Definition(
        components=tuple(_component(item, index) for index, item in enumerate(raw["components"])),
        connections=tuple(_connection(item, index) for index, item in enumerate(raw.get("connections", []))),
        parameters=tuple(parse_parameter(item, looks_secret) for item in raw.get("parameters", [])),
        settings=_settings(raw.get("settings", {})),
    )
    cycle = _cycle(definition)
    if cycle:
        message = "Components form a cycle: " + " → ".join(cycle[:20]) + (" …" if len(cycle) > 20 else "")
        details = {"expected": "a graph without cycles; loop with for_each or repeat_until", "received": cycle[:20]}
        raise DefinitionError([Problem(message, field="definition.connections", details=details)])
    return definition


def _component(raw: JSONObject, position: int) -> ComponentSpec:
    return ComponentSpec(
        id=raw["id"],
        type=raw["type"],
        name=raw.get("name", ""),
        config=raw.get("config", {}),
        retry_policy=RetryPolicy(**raw.get("retry_policy", {})),
        timeout_seconds=raw.get("timeout_seconds"),
        join=raw.get("join", "all"),
        position=position,
    )


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
        max_parallel=raw.get("max_parallel", 0),
        concurrency=Concurrency(
            limit=concurrency.get("limit", 1),
            key=concurrency.get("key", ""),
            strategy=concurrency.get("strategy", "queue"),
        )
        if concurrency
        else None,
    )


def _graph_problems(raw: JSONObject) -> Iterator[Problem]:
    yield from _id_problems(raw["components"])
    ids = {component["id"] for component in raw["components"]}
    seen: dict[tuple[Any, ...], int] = {}
    for index, connection in enumerate(raw.get("connections", [])):
        path = f"definition.connections[{index}]"
        for end in ("source", "target"):
            if connection[end] not in ids:
                yield Problem(
                    f"No component has the id {short(connection[end])}",
                    field=f"{path}.{end}",
                    details={"expected": "the id of a component", "received": short(connection[end])},
                )
        if connection["source"] == connection["target"]:
            yield Problem(f"Component {connection['source']} is connected to itself", field=path)
        type_, condition = connection.get("type", "success"), connection.get("condition")
        if (type_ == ConnectionType.CONDITIONAL) != (condition is not None):
            wanted = (
                "a conditional connection needs a condition"
                if condition is None
                else (f"a connection of type {type_} takes no condition")
            )
            yield Problem(wanted.capitalize(), field=f"{path}.condition")
        key = (connection["source"], connection["target"], type_, condition)
        if key in seen:
            yield Problem(f"The same connection as definition.connections[{seen[key]}]", field=path)
        seen.setdefault(key, index)


def _id_problems(components: list[JSONObject]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    starts = 0
    for index, component in enumerate(components):
        path = f"definition.components[{index}]"
        earlier = seen.setdefault(component["id"].lower(), component["id"])
        if index and earlier == component["id"] and component["id"] in {c["id"] for c in components[:index]}:
            yield Problem(f"Two components have the id {earlier}", field=f"{path}.id")
        elif earlier != component["id"]:
            yield Problem(f"The id differs from {earlier} in case only", field=f"{path}.id")
        starts += component["type"] == "start"
        if component["type"] == "start" and starts > 1:
            yield Problem("A workflow has at most one start", field=f"{path}.type")


def _too_deep(raw: JSONValue) -> Iterator[Problem]:
    stack = [(raw, "definition", 0)]
    while stack:
        value, path, depth = stack.pop()
        if not isinstance(value, dict | list):
            continue
        if depth == MAX_NESTING:
            yield Problem(f"Nested deeper than {MAX_NESTING}", field=path)
            return
        pairs = (
            ((f"{path}.{key}", child) for key, child in value.items())
            if isinstance(value, dict)
            else ((f"{path}[{index}]", child) for index, child in enumerate(value))
        )
        stack.extend((child, child_path, depth + 1) for child_path, child in pairs)


def _cycle(definition: Definition) -> list[str]:
    """The ids of one cycle in the way of the connections, the first again at the end; [] without one."""
    sorter = graphlib.TopologicalSorter(
        {id_: [connection.source for connection in definition.incoming[id_]] for id_ in definition.by_id}
    )
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle
    return []
