"""Slots of schedules: zones, changes of the clocks, intervals, and what becomes of those that were missed.

The instants are written by hand, from the zones' published changes in 2025 and 2026.
"""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.schedule import (
    Schedule,
    ScheduleError,
    Skip,
    Step,
    check_cron,
    next_slot,
    plan_step,
    require_slot,
    slots_after,
    slots_between,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def shown(slots: object) -> list[str]:
    return [f"{slot:%Y-%m-%dT%H:%M}" for slot in slots]  # type: ignore[attr-defined]


# Zone, cron, from, and the slots that follow, in UTC: around every change of the clocks in two years.
GOLDEN = [
    # New York: UTC-5, in summer UTC-4; 02:00 -> 03:00 on 9 March 2025 and 8 March 2026, 02:00 -> 01:00 in November.
    ("America/New_York", "30 2 * * *", "2025-03-08T00:00",
     ["2025-03-08T07:30", "2025-03-09T07:00", "2025-03-10T06:30"]),
    ("America/New_York", "30 2 * * *", "2026-03-07T00:00",
     ["2026-03-07T07:30", "2026-03-08T07:00", "2026-03-09T06:30"]),
    ("America/New_York", "15,45 2 * * *", "2025-03-09T00:00",
     ["2025-03-09T07:00", "2025-03-10T06:15", "2025-03-10T06:45"]),
    ("America/New_York", "0 2,3 * * *", "2025-03-09T00:00", ["2025-03-09T07:00", "2025-03-10T06:00"]),
    ("America/New_York", "30 1 * * *", "2025-11-01T00:00",
     ["2025-11-01T05:30", "2025-11-02T05:30", "2025-11-03T06:30"]),
    ("America/New_York", "30 1 * * *", "2026-10-31T00:00",
     ["2026-10-31T05:30", "2026-11-01T05:30", "2026-11-02T06:30"]),
    ("America/New_York", "30 * * * *", "2025-03-09T05:40", ["2025-03-09T06:30", "2025-03-09T07:30"]),
    ("America/New_York", "30 * * * *", "2025-11-02T04:40",
     ["2025-11-02T05:30", "2025-11-02T06:30", "2025-11-02T07:30"]),
    ("America/New_York", "*/30 2 * * *", "2025-03-08T12:00", ["2025-03-10T06:00", "2025-03-10T06:30"]),
    ("America/New_York", "*/30 1 * * *", "2025-11-02T00:00",
     ["2025-11-02T05:00", "2025-11-02T05:30", "2025-11-02T06:00", "2025-11-02T06:30", "2025-11-03T06:00"]),
    # Berlin: UTC+1, in summer UTC+2; at 01:00 UTC on the last Sunday of March and of October.
    ("Europe/Berlin", "30 2 * * *", "2025-03-29T00:00", ["2025-03-29T01:30", "2025-03-30T01:00", "2025-03-31T00:30"]),
    ("Europe/Berlin", "30 2 * * *", "2026-03-28T00:00", ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]),
    ("Europe/Berlin", "30 2 * * *", "2025-10-25T00:00", ["2025-10-25T00:30", "2025-10-26T00:30", "2025-10-27T01:30"]),
    ("Europe/Berlin", "30 2 * * *", "2026-10-24T00:00", ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),
    ("Europe/Berlin", "*/20 * * * *", "2025-10-26T00:30",
     ["2025-10-26T00:40", "2025-10-26T01:00", "2025-10-26T01:20", "2025-10-26T01:40", "2025-10-26T02:00"]),
    ("Europe/Berlin", "0 6 * * 1-5", "2025-03-28T00:00", ["2025-03-28T05:00", "2025-03-31T04:00"]),
    # Lord Howe: UTC+10:30, in summer UTC+11: half an hour; 02:00 -> 02:30 in October, 02:00 -> 01:30 in April.
    ("Australia/Lord_Howe", "15 2 * * *", "2025-10-03T12:00",
     ["2025-10-03T15:45", "2025-10-04T15:30", "2025-10-05T15:15"]),
    ("Australia/Lord_Howe", "15 2 * * *", "2026-10-02T12:00",
     ["2026-10-02T15:45", "2026-10-03T15:30", "2026-10-04T15:15"]),
    ("Australia/Lord_Howe", "45 1 * * *", "2025-04-04T12:00",
     ["2025-04-04T14:45", "2025-04-05T14:45", "2025-04-06T15:15"]),
    ("Australia/Lord_Howe", "45 1 * * *", "2026-04-03T12:00",
     ["2026-04-03T14:45", "2026-04-04T14:45", "2026-04-05T15:15"]),
    ("Australia/Lord_Howe", "*/15 3 * * *", "2025-10-04T12:00",
     ["2025-10-04T16:00", "2025-10-04T16:15", "2025-10-04T16:30", "2025-10-04T16:45", "2025-10-05T16:00"]),
    ("Australia/Lord_Howe", "*/30 2 * * *", "2025-04-05T12:00", ["2025-04-05T15:30", "2025-04-05T16:00"]),
    ("Australia/Lord_Howe", "*/30 * * * *", "2025-10-04T14:40",
     ["2025-10-04T15:00", "2025-10-04T15:30", "2025-10-04T16:00"]),
    # Casablanca: UTC+1, in Ramadan UTC; 03:00 -> 02:00 on 23 February 2025 and 15 February 2026, back on 6 April and
    # on 22 March.
    ("Africa/Casablanca", "30 2 * * *", "2025-02-22T00:00",
     ["2025-02-22T01:30", "2025-02-23T01:30", "2025-02-24T02:30"]),
    ("Africa/Casablanca", "30 2 * * *", "2025-04-05T00:00",
     ["2025-04-05T02:30", "2025-04-06T02:00", "2025-04-07T01:30"]),
    ("Africa/Casablanca", "30 2 * * *", "2026-02-14T00:00",
     ["2026-02-14T01:30", "2026-02-15T01:30", "2026-02-16T02:30"]),
    ("Africa/Casablanca", "30 2 * * *", "2026-03-21T00:00",
     ["2026-03-21T02:30", "2026-03-22T02:00", "2026-03-23T01:30"]),
    # Kolkata and UTC change nothing.
    ("Asia/Kolkata", "30 2 * * *", "2025-03-29T00:00", ["2025-03-29T21:00", "2025-03-30T21:00", "2025-03-31T21:00"]),
    ("Asia/Kolkata", "0 0 1 1 *", "2025-01-01T00:00", ["2025-12-31T18:30", "2026-12-31T18:30"]),
    ("UTC", "30 2 * * *", "2025-03-30T00:00", ["2025-03-30T02:30", "2025-03-31T02:30"]),
    ("UTC", "0 9 29 2 *", "2025-01-01T00:00", ["2028-02-29T09:00"]),
    ("UTC", "0 0 L * *", "2025-01-31T00:00", ["2025-02-28T00:00", "2025-03-31T00:00"]),
    ("UTC", "0 8 * * MON#1", "2025-01-01T00:00", ["2025-01-06T08:00", "2025-02-03T08:00"]),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "cron", "after", "expected"), GOLDEN)
