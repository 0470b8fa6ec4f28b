"""Counting executions in advance: days of which none will change are counted once, so that counts need not read them.

A day is sealed once it is over and every execution made on it, or before it, has ended. Deletes subtract, and what is
inserted into a sealed day unseals all: triggers see to both, and take the state's row as `seal` does, so that a count
is exact in every snapshot.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from core.ids import first_id, to_uuid
from core.times import midnight
from executions.transitions.statements import fetch_all, fetch_one

# A migration makes it; again where tables have been emptied, for nobody deletes from those meanwhile.
_MAKE_STATE = "INSERT INTO executions_tallystate (id, sealed_until) VALUES (1, NULL) ON CONFLICT DO NOTHING"
_LOCK_STATE = "SELECT id FROM executions_tallystate FOR UPDATE"

# Each by the index of statuses; the first made, of all.
_OLDEST = """
SELECT (SELECT id FROM executions_execution ORDER BY id LIMIT 1) AS first,
       LEAST((SELECT id FROM executions_execution WHERE status = 'pending' ORDER BY id LIMIT 1),
             (SELECT id FROM executions_execution WHERE status = 'queued' ORDER BY id LIMIT 1),
             (SELECT id FROM executions_execution WHERE status = 'running' ORDER BY id LIMIT 1)) AS unfinished
"""

_SEAL = """
WITH sealed AS MATERIALIZED (
    SELECT workflow_id, status, started_at FROM executions_execution
    WHERE id >= executions_first_id(%(day)s::date) AND id < executions_first_id(%(day)s::date + 1)
), counted AS (
    SELECT 'made' AS kind, %(day)s::date AS day, status, count(*) AS count FROM sealed GROUP BY status
    UNION ALL
    SELECT 'started', (started_at AT TIME ZONE 'UTC')::date AS day, status, count(*) FROM sealed
    WHERE started_at IS NOT NULL GROUP BY 2, 3
), of_workflows AS (
    INSERT INTO workflows_workflowtally AS tally (workflow_id, completed, failed, cancelled, counted_until)
    SELECT workflow_id, count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
           count(*) FILTER (WHERE status = 'cancelled'), %(day)s::date + 1
    FROM sealed GROUP BY workflow_id
    ON CONFLICT (workflow_id) DO UPDATE SET
        completed = tally.completed + excluded.completed, failed = tally.failed + excluded.failed,
        cancelled = tally.cancelled + excluded.cancelled, counted_until = excluded.counted_until
)
INSERT INTO executions_executiontally AS tally (kind, day, status, count)
SELECT kind, day, status, count FROM counted
ON CONFLICT (kind, day, status) DO UPDATE SET count = tally.count + excluded.count
"""

_DAY = timedelta(days=1)
_SET_STATE = "UPDATE executions_tallystate SET sealed_until = %(until)s"


def seal(today: date, limit: int) -> int:
    """Count up to `limit` days more, the oldest first; how many. The last day before `today` waits one more.

    Needs a transaction. By then whatever was inserting into a day has long committed.
    """
    assert connection.in_atomic_block
    if not _to_seal(today, limit):
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_STATE)
        cursor.execute(_LOCK_STATE)
        # Again, as it is now that nobody deletes and nobody else seals.
        days = _to_seal(today, limit)
        for day in days:
            cursor.execute(_SEAL, {"day": day})
        if days:
            cursor.execute(_SET_STATE, {"until": days[-1] + _DAY})
    return len(days)


def _to_seal(today: date, limit: int) -> list[date]:
    """The days that can be sealed now."""
    end = today - _DAY
    day = sealed_until()
    if day is not None and day >= end:
        return []
    row = fetch_one(_OLDEST, {})
    assert row is not None
    if row["first"] is None:
        return []
    if row["unfinished"] is not None:
        end = min(end, _day_of(row["unfinished"].int))
    day = day or _day_of(row["first"].int)
    return [day + number * _DAY for number in range(min((end - day).days, limit))]


def _day_of(id_number: int) -> date:
    # The first 48 bits of a UUIDv7 are milliseconds (RFC 9562 §5.7).
    return date(1970, 1, 1) + (id_number >> 80) // 86_400_000 * _DAY


class DayCount(NamedTuple):
    """Executions made, or started, on a day; without a day, those since the last sealed one."""

    day: date | None
    executions: int


def sealed_until() -> date | None:
    """The day up to which, and without which, all are counted."""
    row = fetch_one("SELECT sealed_until FROM executions_tallystate", {})
    return None if row is None else row["sealed_until"]


# The state is read in the same snapshot: whoever reads it before must see whether it has changed.
_MADE = """
SELECT (SELECT sealed_until FROM executions_tallystate) AS until, NULL::date AS day, count(*) AS count
FROM executions_execution WHERE id >= %(first)s {status}
UNION ALL
(SELECT (SELECT sealed_until FROM executions_tallystate), day, sum(count)::bigint FROM executions_executiontally
 WHERE kind = 'made' AND day < %(until)s {status} GROUP BY day ORDER BY day DESC)
