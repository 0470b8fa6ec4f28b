"""How executions come in and get their slot: start, due, admit."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from core.errors import NotFoundError
from core.ids import from_uuid, new_id, to_uuid
from core.json_text import storable_dumps
from core.types import JSONObject
from executions.states import ExecutionStatus
from executions.transitions.statements import QueuedRun, fetch_all, fetch_one, queued_runs, to_json

# The workflow's row first, as a delete takes it: else a start would hold the version when it asks, at its commit, for
# the workflow that a delete holds, and the two would wait for each other. Then the account's, as below. A share, which
# a delete's lock excludes: that lock lets foreign keys to the workflow be checked, or whoever ends an execution, and
# asks for the workflow at its commit, would wait for the delete that waits for the execution.
_LOCK_WORKFLOW_AND_ACCOUNT = """
WITH workflow AS MATERIALIZED (
    SELECT id FROM workflows_workflow WHERE id = %(workflow)s AND deleted_at IS NULL FOR SHARE
)
SELECT account.id FROM workflow, accounts_user AS account
WHERE account.id = %(account)s FOR NO KEY UPDATE OF account
"""

# The account's row, so that two starts cannot both take the last slot.
_LOCK_ACCOUNT = "SELECT id FROM accounts_user WHERE id = %(account)s FOR NO KEY UPDATE"

# Then the keys of `settings.concurrency`, so that two starts cannot both take a key's last place; in order, so that
# two that take several do not wait for each other.
_LOCK_KEY = "SELECT pg_advisory_xact_lock(hashtextextended(%(workflow)s::text || %(concurrency_key)s, 0))"

_LOCK_WAITING_KEYS = """
SELECT pg_advisory_xact_lock(key) FROM (
    SELECT DISTINCT hashtextextended(workflow_id::text || concurrency_key, 0) AS key
    FROM executions_execution
    WHERE created_by_id = %(account)s AND status = 'queued' AND admitted_at IS NULL AND concurrency_key IS NOT NULL
    ORDER BY key
) AS waiting
"""

_FREE_SLOTS = """%(slots)s::int - (
    SELECT count(*) FROM executions_execution
    WHERE created_by_id = %(account)s AND admitted_at IS NOT NULL AND completed_at IS NULL AND parent_run_id IS NULL
)"""

# Maintenance mode, read in the statements that give slots, which costs no round trip. Whoever switches it on waits for
# those that may have read it before (`holding`), so that nobody has to lock its row here. Children go on: their
# parents could not end without them.
_HELD = "EXISTS (SELECT 1 FROM executions_maintenancemode WHERE held)"

_LOCK_KEYS = """
SELECT pg_advisory_xact_lock(key) FROM (
    SELECT DISTINCT hashtextextended(wanted.workflow::text || wanted.concurrency_key, 0) AS key
    FROM unnest(%(workflows)s::uuid[], %(keys)s::text[]) AS wanted (workflow, concurrency_key)
    ORDER BY key
) AS wanted
"""

_HOLDERS = """
SELECT id FROM executions_execution
WHERE workflow_id = %(workflow)s AND concurrency_key = %(concurrency_key)s AND completed_at IS NULL
  AND status <> 'pending'
