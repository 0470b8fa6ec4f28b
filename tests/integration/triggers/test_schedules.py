"""Schedules fire each slot once, tell of each that they skip, and hold each other up in nothing (G10, G12)."""

import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import InternalError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts.models import AuditEntry, User
from accounts.secret_store import create_secret
from core.errors import ConflictError
from core.times import iso
from executions import maintenance, schedule_actions, triggers
from executions.models import Execution
from executions.services import StartRequest, start_execution
from tests.api import Api
from tests.eventually import eventually
from tests.integration.executions.conftest import Doorbells
from tests.integration.triggers.conftest import (
    database_now,
    move_back,
    reasons,
    schedule,
    set_status,
    skips,
    started_by,
)
from tests.read_only import read_only
from workflows.models import Slot, Trigger, Workflow
from workflows.services import delete_workflow, update_workflow

pytestmark = pytest.mark.django_db(transaction=True)
Live = Callable[..., Trigger]


def fire() -> int:
    return triggers.fire_due()


def slots(trigger: Trigger) -> list[object]:
    return list(Slot.objects.filter(trigger=trigger).order_by("slot_at").values_list("slot_at", flat=True))


def test_nothing_fires_before_its_time(live_schedule: Live) -> None:
    live_schedule()
    assert fire() == 0
    assert not Execution.objects.exists()


def test_a_due_slot_is_started_once_as_the_owner_and_says_what_started_it(
    live_schedule: Live, doorbells: Doorbells, alice: User
) -> None:
    trigger = live_schedule(parameters={"size": 3})
    slot = move_back(trigger, 61)
    assert fire() == 1
    assert fire() == 0
    doorbells.work()
    execution = Execution.objects.get()
    assert execution.trigger == {
        "type": "schedule", "schedule_id": trigger.pk, "component_id": "begin", "slot_at": iso(slot),
    }  # fmt: skip
    assert (execution.created_by_id, execution.parameters) == (alice.pk, {"size": 3})
    assert (execution.status, execution.results) == ("completed", {"size": 3})
    assert Slot.objects.values_list("trigger_id", "slot_at", "execution_id").get() == (
        trigger.pk, slot, execution.pk,
    )  # fmt: skip
    assert Trigger.objects.get().next_at == slot + timedelta(seconds=60)
    assert skips(trigger) == []
    entry = AuditEntry.objects.get(action="execution.started")
    assert (entry.object_id, entry.details["trigger"], entry.actor) == (execution.pk, "schedule", "")


def test_the_sweep_of_the_workers_fires_where_no_beat_ticks(live_schedule: Live) -> None:
    """F12: what beat does, every worker's keeper does too."""
    move_back(live_schedule(), 61)
    assert "fire_schedules" in maintenance.SWEEPS
    maintenance.sweep()
    assert Execution.objects.count() == 1


def test_five_at_once_start_each_slot_once(live_schedule: Live, alice: User) -> None:
    """F13: any number of beats, ticking at one moment."""
    due = [live_schedule(overlap="allow", catchup="all") for _ in range(6)]
    firsts = [move_back(trigger, 60 * 4 + 1) for trigger in due]
    gate = threading.Barrier(5)
    failures: list[BaseException] = []

    def tick() -> None:
        try:
            gate.wait()
            for _ in range(5):
                fire()
        except BaseException as error:  # a thread's failure is the test's
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=tick) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    while fire():
        pass
    for trigger, first in zip(due, firsts, strict=True):
        assert slots(trigger) == [first + timedelta(seconds=60 * number) for number in range(4)]
    assert Execution.objects.count() == 24


def test_without_the_key_of_the_slot_it_would_be_started_twice(live_schedule: Live) -> None:
    """The key is what holds: a schedule whose `next_at` was set back starts nothing that was started."""
    trigger = live_schedule(overlap="allow")
    slot = move_back(trigger, 61)
    fire()
    Trigger.objects.update(next_at=slot)
    assert fire() == 1
    assert Execution.objects.count() == 1
    assert Trigger.objects.get().next_at == slot + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("catchup", "started", "told"),
    [("none", 0, [("missed", 10)]), ("latest", 1, [("superseded", 9)]), ("all", 10, [])],
)
def test_ten_slots_that_nothing_fired_are_made_up_for_as_the_policy_says(
    live_schedule: Live, catchup: str, started: int, told: list[tuple[str, int]]
) -> None:
    trigger = live_schedule(overlap="allow", catchup=catchup)
    move_back(trigger, 60 * 10 + 30)
    while fire():
        pass
    assert Execution.objects.count() == started
    assert reasons(trigger) == told


