"""How the items of a loop are stored, start, and end, and how the loop goes on after the last."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection

from core.ids import from_uuid, new_id, to_uuid
from core.json_text import loads
from core.types import JSONObject
from executions.models import LoopItem
from executions.states import ItemStatus, RunStatus, WaitingFor
from executions.transitions.starting import Plan
from executions.transitions.statements import (
    LOCKED,
    TAKE,
    WRITTEN,
    Held,
    Holder,
    Item,
    QueuedRun,
    RunKey,
    fetch_all,
    fetch_written,
    lease,
    stored_item,
    to_json,
)


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to be stored: its place, and its value as JSON text, sealed if it holds a secret; or references."""

    index: int
    value_text: str | None
    sealed_value: bytes | None = None
    value_ref: JSONObject | None = None
    sealed_value_ref: JSONObject | None = None


_ADD = """
INSERT INTO executions_loopitem (id, run_id, index, value, value_ref, sealed_value, sealed_value_ref)
SELECT item.id, %(run)s, item.index, item.value::jsonb, item.value_ref::jsonb, item.sealed, item.sealed_ref::jsonb
FROM unnest(%(ids)s::uuid[], %(indexes)s::int[], %(values)s::text[], %(refs)s::text[], %(sealed)s::bytea[],
            %(sealed_refs)s::text[]) AS item (id, index, value, value_ref, sealed, sealed_ref)
"""


def add(run_id: str, items: Sequence[NewItem]) -> None:
    """Store items of a loop that are not there yet; none starts. Needs the transaction in which the run waits."""
    assert connection.in_atomic_block
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD,
            {
                "run": to_uuid(run_id),
                "ids": [to_uuid(new_id()) for _ in items],
                "indexes": [item.index for item in items],
                "values": [item.value_text for item in items],
                "refs": [to_json(item.value_ref) for item in items],
                "sealed": [item.sealed_value for item in items],
                "sealed_refs": [to_json(item.sealed_value_ref) for item in items],
            },
        )


def missing(run_id: str, items: Sequence[NewItem], *, afresh: bool) -> list[NewItem]:
    """Those of the items that have not ended well in an earlier attempt; what is left of other ones is removed.

    All of them if it begins `afresh`.

    Needs the transaction in which the run waits again: nothing of its items is running then.
    """
    assert connection.in_atomic_block
    given = {item.index: item for item in items}
    kept: set[int] = set()
    stale: list[str] = []
    for item in LoopItem.objects.filter(run=run_id, index__gte=min(given, default=0)):
        new = given.get(item.index)
        done = new is not None and item.status == ItemStatus.COMPLETED
        if done and not afresh and new is not None and _is_same(new, item):
            kept.add(item.index)
        else:
            stale.append(item.pk)
    if stale:
        LoopItem.objects.filter(pk__in=stale).delete()
    return [item for item in items if item.index not in kept]


def _is_same(new: NewItem, stored: LoopItem) -> bool:
    if new.value_ref is not None or stored.value_ref is not None:
        # The same text has the same digest.
        return _digest(new.value_ref) == _digest(stored.value_ref)
    return new.value_text is not None and bool(loads(new.value_text) == stored.value)


def _digest(reference: JSONObject | None) -> str | None:
    return None if reference is None else str(reference["sha256"])


class Advanced(NamedTuple):
    """What a loop's move set free: the run this worker goes on with, and runs that want another."""

    kept: Held | None
    queued: list[QueuedRun]


