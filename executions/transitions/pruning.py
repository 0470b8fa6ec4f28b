"""How ended executions go, with all that is theirs; what the ledger and the store of outputs have of what is gone.

An execution goes with its children, theirs included: never before all of them have ended, and never one of its ledger
rows before every follower of the ledger has passed it. A child goes with its parent alone. Those of a deleted workflow
go one by one, and what the ledger has of them stays.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from core.ids import first_id, from_uuid, to_uuid
from executions.transitions.statements import fetch_all, fetch_one

# What reads the ledger has passed, and what is noted of it has been seen to, up to here.
_FLOOR = """
SELECT LEAST((SELECT min(position) FROM events_follower),
             (SELECT min(event_id) - 1 FROM executions_reaction), 9223372036854775807) AS floor
"""

# Ids are in the order of time, so the primary key has the oldest first: what ended before the moment was made before
# it. Those found old enough and not ended yet (or ended lately) are passed over, and are few.
_BY_AGE = """
    SELECT execution.id FROM executions_execution AS execution
    WHERE execution.id < %(made_before)s AND execution.id > %(after)s AND execution.completed_at < %(ended_before)s
      AND execution.parent_run_id IS NULL
    ORDER BY execution.id LIMIT %(limit)s
"""

# By the index of a workflow's executions; the newest so many that have ended are counted in the index alone.
_BOUNDS = """
    (SELECT id, LEAST(keep_count, NULLIF(%(keep_count)s::bigint, 0)) AS keep_count,
            clock_timestamp() - make_interval(days => keep_days) AS ended_before
     FROM workflows_workflow WHERE id = ANY(%(workflows)s::uuid[])) AS workflow
    CROSS JOIN LATERAL (
        SELECT (SELECT kept.id FROM executions_execution AS kept
                WHERE kept.workflow_id = workflow.id AND kept.status IN ('completed', 'failed', 'cancelled')
                  AND workflow.keep_count IS NOT NULL
                ORDER BY kept.id DESC OFFSET COALESCE(workflow.keep_count, 0) LIMIT 1) AS last_by_count,
               executions_first_id(workflow.ended_before AT TIME ZONE 'UTC') AS first_by_age
    ) AS bound
    CROSS JOIN LATERAL (
        SELECT execution.id FROM executions_execution AS execution
        WHERE execution.workflow_id = workflow.id AND execution.id <= GREATEST(last_by_count, first_by_age)
          AND execution.id > %(after)s
          AND execution.status IN ('completed', 'failed', 'cancelled') AND execution.parent_run_id IS NULL
          AND (execution.id <= last_by_count OR execution.completed_at < workflow.ended_before)
        ORDER BY execution.id LIMIT %(limit)s
    ) AS found
"""
_BY_WORKFLOW = f"SELECT found.id FROM {_BOUNDS}"
_WITH_OLD = f"SELECT DISTINCT workflow.id FROM {_BOUNDS}"
_OF_WORKFLOW = """
    SELECT id FROM executions_execution WHERE workflow_id = %(workflow)s AND id > %(after)s ORDER BY id LIMIT %(limit)s
"""

_LOCK = """
SELECT id FROM executions_execution WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR UPDATE SKIP LOCKED
"""

# An execution and what it started, whatever the depth. What it weighs is rows of the ledger and runs.
_TREE = """
WITH RECURSIVE tree (root_id, id, depth) AS (
    SELECT id, id, 0 FROM unnest(%(roots)s::uuid[]) AS root (id)
    UNION ALL
    SELECT tree.root_id, child.id, tree.depth + 1
    FROM tree JOIN executions_componentrun AS run ON run.execution_id = tree.id
    JOIN executions_execution AS child ON child.parent_run_id = run.id
)
SELECT tree.root_id, tree.id, tree.depth,
       COALESCE(last.id, 0) <= %(floor)s AND execution.completed_at IS NOT NULL AND NOT EXISTS (
           SELECT 1 FROM executions_execution AS retry
           WHERE retry.retry_of_id = tree.id AND retry.completed_at IS NULL) AND NOT EXISTS (
           -- Who repeats their request within the day that a key is honoured must find what it made.
           SELECT 1 FROM executions_idempotencykey AS kept
           WHERE kept.execution_id = tree.id AND kept.created_at > clock_timestamp() - interval '24 hours') AS may_go,
       COALESCE(last.sequence - first.sequence + 1, 0) AS told,
       (SELECT count(*) FROM (SELECT 1 FROM executions_componentrun WHERE execution_id = tree.id LIMIT %(enough)s)
            AS run) AS runs
