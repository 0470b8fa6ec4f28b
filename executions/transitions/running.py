"""How one component run is claimed and ends, with its successors in the same scope."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from core import measures
from core.ids import from_uuid, to_uuid
from core.json_text import loads, storable_dumps
from core.types import JSONObject
from events import bells
from executions.decider import Delta
from executions.states import WaitingFor
from executions.transitions.statements import (
    LOCKED,
    LOG_EVENTS,
    TAKE,
    WRITTEN,
    Claimed,
    Ended,
    Finished,
    Held,
    Holder,
    QueuedRun,
    RunKey,
    fetch_all,
    fetch_one,
    fetch_written,
    finished,
    lease,
    measured_parameters,
    queued_runs,
    stored_item,
    to_json,
)

# The race: two workers hold a message for one run, or a message is late. One UPDATE wins; the other finds the
# status or the attempt changed and moves no row. Unless `jump`, nobody more urgent and no other owner may be
# waiting at all in the queues of this worker: who goes first then is for `turns` to say.
_CLAIM = f"""
WITH locked AS MATERIALIZED (
    SELECT * FROM executions_execution
    WHERE id = (SELECT execution_id FROM executions_componentrun WHERE id = %(run)s)
      AND completed_at IS NULL AND stop_as IS NULL
      AND (deadline_at IS NULL OR deadline_at > clock_timestamp())
    FOR NO KEY UPDATE
), claimed AS (
    UPDATE executions_componentrun AS run
    SET {TAKE},
        started_at = CASE WHEN run.waited THEN run.started_at ELSE clock_timestamp() END,
        deadline_at = CASE WHEN run.waited THEN run.deadline_at
            ELSE clock_timestamp() + make_interval(secs => run.timeout_seconds) END
    FROM locked
    WHERE run.id = %(run)s AND run.execution_id = locked.id
      AND run.status = 'queued' AND run.attempt = %(attempt)s
      AND run.component_type = ANY(%(types)s::text[]) AND run.queue = ANY(%(queues)s::text[])
      AND (%(has_place)s OR locked.max_parallel = 0)
      AND (%(jump)s OR NOT (
          EXISTS (SELECT 1 FROM executions_componentrun AS other
                  WHERE other.status = 'queued' AND NOT other.held AND other.queue = ANY(%(queues)s::text[])
                    AND other.priority > run.priority)
          OR EXISTS (SELECT 1 FROM executions_componentrun AS other
                     WHERE other.status = 'queued' AND NOT other.held AND other.queue = ANY(%(queues)s::text[])
                       AND other.priority = run.priority AND other.owner_id < run.owner_id)
          OR EXISTS (SELECT 1 FROM executions_componentrun AS other
                     WHERE other.status = 'queued' AND NOT other.held AND other.queue = ANY(%(queues)s::text[])
                       AND other.priority = run.priority AND other.owner_id > run.owner_id)))
    RETURNING run.id AS run_id, run.component_id, run.component_type, run.queue, run.waited, run.waiting_for,
              run.waiting_for = 'time' OR run.signal IS NOT NULL AS timed_out,
              COALESCE(run.waited AND run.deadline_at <= clock_timestamp(), false) AS late,
              run.waited AND run.deadline_at <= clock_timestamp() AND CASE run.waiting_for
                  -- What it waited for may have come in time, and only the worker late.
                  WHEN 'signal' THEN run.signal IS NOT NULL
                  WHEN 'child' THEN EXISTS (SELECT 1 FROM executions_execution AS child
                                            WHERE child.parent_run_id = run.id AND child.completed_at IS NULL)
                  WHEN 'items' THEN EXISTS (SELECT 1 FROM executions_loopitem AS item
                                            WHERE item.run_id = run.id AND item.status = 'running')
                  ELSE run.deadline_at <= (SELECT changed_at FROM executions_componentrun WHERE id = %(run)s)
              END AS overdue,
              run.crashes + run.released AS lost_attempts, run.attempt, run.item_id, run.item_index
), event AS (
    SELECT 1 AS rank, 0 AS position, 'execution.started' AS type,
           jsonb_build_object('status', 'running', 'priority', locked.priority) AS data,
           clock_timestamp() AS timestamp
    FROM locked, claimed WHERE locked.status = 'queued'
    UNION ALL
    SELECT 2, 0, 'component.started',
           jsonb_strip_nulls(jsonb_build_object(
               'component_id', component_id, 'component_type', component_type,
               'status', 'running', 'attempt', attempt, 'item_index', item_index)),
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
       locked.parameters, locked.sealed_parameters, locked.sealed_hidden, locked.sealed_input, locked.trigger,
       locked.tags, locked.request_id, locked.traceparent, locked.created_at, locked.depth, touched.started_at,
       (SELECT name FROM workflows_workflow WHERE id = locked.workflow_id) AS workflow_name,
       item.index, item.value, item.value_ref, item.sealed_value, item.sealed_value_ref, item.run_id AS loop_run_id,
       locked.status = 'queued' AS begun,
       -- As the run was before this statement.
       extract(epoch FROM clock_timestamp()
               - (SELECT changed_at FROM executions_componentrun WHERE id = %(run)s))::float8 AS queued_seconds
FROM claimed CROSS JOIN locked CROSS JOIN touched LEFT JOIN executions_loopitem AS item ON item.id = claimed.item_id
"""


def claim(run_id: str, attempt: int, holder: Holder, types: Sequence[str], *, jump: bool = False) -> Claimed | None:
    """Take a queued run of one of the `types` for `holder` under a lease; None if it is not to be had (any more).

    It must wait in a queue that `holder` serves. Without `jump` it is not taken either while a more urgent run, or one
    of another owner, waits in one of these. Forbids a transaction.
    """
    parameters = {"run": to_uuid(run_id), "attempt": attempt, "types": list(types), "jump": jump, **lease(holder)}
    row = fetch_one(_CLAIM, {**parameters, "has_place": False})
    if row is None:
        row = _claim_place(parameters)
    if row is None:
        return None
    _count(row)
    execution = {name: from_uuid(value) if isinstance(value, UUID) else value for name, value in row.items()}
    bells.ring_on_commit(execution["id"], execution["workflow_id"])
    for name in ("parameters", "trigger"):
        execution[name] = loads(row[name])
    item = None
    if row["item_id"] is not None:
        item = stored_item(execution["item_id"], execution["loop_run_id"], row)
    held = Held(
        key=RunKey(execution["id"], run_id, attempt),
        component_id=row["component_id"],
        item=item,
        resumed_from=WaitingFor(row["waiting_for"]) if row["waited"] else None,
        timed_out=bool(row["timed_out"]),
        late=row["late"],
        overdue=bool(row["overdue"]),
        lost_attempts=row["lost_attempts"],
    )
    return Claimed(held, execution)


def _count(claimed: Mapping[str, Any]) -> None:
    seconds = max(claimed["queued_seconds"], 0.0)
    measures.QUEUE_WAIT_SECONDS.observe(seconds, claimed["queue"], str(claimed["priority"]))
    if claimed["begun"]:
        measures.EXECUTIONS_STARTED.count()


_LIMITED = """
SELECT execution.id, execution.max_parallel
FROM executions_componentrun AS run JOIN executions_execution AS execution ON execution.id = run.execution_id
WHERE run.id = %(run)s AND run.status = 'queued' AND run.attempt = %(attempt)s AND NOT run.held
  AND run.queue = ANY(%(queues)s::text[])
  AND execution.max_parallel > 0 AND execution.completed_at IS NULL
"""

_LOCK = "SELECT id FROM executions_execution WHERE id = %(execution)s FOR NO KEY UPDATE"

_RUNNING = """
SELECT count(*) AS running FROM executions_componentrun WHERE execution_id = %(execution)s AND status = 'running'
"""

_HOLD = """
UPDATE executions_componentrun SET held = true
WHERE id = %(run)s AND status = 'queued' AND attempt = %(attempt)s
RETURNING id
"""


def _claim_place(parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """The claim of a run whose execution has a `max_parallel`; without a place it is held, out of the queue.

    Counted after the execution's lock was taken: two claims at once would both see the last place.
    """
    limited = fetch_one(_LIMITED, parameters)
    if limited is None:
        return None
    with transaction.atomic(durable=True):
        fetch_all(_LOCK, {"execution": limited["id"]})
        counted = fetch_one(_RUNNING, {"execution": limited["id"]})
        if counted is not None and counted["running"] < limited["max_parallel"]:
            return fetch_one(_CLAIM, {**parameters, "has_place": True})
        fetch_all(_HOLD, parameters)
    return None


READY = "run.taken + delta.taken > 0 AND (run.join_any OR run.pending = delta.decided)"
KEPT = f"run.component_id = %(keep)s AND run.queue = ANY(%(queues)s::text[]) AND {READY}"

# One hop. The race: this attempt was rescued or cancelled meanwhile; `ended` then moves no row, and since every
# other part reads from it, nothing else happens. Two predecessors of one join ending at once queue up on
# `locked`; the second sees the first's count because `pending` is lowered in the row's own SET.
_FINISH = f"""
WITH {LOCKED}, ended AS (
    UPDATE executions_componentrun AS run
    SET status = %(status)s, output = %(output)s::jsonb, output_ref = %(output_ref)s::jsonb,
        sealed_output = %(sealed_output)s, sealed_output_ref = %(sealed_output_ref)s::jsonb,
        error = %(error)s::jsonb, taken_out = %(taken)s::int[], completed_at = clock_timestamp(),
        changed_at = clock_timestamp(), lease_until = NULL, waiting_for = NULL,
        cpu_seconds = run.cpu_seconds + %(cpu_seconds)s,
        memory_mb = greatest(run.memory_mb, %(memory_mb)s),
        network_bytes = run.network_bytes + %(network_bytes)s
    FROM locked
    WHERE run.id = %(run)s AND run.execution_id = locked.id
      AND run.status = 'running' AND run.attempt = %(attempt)s
    RETURNING run.component_id, run.component_type, run.attempt, run.status, run.error,
              run.started_at, run.completed_at, run.scope_id, run.item_id, run.item_index
), moved AS (
    UPDATE executions_componentrun AS run
    SET pending = run.pending - delta.decided,
        taken = run.taken + delta.taken,
        status = CASE
            WHEN {KEPT} THEN 'running'
            WHEN {READY} THEN 'queued'
            WHEN run.pending = delta.decided THEN 'skipped'
            ELSE 'blocked' END,
        worker = CASE WHEN {KEPT} THEN %(worker)s ELSE run.worker END,
        pid = CASE WHEN {KEPT} THEN %(pid)s ELSE run.pid END,
        lease_until = CASE WHEN {KEPT} THEN clock_timestamp() + make_interval(secs => %(lease)s) END,
        deadline_at = CASE WHEN {KEPT} THEN clock_timestamp() + make_interval(secs => run.timeout_seconds) END,
        started_at = CASE WHEN {KEPT} THEN clock_timestamp() END,
        rung_at = clock_timestamp(),
        changed_at = clock_timestamp(),
        completed_at = CASE WHEN run.taken + delta.taken = 0 AND run.pending = delta.decided
            THEN clock_timestamp() END
    FROM locked, ended, unnest(%(targets)s::text[], %(decided)s::int[], %(live)s::int[])
        AS delta (component_id, decided, taken)
    WHERE run.scope_id = ended.scope_id AND run.component_id = delta.component_id
      AND run.status = 'blocked' AND locked.stop_as IS NULL
    RETURNING run.id, run.component_id, run.component_type, run.queue, run.position, run.attempt, run.status,
              run.item_index
), item AS (
    UPDATE executions_loopitem AS item
    SET remaining = item.remaining - 1 - (SELECT count(*) FROM moved WHERE status = 'skipped'),
        error = COALESCE(item.error, %(scope_error)s::jsonb)
    FROM ended WHERE item.id = ended.item_id
    RETURNING item.remaining
), event AS (
    {LOG_EVENTS}, ended
    UNION ALL
    SELECT 2, 0, 'component.' || ended.status,
           jsonb_strip_nulls(jsonb_build_object(
               'component_id', ended.component_id, 'component_type', ended.component_type,
               'status', ended.status, 'attempt', ended.attempt, 'error', ended.error,
               'item_index', ended.item_index,
               'duration_seconds', trunc(extract(epoch FROM ended.completed_at - ended.started_at), 3))),
           ended.completed_at
    FROM ended WHERE ended.status <> 'cancelled'
    UNION ALL
    SELECT 3, moved.position,
           CASE moved.status WHEN 'skipped' THEN 'component.skipped' ELSE 'component.started' END,
           jsonb_strip_nulls(jsonb_build_object(
               'component_id', moved.component_id, 'component_type', moved.component_type,
               'status', moved.status, 'attempt', moved.attempt, 'item_index', moved.item_index)),
           clock_timestamp()
    FROM moved WHERE moved.status IN ('skipped', 'running')
), {WRITTEN}, touched AS (
    UPDATE executions_execution AS execution
    SET sequence = execution.sequence + (SELECT count(*) FROM written),
        remaining = execution.remaining - 1 - (SELECT count(*) FROM moved WHERE status = 'skipped'),
        ended_components = execution.ended_components + CASE WHEN ended.item_id IS NULL
            THEN (ended.status = 'completed')::int + (SELECT count(*) FROM moved WHERE status = 'skipped')
            ELSE 0 END,
        error = CASE WHEN ended.item_id IS NULL THEN COALESCE(execution.error, %(scope_error)s::jsonb)
            ELSE execution.error END,
        cpu_seconds = execution.cpu_seconds + %(cpu_seconds)s,
        memory_mb = greatest(execution.memory_mb, %(memory_mb)s),
        network_bytes = execution.network_bytes + %(network_bytes)s
    FROM locked, ended WHERE execution.id = locked.id
    RETURNING execution.remaining, execution.priority
)
SELECT touched.remaining, COALESCE((SELECT remaining FROM item), touched.remaining) AS scope_remaining,
       touched.priority, moved.id, moved.component_id, moved.queue, moved.attempt, moved.status
FROM touched LEFT JOIN moved ON moved.status <> 'blocked'
ORDER BY moved.position
"""


def finish(
    run: Held,
    ended: Ended,
    deltas: Sequence[Delta],
    *,
    holder: Holder,
    keep: str | None,
    scope_error: JSONObject | None = None,
) -> Finished | None:
    """Record a run's end and move its successors; None if this attempt no longer holds the run (fenced).

    A successor named by `keep` that becomes ready, and whose queue `holder` serves, is claimed for it in the same
    statement.
    `scope_error` is what the execution, or the item, will fail with; the first one stays.
    """
    rows = fetch_written(
        run.key.execution_id,
        _FINISH,
        {
            "execution": to_uuid(run.key.execution_id),
            "run": to_uuid(run.key.run_id),
            "attempt": run.key.attempt,
            "status": str(ended.status),
            "output": ended.output_text,
            "output_ref": to_json(ended.output_ref),
            "sealed_output": ended.sealed_output,
            "sealed_output_ref": to_json(ended.sealed_output_ref),
            "error": to_json(ended.error),
            "taken": list(ended.taken),
            "lines": storable_dumps(list(ended.lines)),
            "keep": keep,
            "targets": [delta.component_id for delta in deltas],
            "decided": [delta.decided for delta in deltas],
            "live": [delta.taken for delta in deltas],
            "scope_error": to_json(scope_error),
            **measured_parameters(ended.measured),
            **lease(holder),
        },
    )
    return finished(run.key.execution_id, run.item, rows) if rows else None


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
        changed_at = clock_timestamp(),
        completed_at = CASE WHEN run.pending = delta.decided AND run.taken = 0 THEN clock_timestamp() END
    FROM locked, unnest(%(targets)s::text[], %(decided)s::int[]) AS delta (component_id, decided)
    WHERE run.scope_id = %(scope)s AND run.component_id = delta.component_id AND run.status = 'blocked'
    RETURNING run.id, run.component_id, run.component_type, run.queue, run.position, run.attempt, run.status,
              run.item_id, run.item_index
), item AS (
    UPDATE executions_loopitem AS item
    SET remaining = item.remaining - (SELECT count(*) FROM moved WHERE status = 'skipped')
    WHERE item.id = %(scope)s
    RETURNING item.remaining
), event AS (
    SELECT 1 AS rank, moved.position, 'component.skipped' AS type,
           jsonb_strip_nulls(jsonb_build_object(
               'component_id', moved.component_id, 'component_type', moved.component_type,
               'status', 'skipped', 'attempt', moved.attempt, 'item_index', moved.item_index)) AS data,
           clock_timestamp() AS timestamp
    FROM moved WHERE moved.status = 'skipped'
), {WRITTEN}, touched AS (
    UPDATE executions_execution AS execution
    SET sequence = execution.sequence + (SELECT count(*) FROM written),
        remaining = execution.remaining - (SELECT count(*) FROM written),
        ended_components = execution.ended_components
            + (SELECT count(*) FROM moved WHERE status = 'skipped' AND item_id IS NULL)
    FROM locked WHERE execution.id = locked.id
    RETURNING execution.remaining, execution.priority
)
SELECT touched.remaining, COALESCE((SELECT remaining FROM item), touched.remaining) AS scope_remaining,
       touched.priority, moved.id, moved.component_id, moved.queue, moved.attempt, moved.status
FROM touched LEFT JOIN moved ON moved.status <> 'blocked'
ORDER BY moved.position
"""


def cascade(run: Held, deltas: Sequence[Delta]) -> Finished:
    """Carry dead connections one level on in a run's scope. Needs the transaction of the end that they follow from."""
    assert connection.in_atomic_block
    parameters: dict[str, Any] = {
        "execution": to_uuid(run.key.execution_id),
        "scope": to_uuid(run.scope_id),
        "targets": [delta.component_id for delta in deltas],
        "decided": [delta.decided for delta in deltas],
    }
    return finished(run.key.execution_id, run.item, fetch_written(run.key.execution_id, _CASCADE, parameters))


# The oldest of those held, as many as there are places. The lock is an earlier statement, as in `_claim_place`.
_LET_IN = """
UPDATE executions_componentrun AS run
SET held = false, rung_at = clock_timestamp(), changed_at = clock_timestamp()
FROM (
    SELECT held.id FROM executions_componentrun AS held
    WHERE held.execution_id = %(execution)s AND held.status = 'queued' AND held.held
    ORDER BY held.position, held.id
    LIMIT (SELECT greatest(max_parallel - (
               SELECT count(*) FROM executions_componentrun AS busy
               WHERE busy.execution_id = %(execution)s AND (
                   busy.status = 'running' OR (busy.status = 'queued' AND NOT busy.held))), 0)
           FROM executions_execution WHERE id = %(execution)s)
) AS next
WHERE run.id = next.id
RETURNING run.id, run.attempt, run.priority, run.queue
"""


def let_in(execution_id: str) -> list[QueuedRun]:
    """Runs that `max_parallel` held and that have a place now. Forbids a transaction."""
    parameters = {"execution": to_uuid(execution_id)}
    with transaction.atomic(durable=True):
        fetch_all(_LOCK, parameters)
        return queued_runs(fetch_all(_LET_IN, parameters))


_HOLDING = "SELECT DISTINCT execution_id FROM executions_componentrun WHERE status = 'queued' AND held LIMIT %(limit)s"


def holding(limit: int) -> list[str]:
    """Executions that hold runs back."""
    return [from_uuid(row["execution_id"]) for row in fetch_all(_HOLDING, {"limit": limit})]