def test_slots_around_every_change_of_the_clocks(zone: str, cron: str, after: str, expected: list[str]) -> None:
    slots = slots_after(Schedule(cron=cron, timezone=zone), at(after))
    assert shown(islice(slots, len(expected))) == expected


# A daily time of day has one slot for each day of two years, whatever the clocks do; their UTC hours, by run length.
TWO_YEARS = {
    "America/New_York": [(67, 7.5), (1, 7), (237, 6.5), (126, 7.5), (1, 7), (237, 6.5), (61, 7.5)],
    "Europe/Berlin": [(88, 1.5), (1, 1), (210, 0.5), (153, 1.5), (1, 1), (210, 0.5), (67, 1.5)],
    "Africa/Casablanca": [(54, 1.5), (41, 2.5), (1, 2), (315, 1.5), (34, 2.5), (1, 2), (284, 1.5)],
    "Asia/Kolkata": [(730, 21)],
    "UTC": [(730, 2.5)],
}


@pytest.mark.parametrize("zone", TWO_YEARS)
def test_a_time_of_day_comes_once_a_day_for_two_years(zone: str) -> None:
    start = at("2025-01-01T00:00") - (timedelta(hours=5.5) if zone == "Asia/Kolkata" else timedelta(0))
    slots = list(slots_between(Schedule(cron="30 2 * * *", timezone=zone), start, start + 730 * DAY))
    runs: list[tuple[int, float]] = []
    for slot in slots:
        hour = slot.hour + slot.minute / 60
        runs = [*runs[:-1], (runs[-1][0] + 1, hour)] if runs and runs[-1][1] == hour else [*runs, (1, hour)]
    assert runs == TWO_YEARS[zone]