FROM tree JOIN executions_execution AS execution ON execution.id = tree.id
LEFT JOIN LATERAL (
    SELECT id, sequence FROM events_event WHERE subject_id = tree.id ORDER BY sequence DESC LIMIT 1) AS last ON true
LEFT JOIN LATERAL (
    SELECT sequence FROM events_event WHERE subject_id = tree.id ORDER BY sequence LIMIT 1) AS first ON true
ORDER BY tree.root_id, tree.depth DESC, tree.id
"""

_LEDGER = "events_event"
_DELETES = {
    _LEDGER: "DELETE FROM events_event WHERE subject_id = ANY(%(ids)s::uuid[])",
    "executions_signal": "DELETE FROM executions_signal WHERE execution_id = ANY(%(ids)s::uuid[])",
    "executions_idempotencykey": "DELETE FROM executions_idempotencykey WHERE execution_id = ANY(%(ids)s::uuid[])",
    "executions_loopitem": """DELETE FROM executions_loopitem WHERE run_id IN (
        SELECT id FROM executions_componentrun WHERE execution_id = ANY(%(ids)s::uuid[]))""",
    "executions_componentrun": "DELETE FROM executions_componentrun WHERE execution_id = ANY(%(ids)s::uuid[])",
    "executions_execution": "DELETE FROM executions_execution WHERE id = ANY(%(ids)s::uuid[])",
}
# A retry outlives what it retries, and says so no more.
_FORGET_RETRIED = """
UPDATE executions_execution SET retry_of_id = NULL
WHERE retry_of_id = ANY(%(ids)s::uuid[]) AND NOT id = ANY(%(ids)s::uuid[])
"""

# What an execution started, where that does not go with it.
_ORPHAN = """
UPDATE executions_execution SET parent_run_id = NULL
WHERE parent_run_id IN (SELECT id FROM executions_componentrun WHERE execution_id = ANY(%(ids)s::uuid[]))
"""

# Of an execution that is too large for a batch: first what it told, then what its items were, the innermost first.
_THINS = {
    _LEDGER: """DELETE FROM events_event WHERE subject_id = %(id)s AND sequence < (
        SELECT min(sequence) FROM events_event WHERE subject_id = %(id)s) + %(rows)s""",
    "executions_signal": "DELETE FROM executions_signal WHERE execution_id = %(id)s",
    "executions_componentrun": """DELETE FROM executions_componentrun WHERE id IN (
        SELECT id FROM executions_componentrun AS run WHERE execution_id = %(id)s AND item_id IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM executions_loopitem AS item WHERE item.run_id = run.id) LIMIT %(rows)s)""",
    "executions_loopitem": """DELETE FROM executions_loopitem WHERE id IN (
        SELECT item.id FROM executions_componentrun AS loop JOIN executions_loopitem AS item ON item.run_id = loop.id
        WHERE loop.execution_id = %(id)s
          AND NOT EXISTS (SELECT 1 FROM executions_componentrun AS run WHERE run.item_id = item.id)
        LIMIT %(rows)s)""",
}


class Member(NamedTuple):
    """An execution that goes, or one that goes with it (`root_id` is another then), and what it weighs in rows."""

    root_id: str
    execution_id: str
    may_go: bool
    told: int
    runs: int

    @property
    def weight(self) -> int:
        return self.told + self.runs


@dataclass(frozen=True, slots=True)
class Old:
    """Which executions are looked for; ids above `after`."""

    sql: str
    parameters: dict[str, Any]


FIRST = "0" * 26
"""Below every id."""


def by_age(ended_before: datetime) -> Old:
    """Those that ended before the moment."""
    made_before = to_uuid(first_id(ended_before))
    return Old(_BY_AGE, {"ended_before": ended_before, "made_before": made_before})


def by_workflow(workflow_id: str, keep_count: int) -> Old:
    """Those of a workflow that are older than it keeps them, or more than it or, unless it is 0, `keep_count` says."""
    return Old(_BY_WORKFLOW, {"workflows": [to_uuid(workflow_id)], "keep_count": keep_count})


def of_workflow(workflow_id: str) -> Old:
    """All of a workflow."""
    return Old(_OF_WORKFLOW, {"workflow": to_uuid(workflow_id)})


def workflows_with_old(workflow_ids: Sequence[str], keep_count: int) -> list[str]:
    """Those of the workflows for which `by_workflow` would find any."""
    workflows = [to_uuid(id_) for id_ in workflow_ids]
    parameters = {"workflows": workflows, "keep_count": keep_count, "limit": 1, "after": to_uuid(FIRST)}
    return [from_uuid(row["id"]) for row in fetch_all(_WITH_OLD, parameters)]


def floor() -> int:
    """The id in the ledger up to which everything has been passed by all who follow it."""
    row = fetch_one(_FLOOR, {})
    assert row is not None
    return int(row["floor"])


def found(old: Old, *, limit: int, after: str = FIRST) -> list[str]:
    """Ids of executions that are old, the oldest first."""
    rows = fetch_all(old.sql, {**old.parameters, "limit": limit, "after": to_uuid(after)})
    return [from_uuid(row["id"]) for row in rows]


def trees(root_ids: Collection[str], *, floor: int, enough: int) -> list[Member]:
    """The executions with what they started, root by root, the deepest first; `enough` runs are counted at most."""
    roots = [to_uuid(id_) for id_ in root_ids]
    rows = fetch_all(_TREE, {"roots": roots, "floor": floor, "enough": enough})
    return [
        Member(from_uuid(row["root_id"]), from_uuid(row["id"]), row["may_go"], row["told"], row["runs"]) for row in rows
    ]


def lock(execution_ids: Collection[str]) -> set[str]:
    """Those of the executions that nobody holds; they are held until the transaction's end."""
    assert connection.in_atomic_block
    rows = fetch_all(_LOCK, {"ids": [to_uuid(id_) for id_ in execution_ids]})
    return {from_uuid(row["id"]) for row in rows}


