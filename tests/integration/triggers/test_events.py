"""Event triggers: what happened starts the workflows that wait for it, once, and never for ever."""

import threading
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import InternalError, connection, transaction

from accounts.models import AuditEntry, User
from core.ids import to_uuid
from core.types import JSONObject
from events import ledger
from events.event_types import EventType
from executions import maintenance, reactions
from executions.models import Execution, Reaction
from executions.services import StartRequest, start_execution
from tests.integration.executions.conftest import Doorbells, linear, make_workflow, transform
from tests.integration.triggers.conftest import activate, reasons_of_events, set_status, skips, started_by
from tests.read_only import read_only
from workflows.models import Role, Share, Trigger, Workflow
from workflows.services import create_workflow, delete_workflow, update_workflow

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def reader(transactional_db: None, doorbells: Doorbells) -> None:
    """The ledger's reader is at its end."""
    reactions.follow()


def waits_for(user: User, event: str, **config: Any) -> Trigger:
    workflow = activate(user, started_by(trigger_type="event", event=event, **config))
    settle()
    Execution.objects.all().delete()
    return Trigger.objects.select_related("workflow__created_by").get(workflow=workflow)


def settle() -> None:
    """All that follows from what has happened, without running anything."""
    for _ in range(3):
        maintenance.follow_events()
        maintenance.start_reactions()


def watched(user: User, output: object = "done") -> Workflow:
    components = [{"id": "make", "type": "transform", "config": {"output": output}}]
    return create_workflow(user=user, name=f"watched {Workflow.objects.count()}", definition={"components": components})


def run(workflow: Workflow, doorbells: Doorbells) -> Execution:
    execution = start_execution(workflow=workflow, user=workflow.created_by, request=StartRequest()).execution
    doorbells.work()
    execution.refresh_from_db()
    return execution


def started(trigger: Trigger) -> list[Execution]:
    return list(Execution.objects.filter(workflow=trigger.workflow_id).order_by("pk"))


def test_what_happens_right_after_an_activation_while_the_ledger_is_read_is_not_passed_over(alice: User) -> None:
    def happen() -> None:
        activate(alice, started_by(trigger_type="event", event="workflow.created"))
        watched(alice)
        connection.close()

    happening = threading.Thread(target=happen)

    def before_the_end_is_read(execute: Any, sql: str, *arguments: Any) -> Any:
        if "events_follower" in sql and happening.ident is None:
            happening.start()
            happening.join()
        return execute(sql, *arguments)

    with connection.execute_wrapper(before_the_end_is_read):
        reactions.follow()
    settle()
    assert [execution.trigger["event"] for execution in started(Trigger.objects.get())] == ["workflow.created"]


def test_an_execution_that_ended_starts_what_waits_for_it_once(alice: User, doorbells: Doorbells) -> None:
    trigger = waits_for(alice, "execution.completed", workflow_id=(other := watched(alice, {"n": 1})).pk.lower())
    cause = run(other, doorbells)
    settle()
    settle()
    (execution,) = started(trigger)
    assert {name: value for name, value in execution.trigger.items() if name != "input"} == {
        "type": "event", "trigger_id": trigger.pk, "component_id": "begin", "event": "execution.completed",
        "chain": 1, "execution_id": cause.pk,
    }  # fmt: skip
    doorbells.work()
    execution.refresh_from_db()
    assert cause.started_at is not None
    assert cause.completed_at is not None
    took = int((cause.completed_at - cause.started_at).total_seconds())
    about = {"id": other.pk, "name": other.name}
    assert execution.results == {
        "event": "execution.completed",
        "data": {
            "execution": {"id": cause.pk, "workflow_id": other.pk, "status": "completed", "duration_seconds": took,
                          "results": {"n": 1}},
            "workflow": about,
        },
    }  # fmt: skip
    assert execution.created_by_id == alice.pk
    assert not Reaction.objects.exists()
    entry = AuditEntry.objects.get(action="execution.started", object_id=execution.pk)
    assert (entry.details["trigger"], entry.actor) == ("event", "")


def test_a_component_s_event_brings_its_output(alice: User, doorbells: Doorbells) -> None:
    other = watched(alice, [1, 2])
    trigger = waits_for(alice, "component.completed", workflow_id=other.pk)
    run(other, doorbells)
    settle()
    data = started(trigger)[0].trigger["input"]["data"]
    assert data["component"] == {"component_id": "make", "status": "completed", "output_data": [1, 2], "error": None}


def test_a_failure_brings_its_error(alice: User, doorbells: Doorbells) -> None:
    fails: JSONObject = {"components": [{"id": "f", "type": "fail", "config": {"message": "no luck"}}]}
    other = create_workflow(user=alice, name="fails", definition=fails)
    trigger = waits_for(alice, "execution.failed", workflow_id=other.pk)
    run(other, doorbells)
    settle()
    execution = started(trigger)[0].trigger["input"]["data"]["execution"]
    assert (execution["status"], execution["error"]["message"]) == ("failed", "no luck")


