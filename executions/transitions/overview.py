"""What the dashboard asks of executions: each answer through an index, and of what may be many up to a cap."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.ids import first_id, from_uuid, to_uuid
from executions.transitions.statements import fetch_all, fetch_one

CAP = 10_000
# Of an index that has all that is asked: some 20 ms.
QUEUE_CAP = 100_000
FAILURES_CAP = 2_000


@dataclass(frozen=True, slots=True)
class LiveCounts:
    """What has not ended, each counted up to CAP + 1.

    Executions that wait for their time, for a slot, and that run; component runs that run, wait for something, and are
    held back by their workflow's `max_parallel`.
    """

    scheduled: int
    without_slot: int
    running: int
    running_components: int
    waiting_components: int
    held_components: int


_LIVE = {
    "scheduled": "executions_execution WHERE status = 'pending'",
    "without_slot": "executions_execution WHERE status = 'queued' AND admitted_at IS NULL",
    "running": "executions_execution WHERE status = 'running'",
    "running_components": "executions_componentrun WHERE status = 'running'",
    "waiting_components": "executions_componentrun WHERE status = 'waiting'",
    "held_components": "executions_componentrun WHERE status = 'queued' AND held",
}
_COUNTS = "SELECT " + ", ".join(
    f"(SELECT count(*) FROM (SELECT FROM {rows} LIMIT {CAP + 1}) AS counted) AS {name}" for name, rows in _LIVE.items()
)


def live_counts() -> LiveCounts:
    """What has not ended, by what it does."""
    row = fetch_one(_COUNTS, {})
    assert row is not None, "a row of numbers"
    return LiveCounts(**row)


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many component runs of a queue and priority want a worker; all of them together up to QUEUE_CAP."""

    queue: str
    priority: int
    count: int


_DEPTHS = f"""
SELECT queue, priority, count(*) AS count FROM (
    SELECT queue, priority FROM executions_componentrun WHERE status = 'queued' AND NOT held LIMIT {QUEUE_CAP}
) AS waiting
GROUP BY queue, priority ORDER BY queue, priority DESC
"""


def queue_depths() -> list[QueueDepth]:
    """What wants a worker, by queue, the most urgent first."""
    return [QueueDepth(**row) for row in fetch_all(_DEPTHS, {})]


# Ids of runs are in the order in which their executions began.
_OLDEST_RUN = f"""
SELECT id FROM (
    SELECT id FROM executions_componentrun WHERE status = 'queued' AND NOT held LIMIT {QUEUE_CAP}
) AS queue
ORDER BY id LIMIT 1
"""


def oldest_queued_run() -> str | None:
    """The id of the run that has been there longest of those that want a worker, among QUEUE_CAP of them."""
    row = fetch_one(_OLDEST_RUN, {})
    return from_uuid(row["id"]) if row else None


@dataclass(frozen=True, slots=True)
class Ended:
    """How many executions of an hour ended which way; `hour` counts from the first."""

    hour: int
    status: str
    count: int


_BY_HOUR = """
SELECT width_bucket(id, %(hours)s::uuid[]) - 1 AS hour, status, count(*) AS count
FROM executions_execution
WHERE status IN ('completed', 'failed', 'cancelled') AND id >= %(since)s
GROUP BY 1, 2
"""


def ended_by_hour(first: datetime, hours: int) -> list[Ended]:
    """Of the executions made in each hour from `first` on, how many ended which way; what is not there is none."""
    edges = [to_uuid(first_id(first + timedelta(hours=hour))) for hour in range(hours)]
    return [Ended(**row) for row in fetch_all(_BY_HOUR, {"hours": edges, "since": edges[0]})]


@dataclass(frozen=True, slots=True)
class Failure:
    """Executions that failed alike: in the same component with the same message, but for numbers in it.

    `message` and `workflow_id` are the last one's.
    """

    component_id: str | None
    code: str
    message: str
    count: int
    workflow_count: int
    workflow_id: str
    last_execution_id: str


_FAILURES = f"""
WITH failed AS (
    SELECT id, workflow_id, error ->> 'component_id' AS component_id, error ->> 'code' AS code,
           left(error ->> 'message', 300) AS message
    FROM executions_execution
    WHERE status = 'failed' AND id >= %(since)s
    ORDER BY id DESC LIMIT {FAILURES_CAP}
)
SELECT component_id, coalesce(code, '') AS code, count(*) AS count, count(DISTINCT workflow_id) AS workflow_count,
       (array_agg(coalesce(message, '') ORDER BY id DESC))[1] AS message,
       (array_agg(workflow_id ORDER BY id DESC))[1] AS workflow_id,
       (array_agg(id ORDER BY id DESC))[1] AS last_execution_id
FROM failed
GROUP BY component_id, coalesce(code, ''), regexp_replace(coalesce(message, ''), '[0-9]+', '0', 'g')
ORDER BY count DESC, last_execution_id DESC
LIMIT %(limit)s
"""


def failures_since(moment: datetime, limit: int) -> Sequence[Failure]:
    """What failed of the executions made since then, the most frequent first; of the last FAILURES_CAP of them."""
    rows = fetch_all(_FAILURES, {"since": to_uuid(first_id(moment)), "limit": limit})
    return [
        Failure(
            **row
            | {"workflow_id": from_uuid(row["workflow_id"]), "last_execution_id": from_uuid(row["last_execution_id"])}
        )
        for row in rows
    ]


_BUSY = """
SELECT worker, count(*) AS count FROM executions_componentrun WHERE status = 'running' GROUP BY worker
"""


def busy_workers() -> dict[str, int]:
    """How many components each worker runs just now."""
    return {row["worker"]: row["count"] for row in fetch_all(_BUSY, {})}