def test_what_is_older_than_the_window_is_told_of(live_schedule: Live) -> None:
    trigger = live_schedule(overlap="allow", catchup="all", catchup_window_seconds=120)
    first = move_back(trigger, 60 * 10 + 30)
    while fire():
        pass
    assert reasons(trigger) == [("catchup_window_passed", 8)]
    (data,) = skips(trigger)
    assert (data["first_slot_at"], data["counted_all"]) == (iso(first), True)
    assert Execution.objects.count() == 2


def test_skip_passes_over_a_slot_while_the_execution_before_runs(live_schedule: Live, doorbells: Doorbells) -> None:
    trigger = live_schedule(overlap="skip")
    move_back(trigger, 66)
    fire()
    slot = move_back(trigger, 59)
    fire()
    assert Execution.objects.count() == 1
    (data,) = skips(trigger)
    assert (data["reason"], data["first_slot_at"], data["count"]) == ("overlap", iso(slot), 1)
    doorbells.work()
    move_back(trigger, 58)
    fire()
    assert Execution.objects.count() == 2


def test_an_execution_by_hand_is_no_overlap(live_schedule: Live, alice: User) -> None:
    trigger = live_schedule(overlap="skip")
    start_execution(workflow=trigger.workflow, user=alice, request=StartRequest())
    move_back(trigger, 61)
    fire()
    assert Slot.objects.count() == 1


def test_queue_lets_each_wait_for_the_one_before(live_schedule: Live, doorbells: Doorbells) -> None:
    trigger = live_schedule(overlap="queue", catchup="all")
    move_back(trigger, 60 * 3 + 1)
    while fire():
        pass
    admitted = Execution.objects.filter(admitted_at__isnull=False)
    assert (Execution.objects.count(), admitted.count()) == (3, 1)
    doorbells.work()
    maintenance.sweep()
    doorbells.work()
    maintenance.sweep()
    doorbells.work()
    assert Execution.objects.filter(status="completed").count() == 3
    ended = Execution.objects.order_by("admitted_at")
    assert all(a.completed_at <= b.admitted_at for a, b in itertools.pairwise(ended))  # type: ignore[operator]


def test_allow_starts_beside_the_one_before(live_schedule: Live) -> None:
    trigger = live_schedule(overlap="allow")
    move_back(trigger, 66)
    fire()
    move_back(trigger, 59)
    fire()
    assert Execution.objects.filter(admitted_at__isnull=False).count() == 2


def test_the_workflow_s_own_concurrency_refuses_a_slot_by_name(alice: User) -> None:
    definition = {
        "components": [{"id": "begin", "type": "start",
                        "config": {"trigger_type": "schedule", "interval_seconds": 60, "overlap": "allow"}}],
        "settings": {"concurrency": {"limit": 1, "key": "one", "strategy": "skip"}},
    }  # fmt: skip
    trigger = schedule(alice)
    update_workflow(workflow=trigger.workflow, user=alice, changes={"definition": definition})
    trigger = Trigger.objects.get()
    move_back(trigger, 66)
    fire()
    move_back(trigger, 59)
    fire()
    assert reasons(trigger) == [("concurrency", 1)]
    assert Slot.objects.count() == 1


def test_parameters_that_fit_no_more_are_told_with_the_reason_and_the_next_slot_waits(
    live_schedule: Live, alice: User
) -> None:
    trigger = live_schedule(parameters={"size": 3})
    definition = trigger.workflow.versions.get().definition
    needy = {**definition, "parameters": [{"name": "size", "type": "string", "required": True}]}
    update_workflow(workflow=trigger.workflow, user=alice, changes={"definition": needy})
    slot = move_back(trigger, 61)
    assert fire() == 1
    assert not Execution.objects.exists()
    (data,) = skips(trigger)
    assert data["reason"] == "refused"
    assert data["message"] == "Invalid parameters"
    assert data["problems"] == [{"field": "parameters.size", "message": "Parameter size must be text"}]
    assert Trigger.objects.get().next_at == slot + timedelta(seconds=60)


def test_an_owner_whose_account_was_closed_starts_nothing(live_schedule: Live, alice: User) -> None:
    trigger = live_schedule()
    User.objects.filter(pk=alice.pk).update(is_active=False)
    move_back(trigger, 61)
    fire()
    assert reasons(trigger) == [("owner_inactive", 1)]
    assert not Execution.objects.exists()