ORDER BY admitted_at NULLS LAST, id
"""

# What a retry takes over stands in runs of the execution that it retries. A start that takes nothing over does not ask
# for them: while the table is small, a plan that joins it reads all of it, and is kept until the table is analyzed.
_OLD_RUNS = "LEFT JOIN executions_componentrun AS old ON old.id = plan.carried"
_NO_OLD_RUNS = """CROSS JOIN (
        SELECT NULL::uuid AS id, NULL AS status, NULL::jsonb AS output, NULL::jsonb AS error, NULL::int AS attempt,
               NULL::timestamptz AS started_at, NULL::timestamptz AS completed_at
    ) AS old"""

_START_WITH = f"""
WITH slot AS MATERIALIZED (
    SELECT CASE WHEN %(due)s
        AND (%(parent_run)s::uuid IS NOT NULL OR NOT {_HELD} AND {_FREE_SLOTS} > 0)
        AND (%(concurrency_key)s::text IS NULL OR %(concurrency_limit)s::int > (
            SELECT count(*) FROM executions_execution
            WHERE workflow_id = %(workflow)s AND concurrency_key = %(concurrency_key)s
              AND completed_at IS NULL AND admitted_at IS NOT NULL))
        THEN clock_timestamp() END AS taken_at
), plan AS MATERIALIZED (
    SELECT * FROM unnest(
        %(runs)s::uuid[], %(component_ids)s::text[], %(component_types)s::text[], %(plan_queues)s::text[],
        %(pending)s::int[], %(taken)s::int[], %(join_any)s::bool[], %(timeouts)s::float8[], %(skipped)s::bool[],
        %(carried)s::uuid[], %(carried_refs)s::text[], %(carried_sealed)s::bytea[], %(carried_sealed_refs)s::text[],
        %(carried_taken_out)s::text[]
    ) WITH ORDINALITY AS plan (id, component_id, component_type, queue, pending, taken, join_any, timeout_seconds,
                               skipped, carried, carried_ref, carried_sealed, carried_sealed_ref, carried_taken_out,
                               position)
), execution AS (
    INSERT INTO executions_execution (
        id, workflow_id, workflow_owner_id, version_id, created_by_id, status, priority, parameters,
        sealed_parameters, sealed_hidden, sealed_input, tags, trigger, request_id, traceparent, total_components,
        remaining, ended_components, scheduled_at, admitted_at, deadline_at, timeout_seconds, max_parallel,
        concurrency_key, concurrency_limit, parent_run_id, depth, retry_of_id
    )
    SELECT %(execution)s, %(workflow)s, %(workflow_owner)s, %(version)s, %(account)s,
           CASE WHEN %(due)s THEN 'queued' ELSE 'pending' END,
           %(priority)s, %(parameters)s::jsonb, %(sealed_parameters)s, %(sealed_hidden)s, %(sealed_input)s,
           %(tags)s::text[], %(trigger)s::jsonb, %(request_id)s, %(traceparent)s, (SELECT count(*) FROM plan),
           (SELECT count(*) FROM plan WHERE NOT skipped AND carried IS NULL),
           (SELECT count(*) FROM plan WHERE skipped OR carried IS NOT NULL), %(scheduled_at)s,
           slot.taken_at, slot.taken_at + make_interval(secs => %(timeout_seconds)s::float8),
           %(timeout_seconds)s, %(max_parallel)s, %(concurrency_key)s, %(concurrency_limit)s,
           %(parent_run)s, %(depth)s, %(retry_of)s
    FROM slot
    RETURNING id, status, admitted_at
), run AS (
    INSERT INTO executions_componentrun (
        id, execution_id, component_id, component_type, queue, position, status, pending, taken, join_any,
        rung_at, timeout_seconds, owner_id, priority, output, output_ref, sealed_output, sealed_output_ref, error,
        taken_out, attempt, started_at, completed_at
    )
    SELECT plan.id, execution.id, plan.component_id, plan.component_type, plan.queue, plan.position - 1,
           CASE WHEN old.id IS NOT NULL THEN old.status
                WHEN plan.skipped THEN 'skipped'
                WHEN plan.pending = 0 AND execution.admitted_at IS NOT NULL THEN 'queued'
                ELSE 'blocked' END,
           plan.pending, plan.taken, plan.join_any,
           CASE WHEN plan.pending = 0 THEN execution.admitted_at END,
           plan.timeout_seconds, %(account)s, %(priority)s,
           old.output, plan.carried_ref::jsonb, plan.carried_sealed, plan.carried_sealed_ref::jsonb, old.error,
           CASE WHEN old.id IS NOT NULL THEN plan.carried_taken_out::int[] END,
           COALESCE(old.attempt, 1), old.started_at,
           CASE WHEN plan.skipped THEN clock_timestamp() ELSE old.completed_at END
    FROM plan CROSS JOIN execution <old_runs>
    RETURNING id, status, queue, position
)
SELECT (SELECT status FROM execution) AS status,
       (SELECT admitted_at IS NOT NULL FROM execution) AS admitted,
       ARRAY(SELECT id FROM run WHERE status = 'queued' ORDER BY position) AS queued,
       ARRAY(SELECT queue FROM run WHERE status = 'queued' ORDER BY position) AS queues
"""
_START = _START_WITH.replace("<old_runs>", _NO_OLD_RUNS)
_START_CARRYING = _START_WITH.replace("<old_runs>", _OLD_RUNS)


@dataclass(frozen=True, slots=True)
class Plan:
    """Component runs that are made together, in definition order, one list a column."""

    component_ids: tuple[str, ...]
    component_types: tuple[str, ...]
    queues: tuple[str, ...]
    pending: tuple[int, ...]
    join_any: tuple[bool, ...]
    timeouts: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """An ended run of an earlier execution taken over: what it took, and as which run it is stored.

    What is bound to a run, or stored elsewhere for one, is the new run's own.
    """

    run_id: str
    taken_out: tuple[int, ...]
    new_run_id: str
    output_ref: JSONObject | None = None
    sealed_output: bytes | None = None
    sealed_output_ref: JSONObject | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a retry begins: runs carried over, runs skipped from the start, and counters of the others.

    `pending` 0 means that the run may start; by component id.
    """

    carried: Mapping[str, Carried] = field(default_factory=dict)
    skipped: frozenset[str] = frozenset()
    pending: Mapping[str, int] = field(default_factory=dict)
    taken: Mapping[str, int] = field(default_factory=dict)