def delete(execution_ids: Collection[str], *, ledger: bool) -> dict[str, int]:
    """Delete locked executions with all that is theirs, with `ledger` its rows too; rows by table.

    Needs a transaction.
    """
    assert connection.in_atomic_block
    parameters = {"ids": [to_uuid(id_) for id_ in execution_ids]}
    deleted = {table: _run(sql, parameters) for table, sql in _of(_DELETES, ledger)}
    _run(_FORGET_RETRIED, parameters)
    return deleted


def thin(execution_id: str, rows: int, *, ledger: bool) -> dict[str, int]:
    """Delete a part of what a locked execution has, that many rows of a table at most, with `ledger` of it too.

    Needs a transaction.
    """
    assert connection.in_atomic_block
    parameters = {"id": to_uuid(execution_id), "rows": rows}
    return {table: _run(sql, parameters) for table, sql in _of(_THINS, ledger)}


def _of(statements: Mapping[str, str], ledger: bool) -> list[tuple[str, str]]:
    return [(table, sql) for table, sql in statements.items() if ledger or table != _LEDGER]


def orphan(execution_ids: Collection[str]) -> None:
    """What locked executions started belongs to nobody from now on. Needs a transaction."""
    assert connection.in_atomic_block
    _run(_ORPHAN, {"ids": [to_uuid(id_) for id_ in execution_ids]})