# An item has ended (or none yet): as many of the next start as `max_concurrency` leaves room for, unless one failed
# and the loop stops on errors; when none is left running, the loop's own run resumes. Its SELECTs must see all that
# was committed before the execution's lock was taken, so the lock is an earlier statement of the transaction. Items
# start in their order, so those to come lie behind the one that ended: the index entries of all before it, which are
# dead and not yet cleaned up, need not be walked.
_ADVANCE = f"""
WITH {LOCKED}, item AS (
    UPDATE executions_loopitem AS item
    SET status = CASE WHEN item.error IS NULL THEN 'completed' ELSE 'failed' END
    FROM locked
    WHERE item.id = %(item)s AND item.status = 'running' AND item.remaining = 0
    RETURNING item.status
), loop AS MATERIALIZED (
    SELECT run.id, run.stop_on_error, run.item_id, run.owner_id, run.priority,
        run.max_concurrency - (
            SELECT count(*) FROM executions_loopitem AS open
            WHERE open.run_id = run.id AND open.status = 'running' AND open.id IS DISTINCT FROM %(item)s
        ) AS free
    FROM executions_componentrun AS run, locked
    WHERE run.id = %(loop)s AND run.status = 'waiting' AND run.waiting_for = 'items' AND locked.stop_as IS NULL
), next AS MATERIALIZED (
    SELECT blocked.id FROM executions_loopitem AS blocked, loop
    WHERE blocked.run_id = %(loop)s AND blocked.status = 'blocked' AND blocked.index > %(after)s
      AND NOT (loop.stop_on_error AND (
        EXISTS (SELECT 1 FROM item WHERE item.status = 'failed')
        OR EXISTS (SELECT 1 FROM executions_loopitem AS failed
                   WHERE failed.run_id = %(loop)s AND failed.status = 'failed')))
    ORDER BY blocked.index LIMIT (SELECT greatest(free, 0) FROM loop)
), started AS (
    UPDATE executions_loopitem AS item
    SET status = 'running', remaining = cardinality(%(component_ids)s::text[])
    FROM next WHERE item.id = next.id
    RETURNING item.id, item.index, item.value, item.value_ref, item.sealed_value, item.sealed_value_ref
), run AS (
    INSERT INTO executions_componentrun (
        id, execution_id, component_id, component_type, queue, position, item_id, item_index, pending, join_any,
        timeout_seconds, owner_id, priority, status, rung_at,
        worker, pid, lease_until, deadline_at, started_at
    )
    SELECT uuidv7(), %(execution)s, plan.component_id, plan.component_type, plan.queue, plan.position - 1, started.id,
           started.index, plan.pending, plan.join_any, plan.timeout_seconds, loop.owner_id, loop.priority,
           CASE WHEN plan.pending > 0 THEN 'blocked' WHEN keep.kept THEN 'running' ELSE 'queued' END,
           CASE WHEN plan.pending = 0 AND NOT keep.kept THEN clock_timestamp() END,
           CASE WHEN keep.kept THEN %(worker)s ELSE '' END, CASE WHEN keep.kept THEN %(pid)s::int END,
           CASE WHEN keep.kept THEN clock_timestamp() + make_interval(secs => %(lease)s) END,
           CASE WHEN keep.kept THEN clock_timestamp() + make_interval(secs => plan.timeout_seconds) END,
           CASE WHEN keep.kept THEN clock_timestamp() END
    FROM loop, started, unnest(
        %(component_ids)s::text[], %(component_types)s::text[], %(plan_queues)s::text[], %(pending)s::int[],
        %(join_any)s::bool[], %(timeouts)s::float8[]
    ) WITH ORDINALITY AS plan (component_id, component_type, queue, pending, join_any, timeout_seconds, position),
    LATERAL (SELECT plan.component_id = %(keep)s AND plan.queue = ANY(%(queues)s::text[])
             AND started.index = (SELECT min(index) FROM started)) AS keep (kept)
    RETURNING id, component_id, component_type, queue, status, attempt, item_id, item_index, priority
), resumed AS (
    UPDATE executions_componentrun AS run
    SET status = 'queued', rung_at = clock_timestamp(), changed_at = clock_timestamp(), waited = true
    FROM loop
    WHERE run.id = loop.id AND loop.free = run.max_concurrency AND NOT EXISTS (SELECT 1 FROM next)
    RETURNING run.id, run.component_id, run.attempt, run.status, run.priority, run.queue
), event AS (
    SELECT 1 AS rank, 0 AS position, 'component.started' AS type,
           jsonb_build_object('component_id', component_id, 'component_type', component_type,
                              'status', 'running', 'attempt', attempt, 'item_index', item_index) AS data,
           clock_timestamp() AS timestamp
    FROM run WHERE status = 'running'
), {WRITTEN}, touched AS (
    UPDATE executions_execution AS execution
    SET sequence = execution.sequence + (SELECT count(*) FROM written),
        remaining = execution.remaining + (SELECT count(*) FROM run)
    FROM locked WHERE execution.id = locked.id
)
SELECT run.id, run.component_id, run.attempt, run.status, run.priority, run.queue,
       started.id AS item_id, started.index, started.value, started.value_ref, started.sealed_value,
       started.sealed_value_ref
FROM run JOIN started ON started.id = run.item_id WHERE run.status <> 'blocked'
UNION ALL
SELECT id, component_id, attempt, status, priority, queue, NULL, NULL, NULL, NULL, NULL, NULL FROM resumed
"""


# By its own estimate PostgreSQL would plan the statement at each item once the tables are analyzed, for a third more
# time an item.
_PLAN_ONCE = "SELECT set_config('plan_cache_mode', 'force_generic_plan', true)"