def test_a_schedule_that_fails_is_passed_over_and_holds_no_other_up(
    live_schedule: Live, caplog: pytest.LogCaptureFixture
) -> None:
    broken, good = live_schedule(), live_schedule()
    move_back(broken, 200)
    move_back(good, 61)
    Trigger.objects.filter(pk=broken.pk).update(
        config={**broken.config, "timezone": "Mars/Olympus", "cron": "* * * * *"}
    )
    assert fire() == 2
    assert Slot.objects.get().trigger_id == good.pk
    assert (reasons(broken), reasons(good)) == ([("error", 1)], [])
    assert "Schedule is stuck" in caplog.text


def hourly() -> str:
    """A cron half an hour away, so that no slot of it comes to pass in a test."""
    return f"{(datetime.now(UTC).minute + 30) % 60} * * * *"


def lose_zone(trigger: Trigger, zone: str = "Gone/Zone") -> None:
    """The time zone is gone since the workflow was activated."""
    Trigger.objects.filter(pk=trigger.pk).update(config={**trigger.config, "timezone": zone})


def find_zone(trigger: Trigger) -> None:
    Trigger.objects.filter(pk=trigger.pk).update(config=trigger.config)


def stuck_schedule(live_schedule: Live) -> Trigger:
    """One whose zone is gone and which has been fired since; the trigger as it was before."""
    trigger = live_schedule(cron=hourly())
    move_back(trigger, 7200)
    lose_zone(trigger)
    assert fire() == 1
    return trigger


def test_a_schedule_whose_zone_is_gone_is_told_of_once_and_is_not_due_any_more(
    live_schedule: Live, caplog: pytest.LogCaptureFixture
) -> None:
    trigger = live_schedule(cron=hourly())
    slot = move_back(trigger, 7200)
    lose_zone(trigger)
    assert [fire() for _ in range(3)] == [1, 0, 0]
    (data,) = skips(trigger)
    assert (data["reason"], data["first_slot_at"], data["last_slot_at"]) == ("error", iso(slot), iso(slot))
    assert data["message"].endswith(": there is no time zone Gone/Zone any more")
    assert Trigger.objects.get().next_at is None
    assert not Execution.objects.exists()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "Schedule failed", "Schedule is stuck: its slots cannot be computed",
    ]  # fmt: skip


def test_a_schedule_that_cannot_be_planned_for_another_reason_stays_due(
    live_schedule: Live, caplog: pytest.LogCaptureFixture
) -> None:
    trigger = live_schedule()
    slot = move_back(trigger, 61)
    Trigger.objects.update(config={name: value for name, value in trigger.config.items() if name != "catchup"})
    assert [fire() for _ in range(2)] == [0, 0]
    assert (Trigger.objects.get().next_at, skips(trigger)) == (slot, [])
    assert "Schedule is stuck" in caplog.text


def test_where_the_machine_fails_to_read_a_zone_the_next_pass_tries_again(live_schedule: Live) -> None:
    trigger = live_schedule(cron=hourly())
    slot = move_back(trigger, 7200)
    lose_zone(trigger, "America")  # a folder: the operating system refuses to read it
    assert fire() == 0
    assert (Trigger.objects.get().next_at, skips(trigger)) == (slot, [])
    find_zone(trigger)
    assert fire() == 1
    assert Slot.objects.count() == 1


def test_a_schedule_that_was_changed_after_it_was_found_stuck_stays_due(live_schedule: Live) -> None:
    trigger = live_schedule(cron=hourly())
    move_back(trigger, 7200)
    lose_zone(trigger)
    found = Trigger.objects.select_related("workflow__created_by").annotate(now=Now()).get()
    find_zone(trigger)
    slot = move_back(trigger, 3600)
    assert triggers._pass_over(found) == 0
    assert (Trigger.objects.get().next_at, skips(trigger)) == (slot, [])


@pytest.mark.parametrize("way", ["pause", "definition", "activation"])
def test_a_stuck_schedule_goes_on_when_its_zone_is_back(live_schedule: Live, alice: User, way: str) -> None:
    trigger = stuck_schedule(live_schedule)
    find_zone(trigger)
    if way == "pause":
        schedule_actions.set_paused(trigger=trigger, paused=True)
        schedule_actions.set_paused(trigger=trigger, paused=False)
    elif way == "definition":
        definition = trigger.workflow.versions.get().definition
        definition["components"][1]["config"]["output"] = "changed"
        update_workflow(workflow=trigger.workflow, user=alice, changes={"definition": definition})
    else:
        set_status(trigger.workflow, "inactive")
        set_status(Workflow.objects.get(), "active")
    next_at = Trigger.objects.get().next_at
    assert next_at is not None
    assert timedelta(0) < next_at - database_now() <= timedelta(hours=1)
    assert reasons(trigger) == [("error", 1)]


