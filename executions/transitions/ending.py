"""How an execution stops and ends."""

from typing import cast

from django.conf import settings
from django.db import connection

from core.ids import from_uuid, to_uuid
from core.types import JSONObject
from executions.states import ExecutionStatus
from executions.transitions.statements import WRITTEN, ExecutionEnd, fetch_one, fetch_written, queued_runs, to_json

_LOCK = """
SELECT id FROM executions_execution WHERE id = %(execution)s AND completed_at IS NULL FOR NO KEY UPDATE
"""


def lock(execution_id: str) -> bool:
    """Lock an execution that has not ended, so that the next statement sees all that was committed before.

    Needs a transaction. False if it has ended (or never was).
    """
    assert connection.in_atomic_block
    return fetch_one(_LOCK, {"execution": to_uuid(execution_id)}) is not None


_STOP = """
WITH stopped AS (
    UPDATE executions_componentrun
    SET status = 'cancelled', completed_at = clock_timestamp(), changed_at = clock_timestamp()
    WHERE execution_id = %(execution)s AND status IN ('blocked', 'queued', 'waiting')
    RETURNING id
)
UPDATE executions_execution
SET stop_as = CASE WHEN stop_as = 'cancelled' THEN stop_as ELSE %(stop_as)s END,
    error = CASE WHEN stop_as = 'cancelled' THEN error ELSE COALESCE(error, %(error)s::jsonb) END,
    remaining = remaining - (SELECT count(*) FROM stopped)
WHERE id = %(execution)s AND completed_at IS NULL
RETURNING remaining
"""


def stop(execution_id: str, stop_as: ExecutionStatus, error: JSONObject | None = None) -> int:
    """Let nothing new start: what has not begun, or waits, is cancelled. The number of runs still going.

    A cancel stays one, whatever stops the execution after it.

    Needs a transaction that holds the execution's lock from an earlier statement: a run that went from
    running to waiting while this one waited for the lock would otherwise be overlooked.
    """
    assert connection.in_atomic_block
    row = fetch_one(_STOP, {"execution": to_uuid(execution_id), "stop_as": str(stop_as), "error": to_json(error)})
    assert row is not None, "stop() needs the lock of an execution that has not ended"
    return cast("int", row["remaining"])


