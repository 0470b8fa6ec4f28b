"""Interleavings that once went wrong, or easily would: cancels, signals, time limits, secrets that travel."""

from typing import Any

import psycopg
import pytest
from django.db import connection

from accounts.models import User
from accounts.secret_store import create_secret
from events.models import Event
from executions import conclude, interventions, maintenance, plans, runner, services
from executions.decider import settle
from executions.interrupts import Interrupted
from executions.models import ComponentRun, Execution, LoopItem, Signal
from executions.states import ExecutionStatus, RunStatus
from executions.transitions import running, waiting
from executions.transitions.statements import Ended, Held, Holder
from tests.api import Api
from tests.integration.executions.conftest import Doorbells, linear, log, make_workflow, start, transform
from tests.integration.executions.test_engine import failing, graph, refused
from tests.integration.executions.test_loops import ended, for_each
from tests.integration.executions.test_waits import approval, send, signal, sub
from workflows.components import registry
from workflows.services import update_workflow

pytestmark = pytest.mark.django_db(transaction=True)

HOLDER = Holder("test", 1)


def claim(execution: Execution, component_id: str) -> Held:
    run = execution.runs.get(component_id=component_id, status=RunStatus.QUEUED)
    claimed = running.claim(run.pk, run.attempt, HOLDER, registry.known_types(), jump=True)
    assert claimed is not None
    return claimed.run


def fail(run: Held, execution: Execution) -> None:
    compiled = plans.compiled(execution.version_id)
    settled = settle(compiled.definition, run.component_id, RunStatus.FAILED)
    error = {"code": "COMPONENT_ERROR", "message": "m"}
    conclude.end_run(run, compiled, Ended(RunStatus.FAILED, error=error), settled, holder=HOLDER, keep=False)


def test_a_cancel_stays_one_when_a_component_fails_after_it(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, {"components": [log("a"), log("b")]})
    a, b = claim(execution, "a"), claim(execution, "b")
    interventions.cancel_execution(execution)
    fail(a, execution)
    execution.refresh_from_db()
    assert execution.stop_as == ExecutionStatus.CANCELLED
    conclude.stop_execution(execution.pk, ExecutionStatus.FAILED, {"code": "TIMEOUT_ERROR", "message": "late"})
    fail(b, execution)
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.CANCELLED


def test_an_overdue_execution_takes_no_run_and_its_component_is_not_run_again(
    alice: User, doorbells: Doorbells
) -> None:
    execution = start(alice, linear(log("a"), timeout_seconds=60))
    run = execution.runs.get()
    Execution.objects.update(deadline_at="2000-01-01T00:00:00Z")
    assert running.claim(run.pk, 1, HOLDER, registry.known_types(), jump=True) is None
    maintenance.sweep()
    execution.refresh_from_db()
    assert (execution.status, execution.error["code"]) == ("failed", "TIMEOUT_ERROR")


def test_a_signal_that_loses_to_the_time_limit_is_kept(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(signal(timeout_seconds=60)))
    doorbells.work()
    run = execution.runs.get()
    kept = Signal.objects.create(execution=execution, name="go", data=1, sender=alice)
    with psycopg.connect(**connection.get_connection_params()) as sweep:
        sweep.execute(
            "UPDATE executions_componentrun SET status = 'queued', waited = true WHERE id = %s", [_uuid(run.pk)]
        )
        sweep.commit()
    from django.db import transaction

    with transaction.atomic():
        assert waiting.deliver(kept.pk, run.pk) == []
    kept.refresh_from_db()
    assert (kept.taken_by_id, kept.taken_at) == (None, None)


def _uuid(id_: str) -> Any:
    from core.ids import to_uuid

    return to_uuid(id_)


def test_a_loops_retry_asks_for_approval_again(alice: User, doorbells: Doorbells) -> None:
    policy = {"max_attempts": 2, "initial_delay_seconds": 3600, "max_delay_seconds": 3600}
    loop = {
        **for_each([1], approval(), {**failing("bad"), "retry_policy": {"max_attempts": 1}}),
        "retry_policy": policy,
    }
    # What fails in the body is not permanent for the loop.
    execution = start(alice, {"components": [loop], "connections": []})
    doorbells.work()
    send(execution, alice, {"approved": True}, "ask")
    doorbells.work()
    assert ComponentRun.objects.get(component_id="loop").waiting_for == "retry"
    ComponentRun.objects.update(wake_at="2000-01-01T00:00:00Z")
    maintenance.wake_due()
    doorbells.work()
    assert ComponentRun.objects.get(component_id="ask").status == RunStatus.WAITING


def test_a_loops_own_time_limit_ends_its_items(alice: User, doorbells: Doorbells) -> None:
    inner = for_each([1, 2], signal(), id_="inner", max_concurrency=2)
    late = transform("late", "{{ error.code }}")
    definition = graph([{**for_each([1], inner), "timeout_seconds": 60}, late], "loop!late")
    execution = start(alice, definition)
    doorbells.work()
    ComponentRun.objects.filter(component_id="loop").update(
        wake_at="2000-01-01T00:00:00Z", deadline_at="2000-01-01T00:00:00Z"
    )
    assert maintenance.wake_due() == 1
    doorbells.work()
    assert ended(execution).results == "TIMEOUT_ERROR"
    states = set(ComponentRun.objects.exclude(component_id__in=["loop", "late"]).values_list("status", flat=True))
    assert states == {RunStatus.CANCELLED}
    assert not LoopItem.objects.filter(status="running").exists()


