"""What the moves share: their types, the prepared statement on Django's connection, common SQL parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast

import orjson
import psycopg
from django.conf import settings
from django.db import OperationalError, connection, transaction
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from core import prepared_statement
from core.ids import from_uuid
from core.json_text import storable_dumps
from core.types import JSONObject, JSONValue
from events import bells
from executions.states import ExecutionStatus, RunStatus, WaitingFor
from workflows.components.base import Kind


class QueuedRun(NamedTuple):
    """A run that wants a worker: what its message carries, the priority it is sent with, and the queue it waits in."""

    run_id: str
    attempt: int
    priority: int
    queue: str = Kind.DEFAULT


class RunKey(NamedTuple):
    """A claim: the run, its attempt (the fence) and the execution that it belongs to."""

    execution_id: str
    run_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Who runs a component: the worker's name, the process (or thread) in it, and the queues that it serves."""

    worker: str
    pid: int
    queues: tuple[str, ...] = tuple(Kind)


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a loop: which run loops, and the value, that may be shown or sealed; JSON text as stored.

    A value that is stored elsewhere has a reference instead (`executions.outputs`).
    """

    item_id: str
    index: int
    loop_run_id: str
    value_text: str | None
    sealed_value: bytes | None
    value_ref: JSONObject | None = None
    sealed_value_ref: JSONObject | None = None


class Held(NamedTuple):
    """A run that is running for a holder.

    `resumed_from` says which wait is over, if the run resumes after one, and `timed_out` that its time has passed;
    `late`, that the component's own time limit has; `overdue`, that it had before what it waited for was there.
    """

    key: RunKey
    component_id: str
    item: Item | None = None
    resumed_from: WaitingFor | None = None
    timed_out: bool = False
    late: bool = False
    overdue: bool = False
    lost_attempts: int = 0

    @property
    def scope_id(self) -> str:
        """What the connections of this run stay within: the item, or the execution."""
        return self.item.item_id if self.item is not None else self.key.execution_id


class Claimed(NamedTuple):
    """A claimed run with the facts of its execution that the runner needs."""

    run: Held
    execution: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Measured:
    """What an attempt used: CPU seconds of its own, peak MiB of its process, bytes on its wires."""

    cpu_seconds: float = 0.0
    memory_mb: int = 0
    network_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a component run ended, ready to be recorded; `output_text` is JSON. To what is stored elsewhere it refers."""

    status: RunStatus
    output_text: str | None = None
    sealed_output: bytes | None = None
    output_ref: JSONObject | None = None
    sealed_output_ref: JSONObject | None = None
    error: JSONObject | None = None
    taken: tuple[int, ...] = ()
    lines: Sequence[JSONObject] = ()
    measured: Measured = Measured()


class Finished(NamedTuple):
    """What an end set free: the run kept by this worker, runs that want another, those skipped, those left.

    `scope_remaining` counts what is left of the item, or of the execution for a run outside of loops.
    """

    kept: Held | None
    queued: list[QueuedRun]
    skipped: list[str]
    remaining: int
    scope_remaining: int


class ExecutionEnd(NamedTuple):
    """An execution's end, the accounts that may use the slots it gives back, and the parent it wakes.

    `started_at` is None where nothing of it was ever started.
    """

    status: ExecutionStatus
    waiting_accounts: list[str]
    woken: list[QueuedRun]
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime
    traceparent: str


