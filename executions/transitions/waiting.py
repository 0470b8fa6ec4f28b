"""How a run leaves its worker without having ended, and how it comes back: waits, retries, signals, lost workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from core.ids import from_uuid, to_uuid
from core.json_text import storable_dumps
from core.types import JSONObject
from executions.states import WaitingFor
from executions.transitions.statements import (
    LOCKED,
    LOG_EVENTS,
    WRITTEN,
    Measured,
    QueuedRun,
    RunKey,
    fetch_all,
    fetch_written,
    measured_parameters,
    queued_runs,
    to_json,
)


@dataclass(frozen=True, slots=True)
class Wait:
    """What a run waits for, and until when at the most (aware, or seconds from now on PostgreSQL's clock).

    `lost`: the attempt was none of the component's failures.
    """

    waiting_for: WaitingFor
    until: datetime | None = None
    delay_seconds: float | None = None
    signal: str | None = None
    approvers: tuple[str, ...] = ()
    max_concurrency: int | None = None
    stop_on_error: bool | None = None
    error: JSONObject | None = None
    lost: bool = False


_WAIT = f"""
WITH {LOCKED}, waiting AS (
    UPDATE executions_componentrun AS run
    SET status = 'waiting', waited = false, lease_until = NULL, error = %(error)s::jsonb,
        waiting_for = %(waiting_for)s::text, signal = %(signal)s::text, approvers = %(approvers)s::jsonb,
        max_concurrency = %(max_concurrency)s::int, stop_on_error = %(stop_on_error)s::bool,
        wake_at = least(
            COALESCE(%(until)s::timestamptz, clock_timestamp() + make_interval(secs => %(delay)s::float8)),
            CASE WHEN %(waiting_for)s::text <> 'retry' THEN run.deadline_at END),
        deadline_at = CASE WHEN %(waiting_for)s::text <> 'retry' THEN run.deadline_at END,
        changed_at = clock_timestamp(),
        attempt = run.attempt + (%(waiting_for)s::text = 'retry')::int, released = run.released + %(lost)s::int,
        cpu_seconds = run.cpu_seconds + %(cpu_seconds)s,
        memory_mb = greatest(run.memory_mb, %(memory_mb)s),
        network_bytes = run.network_bytes + %(network_bytes)s
    FROM locked
    WHERE run.id = %(run)s AND run.execution_id = locked.id AND locked.stop_as IS NULL
      AND run.status = 'running' AND run.attempt = %(attempt)s
    RETURNING run.component_id, run.component_type, run.item_index, run.wake_at, run.error
), event AS (
    {LOG_EVENTS}, waiting
    UNION ALL
    SELECT 2, 0, 'component.waiting',
           jsonb_strip_nulls(jsonb_build_object(
               'component_id', component_id, 'component_type', component_type, 'status', 'waiting',
               'attempt', %(attempt)s::int, 'item_index', item_index, 'waiting_for', %(waiting_for)s::text,
               'signal', %(signal)s::text,
               'until', to_char(wake_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'error', error)),
           clock_timestamp()
    FROM waiting
), {WRITTEN}, touched AS (
    UPDATE executions_execution AS execution
    SET sequence = execution.sequence + (SELECT count(*) FROM written),
        cpu_seconds = execution.cpu_seconds + %(cpu_seconds)s,
        memory_mb = greatest(execution.memory_mb, %(memory_mb)s),
        network_bytes = execution.network_bytes + %(network_bytes)s
    FROM locked, waiting WHERE execution.id = locked.id
    RETURNING execution.id
)
SELECT id FROM touched
"""


def wait(key: RunKey, what: Wait, *, lines: Sequence[JSONObject], measured: Measured) -> bool:
    """Leave the worker and wait; a retry is the next attempt. False if this attempt no longer holds the run.

    False too if the execution is stopping: nothing begins to wait then.
    """
    rows = fetch_written(
        key.execution_id,
        _WAIT,
        {
            "execution": to_uuid(key.execution_id),
            "run": to_uuid(key.run_id),
            "attempt": key.attempt,
            "lines": storable_dumps(list(lines)),
            "waiting_for": str(what.waiting_for),
            "until": what.until,
            "delay": what.delay_seconds,
            "signal": what.signal,
            "approvers": to_json(list(what.approvers) or None),
            "max_concurrency": what.max_concurrency,
            "stop_on_error": what.stop_on_error,
            "error": to_json(what.error),
            "lost": what.lost,
            **measured_parameters(measured),
        },
    )
    return bool(rows)


# `waited` says that the wait is over, and `waiting_for` what it was: the run resumes, at the attempt that waited,
# also when that attempt is lost with its worker. After a retry's delay it begins anew.
_RESUME = """status = 'queued', rung_at = clock_timestamp(), changed_at = clock_timestamp(), wake_at = NULL,
    waited = (run.waiting_for <> 'retry'), error = NULL"""

_WAKE = f"""
UPDATE executions_componentrun AS run
SET {_RESUME}
FROM (
    SELECT id FROM executions_componentrun
    WHERE status = 'waiting' AND wake_at <= clock_timestamp()
    ORDER BY wake_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
) AS due
WHERE run.id = due.id AND run.status = 'waiting'
RETURNING run.id, run.attempt, run.priority, run.queue
"""


def wake(limit: int) -> list[QueuedRun]:
    """Runs whose time has come (timers, retries, waits for a signal that did not come) want a worker again."""
    return queued_runs(fetch_all(_WAKE, {"limit": limit}))


_END_WAIT = f"""
WITH {LOCKED}, woken AS (
    UPDATE executions_componentrun AS run
    SET {_RESUME}
    FROM locked
    WHERE run.id = %(run)s AND run.execution_id = locked.id AND locked.stop_as IS NULL
      AND run.status = 'waiting' AND run.waiting_for IN ('time', 'retry') AND run.attempt = %(attempt)s
    RETURNING run.id, run.component_id, run.attempt, run.priority, run.queue, run.item_index
), event AS (
    SELECT 1 AS rank, 0 AS position, 'log' AS type,
           jsonb_strip_nulls(jsonb_build_object(
               'component_id', component_id, 'item_index', item_index, 'level', 'info', 'attempt', attempt,
               'message', %(reason)s::text, 'metadata', jsonb_build_object())) AS data,
           clock_timestamp() AS timestamp
    FROM woken
), {WRITTEN}, touched AS (
    UPDATE executions_execution AS execution
    SET sequence = execution.sequence + (SELECT count(*) FROM written)
    FROM locked, woken WHERE execution.id = locked.id
    RETURNING execution.id
)
SELECT woken.id, woken.attempt, woken.priority, woken.queue FROM woken, touched
"""


def end_wait(key: RunKey, reason: str) -> list[QueuedRun]:
    """Let a wait for a time, or for the next attempt, be over now; empty if the run does not wait so.

    `reason` is told in the execution's log.
    """
    parameters: dict[str, UUID | int | str] = {
        "execution": to_uuid(key.execution_id),
        "run": to_uuid(key.run_id),
        "attempt": key.attempt,
        "reason": reason,
    }
    return queued_runs(fetch_written(key.execution_id, _END_WAIT, parameters))


_KEEP_SIGNAL = f"""
WITH {LOCKED}, signal AS (
    INSERT INTO executions_signal (id, execution_id, name, sealed_data, sender_id, created_at)
    SELECT %(signal)s, locked.id, %(name)s, %(sealed_data)s, %(sender)s, clock_timestamp() FROM locked
    RETURNING name
), event AS (
    SELECT 1 AS rank, 0 AS position, 'log' AS type,
           jsonb_build_object(
               'level', 'info', 'message', 'Signal ' || signal.name || ' received',
               'metadata', jsonb_build_object('signal', signal.name, 'sender', %(sender_id)s::text)) AS data,
           clock_timestamp() AS timestamp
    FROM signal
), {WRITTEN}
UPDATE executions_execution AS execution SET sequence = execution.sequence + (SELECT count(*) FROM written)
FROM locked WHERE execution.id = locked.id
RETURNING execution.id
"""


def keep_signal(signal_id: str, execution_id: str, name: str, sealed_data: bytes, sender_id: str) -> None:
    """Store what somebody told an execution, and a line in its log.

    Needs a transaction that holds the execution's lock.
    """
    assert connection.in_atomic_block
    parameters: dict[str, Any] = {
        "execution": to_uuid(execution_id),
        "signal": to_uuid(signal_id),
        "name": name,
        "sealed_data": sealed_data,
        "sender": to_uuid(sender_id),
        "sender_id": sender_id,
    }
    fetch_written(execution_id, _KEEP_SIGNAL, parameters)


_DELIVER = f"""
WITH waiting AS MATERIALIZED (
    -- Locked before the signal is marked: the run's time may pass in this moment, and the signal is then kept.
    SELECT execution_id, signal FROM executions_componentrun
    WHERE id = %(run)s AND status = 'waiting' AND waiting_for = 'signal' FOR NO KEY UPDATE
), taken AS (
    UPDATE executions_signal AS signal
    SET taken_by_id = %(run)s, taken_at = clock_timestamp()
    FROM waiting
    WHERE signal.id = %(signal)s AND signal.taken_at IS NULL
      AND signal.execution_id = waiting.execution_id AND signal.name = waiting.signal
    RETURNING signal.id
)
UPDATE executions_componentrun AS run
SET {_RESUME}, signal = NULL
FROM taken
WHERE run.id = %(run)s AND run.status = 'waiting'
RETURNING run.id, run.attempt, run.priority, run.queue
"""


def deliver(signal_id: str, run_id: str) -> list[QueuedRun]:
    """Give a kept signal to a run that waits for its name. Needs a transaction that holds the execution's lock."""
    assert connection.in_atomic_block
    return queued_runs(fetch_all(_DELIVER, {"signal": to_uuid(signal_id), "run": to_uuid(run_id)}))


# The parents whose child has ended, and the loops none of whose items is left: woken where that happens, in one
# transaction. What is found here was missed because somebody held the parent's row.
_RESUME_PARENTS = f"""
UPDATE executions_componentrun AS run
SET {_RESUME}
FROM (
    SELECT run.id FROM executions_componentrun AS run
    WHERE run.status = 'waiting' AND run.waiting_for IN ('child', 'items') AND CASE run.waiting_for
        WHEN 'child' THEN NOT EXISTS (
            SELECT 1 FROM executions_execution AS child
            WHERE child.parent_run_id = run.id AND child.completed_at IS NULL)
        ELSE NOT EXISTS (
            SELECT 1 FROM executions_loopitem AS item WHERE item.run_id = run.id AND item.status = 'running')
        END
    LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
) AS due
WHERE run.id = due.id AND run.status = 'waiting'
RETURNING run.id, run.attempt, run.priority, run.queue
"""


def resume_parents(limit: int) -> list[QueuedRun]:
    """Runs that wait for a child or for items of which none is left."""
    return queued_runs(fetch_all(_RESUME_PARENTS, {"limit": limit}))


_ORPHANS = """
SELECT child.id FROM executions_execution AS child
JOIN executions_componentrun AS parent ON parent.id = child.parent_run_id
WHERE child.parent_run_id IS NOT NULL AND child.completed_at IS NULL AND child.stop_as IS NULL
  AND parent.completed_at IS NOT NULL
LIMIT %(limit)s
"""

_CHILDREN = """
SELECT child.id FROM executions_componentrun AS parent
JOIN executions_execution AS child ON child.parent_run_id = parent.id
WHERE parent.execution_id = %(execution)s AND child.completed_at IS NULL AND child.stop_as IS NULL
"""


_CHILDREN_OF_RUN = """
WITH RECURSIVE tree AS (
    SELECT %(run)s::uuid AS id
    UNION ALL
    SELECT run.id FROM tree
    JOIN executions_loopitem AS item ON item.run_id = tree.id
    JOIN executions_componentrun AS run ON run.item_id = item.id
)
SELECT child.id FROM tree JOIN executions_execution AS child ON child.parent_run_id = tree.id
WHERE child.completed_at IS NULL AND child.stop_as IS NULL
"""


def children_of(run_id: str) -> list[str]:
    """Child executions of a run, and of those of its body, inner loops' too, that are not stopping yet."""
    return [from_uuid(row["id"]) for row in fetch_all(_CHILDREN_OF_RUN, {"run": to_uuid(run_id)})]


def orphans(limit: int) -> list[str]:
    """Child executions that nobody waits for any more: their parent was cancelled or failed."""
    return [from_uuid(row["id"]) for row in fetch_all(_ORPHANS, {"limit": limit})]


def children(execution_id: str) -> list[str]:
    """Child executions of an execution that are not stopping yet."""
    return [from_uuid(row["id"]) for row in fetch_all(_CHILDREN, {"execution": to_uuid(execution_id)})]


_RELEASE = f"""
WITH {LOCKED}, released AS (
    UPDATE executions_componentrun AS run
    SET status = 'queued', attempt = run.attempt + 1, crashes = run.crashes + %(crash)s::int,
        released = run.released + 1 - %(crash)s::int, lease_until = NULL, rung_at = clock_timestamp(),
        changed_at = clock_timestamp()
    FROM locked
    WHERE run.id = %(run)s AND run.execution_id = locked.id AND locked.stop_as IS NULL
      AND run.status = 'running' AND run.attempt = %(attempt)s
    RETURNING run.id, run.component_id, run.attempt, run.item_index, run.queue
), event AS (
    SELECT 1 AS rank, 0 AS position, 'log' AS type,
           jsonb_strip_nulls(jsonb_build_object(
               'component_id', component_id, 'item_index', item_index, 'level', 'warning', 'attempt', attempt - 1,
               'message', %(reason)s::text, 'metadata', jsonb_build_object())) AS data,
           clock_timestamp() AS timestamp
    FROM released
), {WRITTEN}, touched AS (
    UPDATE executions_execution AS execution
    SET sequence = execution.sequence + (SELECT count(*) FROM written)
    FROM locked, released WHERE execution.id = locked.id
    RETURNING execution.priority
)
SELECT released.id, released.attempt, released.queue, touched.priority FROM released, touched
"""


def release(key: RunKey, reason: str, *, crash: bool) -> list[QueuedRun]:
    """Queue a running run again as its next attempt, because its worker was lost or let it go.

    `reason` is told in the execution's log. Empty if the attempt had ended, or its execution is stopping.
    """
    parameters: dict[str, UUID | int | str] = {
        "execution": to_uuid(key.execution_id),
        "run": to_uuid(key.run_id),
        "attempt": key.attempt,
        "crash": int(crash),
        "reason": reason,
    }
    return queued_runs(fetch_written(key.execution_id, _RELEASE, parameters))