def test_workflow_events_trigger_too(alice: User) -> None:
    trigger = waits_for(alice, "workflow.updated")
    other = watched(alice)
    update_workflow(workflow=other, user=alice, changes={"description": "new"})
    settle()
    (execution,) = started(trigger)
    assert execution.trigger["input"] == {
        "event": "workflow.updated",
        "data": {"workflow": {"id": other.pk, "name": other.name, "status": "draft", "version": 1}},
    }
    assert "execution_id" not in execution.trigger


def test_the_deletion_of_an_own_workflow_is_heard(alice: User) -> None:
    trigger = waits_for(alice, "workflow.deleted")
    other = watched(alice)
    delete_workflow(workflow=other, force=False)
    settle()
    assert started(trigger)[0].trigger["input"]["data"]["workflow"]["name"] == other.name


def test_other_events_and_other_workflows_start_nothing(alice: User, doorbells: Doorbells) -> None:
    one, other = watched(alice), watched(alice)
    trigger = waits_for(alice, "execution.failed")
    named = waits_for(alice, "execution.completed", workflow_id=one.pk)
    run(other, doorbells)
    settle()
    assert started(trigger) == started(named) == []


@pytest.mark.parametrize(
    ("condition", "count"), [("input.data.execution.results.n > 3", 1), ("{{ input.data.execution.results.n > 4 }}", 0)]
)
def test_a_condition_chooses(alice: User, doorbells: Doorbells, condition: str, count: int) -> None:
    other = watched(alice, {"n": 4})
    trigger = waits_for(alice, "execution.completed", workflow_id=other.pk, condition=condition)
    run(other, doorbells)
    settle()
    assert (len(started(trigger)), skips(trigger)) == (count, [])


def test_a_condition_that_cannot_be_evaluated_is_told_of(alice: User, doorbells: Doorbells) -> None:
    other = watched(alice)
    trigger = waits_for(alice, "execution.completed", workflow_id=other.pk, condition="input.nothing.here > 1")
    cause = run(other, doorbells)
    settle()
    assert started(trigger) == []
    (told,) = skips(trigger)
    assert (told["reason"], told["event"], told["subject_id"]) == ("refused", "execution.completed", cause.pk)


def test_events_of_workflows_that_the_owner_does_not_see_start_nothing(
    alice: User, bob: User, doorbells: Doorbells
) -> None:
    others = watched(bob)
    trigger = waits_for(alice, "execution.completed")
    run(others, doorbells)
    settle()
    assert started(trigger) == []
    Share.objects.create(workflow=others, user=alice, role=Role.VIEWER, created_by=bob)
    run(others, doorbells)
    settle()
    assert len(started(trigger)) == 1


def test_a_share_with_a_group_is_enough_and_being_staff_is_not(
    alice: User, admin: User, bob: User, doorbells: Doorbells
) -> None:
    others = watched(bob)
    of_alice, of_staff = waits_for(alice, "execution.started"), waits_for(admin, "execution.started")
    group = Group.objects.create(name="team")
    alice.groups.add(group)
    Share.objects.create(workflow=others, group=group, role=Role.VIEWER, created_by=bob)
    run(others, doorbells)
    settle()
    assert (len(started(of_alice)), len(started(of_staff))) == (1, 0)


def test_what_happened_before_it_lived_or_while_it_did_not_starts_nothing(alice: User, doorbells: Doorbells) -> None:
    other = watched(alice)
    run(other, doorbells)
    trigger = waits_for(alice, "execution.completed", workflow_id=other.pk)
    set_status(trigger.workflow, "inactive")
    run(other, doorbells)
    set_status(trigger.workflow, "active")
    settle()
    assert started(trigger) == []
    run(other, doorbells)
    settle()
    assert len(started(trigger)) == 1


def test_a_workflow_that_triggers_itself_ends_after_ten(alice: User, doorbells: Doorbells) -> None:
    trigger = waits_for(alice, "execution.completed")
    run(trigger.workflow, doorbells)
    for _ in range(15):
        settle()
        doorbells.work()
    executions = started(trigger)
    assert [execution.trigger.get("chain", 0) for execution in executions] == list(range(11))
    assert reasons_of_events(trigger) == ["chain"]


def test_a_chain_goes_on_through_children_and_retries(alice: User, doorbells: Doorbells) -> None:
    from executions.interventions import RetryRequest, retry_execution

    child = watched(alice)
    other = watched(alice)
    definition = started_by(trigger_type="event", event="execution.completed", workflow_id=other.pk)
    definition["components"][1] = {"id": "end", "type": "sub_workflow", "config": {"workflow_id": child.pk}}
    first = activate(alice, definition)
    second = waits_for(alice, "execution.completed", workflow_id=child.pk)
    run(other, doorbells)
    settle()
    doorbells.work()
    settle()
    assert [execution.trigger["chain"] for execution in started(second)] == [2]
    doorbells.work()
    (original,) = Execution.objects.filter(workflow=first)
    retried = retry_execution(execution=original, user=alice, request=RetryRequest())
    assert retried.trigger == original.trigger