"""
# Since the last sealed day; the days of both ends, which the range may cut; what was counted between them; and what a
# clock that is ahead of PostgreSQL's made after the last sealed day and PostgreSQL started before.
_STARTED = """
WITH range AS (
    SELECT %(start)s::timestamptz AS first, %(end)s::timestamptz AS last,
           %(start)s::date AS first_day, %(end)s::date AS last_day, LEAST(%(end)s::date, %(until)s) AS stop
), found AS (
    SELECT NULL::date AS day, count(*) AS count FROM range, executions_execution
    WHERE started_at >= GREATEST(first, %(until)s::date AT TIME ZONE 'UTC') AND started_at <= last {status}
    UNION ALL
    SELECT last_day, count(*) FROM range, executions_execution
    WHERE last_day < %(until)s AND started_at >= GREATEST(first, last_day AT TIME ZONE 'UTC') AND started_at <= last
      AND id < %(first)s {status} GROUP BY last_day
    UNION ALL
    SELECT first_day, count(*) FROM range, executions_execution
    WHERE first_day < stop AND started_at >= first AND started_at < (first_day + 1) AT TIME ZONE 'UTC'
      AND id < %(first)s {status} GROUP BY first_day
    UNION ALL
    SELECT day, sum(count)::bigint FROM range, executions_executiontally
    WHERE kind = 'started' AND day > first_day AND day < stop {status} GROUP BY day
    UNION ALL
    SELECT (started_at AT TIME ZONE 'UTC')::date, count(*) FROM range, executions_execution
    WHERE id >= %(first)s AND started_at < %(until)s::date AT TIME ZONE 'UTC' AND started_at >= first
      AND started_at <= last {status} GROUP BY 1
)
SELECT (SELECT sealed_until FROM executions_tallystate) AS until, day, sum(count)::bigint AS count
FROM found GROUP BY day ORDER BY day DESC NULLS FIRST
"""
_STATUS = "AND status = %(status)s"
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, tzinfo=UTC)


def made(status: str | None = None) -> list[DayCount] | None:
    """All executions (of a status) by the day they were made, the newest first; None if nothing is sealed."""
    until = sealed_until()
    if until is None:
        return None
    sql = _MADE.format(status=_STATUS if status else "")
    rows = fetch_all(sql, {"until": until, "first": _first_uuid(until), "status": status})
    return [DayCount(row["day"], row["count"]) for row in rows] if rows[0]["until"] == until else None


def started(start: datetime | None, end: datetime | None, status: str | None = None) -> list[DayCount] | None:
    """Executions (of a status) by the day they started, in the range, both ends included; None if nothing is sealed.

    The newest first; what started after the last sealed day is one, without a day.
    """
    until = sealed_until()
    if until is None:
        return None
    sql = _STARTED.format(status=_STATUS if status else "")
    parameters = {"start": start or _EARLIEST, "end": end or _LATEST, "status": status, "until": until}
    rows = fetch_all(sql, {**parameters, "first": _first_uuid(until)})
    return [DayCount(row["day"], row["count"]) for row in rows] if rows[0]["until"] == until else None


def _first_uuid(day: date) -> UUID:
    return to_uuid(first_id(midnight(day)))


_OF_WORKFLOWS = """
SELECT (SELECT sealed_until FROM executions_tallystate) AS until,
       (SELECT COALESCE(sum({columns}), 0)::bigint FROM workflows_workflowtally WHERE workflow_id IN (
            SELECT id FROM workflows_workflow WHERE created_by_id = %(owner)s
            UNION ALL SELECT unnest(%(others)s::uuid[])))
     + (SELECT count(*) FROM executions_execution WHERE workflow_owner_id = %(owner)s AND id >= %(first)s {status})
     + (SELECT count(*) FROM executions_execution WHERE workflow_id = ANY(%(others)s::uuid[]) AND id >= %(first)s
        {status}) AS count
"""
_ENDS = ("completed", "failed", "cancelled")


def of_workflows(owner_id: str, others: Collection[str], status: str | None = None) -> int | None:
    """How many executions (of a status) an owner's workflows and `others`, not theirs, have; None if none is sealed."""
    until = sealed_until()
    if until is None:
        return None
    # What is sealed has ended.
    columns = " + ".join(_ENDS) if status is None else status if status in _ENDS else "0"
    sql = _OF_WORKFLOWS.format(columns=columns, status=_STATUS if status else "")
    parameters = {"owner": to_uuid(owner_id), "others": [to_uuid(id_) for id_ in others], "status": status}
    row = fetch_one(sql, {**parameters, "first": _first_uuid(until)})
    assert row is not None
    return int(row["count"]) if row["until"] == until else None