def test_what_asks_for_the_slots_of_a_stuck_schedule_is_told_why_there_are_none(
    live_schedule: Live, alice_api: Api
) -> None:
    trigger = stuck_schedule(live_schedule)
    address = f"/schedules/{trigger.pk}"
    shown = alice_api.get(address).data
    assert (shown["next_at"], shown["paused"]) == (None, False)
    assert alice_api.post(f"{address}/pause").status == 200
    backfill = {"from": "2025-01-01T00:00:00Z", "to": "2025-01-01T01:00:00Z"}
    answers = [
        alice_api.get(f"{address}/preview"),
        alice_api.post(f"{address}/backfill", backfill),
        alice_api.post(f"{address}/resume"),
    ]
    why = "The schedule's slots cannot be computed: there is no time zone Gone/Zone any more"
    assert [(answer.status, answer.body["message"]) for answer in answers] == [(422, why)] * 3
    assert Trigger.objects.get().paused_at is not None


@pytest.mark.parametrize("end", ["inactive", "deleted", "changed"])
def test_a_zone_that_is_gone_keeps_nobody_from_ending_or_changing_a_paused_schedule(
    live_schedule: Live, alice: User, end: str
) -> None:
    trigger = live_schedule(cron=hourly())
    schedule_actions.set_paused(trigger=trigger, paused=True)
    move_back(trigger, 5 * 3600)
    lose_zone(trigger)
    if end == "inactive":
        set_status(trigger.workflow, "inactive")
    elif end == "deleted":
        delete_workflow(workflow=trigger.workflow, force=False)
    else:
        definition = started_by(trigger_type="schedule", cron=hourly(), timezone="Asia/Kolkata")
        update_workflow(workflow=trigger.workflow, user=alice, changes={"definition": definition})
    (data,) = skips(trigger)
    assert (data["reason"], data["count"], data["counted_all"]) == ("paused", 1, False)


def test_a_slot_that_came_while_postgresql_was_read_only_is_started_afterwards(live_schedule: Live) -> None:
    trigger = live_schedule()
    move_back(trigger, 61)
    with read_only("INSERT ON executions_execution", times=1):
        with pytest.raises(InternalError):
            fire()
        assert fire() == 1
    assert Slot.objects.get().trigger_id == trigger.pk
    assert reasons(trigger) == []


def test_a_workflow_that_somebody_holds_keeps_no_other_schedule_from_its_time(live_schedule: Live) -> None:
    held, free = live_schedule(), live_schedule()
    move_back(held, 200)
    move_back(free, 61)
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Workflow.objects.select_for_update(no_key=True).get(pk=held.workflow_id)
            locked.set()
            done.wait(30)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    locked.wait(10)
    try:
        fire()
        assert Slot.objects.get().trigger_id == free.pk
    finally:
        done.set()
        thread.join(10)
    fire()
    assert Slot.objects.filter(trigger=held).count() == 1


def test_more_waits_than_a_tier_has_slots_are_queued_and_not_refused(live_schedule: Live, alice: User) -> None:
    trigger = live_schedule(overlap="allow", catchup="all")
    move_back(trigger, 60 * 8 + 1)
    while fire():
        pass
    assert Execution.objects.filter(admitted_at__isnull=False).count() == 5
    assert Execution.objects.filter(status="queued", admitted_at=None).count() == 3
    assert skips(trigger) == []


def test_parameters_see_the_slot_the_time_and_secrets_and_show_no_secret(
    live_schedule: Live, doorbells: Doorbells, alice: User
) -> None:
    create_secret(owner=alice, name="KEY", value="a-very-secret-value")
    trigger = live_schedule(parameters={"slot": "{{ execution.slot_at }}", "header": "x {{ secrets.KEY }}", "plain": 1})
    slot = move_back(trigger, 61)
    fire()
    doorbells.work()
    execution = Execution.objects.get()
    assert execution.parameters == {"slot": iso(slot), "header": "[REDACTED]", "plain": 1}
    assert execution.results == {"slot": iso(slot), "header": "[REDACTED]", "plain": 1}
    assert "a-very-secret-value" not in str(Execution.objects.values().get())


def test_a_refusal_repeats_no_secret(live_schedule: Live, alice: User) -> None:
    create_secret(owner=alice, name="KEY", value="a-very-secret-value")
    trigger = live_schedule(parameters={"size": "{{ secrets.KEY }}"})
    definition = trigger.workflow.versions.get().definition
    picky = {**definition, "parameters": [{"name": "size", "type": "integer"}]}
    update_workflow(workflow=trigger.workflow, user=alice, changes={"definition": picky})
    move_back(trigger, 61)
    fire()
    assert reasons(trigger) == [("refused", 1)]
    assert "a-very-secret-value" not in str(skips(trigger))


