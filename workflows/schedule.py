"""PURE: which instants a schedule names: cron fields in a time zone, or every so many seconds; and which are missed.

Slots are aware UTC datetimes of whole seconds. What a change of the clocks does to them is published in
docs/triggers.md, and follows Debian's cron: a time of day in the hour that is skipped comes once, at the first
instant after the gap; one in the hour that is repeated comes once, the first time. Cron fields whose minute or hour
begins with `*` name no time of day: they follow the clock on the wall, which shows no skipped hour and shows a
repeated one twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

# How late a slot may be and still count as on time: a busy machine is no outage.
GRACE = timedelta(seconds=10)
# Skipped slots are counted one by one, so far.
MAX_COUNTED = 1000
# No zone changes its clocks twice within this time.
_STEP = timedelta(days=1)
_LOOK_BACK = (timedelta(hours=2), timedelta(days=2), timedelta(days=62), timedelta(days=800), timedelta(days=3700))
# Without a zone, as the calendar is that cron fields are read in.
_ANY_DAY = datetime(2000, 1, 1)


class ScheduleError(ValueError):
    """The fields cannot be read as cron's, or name no instant, or their zone is gone; the message says which."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Five cron fields in an IANA time zone or, without them, every `interval_seconds` from `anchor_at` on."""

    cron: str | None = None
    interval_seconds: int | None = None
    timezone: str = "UTC"
    anchor_at: datetime | None = None


def check_cron(cron: str) -> None:
    """Raises ScheduleError for what is not five cron fields. What never comes, 30 February say, passes."""
    fields = cron.split()
    if len(fields) != 5:
        raise ScheduleError("expected five fields: minute, hour, day, month, weekday")
    # Of days that no month has, the library says that they are no days: any month's is asked for.
    anytime = [*fields[:3], "*", fields[4]]
    for given in (anytime, [*anytime[:2], "*", fields[3], fields[4]]):
        try:
            CronSim(" ".join(given), _ANY_DAY)
        except (CronSimError, AssertionError) as error:
            raise ScheduleError(f"not a cron expression: {str(error) or 'bad field'}".lower()) from None


def require_slot(schedule: Schedule, after: datetime) -> datetime:
    """The first slot. Raises ScheduleError where there is none, however long one waits."""
    first = next_slot(schedule, after)
    if first is None:
        raise ScheduleError("no date ever fits these fields")
    return first


def next_slot(schedule: Schedule, after: datetime) -> datetime | None:
    """The first slot later than `after`; None if there is none in the next 50 years."""
    return next(slots_after(schedule, after), None)


