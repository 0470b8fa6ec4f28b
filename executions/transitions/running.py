"""How one component run moves: claim, finish with its successors, wait, retry, release."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from core.ids import from_uuid, to_uuid
from core.json_text import storable_dumps
from core.types import JSONObject
from executions.decider import Delta
from executions.transitions.statements import (
    LOCKED,
    LOG_EVENTS,
    WRITTEN,
    Claimed,
    Ended,
    Finished,
    Holder,
    Measured,
    QueuedRun,
    RunKey,
    fetch_all,
    fetch_one,
    finished,
    lease,
    measured_parameters,
    queued_runs,
    to_json,
)

# The race: two workers hold a message for one run, or a message is late. One UPDATE wins; the other finds the
# status or the attempt changed and moves no row.
_CLAIM = f"""
WITH locked AS MATERIALIZED (
    SELECT * FROM executions_execution
    WHERE id = (SELECT execution_id FROM executions_componentrun WHERE id = %(run)s)
      AND completed_at IS NULL AND stop_as IS NULL
    FOR NO KEY UPDATE
), claimed AS (
    UPDATE executions_componentrun AS run
    SET status = 'running', worker = %(worker)s, pid = %(pid)s, rung_at = NULL,
        lease_until = clock_timestamp() + make_interval(secs => %(lease)s),
        started_at = CASE WHEN run.waited THEN run.started_at ELSE clock_timestamp() END
    FROM locked
    WHERE run.id = %(run)s AND run.execution_id = locked.id
      AND run.status = 'queued' AND run.attempt = %(attempt)s
    RETURNING run.component_id, run.component_type, run.waited, run.crashes, run.attempt
), event AS (
    SELECT 1 AS rank, 0 AS position, 'execution.started' AS type,
           jsonb_build_object('status', 'running', 'priority', locked.priority) AS data,
           clock_timestamp() AS timestamp
    FROM locked, claimed WHERE locked.status = 'queued'
    UNION ALL
    SELECT 2, 0, 'component.started',
           jsonb_build_object('component_id', component_id, 'component_type', component_type,
                              'status', 'running', 'attempt', attempt),
           clock_timestamp()
    FROM claimed WHERE NOT waited
), {WRITTEN}, touched AS (
    UPDATE executions_execution AS execution
    SET status = 'running', started_at = COALESCE(execution.started_at, clock_timestamp()),
        sequence = execution.sequence + (SELECT count(*) FROM written)
    FROM locked, claimed WHERE execution.id = locked.id
    RETURNING execution.started_at
)
SELECT claimed.*, locked.id, locked.workflow_id, locked.version_id, locked.created_by_id, locked.priority,
       locked.parameters, locked.sealed_parameters, locked.trigger, locked.tags, locked.request_id,
       locked.created_at, touched.started_at,
       (SELECT name FROM workflows_workflow WHERE id = locked.workflow_id) AS workflow_name