class Started(NamedTuple):
    """A stored execution: its status, and its entry points if it was given a slot."""

    execution_id: str
    status: ExecutionStatus
    admitted: bool
    queued: list[QueuedRun]


def lock_workflow_and_account(workflow_id: str, account_id: str) -> None:
    """Hold both until the transaction's end. Raises NotFoundError if the workflow has been deleted."""
    assert connection.in_atomic_block
    parameters = {"workflow": to_uuid(workflow_id), "account": to_uuid(account_id)}
    if fetch_one(_LOCK_WORKFLOW_AND_ACCOUNT, parameters) is None:
        raise NotFoundError("Workflow not found")


def lock_keys(keys: Collection[tuple[str, str]]) -> None:
    """Lock several (workflow id, concurrency key) in the one order that all lock them in. Needs a transaction."""
    assert connection.in_atomic_block
    workflows = [to_uuid(workflow_id) for workflow_id, _ in keys]
    fetch_all(_LOCK_KEYS, {"workflows": workflows, "keys": [key for _, key in keys]})


def holders(workflow_id: str, concurrency_key: str) -> list[str]:
    """The executions that hold, or wait for, the places of a concurrency key, in order of their turn.

    Needs a transaction: the key stays locked until its end.
    """
    assert connection.in_atomic_block
    parameters = {"workflow": to_uuid(workflow_id), "concurrency_key": concurrency_key}
    fetch_all(_LOCK_KEY, parameters)
    return [from_uuid(row["id"]) for row in fetch_all(_HOLDERS, parameters)]


_IDS = ("workflow", "workflow_owner", "version", "parent_run", "retry_of")


def start(
    *,
    execution_id: str,
    plan: Plan,
    account_id: str,
    slots: int,
    priority: int,
    progress: Progress = Progress(),
    **facts: Any,
) -> Started:
    """Store an execution with its runs; admit it where the account, and its key, have a slot and its time has come.

    In maintenance mode only children are admitted.

    `facts`: workflow, workflow_owner, version, parent_run, retry_of (ids or None), parameters, sealed_parameters,
    sealed_hidden, sealed_input, tags, trigger, request_id, traceparent, due, scheduled_at, timeout_seconds,
    max_parallel, concurrency_key, concurrency_limit, depth.
    Needs a transaction in which `lock_workflow_and_account`, and `holders` where there is a key, came before.
    """
    assert connection.in_atomic_block
    carried = [progress.carried.get(id_) for id_ in plan.component_ids]
    runs = [old.new_run_id if old else new_id() for old in carried]
    parameters = {
        **facts,
        **{name: _to_uuid(facts[name]) for name in _IDS},
        "execution": to_uuid(execution_id),
        "parameters": storable_dumps(facts["parameters"]),
        "trigger": storable_dumps(facts["trigger"]),
        "account": to_uuid(account_id),
        "slots": slots,
        "priority": priority,
        "runs": [to_uuid(run_id) for run_id in runs],
        "component_ids": list(plan.component_ids),
        "component_types": list(plan.component_types),
        "plan_queues": list(plan.queues),
        "pending": [
            progress.pending.get(id_, pending) for id_, pending in zip(plan.component_ids, plan.pending, strict=True)
        ],
        "taken": [progress.taken.get(id_, 0) for id_ in plan.component_ids],
        "join_any": list(plan.join_any),
        "timeouts": list(plan.timeouts),
        "skipped": [id_ in progress.skipped for id_ in plan.component_ids],
        "carried": [_to_uuid(old.run_id) if old else None for old in carried],
        "carried_refs": [to_json(old.output_ref) if old else None for old in carried],
        "carried_sealed": [old.sealed_output if old else None for old in carried],
        "carried_sealed_refs": [to_json(old.sealed_output_ref) if old else None for old in carried],
        "carried_taken_out": ["{" + ",".join(map(str, old.taken_out)) + "}" if old else None for old in carried],
    }
    row = fetch_all(_START_CARRYING if progress.carried else _START, parameters)[0]
    return Started(
        execution_id,
        ExecutionStatus(row["status"]),
        row["admitted"],
        [
            QueuedRun(from_uuid(run_id), 1, priority, queue)
            for run_id, queue in zip(row["queued"], row["queues"], strict=True)
        ],
    )


def _to_uuid(id_: str | None) -> UUID | None:
    return None if id_ is None else to_uuid(id_)


_DUE = """
UPDATE executions_execution SET status = 'queued'
WHERE id IN (
    SELECT id FROM executions_execution
    WHERE status = 'pending' AND scheduled_at <= clock_timestamp() AND concurrency_key IS NULL
    ORDER BY scheduled_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING id
"""

