"""What a component is: its description, its `run`, what it may ask of the engine, and the outcomes it can have."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal, TypeAlias

from core.errors import ErrorCode, Problem
from core.outbound_policy import OutboundPolicy
from core.types import JSONObject, JSONValue

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Completed:
    """The component did its work; `output` is what followers read."""

    output: JSONValue


@dataclass(frozen=True, slots=True)
class Failed:
    """This attempt failed. `permanent` says that another attempt cannot help, so none is made."""

    message: str
    code: ErrorCode = ErrorCode.COMPONENT_ERROR
    permanent: bool = False
    details: JSONObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing to do before `until`; the run leaves its worker and `run` is called again then, `context.resumed`."""

    until: datetime


Outcome: TypeAlias = Completed | Failed | Waiting


@dataclass(slots=True)
class LogLine:
    """One line of the execution's log, kept until the attempt is recorded."""

    timestamp: datetime
    level: LogLevel
    message: str
    metadata: JSONObject


@dataclass(slots=True)
class Context:
    """What one attempt of a component knows and may ask; the runner makes it.

    `idempotency_key` is the same on every attempt, so that the far side can recognise a retry.
    """

    component_id: str
    idempotency_key: str
    attempt: int
    started_at: datetime
    resumed: bool
    outbound: OutboundPolicy
    max_output_bytes: int
    scope: Mapping[str, Any]
    now: Callable[[], datetime]
    network_bytes: int = 0
    lines: list[LogLine] = field(default_factory=list)

    def log(self, level: LogLevel, message: str, **metadata: JSONValue) -> None:
        """Add a line to the execution's log."""
        self.lines.append(LogLine(self.now(), level, message, metadata))

    def count_network(self, byte_count: int) -> None:
        """Add bytes sent and received to the component's resource usage."""
        self.network_bytes += byte_count


class Component(ABC):
    """One type of component; plug-ins subclass it.

    `config` reaches `run` rendered and checked against `config_schema`. Fields named in `unrendered` hold
    expressions that the component evaluates itself over `context.scope`; they arrive as they were written.
    """

    type: ClassVar[str]
    name: ClassVar[str]
    description: ClassVar[str]
    category: ClassVar[str]
    config_schema: ClassVar[JSONObject]
    input_schema: ClassVar[JSONObject]
    output_schema: ClassVar[JSONObject]
    unrendered: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def run(self, config: JSONObject, context: Context) -> Outcome:
        """One attempt. What it raises counts as a failed attempt."""

    def check(self, config: JSONObject) -> Iterator[Problem]:
        """Faults of a config that its schema cannot express, with paths below the config; asked when saved.

        Strings with expressions stand for values not known yet.
        """
        yield from ()