FROM claimed, locked, touched
"""


def claim(run_id: str, attempt: int, holder: Holder) -> Claimed | None:
    """Take a queued run for `holder` under a lease; None if it is not to be had (any more)."""
    row = fetch_one(_CLAIM, {"run": to_uuid(run_id), "attempt": attempt, **lease(holder)})
    if row is None:
        return None
    execution = {name: from_uuid(value) if isinstance(value, UUID) else value for name, value in row.items()}
    for name in ("parameters", "trigger"):
        execution[name] = orjson.loads(row[name])
    key = RunKey(execution["id"], run_id, attempt)
    return Claimed(key, row["component_id"], row["waited"], row["crashes"], execution)


# One hop. The race: this attempt was rescued or cancelled meanwhile; `ended` then moves no row, and since every
# other part reads from it, nothing else happens. Two predecessors of one join ending at once queue up on
# `locked`; the second sees the first's count because `pending` is lowered in the row's own SET.
_FINISH = f"""
WITH {LOCKED}, ended AS (
    UPDATE executions_componentrun AS run
    SET status = %(status)s, output = %(output)s::jsonb, sealed_output = %(sealed_output)s,
        error = %(error)s::jsonb, taken_out = %(taken)s::int[], completed_at = clock_timestamp(),
        lease_until = NULL, cpu_seconds = run.cpu_seconds + %(cpu_seconds)s,
        memory_mb = greatest(run.memory_mb, %(memory_mb)s),
        network_bytes = run.network_bytes + %(network_bytes)s
    FROM locked
    WHERE run.id = %(run)s AND run.execution_id = locked.id
      AND run.status = 'running' AND run.attempt = %(attempt)s
    RETURNING run.component_id, run.component_type, run.attempt, run.status, run.error,
              run.started_at, run.completed_at
), moved AS (
    UPDATE executions_componentrun AS run
    SET pending = run.pending - delta.decided,
        taken = run.taken + delta.taken,
        status = CASE
            WHEN run.taken + delta.taken > 0 AND (run.join_any OR run.pending = delta.decided)
                THEN CASE WHEN run.component_id = %(keep)s THEN 'running' ELSE 'queued' END
            WHEN run.pending = delta.decided THEN 'skipped'
            ELSE 'blocked' END,
        worker = CASE WHEN run.component_id = %(keep)s THEN %(worker)s ELSE run.worker END,
        pid = CASE WHEN run.component_id = %(keep)s THEN %(pid)s ELSE run.pid END,
        lease_until = CASE WHEN run.component_id = %(keep)s
            THEN clock_timestamp() + make_interval(secs => %(lease)s) END,
        started_at = CASE WHEN run.component_id = %(keep)s
            AND run.taken + delta.taken > 0 AND (run.join_any OR run.pending = delta.decided)
            THEN clock_timestamp() END,
        rung_at = clock_timestamp(),
        completed_at = CASE WHEN run.taken + delta.taken = 0 AND run.pending = delta.decided
            THEN clock_timestamp() END
    FROM locked, ended, unnest(%(targets)s::text[], %(decided)s::int[], %(live)s::int[])
        AS delta (component_id, decided, taken)
    WHERE run.execution_id = locked.id AND run.component_id = delta.component_id
      AND run.item_index IS NULL AND run.status = 'blocked' AND locked.stop_as IS NULL
    RETURNING run.id, run.component_id, run.component_type, run.position, run.attempt, run.status
), event AS (
    {LOG_EVENTS}, ended
    UNION ALL
    SELECT 2, 0, 'component.' || ended.status,
           jsonb_strip_nulls(jsonb_build_object(
               'component_id', ended.component_id, 'component_type', ended.component_type,
               'status', ended.status, 'attempt', ended.attempt, 'error', ended.error,
               'duration_seconds', round(extract(epoch FROM ended.completed_at - ended.started_at), 3))),
           ended.completed_at
    FROM ended WHERE ended.status <> 'cancelled'
    UNION ALL
    SELECT 3, moved.position,
           CASE moved.status WHEN 'skipped' THEN 'component.skipped' ELSE 'component.started' END,
           jsonb_build_object('component_id', moved.component_id, 'component_type', moved.component_type,
                              'status', moved.status, 'attempt', moved.attempt),
           clock_timestamp()
    FROM moved WHERE moved.status IN ('skipped', 'running')
), {WRITTEN}, touched AS (
    UPDATE executions_execution AS execution
    SET sequence = execution.sequence + (SELECT count(*) FROM written),
        remaining = execution.remaining - 1 - (SELECT count(*) FROM moved WHERE status = 'skipped'),
        ended_components = execution.ended_components + (ended.status = 'completed')::int
            + (SELECT count(*) FROM moved WHERE status = 'skipped'),
        error = COALESCE(execution.error, %(execution_error)s::jsonb),
        cpu_seconds = execution.cpu_seconds + %(cpu_seconds)s,
        memory_mb = greatest(execution.memory_mb, %(memory_mb)s),
        network_bytes = execution.network_bytes + %(network_bytes)s
    FROM locked, ended WHERE execution.id = locked.id
    RETURNING execution.remaining, execution.priority
)
SELECT touched.remaining, touched.priority, moved.id, moved.component_id, moved.attempt, moved.status
FROM touched LEFT JOIN moved ON moved.status <> 'blocked'
ORDER BY moved.position
"""


def finish(
    key: RunKey,
    ended: Ended,
    deltas: Sequence[Delta],
    *,
    holder: Holder,
    keep: str | None,
    execution_error: JSONObject | None = None,
) -> Finished | None:
    """Record a run's end and move its successors; None if this attempt no longer holds the run (fenced).

    A successor named by `keep` that becomes ready is claimed for `holder` in the same statement.
    `execution_error` is what the execution will fail with; the first one stays.
    """
    rows = fetch_all(
        _FINISH,
        {
            "execution": to_uuid(key.execution_id),
            "run": to_uuid(key.run_id),
            "attempt": key.attempt,
            "status": str(ended.status),
            "output": ended.output_text,
            "sealed_output": ended.sealed_output,
            "error": to_json(ended.error),
            "taken": list(ended.taken),
            "lines": storable_dumps(list(ended.lines)),
            "keep": keep,
            "targets": [delta.component_id for delta in deltas],
            "decided": [delta.decided for delta in deltas],
            "live": [delta.taken for delta in deltas],
            "execution_error": to_json(execution_error),
            **measured_parameters(ended.measured),
            **lease(holder),
        },
    )
    return finished(key.execution_id, rows) if rows else None


# Dead paths: the connections of runs just skipped are dead, and may skip or free others in turn.
_CASCADE = f"""
WITH {LOCKED}, moved AS (
    UPDATE executions_componentrun AS run
    SET pending = run.pending - delta.decided,
        status = CASE
            WHEN run.pending > delta.decided THEN 'blocked'
            WHEN run.taken > 0 THEN 'queued'
            ELSE 'skipped' END,
        rung_at = clock_timestamp(),
        completed_at = CASE WHEN run.pending = delta.decided AND run.taken = 0 THEN clock_timestamp() END
    FROM locked, unnest(%(targets)s::text[], %(decided)s::int[]) AS delta (component_id, decided)
    WHERE run.execution_id = locked.id AND run.component_id = delta.component_id
      AND run.item_index IS NULL AND run.status = 'blocked'
    RETURNING run.id, run.component_id, run.component_type, run.position, run.attempt, run.status
), event AS (
    SELECT 1 AS rank, moved.position, 'component.skipped' AS type,
           jsonb_build_object('component_id', moved.component_id, 'component_type', moved.component_type,
                              'status', 'skipped', 'attempt', moved.attempt) AS data,
           clock_timestamp() AS timestamp
    FROM moved WHERE moved.status = 'skipped'
), {WRITTEN}, touched AS (
    UPDATE executions_execution AS execution
    SET sequence = execution.sequence + (SELECT count(*) FROM written),
        remaining = execution.remaining - (SELECT count(*) FROM written),
        ended_components = execution.ended_components + (SELECT count(*) FROM written)
    FROM locked WHERE execution.id = locked.id
    RETURNING execution.remaining, execution.priority
)
SELECT touched.remaining, touched.priority, moved.id, moved.component_id, moved.attempt, moved.status
FROM touched LEFT JOIN moved ON moved.status <> 'blocked'
ORDER BY moved.position
"""


def cascade(execution_id: str, deltas: Sequence[Delta]) -> Finished:
    """Carry dead connections one level on. Needs the transaction of the end that they follow from."""
    assert connection.in_atomic_block
    rows = fetch_all(
        _CASCADE,
        {
            "execution": to_uuid(execution_id),
            "targets": [delta.component_id for delta in deltas],
            "decided": [delta.decided for delta in deltas],
        },
    )
    return finished(execution_id, rows)


_WAIT = f"""
WITH {LOCKED}, waiting AS (
    UPDATE executions_componentrun AS run
    SET status = 'waiting', waited = false, lease_until = NULL, error = %(error)s::jsonb,
        wake_at = COALESCE(%(until)s::timestamptz,
                           clock_timestamp() + make_interval(secs => %(delay)s::float8)),
        attempt = run.attempt + %(next_attempt)s::int,
        cpu_seconds = run.cpu_seconds + %(cpu_seconds)s,
        memory_mb = greatest(run.memory_mb, %(memory_mb)s),
        network_bytes = run.network_bytes + %(network_bytes)s
    FROM locked
    WHERE run.id = %(run)s AND run.execution_id = locked.id AND locked.stop_as IS NULL
      AND run.status = 'running' AND run.attempt = %(attempt)s
    RETURNING run.component_id, run.component_type, run.attempt, run.wake_at, run.error
), event AS (
    {LOG_EVENTS}, waiting
    UNION ALL
    SELECT 2, 0, 'component.waiting',
           jsonb_strip_nulls(jsonb_build_object(
               'component_id', component_id, 'component_type', component_type, 'status', 'waiting',
               'attempt', %(attempt)s::int, 'until', to_json(wake_at), 'error', error)),
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


def wait(key: RunKey, until: Any, *, lines: Sequence[JSONObject], measured: Measured) -> bool:
    """Leave the worker until `until` (an aware datetime); false if this attempt no longer holds the run."""
    return _wait(key, lines, measured, until=until, delay=None, next_attempt=0, error=None)


def retry_later(
    key: RunKey, delay_seconds: float, error: JSONObject, *, lines: Sequence[JSONObject], measured: Measured
) -> bool:
    """Try again after a delay, as the next attempt; false if this attempt no longer holds the run."""
    return _wait(key, lines, measured, until=None, delay=delay_seconds, next_attempt=1, error=error)


def _wait(key: RunKey, lines: Sequence[JSONObject], measured: Measured, **facts: Any) -> bool:
    row = fetch_one(
        _WAIT,
        {
            "execution": to_uuid(key.execution_id),
            "run": to_uuid(key.run_id),
            "attempt": key.attempt,
            "lines": storable_dumps(list(lines)),
            **facts,
            "error": to_json(facts["error"]),
            **measured_parameters(measured),
        },
    )
    return row is not None


_RELEASE = f"""
WITH {LOCKED}, released AS (
    UPDATE executions_componentrun AS run
    SET status = 'queued', attempt = run.attempt + 1, crashes = run.crashes + %(crash)s::int,
        waited = false, lease_until = NULL, rung_at = clock_timestamp()
    FROM locked
    WHERE run.id = %(run)s AND run.execution_id = locked.id AND locked.stop_as IS NULL
      AND run.status = 'running' AND run.attempt = %(attempt)s
    RETURNING run.id, run.component_id, run.attempt
), event AS (
    SELECT 1 AS rank, 0 AS position, 'log' AS type,
           jsonb_build_object('component_id', component_id, 'level', 'warning', 'attempt', attempt - 1,
                              'message', %(reason)s::text, 'metadata', jsonb_build_object()) AS data,
           clock_timestamp() AS timestamp
    FROM released
), {WRITTEN}, touched AS (
    UPDATE executions_execution AS execution
    SET sequence = execution.sequence + (SELECT count(*) FROM written)
    FROM locked, released WHERE execution.id = locked.id
    RETURNING execution.priority
)
SELECT released.id, released.attempt, touched.priority FROM released, touched
"""


def release(key: RunKey, reason: str, *, crash: bool) -> list[QueuedRun]:
    """Queue a running run again as its next attempt, because its worker was lost or let it go.

    `reason` is told in the execution's log. Empty if the attempt had ended, or its execution is stopping.
    """
    parameters = {
        "execution": to_uuid(key.execution_id),
        "run": to_uuid(key.run_id),
        "attempt": key.attempt,
        "crash": int(crash),
        "reason": reason,
    }
    return queued_runs(fetch_all(_RELEASE, parameters))