_DUE_WITH_KEY = """
SELECT id, workflow_id, version_id, created_by_id, concurrency_key FROM executions_execution
WHERE status = 'pending' AND scheduled_at <= clock_timestamp() AND concurrency_key IS NOT NULL
ORDER BY scheduled_at, id LIMIT %(limit)s
"""

_QUEUE = """
UPDATE executions_execution SET status = 'queued' WHERE id = %(execution)s AND status = 'pending'
RETURNING id
"""


class Due(NamedTuple):
    """A scheduled execution with a concurrency key whose time has come."""

    execution_id: str
    workflow_id: str
    version_id: str
    account_id: str
    concurrency_key: str


def queue_due(limit: int) -> int:
    """Scheduled executions without a key whose time has come wait for a slot from now on; how many."""
    return len(fetch_all(_DUE, {"limit": limit}))


def due_with_key(limit: int) -> list[Due]:
    """Scheduled executions with a key whose time has come, in its order; each is for `queue`."""
    return [
        Due(
            from_uuid(row["id"]),
            from_uuid(row["workflow_id"]),
            from_uuid(row["version_id"]),
            from_uuid(row["created_by_id"]),
            row["concurrency_key"],
        )
        for row in fetch_all(_DUE_WITH_KEY, {"limit": limit})
    ]


def queue(execution_id: str) -> bool:
    """A scheduled execution waits for a slot from now on; false if it is not pending any more."""
    return fetch_one(_QUEUE, {"execution": to_uuid(execution_id)}) is not None


# A child needs no slot of the account, and is here only where its own key had no place. Where there is no slot, what
# needs one has no turn either: a child that stood behind it would wait for a slot that its own parent may hold.
_ADMIT = f"""
WITH free AS MATERIALIZED (
    SELECT CASE WHEN {_HELD} THEN 0 ELSE greatest({_FREE_SLOTS}, 0) END AS slots
), plain AS (
    SELECT id, priority FROM executions_execution
    WHERE created_by_id = %(account)s AND status = 'queued' AND admitted_at IS NULL AND concurrency_key IS NULL
    ORDER BY priority DESC, id LIMIT (SELECT slots FROM free)
), keyed AS (
    SELECT id, priority, parent_run_id FROM (
        SELECT waiting.id, waiting.priority, waiting.parent_run_id,
            row_number() OVER (PARTITION BY workflow_id, concurrency_key ORDER BY priority DESC, id) AS place,
            concurrency_limit - (
                SELECT count(*) FROM executions_execution AS live
                WHERE live.workflow_id = waiting.workflow_id AND live.concurrency_key = waiting.concurrency_key
                  AND live.completed_at IS NULL AND live.admitted_at IS NOT NULL
            ) AS room
        FROM executions_execution AS waiting
        WHERE created_by_id = %(account)s AND status = 'queued' AND admitted_at IS NULL AND concurrency_key IS NOT NULL
          AND (parent_run_id IS NOT NULL OR (SELECT slots FROM free) > 0)
    ) AS ranked WHERE place <= room
), turn AS MATERIALIZED (
    (SELECT id FROM (SELECT id, priority FROM plain
                     UNION ALL SELECT id, priority FROM keyed WHERE parent_run_id IS NULL) AS either
     ORDER BY priority DESC, id LIMIT (SELECT slots FROM free))
    UNION ALL
    SELECT id FROM keyed WHERE parent_run_id IS NOT NULL
), chosen AS MATERIALIZED (
    SELECT execution.id FROM executions_execution AS execution JOIN turn ON turn.id = execution.id
    WHERE execution.status = 'queued' AND execution.admitted_at IS NULL
    FOR NO KEY UPDATE OF execution SKIP LOCKED
), admitted AS (
    UPDATE executions_execution AS execution
    SET admitted_at = clock_timestamp(),
        deadline_at = clock_timestamp() + make_interval(secs => execution.timeout_seconds)
    FROM chosen WHERE execution.id = chosen.id
    RETURNING execution.id, execution.priority
)
UPDATE executions_componentrun AS run
SET status = 'queued', rung_at = clock_timestamp(), changed_at = clock_timestamp()
FROM admitted
WHERE run.execution_id = admitted.id AND run.status = 'blocked' AND run.pending = 0
RETURNING run.id, run.attempt, run.queue, admitted.priority
"""


def admit(account_id: str, slots: int) -> list[QueuedRun]:
    """Give the account's free slots to its waiting executions, by priority, then age; their entry points.

    In maintenance mode there are none, and only children that wait for a key go on.
    Needs a transaction: the account, and the keys it waits for, stay locked until its end.
    """
    assert connection.in_atomic_block
    account = to_uuid(account_id)
    fetch_all(_LOCK_ACCOUNT, {"account": account})
    fetch_all(_LOCK_WAITING_KEYS, {"account": account})
    return queued_runs(fetch_all(_ADMIT, {"account": account, "slots": slots}))