def test_parameters_are_made_of_the_event(alice: User, doorbells: Doorbells) -> None:
    other = watched(alice, {"n": 4})
    trigger = waits_for(
        alice, "execution.completed", workflow_id=other.pk, parameters={"n": "{{ input.data.execution.results.n }}"}
    )
    run(other, doorbells)
    settle()
    assert started(trigger)[0].parameters == {"n": 4}


def test_results_that_are_too_large_are_left_out_and_said_so(alice: User, doorbells: Doorbells) -> None:
    components: list[Any] = [
        {"id": f"t{number}", "type": "transform", "config": {"output": "x" * 400_000}} for number in range(2)
    ]
    ends = [{"id": f"e{number}", "type": "end", "config": {"output": "{{ input }}" * 1}} for number in range(2)]
    links = [{"source": f"t{number}", "target": f"e{number}"} for number in range(2)]
    other = create_workflow(
        user=alice, name="large", definition={"components": components + ends, "connections": links}
    )
    trigger = waits_for(alice, "execution.completed", workflow_id=other.pk)
    Execution.objects.all().delete()
    cause = run(other, doorbells)
    Execution.objects.filter(pk=cause.pk).update(results={"a": "x" * 1_100_000})
    settle()
    data = started(trigger)[0].trigger["input"]["data"]
    assert (data["execution"]["results"], data["truncated"]) == (None, True)


def test_what_is_stored_beside_the_database_is_not_read_for_an_input(
    alice: User, doorbells: Doorbells, settings: Any
) -> None:
    settings.OUTPUT_INLINE_BYTES = 1024
    other = make_workflow(alice, linear(transform("large", "x" * 5000)))
    trigger = waits_for(alice, "execution.completed", workflow_id=other.pk)
    cause = run(other, doorbells)
    assert cause.results_ref is not None
    settle()
    data = started(trigger)[0].trigger["input"]["data"]
    assert (data["execution"]["results"], data["truncated"]) == (None, True)


def test_one_that_fails_holds_no_other_up(alice: User, doorbells: Doorbells, caplog: pytest.LogCaptureFixture) -> None:
    other = watched(alice)
    broken = waits_for(alice, "execution.completed", workflow_id=other.pk)
    good = waits_for(alice, "execution.completed", workflow_id=other.pk)
    Trigger.objects.filter(pk=broken.pk).update(component_id="gone")
    run(other, doorbells)
    settle()
    assert len(started(good)) == 1
    assert started(broken) == []
    assert reasons_of_events(broken) == ["error"]
    assert not Reaction.objects.exists()


def test_a_workflow_that_somebody_holds_holds_up_its_owner_alone(
    alice: User, bob: User, doorbells: Doorbells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reactions, "BATCH", 2)
    held, waits = waits_for(alice, "workflow.updated"), waits_for(bob, "workflow.updated")
    for user in (alice, alice, alice, bob):
        update_workflow(workflow=watched(user), user=user, changes={"description": "new"})
    reactions.follow()
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SELECT FROM workflows_workflow WHERE id = %s FOR UPDATE", [to_uuid(held.workflow_id)])
        assert reactions.react() == 1
        assert (len(started(held)), len(started(waits))) == (0, 1)
        other.rollback()
    assert (reactions.react(), reactions.react()) == (2, 1)
    assert len(started(held)) == 3


def test_an_event_that_came_while_postgresql_was_read_only_starts_afterwards(alice: User, doorbells: Doorbells) -> None:
    other = watched(alice)
    trigger = waits_for(alice, "execution.completed", workflow_id=other.pk)
    run(other, doorbells)
    reactions.follow()
    with read_only("INSERT ON executions_execution", times=1):
        with pytest.raises(InternalError):
            reactions.react()
        assert reactions.react() == 1
    assert len(started(trigger)) == 1
    assert reasons_of_events(trigger) == []


def test_an_event_is_noted_and_started_though_its_reader_is_called_by_many(alice: User, doorbells: Doorbells) -> None:
    other = watched(alice)
    trigger = waits_for(alice, "execution.completed", workflow_id=other.pk)
    run(other, doorbells)
    reactions.follow()
    assert Reaction.objects.count() == 1
    assert [reactions.react(), reactions.react()] == [1, 0]
    assert len(started(trigger)) == 1


def test_a_name_that_is_no_public_event_triggers_nothing(alice: User) -> None:
    trigger = waits_for(alice, "workflow.updated")
    Trigger.objects.filter(pk=trigger.pk).update(config={**trigger.config, "event": "log"})
    with transaction.atomic():
        ledger.append(
            subject_id=trigger.workflow_id, workflow_id=trigger.workflow_id, owner_id=alice.pk, type=EventType.LOG,
            data={"level": "info", "message": "m"},
        )  # fmt: skip
    settle()
    assert started(trigger) == []
