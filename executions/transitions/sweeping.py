"""What the sweeps look for, and the moves that time alone makes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.conf import settings

from core.ids import from_uuid, to_uuid
from executions.transitions.statements import Item, QueuedRun, RunKey, fetch_all, fetch_one, queued_runs

# Not for a queue that none of the workers alive serves: nobody would take the messages, and they would fill the broker.
# A worker that names no queues is one of before there were any.
_HEARTBEAT_LATE_SECONDS = 15
_RING_AGAIN = """
WITH served AS MATERIALIZED (
    SELECT worker.queues FROM executions_worker AS worker
    WHERE worker.heartbeat_at > clock_timestamp() - make_interval(secs => %(alive)s)
)
UPDATE executions_componentrun AS run
SET rung_at = clock_timestamp()
FROM (
    SELECT id FROM executions_componentrun AS waiting
    WHERE status = 'queued' AND NOT held AND rung_at < clock_timestamp() - make_interval(secs => %(after)s)
      AND (NOT EXISTS (SELECT 1 FROM served)
           OR EXISTS (SELECT 1 FROM served WHERE queues = '{}' OR waiting.queue = ANY(queues)))
    ORDER BY rung_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
) AS unclaimed
WHERE run.id = unclaimed.id AND run.status = 'queued'
RETURNING run.id, run.attempt, run.priority, run.queue
"""


def ring_again(limit: int) -> list[QueuedRun]:
    """Queued runs that nobody claimed for a while: their message was lost, or the fleet is busy."""
    again: float = settings.ENGINE["RING_AGAIN_SECONDS"]
    parameters = {"limit": limit, "after": again, "alive": _HEARTBEAT_LATE_SECONDS}
    return queued_runs(fetch_all(_RING_AGAIN, parameters))


_RENEW = """
UPDATE executions_componentrun AS run
SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE run.id IN (
    -- One whose row somebody holds (to end it, most likely) must not keep the others from being renewed.
    SELECT id FROM executions_componentrun
    WHERE worker = %(worker)s AND status = 'running' AND id = ANY(%(runs)s::uuid[])
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
RETURNING run.pid
"""


def renew(worker: str, run_ids: Sequence[str]) -> int:
    """Renew the leases of runs that a worker's processes work on; how many."""
    parameters = {
        "worker": worker,
        "runs": [to_uuid(id_) for id_ in run_ids],
        "lease": settings.ENGINE["LEASE_SECONDS"],
    }
    return len(fetch_all(_RENEW, parameters))


_RENEW_ONE = """
UPDATE executions_componentrun AS run
SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE run.id = %(run)s AND run.status = 'running' AND run.attempt = %(attempt)s
RETURNING run.id
"""


def renew_one(key: RunKey) -> bool:
    """Renew the lease of the run that an attempt holds; False if it holds it no more."""
    parameters = {"run": to_uuid(key.run_id), "attempt": key.attempt, "lease": settings.ENGINE["LEASE_SECONDS"]}
    return fetch_one(_RENEW_ONE, parameters) is not None


class LostRun(NamedTuple):
    """A running run whose holder is gone, or is looked after; `stop`: its execution is cancelled or overdue."""

    key: RunKey
    component_id: str
    crashes: int
    released: int = 0
    item: Item | None = None
    stop: bool = False

    @property
    def lost_attempts(self) -> int:
        """Attempts that did not fail by themselves."""
        return self.crashes + self.released


_RUN_COLUMNS = (
    "run.id, run.execution_id, run.attempt, run.component_id, run.crashes, run.released, run.item_id, run.item_index, "
    "(SELECT run_id FROM executions_loopitem AS item WHERE item.id = run.item_id) AS loop_run_id"
)

# A NULL lease is a bug elsewhere and must not hide the run for ever, hence the COALESCE.
_EXPIRED = f"""
SELECT {_RUN_COLUMNS}, false AS stop FROM executions_componentrun AS run
WHERE run.status = 'running' AND COALESCE(run.lease_until, '-infinity') < clock_timestamp()
LIMIT %(limit)s
"""

_HELD_BY = f"""
SELECT {_RUN_COLUMNS}, run.pid,
       COALESCE(execution.stop_as = 'cancelled'
                OR execution.stop_as IS NOT NULL AND execution.deadline_at < clock_timestamp(), false) AS stop
FROM executions_componentrun AS run JOIN executions_execution AS execution ON execution.id = run.execution_id
WHERE run.status = 'running' AND run.worker = %(worker)s
"""


def expired(limit: int) -> list[LostRun]:
    """Running runs whose lease has passed."""
    return [_lost(row) for row in fetch_all(_EXPIRED, {"limit": limit})]


def held_by(worker: str) -> list[tuple[int, LostRun]]:
    """What a worker's processes run now: (pid, run)."""
    return [(row["pid"], _lost(row)) for row in fetch_all(_HELD_BY, {"worker": worker})]


_RUNNING = f"""
SELECT {_RUN_COLUMNS}, false AS stop FROM executions_componentrun AS run
WHERE run.id = %(run)s AND run.status = 'running' AND run.attempt = %(attempt)s
"""

_EXPIRED_OF = f"""
SELECT {_RUN_COLUMNS}, false AS stop FROM executions_componentrun AS run
WHERE run.execution_id = %(execution)s AND run.status = 'running'
  AND COALESCE(run.lease_until, '-infinity') < clock_timestamp()
"""


def running(run_id: str, attempt: int) -> LostRun | None:
    """A run that runs as this attempt, for who knows that its holder is gone."""
    row = fetch_one(_RUNNING, {"run": to_uuid(run_id), "attempt": attempt})
    return None if row is None else _lost(row)


def expired_of(execution_id: str) -> list[LostRun]:
    """Those of one execution whose lease has passed."""
    return [_lost(row) for row in fetch_all(_EXPIRED_OF, {"execution": to_uuid(execution_id)})]


_RING_ONE = """
UPDATE executions_componentrun AS run SET rung_at = clock_timestamp()
WHERE run.id = %(run)s AND run.status = 'queued' AND NOT run.held AND run.attempt = %(attempt)s
RETURNING run.id, run.attempt, run.priority, run.queue
"""

_RING_ALL_OF = """
UPDATE executions_componentrun AS run SET rung_at = clock_timestamp()
FROM (
    SELECT id FROM executions_componentrun
    WHERE execution_id = %(execution)s AND status = 'queued' AND NOT held
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
) AS unclaimed
WHERE run.id = unclaimed.id AND run.status = 'queued'
RETURNING run.id, run.attempt, run.priority, run.queue
"""


def ring_one(run_id: str, attempt: int) -> list[QueuedRun]:
    """A queued run that is rung for again at once; empty if it is not queued as this attempt, or held."""
    return queued_runs(fetch_all(_RING_ONE, {"run": to_uuid(run_id), "attempt": attempt}))


def ring_all_of(execution_id: str) -> list[QueuedRun]:
    """The queued runs of one execution, which are rung for again at once."""
    return queued_runs(fetch_all(_RING_ALL_OF, {"execution": to_uuid(execution_id)}))


def _lost(row: Mapping[str, Any]) -> LostRun:
    key = RunKey(from_uuid(row["execution_id"]), from_uuid(row["id"]), row["attempt"])
    item = None
    if row["item_id"] is not None:
        item = Item(from_uuid(row["item_id"]), row["item_index"], from_uuid(row["loop_run_id"]), None, None)
    return LostRun(key, row["component_id"], row["crashes"], row["released"], item, row["stop"])


_OVERDUE = """
SELECT id FROM executions_execution
WHERE deadline_at < clock_timestamp() AND completed_at IS NULL AND stop_as IS NULL
LIMIT %(limit)s
"""

_UNFINISHED = """
SELECT id FROM executions_execution WHERE status = 'running' AND remaining = 0 LIMIT %(limit)s
"""


def overdue(limit: int) -> list[str]:
    """Executions past their own timeout that are not stopping yet."""
    return [from_uuid(row["id"]) for row in fetch_all(_OVERDUE, {"limit": limit})]


def unfinished(limit: int) -> list[str]:
    """Executions none of whose runs remains: their last worker died between two commits."""
    return [from_uuid(row["id"]) for row in fetch_all(_UNFINISHED, {"limit": limit})]
