"""Signals, approvals and sub-workflows: waits that somebody else ends, and that hold no worker."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.utils import timezone

from accounts.models import User
from core.errors import ConflictError, NotAllowedError, ValidationFailedError
from core.types import JSONObject
from executions import interventions, maintenance, runner, services
from executions.models import ComponentRun, Execution, Signal
from executions.states import ExecutionStatus, RunStatus
from executions.transitions.statements import Holder
from tests.api import Api
from tests.integration.executions.conftest import Doorbells, linear, log, make_workflow, start, transform
from tests.integration.executions.test_engine import event_types, failing
from tests.integration.executions.test_loops import ended, for_each, repeat
from workflows.services import delete_workflow, update_workflow

pytestmark = pytest.mark.django_db(transaction=True)


def signal(id_: str = "wait", name: str = "go", **more: object) -> JSONObject:
    return {"id": id_, "type": "wait_for_signal", "config": {"signal": name, **more}}


def approval(**config: object) -> JSONObject:
    return {"id": "ask", "type": "approval", "config": config}


def send(execution: Execution, user: User, data: object, name: str = "go") -> bool:
    return interventions.send_signal(execution=execution, user=user, name=name, data=data)


def time_passes() -> None:
    ComponentRun.objects.filter(status="waiting", wake_at__isnull=False).update(wake_at="2000-01-01T00:00:00Z")
    maintenance.wake_due()


def test_a_signal_ends_the_wait_with_its_data(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(signal(), transform("z", "{{ input.n + 1 }}")))
    doorbells.work()
    assert ComponentRun.objects.get(component_id="wait").status == RunStatus.WAITING
    assert send(execution, alice, {"n": 41})
    doorbells.work()
    assert ended(execution).results == 42
    assert event_types(execution).count("component.started") == 2


def test_a_signal_that_comes_first_is_kept_for_the_wait(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(signal()))
    assert not send(execution, alice, "early")
    assert not send(execution, alice, "second")
    doorbells.work()
    assert ended(execution).results == "early"
    assert Signal.objects.filter(taken_by=None).count() == 1


def test_a_signal_wakes_one_wait_and_the_oldest(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, {"components": [signal("a"), signal("b")]})
    doorbells.work()
    send(execution, alice, 1)
    doorbells.work()
    assert dict(execution.runs.values_list("component_id", "status")) == {"a": "completed", "b": "waiting"}


def test_a_signal_of_another_name_wakes_nobody(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(signal()))
    doorbells.work()
    assert not send(execution, alice, 1, "other")
    assert doorbells.work() == 0


def test_a_wait_over_its_time_fails_and_its_error_connection_is_taken(alice: User, doorbells: Doorbells) -> None:
    definition = {
        "components": [signal(timeout_seconds=60), transform("late", "{{ error.code }}")],
        "connections": [{"source": "wait", "target": "late", "type": "error"}],
    }
    execution = start(alice, definition)
    doorbells.work()
    time_passes()
    doorbells.work()
    assert ended(execution).results == "TIMEOUT_ERROR"


def test_a_signal_after_the_end_conflicts_and_is_not_kept(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    doorbells.work()
    with pytest.raises(ConflictError):
        send(execution, alice, 1)
    assert Signal.objects.count() == 0


def test_only_so_many_signals_are_kept(alice: User, doorbells: Doorbells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interventions, "MAX_KEPT_SIGNALS", 1)
    execution = start(alice, linear(log("a")))
    send(execution, alice, 1)
    with pytest.raises(ConflictError):
        send(execution, alice, 2)


def test_an_approval_goes_on_with_who_approved(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(approval(message="Pay?")))
    doorbells.work()
    send(execution, alice, {"approved": True, "comment": "fine"}, "ask")
    doorbells.work()
    assert ended(execution).results == {"approved": True, "comment": "fine", "by": alice.pk}


def test_a_rejection_is_a_failure_that_is_not_retried(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear({**approval(), "retry_policy": {"max_attempts": 3}}))
    doorbells.work()
    send(execution, alice, {"approved": False, "comment": "too much"}, "ask")
    doorbells.work()
    assert ended(execution).error["message"] == "Rejected: too much"


def test_an_approvals_data_is_checked_before_it_is_kept(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(approval()))
    wrong: list[tuple[object, str]] = [
        ({"approved": "yes"}, "data.approved"),
        (None, "data.approved"),
        ({"approved": True, "comment": 1}, "data.comment"),
        ({"approved": True, "by": "me"}, "data.by"),
    ]
    for data, field in wrong:
        with pytest.raises(ValidationFailedError) as caught:
            send(execution, alice, data, "ask")
        assert [problem.field for problem in caught.value.problems] == [field]
    assert Signal.objects.count() == 0


def test_only_approvers_may_answer(alice: User, bob: User, doorbells: Doorbells) -> None:
    finance = Group.objects.create(name="finance")
    execution = start(alice, linear(approval(approvers=["finance"])))
    # Sent before anybody waits, by somebody who turns out to be no approver: it is not taken.
    send(execution, alice, {"approved": True}, "ask")
    doorbells.work()
    assert ComponentRun.objects.get().status == RunStatus.WAITING
    with pytest.raises(NotAllowedError):
        send(execution, alice, {"approved": True}, "ask")
    assert Signal.objects.count() == 1
    bob.groups.add(finance)
    assert send(execution, bob, {"approved": True}, "ask")
    doorbells.work()
    assert ended(execution).results["by"] == bob.pk


def test_an_approver_may_be_named_in_any_spelling_of_the_id(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(approval(approvers=[alice.pk.lower()])))
    doorbells.work()
    assert send(execution, alice, {"approved": True}, "ask")


def test_a_signal_larger_than_an_output_is_refused(alice: User, doorbells: Doorbells, settings: Any) -> None:
    settings.MAX_OUTPUT_BYTES = 100
    execution = start(alice, linear(signal()))
    with pytest.raises(ValidationFailedError) as caught:
        send(execution, alice, "x" * 100)
    assert [problem.field for problem in caught.value.problems] == ["data"]
    assert Signal.objects.count() == 0


def test_a_lost_worker_after_the_signal_does_not_lose_the_signal(alice: User, doorbells: Doorbells) -> None:
    from executions.transitions import running
    from executions.transitions.statements import Holder
    from workflows.components import registry

    execution = start(alice, linear(signal()))
    doorbells.work()
    send(execution, alice, "kept")
    doorbells.receive()
    (run,) = doorbells.waiting
    doorbells.waiting.clear()
    assert running.claim(run.run_id, run.attempt, Holder("gone", 1), registry.known_types())
    ComponentRun.objects.update(lease_until="2000-01-01T00:00:00Z")
    maintenance.rescue_expired()
    doorbells.work()
    assert ended(execution).results == "kept"


def sub(workflow_id: str, **config: object) -> JSONObject:
    return {"id": "child", "type": "sub_workflow", "config": {"workflow_id": workflow_id, **config}}


def test_a_child_runs_in_its_parents_slot_and_hands_its_results_on(alice: User, doorbells: Doorbells) -> None:
    alice.tier, alice.concurrent_executions = "custom", 1
    alice.save(update_fields=["tier", "concurrent_executions"])
    child = make_workflow(alice, linear(transform("a", "{{ n * 2 }}")))
    execution = start(alice, linear(sub(child.pk, parameters={"n": 21}), transform("z", "{{ input }}")))
    doorbells.work()
    assert ended(execution).results == 42
    run = Execution.objects.get(workflow=child)
    assert run.parent_run is not None
    assert (run.depth, run.parent_run.component_id, run.trigger["execution_id"]) == (1, "child", execution.pk)


def test_a_failed_child_is_a_failure(alice: User, doorbells: Doorbells) -> None:
    child = make_workflow(alice, linear(failing("a")))
    execution = start(alice, linear(sub(child.pk)))
    doorbells.work()
    error = ended(execution).error
    assert error["code"] == "EXECUTION_FAILED"
    assert error["message"].startswith("The sub-workflow failed: ")


def test_cancel_goes_down_to_children(alice: User, doorbells: Doorbells) -> None:
    grandchild = make_workflow(alice, linear(signal()))
    child = make_workflow(alice, linear(sub(grandchild.pk)))
    execution = start(alice, linear(sub(child.pk)))
    doorbells.work()
    interventions.cancel_execution(execution)
    assert set(Execution.objects.values_list("status", flat=True)) == {ExecutionStatus.CANCELLED}


def test_deleting_a_workflow_by_force_cancels_the_children_of_its_executions(alice: User, doorbells: Doorbells) -> None:
    child = make_workflow(alice, linear(signal()))
    execution = start(alice, linear(sub(child.pk)))
    doorbells.work()
    delete_workflow(workflow=execution.workflow, force=True)
    assert Execution.objects.get(workflow=child).status == ExecutionStatus.CANCELLED


def test_a_child_whose_parent_failed_is_cancelled(alice: User, doorbells: Doorbells) -> None:
    child = make_workflow(alice, linear(signal()))
    execution = start(alice, {"components": [sub(child.pk), failing("bad")]})
    doorbells.work()
    assert ended(execution).status == ExecutionStatus.FAILED
    maintenance.sweep()
    assert Execution.objects.get(workflow=child).status == ExecutionStatus.CANCELLED


def test_a_workflow_that_calls_itself_ends_at_the_depth_limit(alice: User, doorbells: Doorbells) -> None:
    workflow = make_workflow(alice, linear(log("a")))
    update_workflow(workflow=workflow, user=alice, changes={"definition": linear(sub(workflow.pk))})
    workflow.refresh_from_db()
    request = services.StartRequest()
    execution = services.start_execution(workflow=workflow, user=alice, request=request).execution
    doorbells.work()
    assert "nested deeper than 10" in ended(execution).error["message"]
    assert Execution.objects.count() == 11


@pytest.mark.parametrize("wanted", ["nothing", "01HQNZ2G5XKJ8P7M9N6V3R4T5W"])
def test_a_child_workflow_that_is_not_there_is_named_when_it_is_computed(
    alice: User, doorbells: Doorbells, wanted: str
) -> None:
    execution = start(alice, linear(sub("{{ wanted }}")), parameters={"wanted": wanted})
    doorbells.work()
    assert f'There is no workflow "{wanted}"' in ended(execution).error["message"]


def test_what_is_too_long_for_the_id_of_a_child_workflow_is_not_repeated_in_part(
    alice: User, doorbells: Doorbells
) -> None:
    secret = "correct-horse-battery-staple"
    parameters = {"wanted": "x" * 180, "token": secret}
    execution = start(alice, linear(sub("{{ wanted }}{{ token }}")), parameters=parameters)
    doorbells.work()
    assert ended(execution).error["message"] == (
        f"There is no workflow with an id of {180 + len(secret)} characters that the workflow's owner may run"
    )


@pytest.mark.parametrize("wanted", ["nothing", "01HQNZ2G5XKJ8P7M9N6V3R4T5W"])
def test_a_child_workflow_that_is_not_there_is_found_before_anything_starts(
    alice: User, alice_api: Api, doorbells: Doorbells, wanted: str
) -> None:
    workflow = make_workflow(alice, linear(for_each([1], sub(wanted))))
    field = "definition.components[0].config.components[0].config.workflow_id"
    answer = alice_api.post(f"/workflows/{workflow.pk}/validate")
    assert [error["field"] for error in answer.data["errors"]] == [field]
    for method, path, body in (
        ("POST", f"/workflows/{workflow.pk}/execute", {}),
        ("PATCH", f"/workflows/{workflow.pk}", {"status": "active"}),
    ):
        refused = alice_api.call(method, path, body)
        assert (refused.status, refused.code, refused.fields) == (422, "WORKFLOW_INVALID", [field])
    assert Execution.objects.count() == 0


def test_a_workflow_of_another_owner_is_not_there(alice: User, bob: User, doorbells: Doorbells) -> None:
    theirs = make_workflow(bob, linear(log("a")))
    execution = start(alice, linear(sub("{{ id }}")), parameters={"id": theirs.pk})
    doorbells.work()
    assert "There is no workflow" in ended(execution).error["message"]
    assert Execution.objects.filter(workflow=theirs).count() == 0


def test_a_childs_missing_parameter_is_named(alice: User, doorbells: Doorbells) -> None:
    definition = {**linear(log("a")), "parameters": [{"name": "size", "type": "integer", "required": True}]}
    execution = start(alice, linear(sub(make_workflow(alice, definition).pk)))
    doorbells.work()
    assert "parameters.size: Parameter size is required" in ended(execution).error["message"]


def test_children_of_items(alice: User, doorbells: Doorbells) -> None:
    child = make_workflow(alice, linear(transform("a", "{{ n * n }}")))
    loop = for_each([1, 2, 3], sub(child.pk, parameters={"n": "{{ item }}"}), max_concurrency=2)
    execution = start(alice, linear(loop))
    doorbells.work()
    assert ended(execution).results == [1, 4, 9]


def test_an_end_that_could_not_wake_its_parent_is_made_up_for(alice: User, doorbells: Doorbells) -> None:
    child = make_workflow(alice, linear(signal()))
    execution = start(alice, linear(sub(child.pk)))
    doorbells.work()
    with psycopg.connect(**connection.get_connection_params()) as other:
        # Somebody holds the parent's row while the child ends.
        other.execute("SELECT 1 FROM executions_componentrun WHERE component_id = 'child' FOR UPDATE")
        send(Execution.objects.get(workflow=child), alice, 1)
        doorbells.work()
        assert Execution.objects.get(workflow=child).status == ExecutionStatus.COMPLETED
        assert maintenance.resume_parents() == 0
    assert maintenance.resume_parents() == 1
    doorbells.work()
    assert ended(execution).results == 1


def test_a_running_child_is_waited_for_by_the_sweep(alice: User, doorbells: Doorbells) -> None:
    child = make_workflow(alice, linear(signal()))
    start(alice, linear(sub(child.pk)))
    doorbells.work()
    assert (maintenance.resume_parents(), maintenance.cancel_orphans()) == (0, 0)


def test_an_approval_in_time_counts_however_late_the_worker_comes(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear({**approval(), "timeout_seconds": 60}, log("pay")))
    doorbells.work()
    assert send(execution, alice, {"approved": True}, name="ask")
    execution.runs.filter(component_id="ask").update(deadline_at="2000-01-01T00:00:00Z")
    doorbells.work()
    assert ended(execution).status == "completed"


def test_a_child_that_ended_counts_however_late_the_worker_comes_and_is_not_started_again(
    alice: User, doorbells: Doorbells
) -> None:
    child = make_workflow(alice, linear(signal()))
    retried = {"timeout_seconds": 60, "retry_policy": {"max_attempts": 2, "initial_delay_seconds": 0.1}}
    execution = start(alice, linear({**sub(child.pk), **retried}))
    doorbells.work()
    send(Execution.objects.get(workflow=child), alice, 1)
    doorbells.receive()
    (run,) = doorbells.waiting
    doorbells.waiting.clear()
    runner.run_component(run.run_id, run.attempt, Holder("test", 1))
    assert Execution.objects.get(workflow=child).status == ExecutionStatus.COMPLETED
    execution.runs.update(deadline_at="2000-01-01T00:00:00Z")
    doorbells.work()
    assert ended(execution).status == ExecutionStatus.COMPLETED
    assert Execution.objects.filter(workflow=child).count() == 1


@pytest.mark.parametrize(("seconds", "status"), [(0, "completed"), (-3600, "failed")])
def test_a_delay_counts_by_when_it_was_over(alice: User, doorbells: Doorbells, seconds: int, status: str) -> None:
    delay = {"id": "rest", "type": "delay", "config": {"seconds": 30}, "timeout_seconds": 60}
    execution = start(alice, linear(delay))
    doorbells.work()
    time_passes()
    execution.runs.update(deadline_at=timezone.now() + timedelta(seconds=seconds))
    doorbells.work()
    assert ended(execution).status == status


def test_a_loop_past_its_time_begins_no_further_item_or_round(alice: User, doorbells: Doorbells) -> None:
    # Its worker is busy in an item until after the time, and comes to the loop when no item runs.
    loops = [for_each([1, 2, 3], signal()), repeat("index == 5", signal())]
    for loop in loops:
        execution = start(alice, linear({**loop, "timeout_seconds": 60}))
        doorbells.work()
        execution.runs.filter(item_id=None).update(deadline_at="2000-01-01T00:00:00Z", wake_at="2000-01-01T00:00:00Z")
        maintenance.wake_due()
        send(execution, alice, 1)
        doorbells.receive()
        doorbells.waiting.sort(key=lambda run: execution.runs.get(pk=run.run_id).item_id is None)
        doorbells.work()
        error = ended(execution).error
        assert (error["code"], error["message"]) == ("TIMEOUT_ERROR", "Timed out after 60 s")
        assert execution.runs.exclude(item_id=None).count() == 1