_COMPLETE = f"""
WITH alive AS MATERIALIZED (
    SELECT * FROM executions_execution
    WHERE id = %(execution)s AND completed_at IS NULL AND remaining = 0
    FOR NO KEY UPDATE
), leaf AS (
    SELECT run.component_id, run.component_type, run.output, run.output_ref
    FROM alive, executions_componentrun AS run
    WHERE run.execution_id = alive.id AND alive.stop_as IS NULL AND alive.error IS NULL
      AND run.status = 'completed' AND run.taken_out = '{{}}' AND run.item_id IS NULL
), result AS MATERIALIZED (
    SELECT component_id, output, output_ref FROM leaf
    WHERE component_type = 'end' OR NOT EXISTS (SELECT 1 FROM leaf WHERE component_type = 'end')
), size AS MATERIALIZED (
    SELECT COALESCE(sum(COALESCE((output_ref ->> 'bytes')::bigint, octet_length(output::text))), 0) AS bytes FROM result
), failure AS MATERIALIZED (
    SELECT COALESCE(alive.error, %(error)s::jsonb, CASE WHEN size.bytes > %(max_bytes)s THEN jsonb_build_object(
        'code', 'EXECUTION_FAILED',
        'message', format('The results have %%s bytes, at most %%s are stored', size.bytes, %(max_bytes)s::bigint))
        END) AS error
    FROM alive, size
), locked AS MATERIALIZED (
    SELECT alive.*, failure.error AS final_error,
           COALESCE(alive.stop_as, CASE WHEN failure.error IS NULL THEN 'completed' ELSE 'failed' END) AS outcome
    FROM alive, failure
), touched AS (
    UPDATE executions_execution AS execution
    SET status = locked.outcome, completed_at = clock_timestamp(), sequence = execution.sequence + 1,
        error = locked.final_error,
        results = CASE WHEN locked.outcome = 'completed' THEN CASE (SELECT count(*) FROM result)
            WHEN 0 THEN NULL
            WHEN 1 THEN (SELECT output FROM result)
            ELSE (SELECT jsonb_object_agg(component_id, output) FROM result) END END,
        results_ref = CASE WHEN locked.outcome = 'completed' THEN (
            SELECT CASE (SELECT count(*) FROM result)
                WHEN 1 THEN jsonb_build_object('whole', (SELECT output_ref FROM result))
                ELSE jsonb_build_object('parts', jsonb_object_agg(component_id, output_ref)) END
            FROM result WHERE output_ref IS NOT NULL HAVING count(*) > 0) END
    FROM locked WHERE execution.id = locked.id
    RETURNING execution.status, execution.completed_at, execution.started_at
), event AS (
    SELECT 1 AS rank, 0 AS position, 'execution.' || touched.status AS type,
           jsonb_strip_nulls(jsonb_build_object(
               'status', touched.status, 'error', locked.final_error,
               'duration_seconds', trunc(extract(epoch FROM touched.completed_at - touched.started_at), 3))
           ) AS data,
           touched.completed_at AS timestamp
    FROM touched, locked
), woken AS (
    -- The parent's row is skipped where somebody holds it: waiting for it here could be mutual. A sweep wakes it then.
    -- A child that was given up may end when the parent's next attempt waits for its own.
    UPDATE executions_componentrun AS run
    SET status = 'queued', waited = true, rung_at = clock_timestamp(), changed_at = clock_timestamp()
    WHERE run.id = (
        SELECT parent.id FROM executions_componentrun AS parent, touched, locked
        WHERE parent.id = locked.parent_run_id AND parent.status = 'waiting' AND parent.waiting_for = 'child'
          AND NOT EXISTS (
            SELECT 1 FROM executions_execution AS newer
            WHERE newer.parent_run_id = parent.id AND newer.id > locked.id AND newer.completed_at IS NULL)
        FOR NO KEY UPDATE OF parent SKIP LOCKED)
    RETURNING run.id, run.attempt, run.priority, run.queue
), {WRITTEN}
SELECT touched.status, locked.created_at, touched.started_at, touched.completed_at, locked.traceparent,
       woken.id, woken.attempt, woken.priority, woken.queue, ARRAY(
    SELECT locked.created_by_id WHERE EXISTS (
        SELECT 1 FROM executions_execution AS other
        WHERE other.created_by_id = locked.created_by_id AND other.status = 'queued' AND other.admitted_at IS NULL)
    UNION
    SELECT other.created_by_id FROM executions_execution AS other
    WHERE other.workflow_id = locked.workflow_id AND other.concurrency_key = locked.concurrency_key
      AND other.completed_at IS NULL AND other.status = 'queued' AND other.admitted_at IS NULL
) AS waiting_accounts
FROM touched CROSS JOIN locked LEFT JOIN woken ON true
"""


def complete(execution_id: str, error: JSONObject | None = None) -> ExecutionEnd | None:
    """End an execution none of whose runs remains, with its results; None if it is not so far, or has ended.

    `error` makes it fail, if nothing has failed it before.

    Results (contract §6): the output of the `end` that ran, else of the last component; several by id. With more than
    MAX_RESULTS_BYTES the execution fails.
    A statement of its own: the outputs of runs that ended while a finish waited for the lock are then seen.
    """
    parameters = {"execution": to_uuid(execution_id), "error": to_json(error), "max_bytes": settings.MAX_RESULTS_BYTES}
    rows = fetch_written(execution_id, _COMPLETE, parameters)
    if not rows:
        return None
    row = rows[0]
    accounts = [from_uuid(account) for account in row["waiting_accounts"]]
    return ExecutionEnd(
        status=ExecutionStatus(row["status"]),
        waiting_accounts=accounts,
        woken=queued_runs([row]) if row["id"] else [],
        created_at=row["created_at"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        traceparent=row["traceparent"],
    )