def test_a_sub_workflows_time_limit_cancels_the_child(alice: User, doorbells: Doorbells) -> None:
    child = make_workflow(alice, linear(signal()))
    execution = start(alice, linear({**sub(child.pk), "timeout_seconds": 60}))
    doorbells.work()
    assert ComponentRun.objects.get(component_id="child").wake_at is not None
    ComponentRun.objects.filter(component_id="child").update(
        wake_at="2000-01-01T00:00:00Z", deadline_at="2000-01-01T00:00:00Z"
    )
    maintenance.wake_due()
    doorbells.work()
    assert ended(execution).error["code"] == "TIMEOUT_ERROR"
    assert Execution.objects.get(workflow=child).status == ExecutionStatus.CANCELLED


def serve_one(doorbells: Doorbells) -> None:
    """Serve the one message that there is, and none that this sends."""
    doorbells.receive()
    (message,) = doorbells.waiting
    doorbells.waiting.clear()
    runner.run_component(message.run_id, message.attempt, HOLDER)


def run_into_time_limit(component_id: str, doorbells: Doorbells) -> None:
    """Let the component's limit pass, and the delay of its retry; no sweep but that of waits."""
    past = "2000-01-01T00:00:00Z"
    ComponentRun.objects.filter(component_id=component_id).update(wake_at=past, deadline_at=past)
    assert maintenance.wake_due() == 1
    doorbells.work()
    assert ComponentRun.objects.filter(component_id=component_id, waiting_for="retry").update(wake_at=past) == 1
    assert maintenance.wake_due() == 1
    doorbells.work()


def test_the_end_of_a_child_that_was_given_up_does_not_end_the_wait_for_the_next(
    alice: User, doorbells: Doorbells
) -> None:
    child = make_workflow(alice, linear(log("work"), signal()))
    limited = {**sub(child.pk), "timeout_seconds": 60, "retry_policy": {"max_attempts": 2}}
    execution = start(alice, linear(limited))
    serve_one(doorbells)
    given_up = Execution.objects.get(workflow=child)
    held = claim(given_up, "work")
    run_into_time_limit("child", doorbells)
    fail(held, given_up)
    assert ended(given_up).status == ExecutionStatus.CANCELLED
    assert doorbells.work() == 0
    send(Execution.objects.get(workflow=child, completed_at=None), alice, 42)
    doorbells.work()
    assert ended(execution).results == 42


def test_a_run_that_is_woken_before_its_child_has_ended_waits_on(alice: User, doorbells: Doorbells) -> None:
    child = make_workflow(alice, linear(signal()))
    execution = start(alice, linear({**sub(child.pk), "timeout_seconds": 60}))
    doorbells.work()
    before = execution.runs.get()
    execution.runs.update(status=RunStatus.QUEUED, waited=True)
    runner.run_component(before.pk, before.attempt, HOLDER)
    after = execution.runs.get()
    assert (after.status, after.waiting_for, after.attempt) == (RunStatus.WAITING, "child", 1)
    assert after.wake_at == before.wake_at
    send(Execution.objects.get(workflow=child), alice, 42)
    doorbells.work()
    assert ended(execution).results == 42


def test_the_retry_of_a_loop_over_its_time_leaves_no_child_of_its_body_behind(
    alice: User, doorbells: Doorbells
) -> None:
    child = make_workflow(alice, linear(signal()))
    inner = for_each([1, 2], sub(child.pk), id_="inner", max_concurrency=2)
    loop = {**for_each([1], inner), "timeout_seconds": 60, "retry_policy": {"max_attempts": 2}}
    start(alice, linear(loop))
    doorbells.work()
    run_into_time_limit("loop", doorbells)
    children = Execution.objects.filter(workflow=child).order_by("pk")
    assert list(children.values_list("status", flat=True)) == ["cancelled", "cancelled", "running", "running"]


def test_the_input_of_a_join_of_any_is_what_let_it_start(alice: User, doorbells: Doorbells) -> None:
    loop = {**for_each("{{ input }}", signal()), "join": "any"}
    execution = start(alice, graph([transform("a", [1]), transform("d", [2, 3]), loop], "a>loop", "d>loop"))
    doorbells.receive()
    first, second = doorbells.waiting
    doorbells.waiting[:] = [first]
    runner.run_component(first.run_id, 1, HOLDER)
    runner.run_component(second.run_id, 1, HOLDER)
    doorbells.waiting.clear()
    doorbells.work()
    send(execution, alice, "done")
    doorbells.work()
    assert ended(execution).results is not None
    assert ComponentRun.objects.get(component_id="loop").output == ["done"]


def everything_told() -> str:
    return str([
        list(Event.objects.values_list("data", flat=True)),
        list(ComponentRun.objects.values_list("output", "error")),
        list(LoopItem.objects.values_list("value", flat=True)),
        list(Execution.objects.values_list("parameters", "results", "error")),
    ])  # fmt: skip


