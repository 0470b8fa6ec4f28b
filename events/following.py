"""Read the ledger to its end, once and in order, while many transactions write it: for what the world is told.

Ids come from a sequence and are taken before their transactions commit, so a row may come out after rows with larger
ids. Whoever remembered the largest id seen would miss it. Here a reader goes no further than an id below which nothing
can come out any more, found as follows. The sequence's last value is read first, then who is writing: each transaction
that inserts holds a lock on the ledger's table from before it takes an id until its rows can be seen or never will be.
Once none of those that were writing is left, all ids up to that value are decided. Long transactions that write
elsewhere hold nobody up, and writers neither pay nor wait for any of this.

Needs a sequence without a cache (the default), and transactions at READ COMMITTED (Django's default).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from events.event_types import EventType
from events.models import Event, Follower

MAX_SCANNED = 20_000
"""How many rows, those of other types included, one call looks at."""

_END = "(SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM events_event_id_seq)"

_BEGIN = f"""
INSERT INTO events_follower (name, position, writers) VALUES (%s, {_END}, '{{}}') ON CONFLICT (name) DO NOTHING
"""

_TAKE = f"""
SELECT position, mark, writers, {_END} AS ledger_end FROM events_follower WHERE name = %s FOR UPDATE SKIP LOCKED
"""

_WRITERS = """
SELECT COALESCE(array_agg(DISTINCT virtualtransaction), '{}') FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
  AND relation = 'events_event'::regclass
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True, slots=True)
class Advance:
    """What a call did: rows handed over, and whether there is more than it could take: then call again soon."""

    handled: int
    more: bool


def begin(name: str) -> None:
    """Let a follower begin at the ledger's end, if it has not begun yet. Joins the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, [name])


def advance(
    name: str,
    *,
    types: Collection[EventType] | Callable[[], Collection[EventType]],
    handle: Callable[[Sequence[Event]], None],
    limit: int = 500,
) -> Advance:
    """Hand the next rows of these types, at most `limit` and in order, to `handle`, and move on past them.

    Types that change are given as a function, which is asked once it is known how far the ledger goes: whatever was
    wanted before a row was written is among them.

    One transaction: what `handle` writes is kept if and only if the follower has moved, so each row counts once; what
    it raises leaves both as they were. `handle` is not called where there is nothing. Does nothing while another
    process advances the same follower. A follower that has not begun begins at the ledger's end. Forbids a transaction.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(_TAKE, [name])
        row = cursor.fetchone()
        if row is None:
            # It has not begun, or somebody else holds it.
            begin(name)
            return Advance(0, more=False)
        position, mark, writers, end = row
        if end <= position:
            return Advance(0, more=False)
        cursor.execute(_WRITERS)
        now_writing: list[str] = cursor.fetchone()[0]
        horizon, next_mark, next_writers = _judge(position, mark, writers, end, now_writing)
        rows: Sequence[Event] = ()
        reached = min(horizon, position + MAX_SCANNED)
        if reached > position:
            rows = _rows(position, reached, types() if callable(types) else types, limit)
            if len(rows) == limit:
                reached = rows[-1].pk
        if rows:
            handle(rows)
        changed = {"position": reached, "mark": next_mark, "writers": next_writers}
        if changed != {"position": position, "mark": mark, "writers": writers}:
            Follower.objects.filter(pk=name).update(**changed)
        return Advance(len(rows), more=reached < end)


def _judge(
    position: int, mark: int | None, writers: list[str], end: int, now_writing: list[str]
) -> tuple[int, int | None, list[str]]:
    """The id up to which all is decided, and the mark to wait for next with those who were writing when it was set."""
    if not now_writing:
        return end, None, []
    if mark is None:
        return position, end, now_writing
    # Names of transactions begin anew when the server does; one met again is waited for in vain, but not for long.
    if not set(writers).isdisjoint(now_writing):
        return position, mark, writers
    return mark, end, now_writing


def _rows(after: int, to: int, types: Collection[EventType], limit: int) -> list[Event]:
    chosen: Any = Event.objects.filter(pk__gt=after, pk__lte=to, type__in=list(types))
    return list(chosen.order_by("pk")[:limit])


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a follower is behind the ledger's end: rows it has not dealt with, and the age of the oldest."""

    follower: str
    events: int
    seconds: float


_LAGS = f"""
SELECT follower.name, greatest(ledger.last - follower.position, 0),
       COALESCE(extract(epoch FROM clock_timestamp() - (
           SELECT timestamp FROM events_event WHERE id > follower.position ORDER BY id LIMIT 1)), 0)
FROM events_follower AS follower, (SELECT {_END} AS last) AS ledger ORDER BY follower.name
"""


def lags() -> list[Lag]:
    """Of each follower that has begun; a look at one row for each."""
    with connection.cursor() as cursor:
        cursor.execute(_LAGS)
        return [Lag(name, behind, max(float(seconds), 0.0)) for name, behind, seconds in cursor.fetchall()]
