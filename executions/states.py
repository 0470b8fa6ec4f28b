"""Statuses of executions and component runs, which are final, and the moves that are legal (contract §7)."""

from enum import StrEnum


class ExecutionStatus(StrEnum):
    """`pending` waits for its time, `queued` for a slot or a worker."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunStatus(StrEnum):
    """`blocked` waits for its predecessors (shown as `pending`), `waiting` for a time or a signal."""

    BLOCKED = "blocked"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class WaitingFor(StrEnum):
    """What ends a wait: a time, the next attempt's time, a signal, a child execution, the items of a loop."""

    TIME = "time"
    RETRY = "retry"
    SIGNAL = "signal"
    CHILD = "child"
    ITEMS = "items"


class ItemStatus(StrEnum):
    """An item of a loop: `blocked` until its turn comes."""

    BLOCKED = "blocked"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


FINAL_EXECUTION = frozenset({ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})
FINAL_RUN = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.SKIPPED, RunStatus.CANCELLED})

EXECUTION_MOVES: dict[ExecutionStatus, frozenset[ExecutionStatus]] = {
    ExecutionStatus.PENDING: frozenset({ExecutionStatus.QUEUED, ExecutionStatus.CANCELLED, ExecutionStatus.FAILED}),
    ExecutionStatus.QUEUED: frozenset({ExecutionStatus.RUNNING, ExecutionStatus.CANCELLED, ExecutionStatus.FAILED}),
    ExecutionStatus.RUNNING: FINAL_EXECUTION,
    ExecutionStatus.COMPLETED: frozenset(),
    ExecutionStatus.FAILED: frozenset(),
    ExecutionStatus.CANCELLED: frozenset(),
}

RUN_MOVES: dict[RunStatus, frozenset[RunStatus]] = {
    # blocked → running: the successor that the finishing worker keeps is claimed in the same statement.
    RunStatus.BLOCKED: frozenset({RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.SKIPPED, RunStatus.CANCELLED}),
    RunStatus.QUEUED: frozenset({RunStatus.RUNNING, RunStatus.CANCELLED}),
    # running → queued: the lease ran out or the worker died, and a new attempt follows.
    RunStatus.RUNNING: frozenset(
        {RunStatus.QUEUED, RunStatus.WAITING, RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED}
    ),
    RunStatus.WAITING: frozenset({RunStatus.QUEUED, RunStatus.CANCELLED}),
    RunStatus.COMPLETED: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.SKIPPED: frozenset(),
    RunStatus.CANCELLED: frozenset(),
}


def choices(statuses: type[StrEnum]) -> list[tuple[str, str]]:
    """What Django shows of a status: (value, label)."""
    return [(str(status), status.name.title()) for status in statuses]