def test_lord_howe_has_one_slot_a_day_for_two_years_too() -> None:
    start = at("2024-12-31T12:00")
    slots = list(slots_between(Schedule(cron="15 2 * * *", timezone="Australia/Lord_Howe"), start, start + 730 * DAY))
    assert len(slots) == 730
    assert shown(slot for slot in slots if (slot.hour, slot.minute) == (15, 30)) == [
        "2025-10-04T15:30", "2026-10-03T15:30",
    ]  # fmt: skip


@given(
    zone=st.sampled_from(["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca"]),
    cron=st.sampled_from(
        ["* * * * *", "*/7 * * * *", "15,45 2 * * *", "*/10 1-3 * * *", "0-59 1 * * *", "30 */2 * * *"]
    ),
    offset=st.integers(0, 730 * 24 * 60),
)
def test_slots_grow_and_do_not_depend_on_where_one_begins_to_look(zone: str, cron: str, offset: int) -> None:
    schedule = Schedule(cron=cron, timezone=zone)
    slots = list(islice(slots_after(schedule, at("2025-01-01T00:00") + timedelta(minutes=offset)), 40))
    assert slots == sorted(set(slots))
    assert [next_slot(schedule, slot) for slot in slots[:-1]] == slots[1:]
    assert all(next_slot(schedule, slot - timedelta(seconds=1)) == slot for slot in slots)


def test_an_interval_counts_from_its_anchor_in_real_time() -> None:
    schedule = Schedule(interval_seconds=3600, timezone="Europe/Berlin", anchor_at=at("2025-03-30T00:10"))
    assert shown(islice(slots_after(schedule, at("2025-03-30T00:10")), 3)) == [
        "2025-03-30T01:10", "2025-03-30T02:10", "2025-03-30T03:10",
    ]  # fmt: skip
    assert next_slot(schedule, at("2025-03-29T23:10")) == at("2025-03-30T00:10")


@pytest.mark.parametrize(
    "cron",
    ["* * * *", "0 * * * * *", "60 * * * *", "* 24 * * *", "0 0 32 1 *", "0 0 * 13 *", "*/0 * * * *", "@daily", "",
     "5/L * * * *", "a b c d e", "0 0 ? * *"],
)  # fmt: skip
def test_what_is_not_five_cron_fields_is_refused(cron: str) -> None:
    with pytest.raises(ScheduleError):
        check_cron(cron)


