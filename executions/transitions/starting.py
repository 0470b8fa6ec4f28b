"""How executions come in and get their slot: start, due, admit."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection

from core.errors import NotFoundError
from core.ids import from_uuid, new_id, to_uuid
from core.json_text import storable_dumps
from executions.states import ExecutionStatus
from executions.transitions.statements import QueuedRun, fetch_all, fetch_one, queued_runs

# The workflow's row first, as a delete takes it: else a start would hold the version when it asks, at its commit, for
# the workflow that a delete holds, and the two would wait for each other. Then the account's, as below.
_LOCK_WORKFLOW_AND_ACCOUNT = """
WITH workflow AS MATERIALIZED (SELECT id FROM workflows_workflow WHERE id = %(workflow)s FOR KEY SHARE)
SELECT account.id FROM workflow, accounts_user AS account
WHERE account.id = %(account)s FOR NO KEY UPDATE OF account
"""

# The account's row, so that two starts cannot both take the last slot.
_LOCK_ACCOUNT = "SELECT id FROM accounts_user WHERE id = %(account)s FOR NO KEY UPDATE"

_FREE_SLOTS = """%(slots)s::int - (
    SELECT count(*) FROM executions_execution
    WHERE created_by_id = %(account)s AND admitted_at IS NOT NULL AND completed_at IS NULL
)"""

_START = f"""
WITH slot AS MATERIALIZED (
    SELECT CASE WHEN %(due)s AND {_FREE_SLOTS} > 0 THEN clock_timestamp() END AS taken_at
), execution AS (
    INSERT INTO executions_execution (
        id, workflow_id, version_id, created_by_id, status, priority, parameters, sealed_parameters, tags,
        trigger, request_id, total_components, remaining, scheduled_at, admitted_at, deadline_at
    )
    SELECT %(execution)s, %(workflow)s, %(version)s, %(account)s,
           CASE WHEN %(due)s THEN 'queued' ELSE 'pending' END,
           %(priority)s, %(parameters)s::jsonb, %(sealed_parameters)s, %(tags)s::text[], %(trigger)s::jsonb,
           %(request_id)s, cardinality(%(runs)s::uuid[]), cardinality(%(runs)s::uuid[]), %(scheduled_at)s,
           slot.taken_at, slot.taken_at + make_interval(secs => %(timeout_seconds)s::float8)
    FROM slot
    RETURNING id, status, admitted_at
), run AS (
    INSERT INTO executions_componentrun (
        id, execution_id, component_id, component_type, position, status, pending, join_any, rung_at
    )
    SELECT plan.id, execution.id, plan.component_id, plan.component_type, plan.position - 1,
           CASE WHEN plan.pending = 0 AND execution.admitted_at IS NOT NULL THEN 'queued' ELSE 'blocked' END,
           plan.pending, plan.join_any,
           CASE WHEN plan.pending = 0 THEN execution.admitted_at END
    FROM execution, unnest(
        %(runs)s::uuid[], %(component_ids)s::text[], %(component_types)s::text[],
        %(pending)s::int[], %(join_any)s::bool[]
    ) WITH ORDINALITY AS plan (id, component_id, component_type, pending, join_any, position)
    RETURNING id, status
)
SELECT (SELECT status FROM execution) AS status,
       (SELECT admitted_at IS NOT NULL FROM execution) AS admitted,
       ARRAY(SELECT id FROM run WHERE status = 'queued') AS queued
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """The component runs of a new execution, in definition order, one list a column."""

    component_ids: tuple[str, ...]
    component_types: tuple[str, ...]
    pending: tuple[int, ...]
    join_any: tuple[bool, ...]


class Started(NamedTuple):
    """A stored execution: its status, and its entry points if it was given a slot."""

    execution_id: str
    status: ExecutionStatus
    admitted: bool
    queued: list[QueuedRun]


def start(*, execution_id: str, plan: Plan, account_id: str, slots: int, priority: int, **facts: Any) -> Started:
    """Store an execution with its runs; admit it where the account has a slot and its time has come.

    `facts`: workflow, version (ids), parameters, sealed_parameters, tags, trigger, request_id, due,
    scheduled_at, timeout_seconds. Needs a transaction: workflow and account stay locked until its end. Raises
    NotFoundError if the workflow has been deleted.
    """
    assert connection.in_atomic_block
    account = to_uuid(account_id)
    workflow = to_uuid(facts["workflow"])
    if fetch_one(_LOCK_WORKFLOW_AND_ACCOUNT, {"workflow": workflow, "account": account}) is None:
        raise NotFoundError("Workflow not found")
    parameters = {
        **facts,
        "execution": to_uuid(execution_id),
        "workflow": workflow,
        "version": to_uuid(facts["version"]),
        "parameters": storable_dumps(facts["parameters"]),
        "trigger": storable_dumps(facts["trigger"]),
        "account": account,
        "slots": slots,
        "priority": priority,
        "runs": [to_uuid(new_id()) for _ in plan.component_ids],
        "component_ids": list(plan.component_ids),
        "component_types": list(plan.component_types),
        "pending": list(plan.pending),
        "join_any": list(plan.join_any),
    }
    row = fetch_all(_START, parameters)[0]
    return Started(
        execution_id,
        ExecutionStatus(row["status"]),
        row["admitted"],
        [QueuedRun(from_uuid(run_id), 1, priority) for run_id in row["queued"]],
    )


_DUE = """
UPDATE executions_execution SET status = 'queued'
WHERE id IN (
    SELECT id FROM executions_execution
    WHERE status = 'pending' AND scheduled_at <= clock_timestamp()
    ORDER BY scheduled_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING created_by_id AS account
"""


def queue_due(limit: int) -> set[str]:
    """Scheduled executions whose time has come wait for a slot from now on; the accounts they belong to."""
    return {from_uuid(row["account"]) for row in fetch_all(_DUE, {"limit": limit})}


_ADMIT = f"""
WITH chosen AS MATERIALIZED (
    SELECT execution.id, version.timeout_seconds
    FROM executions_execution AS execution
    CROSS JOIN LATERAL (
        SELECT (definition #>> '{{settings,timeout_seconds}}')::float8 AS timeout_seconds
        FROM workflows_workflowversion WHERE id = execution.version_id
    ) AS version
    WHERE created_by_id = %(account)s AND status = 'queued' AND admitted_at IS NULL
    ORDER BY priority DESC, id
    LIMIT greatest({_FREE_SLOTS}, 0)
    FOR NO KEY UPDATE OF execution SKIP LOCKED
), admitted AS (
    UPDATE executions_execution AS execution
    SET admitted_at = clock_timestamp(),
        deadline_at = clock_timestamp() + make_interval(secs => chosen.timeout_seconds)
    FROM chosen WHERE execution.id = chosen.id
    RETURNING execution.id, execution.priority
)
UPDATE executions_componentrun AS run
SET status = 'queued', rung_at = clock_timestamp()
FROM admitted
WHERE run.execution_id = admitted.id AND run.status = 'blocked' AND run.pending = 0
RETURNING run.id, run.attempt, admitted.priority
"""


def admit(account_id: str, slots: int) -> list[QueuedRun]:
    """Give the account's free slots to its waiting executions, by priority, then age; their entry points.

    Needs a transaction: the account stays locked until its end.
    """
    assert connection.in_atomic_block
    account = to_uuid(account_id)
    fetch_all(_LOCK_ACCOUNT, {"account": account})
    return queued_runs(fetch_all(_ADMIT, {"account": account, "slots": slots}))
