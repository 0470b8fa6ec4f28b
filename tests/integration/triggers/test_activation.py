"""Triggers live and end with their workflow's activity, and follow its definition."""

from datetime import timedelta

import pytest

from accounts.models import User
from core.errors import WorkflowInvalidError
from tests.integration.triggers.conftest import (
    activate,
    database_now,
    move_back,
    reasons,
    schedule,
    set_status,
    started_by,
)
from workflows.models import Trigger, Workflow
from workflows.services import create_workflow, delete_workflow, update_workflow

pytestmark = pytest.mark.django_db(transaction=True)


def change(workflow: Workflow, **config: object) -> None:
    update_workflow(workflow=workflow, user=workflow.created_by, changes={"definition": started_by(**config)})


def test_a_draft_has_no_trigger_and_an_active_workflow_has_its_start_s(alice: User) -> None:
    definition = started_by(trigger_type="schedule", cron="0 6 * * *", timezone="Europe/Berlin")
    workflow = create_workflow(user=alice, name="w", definition=definition)
    assert not Trigger.objects.exists()
    before = database_now()
    set_status(workflow, "active")
    trigger = Trigger.objects.get()
    assert (trigger.component_id, trigger.type, trigger.live) == ("begin", "schedule", True)
    assert trigger.config == {
        "cron": "0 6 * * *",
        "interval_seconds": None,
        "timezone": "Europe/Berlin",
        "overlap": "skip",
        "catchup": "latest",
        "catchup_window_seconds": 86400,
    }
    assert trigger.next_at is not None
    assert trigger.next_at > before
    assert trigger.next_at.minute == 0


def test_a_manual_start_has_none(alice: User) -> None:
    activate(alice, started_by(trigger_type="manual"))
    assert not Trigger.objects.exists()


@pytest.mark.parametrize("status", ["inactive", "archived", "draft"])
def test_a_trigger_ends_with_the_activity_and_comes_back_as_the_same(alice: User, status: str) -> None:
    trigger = schedule(alice)
    set_status(trigger.workflow, status)
    ended = Trigger.objects.get()
    assert (ended.live, ended.next_at) == (False, None)
    set_status(trigger.workflow, "active")
    back = Trigger.objects.get()
    assert (back.pk, back.live) == (trigger.pk, True)
    assert back.next_at is not None


def test_slots_that_were_due_when_it_ended_are_told_of(alice: User) -> None:
    trigger = schedule(alice)
    first = move_back(trigger, 185)
    set_status(trigger.workflow, "inactive")
    assert reasons(trigger) == [("workflow_inactive", 3)]
    assert first < database_now()


def test_slots_that_were_due_when_it_was_deleted_are_told_of(alice: User) -> None:
    trigger = schedule(alice)
    move_back(trigger, 125)
    delete_workflow(workflow=trigger.workflow, force=False)
    assert reasons(trigger) == [("workflow_deleted", 2)]
    assert not Trigger.objects.exists()


def test_other_slots_begin_anew_and_the_same_go_on(alice: User) -> None:
    trigger = schedule(alice)
    first = move_back(trigger, 65)
    change(trigger.workflow, trigger_type="schedule", interval_seconds=60, overlap="allow")
    same = Trigger.objects.get()
    assert (same.next_at, same.config["overlap"]) == (first, "allow")
    assert reasons(trigger) == []
    change(trigger.workflow, trigger_type="schedule", interval_seconds=3600)
    other = Trigger.objects.get()
    assert other.pk == trigger.pk
    assert other.next_at is not None
    assert other.next_at > database_now() + timedelta(minutes=50)
    assert reasons(trigger) == [("schedule_changed", 1)]


def test_a_start_that_asks_for_nothing_any_more_ends_its_trigger(alice: User) -> None:
    trigger = schedule(alice)
    change(trigger.workflow, trigger_type="manual")
    assert Trigger.objects.get().live is False


def test_another_kind_of_trigger_is_another_trigger(alice: User) -> None:
    trigger = schedule(alice)
    change(trigger.workflow, trigger_type="webhook")
    other = Trigger.objects.get()
    assert other.pk != trigger.pk
    assert (other.type, other.live, other.next_at) == ("webhook", True, None)


def test_a_change_of_the_name_alone_leaves_the_trigger(alice: User) -> None:
    trigger = schedule(alice)
    before = Trigger.objects.values().get()
    update_workflow(workflow=trigger.workflow, user=alice, changes={"name": "other"})
    assert Trigger.objects.values().get() == before


def test_a_schedule_that_never_fires_is_not_activated(alice: User) -> None:
    workflow = create_workflow(user=alice, name="w", definition=started_by(trigger_type="schedule", cron="0 0 30 2 *"))
    with pytest.raises(WorkflowInvalidError) as refused:
        set_status(workflow, "active")
    (problem,) = refused.value.problems
    assert problem.field == "definition.components[0].config.cron"
    assert problem.details == {"expected": "fields that some date fits", "received": "0 0 30 2 *"}
    workflow.refresh_from_db()
    assert workflow.status == "draft"
    assert not Trigger.objects.exists()


def test_an_active_workflow_is_not_changed_to_a_schedule_that_never_fires(alice: User) -> None:
    trigger = schedule(alice)
    before = Trigger.objects.values().get()
    with pytest.raises(WorkflowInvalidError):
        change(trigger.workflow, trigger_type="schedule", cron="0 0 31 4 *")
    assert Trigger.objects.values().get() == before
    trigger.workflow.refresh_from_db()
    assert trigger.workflow.version == 1


def test_a_pause_outlives_a_time_of_inactivity(alice: User) -> None:
    trigger = schedule(alice)
    Trigger.objects.update(paused_at=database_now())
    set_status(trigger.workflow, "inactive")
    set_status(trigger.workflow, "active")
    assert Trigger.objects.get().paused_at is not None