def test_expressions_see_the_slot(alice: User, doorbells: Doorbells) -> None:
    trigger = schedule(alice)
    definition = trigger.workflow.versions.get().definition
    definition["components"][1]["config"]["output"] = "{{ execution.trigger }} {{ execution.slot_at }}"
    update_workflow(workflow=trigger.workflow, user=alice, changes={"definition": definition})
    slot = move_back(trigger, 61)
    fire()
    doorbells.work()
    assert Execution.objects.get().results == f"schedule {iso(slot)}"


# By hand.


def test_a_paused_schedule_starts_nothing_and_tells_of_what_passed_when_it_is_resumed(live_schedule: Live) -> None:
    trigger = live_schedule()
    schedule_actions.set_paused(trigger=trigger, paused=True)
    move_back(trigger, 60 * 3 + 30)
    assert fire() == 0
    schedule_actions.set_paused(trigger=trigger, paused=False)
    assert reasons(trigger) == [("paused", 3)]
    assert fire() == 0
    next_at = Trigger.objects.get().next_at
    assert next_at is not None
    assert next_at > database_now()
    assert list(AuditEntry.objects.filter(action__startswith="schedule.").values_list("action", flat=True)) == [
        "schedule.paused", "schedule.resumed",
    ]  # fmt: skip


def test_pausing_twice_changes_nothing(live_schedule: Live) -> None:
    trigger = live_schedule()
    first = schedule_actions.set_paused(trigger=trigger, paused=True).paused_at
    assert schedule_actions.set_paused(trigger=trigger, paused=True).paused_at == first
    assert AuditEntry.objects.filter(action="schedule.paused").count() == 1


def test_run_now_starts_one_beside_the_slots(live_schedule: Live, alice: User) -> None:
    trigger = live_schedule(parameters={"size": 3})
    next_at = Trigger.objects.get().next_at
    execution = schedule_actions.run_now(trigger=trigger)
    assert execution.trigger == {
        "type": "schedule", "schedule_id": trigger.pk, "component_id": "begin", "run_now": True,
    }  # fmt: skip
    assert (execution.parameters, execution.created_by_id) == ({"size": 3}, alice.pk)
    assert not Slot.objects.exists()
    assert Trigger.objects.get().next_at == next_at
    with pytest.raises(ConflictError):
        schedule_actions.run_now(trigger=trigger)
    assert Execution.objects.count() == 1


def test_a_backfill_starts_the_slots_that_were_not_started(live_schedule: Live) -> None:
    trigger = live_schedule(overlap="allow")
    first = move_back(trigger, 60 * 6 + 30)
    fire()
    assert slots(trigger) == [first + timedelta(minutes=5)]
    trigger.refresh_from_db()
    now = database_now()
    wanted = schedule_actions.past_slots(trigger=trigger, start=first + timedelta(minutes=2), end=now)
    done = schedule_actions.backfill(trigger=trigger, slots=wanted, overlap="queue")
    assert [each.started for each in done] == [True, True, True, False]
    assert slots(trigger) == [first + timedelta(minutes=number) for number in (2, 3, 4, 5)]
    assert Execution.objects.filter(trigger__backfill=True, concurrency_limit=1).count() == 3
    again = schedule_actions.backfill(trigger=trigger, slots=wanted, overlap="allow")
    assert [each.started for each in again] == [False] * 4
    assert [each.execution_id for each in again] == [each.execution_id for each in done]
    assert Execution.objects.count() == 4


def test_a_slot_that_a_backfill_took_is_not_started_again_when_it_is_due(live_schedule: Live) -> None:
    trigger = live_schedule()
    slot = move_back(trigger, 61)
    trigger.refresh_from_db()
    schedule_actions.backfill(trigger=trigger, slots=[slot], overlap="allow")
    Execution.objects.update(status="cancelled", completed_at=F("created_at"), remaining=0)
    assert fire() == 1
    assert Execution.objects.count() == 1


def test_an_ended_schedule_is_neither_run_nor_fired(live_schedule: Live) -> None:
    trigger = live_schedule()
    move_back(trigger, 61)
    set_status(trigger.workflow, "inactive")
    assert fire() == 0
    assert reasons(trigger) == [("workflow_inactive", 1)]
    assert eventually(lambda: not Execution.objects.exists())