def fetch_all(sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run one statement, prepared, on Django's connection; its rows. Database errors come as Django's.

    Django's connections read jsonb as text, here too.
    """
    connection.ensure_connection()
    with _patience_of_the_transaction():
        return prepared_statement.fetch_all(sql, parameters)


class LockHeldError(OperationalError):
    """Somebody holds a row for longer than the caller is ready to wait."""


@contextmanager
def patient_for(seconds: float) -> Iterator[None]:
    """Wait no longer than this for each lock. Raises LockHeldError. Forbids a transaction."""
    limit = f"{int(seconds * 1000)}ms"
    try:
        with _patient_transactions(limit) if settings.PGBOUNCER else _patient_session(limit):
            yield
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise LockHeldError(*error.args) from error.__cause__
        raise


@contextmanager
def _patient_session(limit: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [limit])
    try:
        yield
    finally:
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = DEFAULT")


# What statements are to say at the start of their transaction: behind PgBouncer the session is not ours to set.
_patience: ContextVar[str | None] = ContextVar("patience", default=None)


@contextmanager
def _patient_transactions(limit: str) -> Iterator[None]:
    def patiently(execute: Callable[..., Any], *call: Any) -> Any:
        with _patience_of_the_transaction():
            return execute(*call)

    token = _patience.set(limit)
    try:
        # Querysets; `fetch_all` goes around Django's cursors.
        with connection.execute_wrapper(patiently):
            yield
    finally:
        _patience.reset(token)


@contextmanager
def _patience_of_the_transaction() -> Iterator[None]:
    """Around one statement: a transaction of its own, if there is none, that waits as long as was said."""
    limit = _patience.get()
    if limit is None:
        yield
        return
    with nullcontext() if connection.in_atomic_block else transaction.atomic():
        raw = cast("psycopg.Connection[TupleRow]", connection.connection)
        # A transaction that failed takes nothing but its end, or the way back to a savepoint.
        if raw.info.transaction_status != TransactionStatus.INERROR:
            with connection.wrap_database_errors:
                raw.execute("SELECT set_config('lock_timeout', %s, true)", [limit])
        yield


def fetch_written(execution_id: str, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`fetch_all` of a statement that WROTE to the ledger; if it gives any row, the execution's bell rings."""
    rows = fetch_all(sql, parameters)
    if rows:
        bells.ring_on_commit(execution_id)
    return rows


def fetch_one(sql: str, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first row of a statement, or None."""
    rows = fetch_all(sql, parameters)
    return rows[0] if rows else None


def to_json(value: JSONValue) -> str | None:
    """A jsonb parameter; None is SQL's NULL, not JSON's."""
    return None if value is None else storable_dumps(value)


LOCKED = """locked AS MATERIALIZED (
    SELECT * FROM executions_execution WHERE id = %(execution)s FOR NO KEY UPDATE
)"""

# `event (rank, position, type, data, timestamp)` numbered in order of rank, then position. For `fetch_written`.
WRITTEN = """written AS (
    INSERT INTO events_event (subject_id, workflow_id, owner_id, sequence, type, data, timestamp)
    SELECT locked.id, locked.workflow_id, locked.created_by_id,
           locked.sequence + row_number() OVER (ORDER BY event.rank, event.position),
           event.type, event.data, event.timestamp
    FROM locked, event
    RETURNING sequence
)"""

LOG_EVENTS = """
    SELECT 1 AS rank, line.position::int AS position, 'log' AS type, line.data - 'timestamp' AS data,
           (line.data ->> 'timestamp')::timestamptz AS timestamp
    FROM jsonb_array_elements(%(lines)s::jsonb) WITH ORDINALITY AS line (data, position)"""

# What a claim writes, in the SET of an UPDATE of executions_componentrun AS run.
TAKE = """status = 'running', worker = %(worker)s, pid = %(pid)s, rung_at = NULL, changed_at = clock_timestamp(),
        lease_until = clock_timestamp() + make_interval(secs => %(lease)s)"""


def stored_item(item_id: str, loop_run_id: str, row: Mapping[str, Any]) -> Item:
    """An item of a row with the columns of its value; jsonb as text."""
    return Item(
        item_id,
        row["index"],
        loop_run_id,
        row["value"],
        row["sealed_value"],
        reference(row["value_ref"]),
        reference(row["sealed_value_ref"]),
    )


def reference(text: str | None) -> JSONObject | None:
    """A reference to what is stored elsewhere, of the text of jsonb."""
    if text is None:
        return None
    parsed: JSONObject = orjson.loads(text)
    return parsed


def queued_runs(rows: Sequence[Mapping[str, Any]]) -> list[QueuedRun]:
    """Rows of (id, attempt, priority, queue) as runs that want a worker."""
    return [QueuedRun(from_uuid(row["id"]), row["attempt"], row["priority"], row["queue"]) for row in rows]


def lease(holder: Holder) -> dict[str, Any]:
    """Parameters of a claim."""
    return {
        "worker": holder.worker,
        "pid": holder.pid,
        "queues": list(holder.queues),
        "lease": settings.ENGINE["LEASE_SECONDS"],
    }


def measured_parameters(measured: Measured) -> dict[str, Any]:
    """Parameters of an attempt's resource usage."""
    return {
        "cpu_seconds": measured.cpu_seconds,
        "memory_mb": measured.memory_mb,
        "network_bytes": measured.network_bytes,
    }


def finished(execution_id: str, item: Item | None, rows: Sequence[Mapping[str, Any]]) -> Finished:
    """Rows of (remaining, scope_remaining, priority, id, component_id, queue, attempt, status) as what it set free."""
    kept: Held | None = None
    queued: list[QueuedRun] = []
    skipped: list[str] = []
    for row in rows:
        if row["status"] == RunStatus.RUNNING:
            kept = Held(RunKey(execution_id, from_uuid(row["id"]), row["attempt"]), row["component_id"], item)
        elif row["status"] == RunStatus.QUEUED:
            queued.append(QueuedRun(from_uuid(row["id"]), row["attempt"], row["priority"], row["queue"]))
        elif row["status"] == RunStatus.SKIPPED:
            skipped.append(row["component_id"])
    return Finished(kept, queued, skipped, rows[0]["remaining"], rows[0]["scope_remaining"])
