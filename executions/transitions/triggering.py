"""The moves of schedules: which are due, whose turn it is to fire them, and the slots that are started but once."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from core.ids import from_uuid, to_uuid
from executions.transitions.statements import fetch_all

_DUE = """
SELECT id FROM workflows_trigger
WHERE live AND paused_at IS NULL AND next_at <= clock_timestamp()
ORDER BY next_at, id LIMIT %(limit)s
"""

# A lock on a trigger's id before any on a row, since workflow and account are locked before the trigger's row: of two
# that fire the same one the second goes on to the next at once. And no row is waited for longer than this, so that a
# workflow which somebody holds (to delete it, say) keeps no other from its time.
_CLAIM = """
SELECT id FROM unnest(%(triggers)s::uuid[]) AS wanted (id)
WHERE set_config('lock_timeout', '100ms', true) IS NOT NULL
  AND pg_try_advisory_xact_lock(hashtextextended(wanted.id::text, 1))
"""

# As every start does, in the order in which all lock several.
_LOCK_WORKFLOWS = """
SELECT id FROM workflows_workflow
WHERE id = ANY(%(workflows)s::uuid[]) AND deleted_at IS NULL ORDER BY id FOR SHARE
"""
_LOCK_ACCOUNT = "SELECT id FROM accounts_user WHERE id = %(account)s FOR NO KEY UPDATE"

_LOCK = """
SELECT trigger.id, trigger.next_at, workflow.version
FROM workflows_trigger AS trigger JOIN workflows_workflow AS workflow ON workflow.id = trigger.workflow_id
WHERE trigger.id = ANY(%(triggers)s::uuid[]) AND trigger.live AND trigger.paused_at IS NULL
ORDER BY trigger.id FOR NO KEY UPDATE OF trigger
"""

_TAKE_SLOTS = """
INSERT INTO workflows_slot (trigger_id, slot_at, execution_id)
SELECT * FROM unnest(%(triggers)s::uuid[], %(slots)s::timestamptz[], %(executions)s::uuid[])
ON CONFLICT (trigger_id, slot_at) DO NOTHING RETURNING trigger_id
"""

_MOVE_ON = """
UPDATE workflows_trigger AS trigger SET next_at = moved.next_at
FROM unnest(%(triggers)s::uuid[], %(times)s::timestamptz[]) AS moved (id, next_at)
WHERE trigger.id = moved.id RETURNING trigger.id
"""


class Open(NamedTuple):
    """Where a locked schedule stands: its first open slot, and its workflow's version."""

    next_at: datetime | None
    version: int


class TakenSlot(NamedTuple):
    """A slot, and the execution that is started for it."""

    trigger_id: str
    slot_at: datetime
    execution_id: str


def due(limit: int) -> list[str]:
    """The schedules that have a slot to be seen to, the longest overdue first."""
    return [from_uuid(row["id"]) for row in fetch_all(_DUE, {"limit": limit})]


def claim(trigger_ids: Collection[str]) -> set[str]:
    """Those of the triggers that nobody else is at; nobody is until the transaction ends. Locks wait 100 ms in it."""
    assert connection.in_atomic_block
    return {from_uuid(row["id"]) for row in fetch_all(_CLAIM, {"triggers": _uuids(trigger_ids)})}


def lock_workflows_and_account(workflow_ids: Collection[str], account_id: str) -> set[str]:
    """Hold them until the transaction's end, as a start does; the workflows that are still there."""
    assert connection.in_atomic_block
    found = fetch_all(_LOCK_WORKFLOWS, {"workflows": _uuids(workflow_ids)})
    fetch_all(_LOCK_ACCOUNT, {"account": to_uuid(account_id)})
    return {from_uuid(row["id"]) for row in found}


def lock(trigger_ids: Collection[str]) -> dict[str, Open]:
    """Where the live schedules that are not paused stand, locked. Needs their workflows locked."""
    assert connection.in_atomic_block
    rows = fetch_all(_LOCK, {"triggers": _uuids(trigger_ids)})
    return {from_uuid(row["id"]): Open(row["next_at"], row["version"]) for row in rows}


def take_slots(slots: Sequence[TakenSlot]) -> set[str]:
    """The triggers whose slots are these executions' now, and have not been others'. One slot a trigger.

    Needs the transaction that starts the executions.
    """
    assert connection.in_atomic_block
    parameters = {
        "triggers": _uuids([slot.trigger_id for slot in slots]),
        "slots": [slot.slot_at for slot in slots],
        "executions": _uuids([slot.execution_id for slot in slots]),
    }
    return {from_uuid(row["trigger_id"]) for row in fetch_all(_TAKE_SLOTS, parameters)} if slots else set()


def move_on(next_at: Mapping[str, datetime | None]) -> None:
    """The schedules' first open slots from now on, by trigger id; none for one that never fires again."""
    assert connection.in_atomic_block
    fetch_all(_MOVE_ON, {"triggers": _uuids(next_at), "times": list(next_at.values())})


def _uuids(ids: Collection[str]) -> list[object]:
    return [to_uuid(id_) for id_ in ids]