def _run(sql: str, parameters: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)


# Rows of the ledger in their order, a page at a time: most of those that are old belong to executions that are kept,
# or go with theirs. A workflow or trigger keeps its last, from which its next one is numbered.
_PRUNE_LEDGER = """
WITH page AS MATERIALIZED (
    SELECT id, subject_id, sequence, timestamp FROM events_event
    WHERE id > %(after)s AND id <= %(floor)s ORDER BY id LIMIT %(rows)s
), old AS MATERIALIZED (
    SELECT page.id FROM page
    WHERE page.timestamp < %(before)s
      AND NOT EXISTS (SELECT 1 FROM executions_execution WHERE id = page.subject_id)
      AND NOT (
        (EXISTS (SELECT 1 FROM workflows_workflow WHERE id = page.subject_id)
         OR EXISTS (SELECT 1 FROM workflows_trigger WHERE id = page.subject_id))
        AND page.sequence = (SELECT max(sequence) FROM events_event WHERE subject_id = page.subject_id))
), gone AS (
    DELETE FROM events_event WHERE %(delete)s AND id IN (SELECT id FROM old)
)
SELECT (SELECT count(*) FROM old) AS rows, (SELECT max(id) FROM page) AS reached,
       COALESCE((SELECT timestamp < %(before)s FROM page ORDER BY id DESC LIMIT 1), false) AS more
"""


class LedgerPage(NamedTuple):
    """Rows that go, or went; where the page ended, and whether older ones may come after it."""

    rows: int
    reached: int
    more: bool


def prune_ledger(before: datetime, *, after: int, floor: int, rows: int, delete: bool) -> LedgerPage:
    """See to the next rows of the ledger that are older than the moment and whose subject is no execution that is kept.

    With `delete` they go. Needs a transaction then.
    """
    parameters = {"before": before, "after": after, "floor": floor, "rows": rows, "delete": delete}
    row = fetch_one(_PRUNE_LEDGER, parameters)
    assert row is not None
    return LedgerPage(row["rows"], row["reached"] or after, row["more"])


_IS_REFERRED_TO = """(
    EXISTS (SELECT 1 FROM executions_componentrun AS run
            WHERE run.execution_id = stored.execution_id
              AND stored.key IN (run.output_ref ->> 'key', run.sealed_output_ref ->> 'key'))
    OR EXISTS (SELECT 1 FROM executions_componentrun AS run JOIN executions_loopitem AS item ON item.run_id = run.id
               WHERE run.execution_id = stored.execution_id
                 AND stored.key IN (item.value_ref ->> 'key', item.sealed_value_ref ->> 'key')))"""

_SORT_STORED = f"""
UPDATE executions_storedoutput AS stored SET state = CASE WHEN {_IS_REFERRED_TO} THEN 'kept' ELSE 'doomed' END
WHERE stored.key IN (
    SELECT key FROM executions_storedoutput WHERE state = 'new' AND created_at < %(before)s
    ORDER BY created_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED)
RETURNING stored.key
"""

_COUNT_ORPHANS = f"""
SELECT count(*) AS count FROM executions_storedoutput AS stored
WHERE stored.state = 'new' AND stored.created_at < %(before)s AND NOT {_IS_REFERRED_TO}
"""


def sort_stored(before: datetime, limit: int) -> int:
    """Of outputs stored before the moment and not seen yet, doom those that nothing refers to; how many were seen."""
    return len(fetch_all(_SORT_STORED, {"before": before, "limit": limit}))


def count_orphans(before: datetime) -> int:
    """How many of them nothing refers to."""
    row = fetch_one(_COUNT_ORPHANS, {"before": before})
    assert row is not None
    return int(row["count"])
