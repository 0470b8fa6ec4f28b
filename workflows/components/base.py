"""What a component is: its description, its `run`, what it may ask of the engine, and the outcomes it can have."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal, TypeAlias

from core.errors import ErrorCode, Problem
from core.outbound_policy import OutboundPolicy
from core.types import JSONObject, JSONValue
from workflows.expressions import References

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]


class Kind(StrEnum):
    """What a component does with its worker, and so the queue that its runs wait in.

    `io` waits for others, keeps to a deadline of its own and calls `Context.checkpoint` meanwhile: its worker may be
    one of threads. `script` runs users' code. `default` is all else, and whatever is not known.
    """

    DEFAULT = "default"
    IO = "io"
    SCRIPT = "script"


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
    """Nothing to do before `until`, or for so many seconds; the run leaves its worker, and is resumed then.

    Seconds are counted on PostgreSQL's clock.
    """

    until: datetime | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class WaitingForSignal:
    """Nothing to do before the signal comes, or `seconds` pass; only `approvers` (ids, group names) may send it.

    No approvers: whoever may operate the execution.
    """

    signal: str
    seconds: float | None = None
    approvers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Child:
    """Start an execution of another workflow in this one's slot, and resume when it has ended."""

    workflow_id: str
    parameters: JSONObject
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    """Run the component's body once for each item, at most `max_concurrency` at a time; resume when all have ended.

    `first_index` counts on from earlier rounds. With `stop_on_error`, a failed item ends the loop. Items that ended
    well in an earlier attempt are kept, unless it begins `afresh`.
    """

    items: Sequence[JSONValue]
    first_index: int = 0
    max_concurrency: int = 1
    stop_on_error: bool = True
    afresh: bool = False


Outcome: TypeAlias = Completed | Failed | Waiting | WaitingForSignal | Child | Loop


@dataclass(frozen=True, slots=True)
class Resumption:
    """What ended a wait. `value`: a signal's data, a child's results, the items' results in order.

    `error` is what a child, or an item that ended its loop, failed with. `timed_out`: the time passed first.
    `rounds` counts the items run so far. `sender` is who sent the signal.
    """

    timed_out: bool = False
    value: JSONValue = None
    error: JSONObject | None = None
    rounds: int = 0
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Email:
    """A message for `Context.send_email`; the sender's address is the operator's setting."""

    to: tuple[str, ...]
    subject: str
    body: str
    html: str | None = None
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()


class SecretMissingError(LookupError):
    """The workflow's owner has no secret of this name. Make one at `secrets`, or correct the name."""


class EmailRefusedError(Exception):
    """The mail could not be handed over; `permanent` says that another attempt cannot help."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


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

    `idempotency_key` is the same on every attempt, so that the far side can recognise a retry. `resumed` is
    None on a first call, and says what ended the wait when `run` is called again after one. `secret` gives a
    secret of the workflow's owner, or raises SecretMissingError; `send_email` a message id, or EmailRefusedError.
    What waits for others calls `checkpoint` a few times a second; what that raises ends the attempt, so let it pass.
    """

    component_id: str
    idempotency_key: str
    attempt: int
    started_at: datetime
    resumed: Resumption | None
    outbound: OutboundPolicy
    max_output_bytes: int
    scope: Mapping[str, Any]
    now: Callable[[], datetime]
    secret: Callable[[str], str]
    send_email: Callable[[Email], str]
    network_bytes: int = 0
    lines: list[LogLine] = field(default_factory=list)
    checkpoint: Callable[[], None] = lambda: None

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
    `own_names` are the names that it adds to the scope for these. Fields named in `verbatim` are text in another
    language: nothing in them is an expression. With `has_body`, its fields `components` and `connections` are a
    definition of their own, run by a `Loop`; it resumes with the results of all items or, with `last_result_only`, of
    the last.

    A component is `pure` if `run` does nothing but make its outcome and log lines out of `config` and of the scope,
    `resumed`, `now` and `secret` of its context. Where these hold a secret it is run a second time with other values in
    the secret's place: what is then different is as secret. Of all others, what they make of a secret themselves is
    not known. `kind` says which workers run it.
    """

    type: ClassVar[str]
    name: ClassVar[str]
    description: ClassVar[str]
    category: ClassVar[str]
    config_schema: ClassVar[JSONObject]
    input_schema: ClassVar[JSONObject]
    output_schema: ClassVar[JSONObject]
    unrendered: ClassVar[frozenset[str]] = frozenset()
    has_body: ClassVar[bool] = False
    last_result_only: ClassVar[bool] = False
    own_names: ClassVar[frozenset[str]] = frozenset()
    verbatim: ClassVar[frozenset[str]] = frozenset()
    pure: ClassVar[bool] = False
    kind: ClassVar[Kind] = Kind.DEFAULT

    @abstractmethod
    def run(self, config: JSONObject, context: Context) -> Outcome:
        """One attempt. What it raises counts as a failed attempt."""

    def check(self, config: JSONObject) -> Iterator[Problem]:
        """Faults of a config that its schema cannot express, with paths below the config; asked when saved.

        Strings with expressions stand for values not known yet.
        """
        yield from ()

    def reads(self, config: JSONObject) -> References:
        """What `run` reads from `context.scope` beside what the expressions of the config name."""
        return References()