def test_a_secret_that_a_parent_hands_on_stays_one(alice: User, doorbells: Doorbells) -> None:
    secret = "s3cr3t-value-of-alice"
    create_secret(owner=alice, name="key", value=secret)
    grandchild = make_workflow(alice, linear(log("deep", "{{ y }}"), transform("out", "{{ y }}")))
    child = make_workflow(alice, linear(log("l", "{{ x }}"), sub(grandchild.pk, parameters={"y": "{{ x }}"})))
    execution = start(
        alice, linear(sub(child.pk, parameters={"x": "{{ secrets.key }}"}), transform("z", "{{ input }}"))
    )
    doorbells.work()
    assert ended(execution).status == ExecutionStatus.COMPLETED
    assert secret not in everything_told()


def test_a_retry_with_another_secret_hides_the_old_one_too(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    old, new = "old-secret-value", "new-secret-value"
    definition = {
        **linear(transform("a", "{{ tok }}"), log("b", "using {{ a.output }}")),
        "parameters": [{"name": "tok", "type": "secret"}],
    }
    execution = start(alice, definition, parameters={"tok": old})
    doorbells.work()
    body = {"from_component": "b", "parameters": {"tok": new}}
    assert alice_api.post(f"/executions/{execution.pk}/retry", body).status == 201
    doorbells.work()
    assert set(Execution.objects.values_list("status", flat=True)) == {"completed"}
    assert old not in everything_told()


def test_a_signal_named_by_a_secret_is_refused(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(signal(name="{{ api_token }}")), parameters={"api_token": "s3cr3t-value"})
    doorbells.work()
    assert "holds a secret" in ended(execution).error["message"]
    assert "s3cr3t-value" not in everything_told()


def test_results_over_their_limit_fail_the_execution(alice: User, doorbells: Doorbells, settings: Any) -> None:
    settings.MAX_RESULTS_BYTES = 100
    execution = start(alice, {"components": [transform("a", "x" * 60), transform("b", "y" * 60)]})
    doorbells.work()
    assert ended(execution).error == {
        "code": "EXECUTION_FAILED",
        "message": "The results have 124 bytes, at most 100 are stored",
    }


def test_runs_of_a_definition_that_no_longer_validates_are_still_listed(
    alice: User, alice_api: Api, doorbells: Doorbells
) -> None:
    execution = start(alice, linear(log("a")))
    doorbells.work()
    execution.version.definition["components"].append({"id": "a", "type": "log", "config": {"message": "twice"}})
    execution.version.save(update_fields=["definition"])
    plans.compiled.cache_clear()
    answer = alice_api.get(f"/executions/{execution.pk}/components")
    assert (answer.status, [row["input_data"] for row in answer.data]) == (200, [None])


def test_the_same_key_twice_at_once_is_one_execution_and_no_conflict(alice: User, doorbells: Doorbells) -> None:
    workflow = make_workflow(alice, linear(signal(), concurrency={"strategy": "skip"}))
    request = services.StartRequest(idempotency_key="k")
    first = services.start_execution(workflow=workflow, user=alice, request=request)
    # As a second request would that looked before the first was stored.
    original, services._earlier = services._earlier, lambda *a: None
    try:
        with pytest.raises(Exception, match="idempotency_key_unique"):
            services.start_execution(workflow=workflow, user=alice, request=request)
    finally:
        services._earlier = original
    assert services.start_execution(workflow=workflow, user=alice, request=request).execution == first.execution


def test_an_interrupted_attempt_is_not_begun_again_while_the_execution_stops(
    alice: User, doorbells: Doorbells, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = start(alice, linear(log("a"), timeout_seconds=60))
    calls = []

    def interrupted(*args: object) -> None:
        calls.append(1)
        Execution.objects.update(deadline_at="2000-01-01T00:00:00Z")
        maintenance.stop_overdue()
        raise Interrupted

    monkeypatch.setattr(type(registry.BUILT_IN["log"]), "run", interrupted)
    doorbells.work()
    assert len(calls) == 1
    assert ended(execution).error["code"] == "TIMEOUT_ERROR"


def test_an_attempt_that_a_worker_gave_up_uses_up_no_retry(alice: User, doorbells: Doorbells) -> None:
    policy = {"max_attempts": 2, "initial_delay_seconds": 3600, "max_delay_seconds": 3600}
    execution = start(alice, linear(refused("a", retry_policy=policy)))
    assert conclude.hand_over(claim(execution, "a").key, "The worker stops")
    doorbells.work()
    run = execution.runs.get()
    assert (run.status, run.attempt, run.waiting_for) == (RunStatus.WAITING, 3, "retry")


def test_an_execution_runs_the_version_that_it_was_accepted_with(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(signal(), transform("z", "old")))
    doorbells.work()
    changes = {"definition": linear(transform("other", "new"))}
    update_workflow(workflow=execution.workflow, user=alice, changes=changes)
    send(execution, alice, None)
    doorbells.work()
    assert ended(execution).results == "old"
