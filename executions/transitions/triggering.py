"""The moves of schedules: which are due, whose turn it is to fire one, and the slot that is started but once."""

from datetime import datetime

from django.db import connection

from core.ids import from_uuid, to_uuid
from executions.transitions.statements import fetch_all

_DUE = """
SELECT id FROM workflows_trigger
WHERE live AND paused_at IS NULL AND next_at <= clock_timestamp()
ORDER BY next_at, id LIMIT %(limit)s
"""

# A lock on the trigger's id before any on a row, since workflow and account are locked before the trigger's row: of
# two that fire the same one the second goes on to the next at once. And no row is waited for longer than this, so
# that a workflow which somebody holds (to delete it, say) keeps no other from its time.
_CLAIM = """
SELECT set_config('lock_timeout', %(patience)s, true),
       pg_try_advisory_xact_lock(hashtextextended(%(trigger)s::text, 1)) AS claimed
"""
_PATIENCE = "100ms"

_TAKE_SLOT = """
INSERT INTO workflows_slot (trigger_id, slot_at, execution_id)
VALUES (%(trigger)s, %(slot_at)s, %(execution)s)
ON CONFLICT (trigger_id, slot_at) DO NOTHING RETURNING id
"""


def due(limit: int) -> list[str]:
    """The schedules that have a slot to be seen to, the longest overdue first."""
    return [from_uuid(row["id"]) for row in fetch_all(_DUE, {"limit": limit})]


def claim(trigger_id: str) -> bool:
    """Whether nobody else is at this trigger; then nobody is until the transaction ends. Locks wait 100 ms then."""
    assert connection.in_atomic_block
    rows = fetch_all(_CLAIM, {"trigger": to_uuid(trigger_id), "patience": _PATIENCE})
    return bool(rows[0]["claimed"])


def take_slot(trigger_id: str, slot_at: datetime, execution_id: str) -> bool:
    """The slot is this execution's; false if it has been another's. Needs the transaction that starts it."""
    assert connection.in_atomic_block
    parameters = {"trigger": to_uuid(trigger_id), "slot_at": slot_at, "execution": to_uuid(execution_id)}
    return bool(fetch_all(_TAKE_SLOT, parameters))