def slots_after(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """All slots later than `after`, in order, each once. Raises ScheduleError."""
    if schedule.cron is None:
        return _interval_slots(schedule, after)
    fields = schedule.cron.split()
    try:
        zone = ZoneInfo(schedule.timezone)
    except ZoneInfoNotFoundError:
        # It was there when the workflow was activated.
        raise ScheduleError(f"there is no time zone {schedule.timezone} any more") from None
    if fields[0].startswith("*") or fields[1].startswith("*"):
        return _wall_slots(schedule.cron, zone, after)
    return _fixed_slots(schedule.cron, zone, after)


def slots_between(schedule: Schedule, start: datetime, end: datetime) -> Iterator[datetime]:
    """The slots from `start` to `end`, both included."""
    return takewhile(lambda slot: slot <= end, slots_after(schedule, start - timedelta(microseconds=1)))


def _interval_slots(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    assert schedule.interval_seconds is not None, "a schedule has one of both"
    assert schedule.anchor_at is not None, "an interval counts from somewhere"
    interval = timedelta(seconds=schedule.interval_seconds)
    number = (after - schedule.anchor_at) // interval + 1
    while True:
        yield schedule.anchor_at + number * interval
        number += 1


def _times(cron: str, start: datetime) -> Iterator[datetime]:
    """The times on a clock without a zone that the fields name, later than `start`."""
    try:
        times = CronSim(cron, start)
    except CronSimError:
        return
    yield from times


def _fixed_slots(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Times of day: each at its first occurrence, a skipped one at the end of the gap; several may meet there."""
    latest = after
    for time in _times(cron, after.astimezone(zone).replace(tzinfo=None)):
        slot = _first_instant(time, zone)
        if slot > latest:
            latest = slot
            yield slot


def _first_instant(time: datetime, zone: ZoneInfo) -> datetime:
    slot = time.replace(tzinfo=zone).astimezone(UTC)
    if slot.astimezone(zone).replace(tzinfo=None) == time:
        return slot
    # Skipped: read with the offset before the gap it lies behind it, with the one after the gap before it.
    change = _next_change(time.replace(tzinfo=zone, fold=1).astimezone(UTC) - timedelta(seconds=1), slot, zone)
    assert change is not None, "time is skipped by a change of the clocks alone"
    return change


def _wall_slots(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """What the clock on the wall shows, as long as it goes evenly; then from the change on, as it goes then."""
    while True:
        offset = _offset(after, zone)
        begun = (after + offset).replace(tzinfo=None)
        for time in _times(cron, begun):
            slot = time.replace(tzinfo=UTC) - offset
            change = _next_change(after, slot, zone)
            if change is not None:
                # One at the change itself is shown by the clock as it goes from then on.
                after = change - timedelta(microseconds=1)
                yield from _at(cron, zone, change)
                after = change
                break
            after = slot
            yield slot
        else:
            return


def _at(cron: str, zone: ZoneInfo, change: datetime) -> Iterator[datetime]:
    """The change of the clocks itself, if the fields name what the clock shows then."""
    shown = (change + _offset(change, zone)).replace(tzinfo=None)
    if next(_times(cron, shown - timedelta(seconds=1)), None) == shown:
        yield change


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None, "a zone always has one"
    return offset


def _next_change(after: datetime, until: datetime, zone: ZoneInfo) -> datetime | None:
    """When the clocks first change later than `after` and not later than `until`."""
    low = after
    while low < until:
        high = min(low + _STEP, until)
        if _offset(low, zone) != _offset(high, zone):
            return _change_between(low, high, zone)
        low = high
    return None


def _change_between(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    before = _offset(low, zone)
    first, last = int(low.timestamp()), -int(-high.timestamp() // 1)
    while last - first > 1:
        middle = (first + last) // 2
        if _offset(datetime.fromtimestamp(middle, UTC), zone) == before:
            first = middle
        else:
            last = middle
    return datetime.fromtimestamp(last, UTC)


@dataclass(frozen=True, slots=True)
class Skip:
    """Slots that are not started, `count` of them from `first` to `last`; `more` where they were not all counted."""

    reason: str
    first: datetime
    last: datetime
    count: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done now: tell of what is skipped, start one slot or none, and look again at `next_at`."""

    skips: tuple[Skip, ...]
    slot: datetime | None
    next_at: datetime | None


def plan_step(schedule: Schedule, next_at: datetime, now: datetime, catchup: str, window: timedelta) -> Step:
    """What a schedule whose first open slot is `next_at` does at `now`, one start at most.

    A slot later than GRACE is missed, and `catchup` says what becomes of it: `none`, nothing; `latest`, only the
    last one missed is started; `all`, all are, one after another. Those older than `window` never are.
    """
    if next_at > now:
        return Step((), None, next_at)
    missed, lost = now - GRACE, now - max(window, GRACE)
    skips: list[Skip] = []
    open_at: datetime | None = next_at
    if open_at is not None and open_at < lost:
        skips.append(skipped(schedule, open_at, lost, "missed" if catchup == "none" else "catchup_window_passed"))
        open_at = next_slot(schedule, skips[-1].last)
    if catchup != "all" and open_at is not None and open_at < missed:
        last = last_slot_before(schedule, missed, open_at)
        if catchup == "none":
            skips.append(skipped(schedule, open_at, missed, "missed"))
            open_at = next_slot(schedule, last)
        elif open_at < last:
            skips.append(skipped(schedule, open_at, last, "superseded"))
            open_at = last
    if open_at is None or open_at > now:
        return Step(tuple(skips), None, open_at)
    return Step(tuple(skips), open_at, next_slot(schedule, open_at))


def skipped(schedule: Schedule, first: datetime, before: datetime, reason: str) -> Skip:
    """The slots from `first`, which is one, to before `before`."""
    found = [first, *islice(takewhile(lambda slot: slot < before, slots_after(schedule, first)), MAX_COUNTED)]
    if len(found) <= MAX_COUNTED:
        return Skip(reason, first, found[-1], len(found))
    return Skip(reason, first, last_slot_before(schedule, before, first), MAX_COUNTED, more=True)


def last_slot_before(schedule: Schedule, moment: datetime, first: datetime) -> datetime:
    """The last slot before `moment`; there is one, `first`."""
    if schedule.cron is None:
        assert schedule.interval_seconds is not None, "a schedule has one of both"
        interval = timedelta(seconds=schedule.interval_seconds)
        return first + (moment - first - timedelta(microseconds=1)) // interval * interval
    for back in _LOOK_BACK:
        start = max(moment - back, first)
        last = None
        for slot in takewhile(lambda slot: slot < moment, slots_after(schedule, start - timedelta(seconds=1))):
            last = slot
        if last is not None:
            return last
    return first