@pytest.mark.parametrize("cron", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30 FEB */2"])
def test_a_day_that_never_comes_is_cron_and_has_no_slot(cron: str) -> None:
    check_cron(cron)
    assert next_slot(Schedule(cron=cron), at("2025-01-01T00:00")) is None
    with pytest.raises(ScheduleError, match="no date ever fits"):
        require_slot(Schedule(cron=cron), at("2025-01-01T00:00"))


# What becomes of missed slots. The schedule is hourly; its first open slot is 01:00.
HOURLY = Schedule(cron="0 * * * *")
FIRST = at("2025-01-01T01:00")


def test_a_slot_that_is_not_due_is_left() -> None:
    assert plan_step(HOURLY, FIRST, at("2025-01-01T00:59"), "all", DAY) == Step((), None, FIRST)


@pytest.mark.parametrize("catchup", ["none", "latest", "all"])
def test_a_slot_on_time_is_started_under_every_policy(catchup: str) -> None:
    now = FIRST + timedelta(seconds=9)
    assert plan_step(HOURLY, FIRST, now, catchup, DAY) == Step((), FIRST, FIRST + HOUR)


def test_none_starts_no_missed_slot_and_tells_of_all() -> None:
    skip = Skip("missed", FIRST, FIRST + 9 * HOUR, 10)
    step = plan_step(HOURLY, FIRST, FIRST + 9.5 * HOUR, "none", DAY)
    assert step == Step((skip,), None, FIRST + 10 * HOUR)


def test_none_starts_the_slot_that_is_on_time_after_missed_ones() -> None:
    skip = Skip("missed", FIRST, FIRST + HOUR, 2)
    step = plan_step(HOURLY, FIRST, FIRST + 2 * HOUR, "none", DAY)
    assert step == Step((skip,), FIRST + 2 * HOUR, FIRST + 3 * HOUR)


def test_latest_starts_the_last_missed_slot_alone() -> None:
    skip = Skip("superseded", FIRST, FIRST + 8 * HOUR, 9)
    step = plan_step(HOURLY, FIRST, FIRST + 9.5 * HOUR, "latest", DAY)
    assert step == Step((skip,), FIRST + 9 * HOUR, FIRST + 10 * HOUR)


def test_all_starts_the_first_missed_slot_and_comes_back_for_the_next() -> None:
    step = plan_step(HOURLY, FIRST, FIRST + 9.5 * HOUR, "all", DAY)
    assert step == Step((), FIRST, FIRST + HOUR)


@pytest.mark.parametrize(("catchup", "slot"), [("latest", FIRST + 9 * HOUR), ("all", FIRST + 8 * HOUR)])
def test_what_is_older_than_the_window_is_never_started(catchup: str, slot: datetime) -> None:
    step = plan_step(HOURLY, FIRST, FIRST + 9.5 * HOUR, catchup, 2 * HOUR)
    assert step.skips[0] == Skip("catchup_window_passed", FIRST, FIRST + 7 * HOUR, 8)
    assert step.slot == slot


def test_nothing_in_the_window_starts_nothing() -> None:
    daily = Schedule(cron="0 1 * * *")
    step = plan_step(daily, FIRST, FIRST + 5 * HOUR, "latest", 2 * HOUR)
    assert step == Step((Skip("catchup_window_passed", FIRST, FIRST, 1),), None, FIRST + DAY)


@pytest.mark.parametrize("schedule", [Schedule(cron="* * * * *"), Schedule(interval_seconds=60, anchor_at=FIRST)])
def test_a_year_of_minutes_is_not_counted_one_by_one(schedule: Schedule) -> None:
    step = plan_step(schedule, FIRST, FIRST + 365 * DAY + timedelta(seconds=30), "latest", 2 * HOUR)
    assert step.skips[0] == Skip("catchup_window_passed", FIRST, FIRST + 365 * DAY - 2 * HOUR, 1000, more=True)
    assert step.slot == FIRST + 365 * DAY
    assert step.next_at == FIRST + 365 * DAY + timedelta(minutes=1)


def test_a_rare_date_far_back_is_found() -> None:
    rare = Schedule(cron="0 9 29 2 *")
    step = plan_step(rare, at("2020-02-29T09:00"), at("2025-01-01T00:00"), "latest", 3650 * DAY)
    assert step.slot == at("2024-02-29T09:00")
    assert step.skips == (Skip("superseded", at("2020-02-29T09:00"), at("2020-02-29T09:00"), 1),)


def test_the_first_slot_of_a_schedule_that_fires() -> None:
    assert require_slot(HOURLY, FIRST) == FIRST + HOUR


@pytest.mark.parametrize("cron", ["0 9 * * *", "* * * * *"])
def test_a_zone_that_is_gone_is_named(cron: str) -> None:
    with pytest.raises(ScheduleError, match="no time zone Gone/Zone any more"):
        plan_step(Schedule(cron=cron, timezone="Gone/Zone"), FIRST, FIRST + HOUR, "latest", DAY)


def test_a_clock_on_the_wall_that_never_shows_it_has_no_slot() -> None:
    assert next_slot(Schedule(cron="* * 30 2 *", timezone="Europe/Berlin"), FIRST) is None


def test_one_missed_slot_supersedes_none() -> None:
    assert plan_step(HOURLY, FIRST, FIRST + HOUR / 2, "latest", DAY) == Step((), FIRST, FIRST + HOUR)


def test_a_date_of_28_years_is_found_at_its_last_time() -> None:
    # 29 February on a Sunday.
    rare = Schedule(cron="0 0 29 2 */7")
    first, now = at("2004-02-29T00:00"), at("2031-01-01T00:00")
    step = plan_step(rare, first, now, "latest", 12_000 * DAY)
    assert step == Step((), first, at("2032-02-29T00:00"))