def advance(
    execution_id: str,
    loop_run_id: str,
    plan: Plan,
    *,
    ended: Item | None,
    holder: Holder,
    keep: str | None,
) -> Advanced:
    """Record an item's end, and start the next items or resume the loop's run.

    `plan` is the body's. The entry point named by `keep` of the first item that starts is claimed for `holder`.
    Needs a transaction that has locked the execution in an earlier statement.
    """
    assert connection.in_atomic_block
    parameters: dict[str, Any] = {
        "execution": to_uuid(execution_id),
        "loop": to_uuid(loop_run_id),
        "item": None if ended is None else to_uuid(ended.item_id),
        "after": -1 if ended is None else ended.index,
        "keep": keep,
        "component_ids": list(plan.component_ids),
        "component_types": list(plan.component_types),
        "plan_queues": list(plan.queues),
        "pending": list(plan.pending),
        "join_any": list(plan.join_any),
        "timeouts": list(plan.timeouts),
        **lease(holder),
    }
    kept: Held | None = None
    queued: list[QueuedRun] = []
    fetch_all(_PLAN_ONCE, {})
    for row in fetch_written(execution_id, _ADVANCE, parameters):
        run_id = from_uuid(row["id"])
        if row["status"] == RunStatus.RUNNING:
            key = RunKey(execution_id, run_id, row["attempt"])
            item = stored_item(from_uuid(row["item_id"]), loop_run_id, row)
            kept = Held(key, row["component_id"], item)
        else:
            queued.append(QueuedRun(run_id, row["attempt"], row["priority"], row["queue"]))
    return Advanced(kept, queued)


# Every run of every item, of inner loops too, that has not ended. Those that run are refused when they record.
_ABANDON = f"""
WITH RECURSIVE {LOCKED}, tree AS (
    SELECT run.id, run.item_id FROM executions_componentrun AS run
    JOIN executions_loopitem AS item ON item.id = run.item_id WHERE item.run_id = %(loop)s
    UNION ALL
    SELECT run.id, run.item_id FROM tree
    JOIN executions_loopitem AS item ON item.run_id = tree.id
    JOIN executions_componentrun AS run ON run.item_id = item.id
), cancelled AS (
    UPDATE executions_componentrun AS run
    SET status = 'cancelled', completed_at = clock_timestamp(), changed_at = clock_timestamp(), lease_until = NULL
    FROM locked
    WHERE run.id IN (SELECT id FROM tree) AND run.completed_at IS NULL
    RETURNING run.id
), ended AS (
    UPDATE executions_loopitem AS item
    SET status = 'failed', remaining = 0,
        error = COALESCE(item.error, '{{"code": "TIMEOUT_ERROR", "message": "Given up", "component_id": ""}}'::jsonb)
    FROM locked
    WHERE item.status = 'running' AND (item.run_id = %(loop)s OR item.run_id IN (SELECT id FROM tree))
)
UPDATE executions_execution AS execution
SET remaining = execution.remaining - (SELECT count(*) FROM cancelled)
FROM locked WHERE execution.id = locked.id
"""


def abandon(execution_id: str, loop_run_id: str) -> None:
    """End all that is left of a loop's items. Needs a transaction that has locked the execution before."""
    assert connection.in_atomic_block
    with connection.cursor() as cursor:
        cursor.execute(_ABANDON, {"execution": to_uuid(execution_id), "loop": to_uuid(loop_run_id)})


_TAKE_RESUMED = f"""
UPDATE executions_componentrun AS run SET {TAKE}
WHERE run.id = %(run)s AND run.status = 'queued' AND run.attempt = %(attempt)s AND run.waited
  AND run.queue = ANY(%(queues)s::text[])
RETURNING run.component_id, run.crashes + run.released AS lost_attempts
"""


def take_resumed(execution_id: str, queued: QueuedRun, item: Item | None, holder: Holder) -> Held | None:
    """Claim a loop's run that has just been resumed, in the same transaction, to go on with it in this worker."""
    assert connection.in_atomic_block
    parameters = {"run": to_uuid(queued.run_id), "attempt": queued.attempt, **lease(holder)}
    rows = fetch_all(_TAKE_RESUMED, parameters)
    if not rows:
        return None
    key = RunKey(execution_id, queued.run_id, queued.attempt)
    return Held(key, rows[0]["component_id"], item, WaitingFor.ITEMS, lost_attempts=rows[0]["lost_attempts"])
