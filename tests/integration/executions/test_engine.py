"""How executions move: each behaviour of the engine, on a real database and broker, served by hand."""

import pytest
from django.conf import settings

from accounts.models import User
from core.errors import ConflictError, ValidationFailedError
from core.types import JSONObject
from events.models import Event
from executions import conclude, interventions, maintenance, plans, services
from executions.decider import settle
from executions.models import ComponentRun, Execution
from executions.states import ExecutionStatus, RunStatus
from executions.transitions import running
from executions.transitions.statements import Ended, Held, Holder
from tests.integration.executions.conftest import Doorbells, linear, log, make_workflow, opened, start, transform
from workflows.components import registry

pytestmark = pytest.mark.django_db(transaction=True)

HOLDER = Holder("test", 1)


def statuses(execution: Execution) -> dict[str, str]:
    """component id -> status of its run."""
    return dict(execution.runs.values_list("component_id", "status"))


def event_types(execution: Execution) -> list[str]:
    """The ledger's words for what happened, in order, checked to be numbered without a gap."""
    events = list(Event.objects.filter(subject_id=execution.pk).order_by("sequence"))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    return [event.type for event in events]


def connect(*texts: str) -> list[JSONObject]:
    """`"a>b"` success, `"a!b"` error, `"a?b:condition"` conditional."""
    made: list[JSONObject] = []
    for text in texts:
        if "?" in text:
            ends, condition = text.split(":", 1)
            source, target = ends.split("?")
            made.append({"source": source, "target": target, "type": "conditional", "condition": condition})
        else:
            mark = ">" if ">" in text else "!"
            source, target = text.split(mark)
            made.append({"source": source, "target": target, "type": "success" if mark == ">" else "error"})
    return made


def graph(components: list[JSONObject], *connections: str, **settings: object) -> JSONObject:
    return {"components": components, "connections": connect(*connections), "settings": settings}


def failing(id_: str, **more: object) -> JSONObject:
    """A component that always fails, permanently: an expression over a name that does not exist."""
    return transform(id_, "{{ nothing_of_that_name }}", **more)


def refused(id_: str, **more: object) -> JSONObject:
    """A component that fails and may be retried: nobody listens there."""
    return {"id": id_, "type": "http_request", "config": {"url": "http://127.0.0.1:9", "method": "GET"}, **more}


def test_a_chain_runs_to_its_result(alice: User, doorbells: Doorbells) -> None:
    definition = linear(transform("a", {"n": 1}), transform("b", "{{ input.n + 1 }}"))
    execution = start(alice, definition)
    assert execution.status == ExecutionStatus.QUEUED
    assert doorbells.work() == 1
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.COMPLETED
    assert execution.results == 2
    assert event_types(execution) == [
        "execution.started",
        "component.started",
        "component.completed",
        "component.started",
        "component.completed",
        "execution.completed",
    ]


@pytest.mark.parametrize("name", ["n", "password"])
def test_an_integer_beyond_64_bits_is_the_same_whoever_runs_the_successor(
    alice: User, doorbells: Doorbells, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(settings.ENGINE, "KEEP_SUCCESSOR_SECONDS", 0)
    definition = linear(transform("a", {name: f"{{{{ parameters.{name} }}}}"}), transform("b", "{{ a.output }}"))
    execution = start(alice, definition, parameters={name: 2**64 + 1})
    assert doorbells.work() == 2
    assert opened(execution) == {"a": {name: 2**64 + 1}, "b": {name: 2**64 + 1}}


def test_fan_out_and_join_run_everything_once(alice: User, doorbells: Doorbells) -> None:
    middle = [transform(f"m{i}", i) for i in range(5)]
    ends = [f"a>m{i}" for i in range(5)] + [f"m{i}>z" for i in range(5)]
    z = transform("z", "{{ input }}")
    execution = start(alice, graph([transform("a", 0), *middle, z], *ends))
    doorbells.work()
    execution.refresh_from_db()
    assert execution.results == {f"m{i}": i for i in range(5)}
    assert event_types(execution).count("component.completed") == 7


def test_a_condition_routes_and_the_dead_path_is_skipped_to_its_end(alice: User, doorbells: Doorbells) -> None:
    components = [transform("a", 7), log("big"), log("small"), log("after_small"), transform("z", "{{ input }}")]
    connections = ("a?big:input > 5", "a?small:input <= 5", "small>after_small", "after_small>z", "big>z")
    execution = start(alice, graph(components, *connections))
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.COMPLETED
    assert statuses(execution) == {
        "a": "completed",
        "big": "completed",
        "small": "skipped",
        "after_small": "skipped",
        "z": "completed",
    }
    assert (execution.ended_components, execution.remaining) == (5, 0)


def test_an_error_connection_handles_a_failure(alice: User, doorbells: Doorbells) -> None:
    handler = transform("handler", "{{ error.component_id }}: {{ error.code }}")
    execution = start(alice, graph([failing("a"), log("next"), handler], "a>next", "a!handler"))
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.COMPLETED
    assert execution.results == "a: COMPONENT_ERROR"
    assert statuses(execution) == {"a": "failed", "next": "skipped", "handler": "completed"}


def test_an_unhandled_failure_stops_what_has_not_begun(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, graph([failing("a"), log("next"), log("other")], "a>next"))
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.FAILED
    assert execution.error["component_id"] == "a"
    assert "nothing_of_that_name" in execution.error["message"]
    assert statuses(execution) == {"a": "failed", "next": "cancelled", "other": "cancelled"}
    assert event_types(execution)[-1] == "execution.failed"


def test_with_continue_independent_branches_finish_first(alice: User, doorbells: Doorbells) -> None:
    definition = graph([failing("a"), log("next"), log("other")], "a>next", on_failure="continue")
    execution = start(alice, definition)
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.FAILED
    assert statuses(execution) == {"a": "failed", "next": "skipped", "other": "completed"}


def test_a_join_of_any_starts_once(alice: User, doorbells: Doorbells) -> None:
    components = [log("a"), log("b"), transform("z", "{{ input }}", join="any")]
    execution = start(alice, graph(components, "a>z", "b>z"))
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.COMPLETED
    assert event_types(execution).count("component.started") == 3


def test_results_are_the_outputs_of_the_ends_that_ran_by_id(alice: User, doorbells: Doorbells) -> None:
    ends = [{"id": id_, "type": "end", "config": {"output": id_}} for id_ in ("one", "two")]
    execution = start(alice, graph([log("a"), *ends, log("leaf")], "a>one", "a>two", "a>leaf"))
    doorbells.work()
    execution.refresh_from_db()
    assert execution.results == {"one": "one", "two": "two"}


def test_without_an_end_the_last_components_answer(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, graph([transform("a", 1), transform("b", 2)]))
    doorbells.work()
    execution.refresh_from_db()
    assert execution.results == {"a": 1, "b": 2}


def test_a_second_message_for_a_claimed_run_does_nothing(alice: User, doorbells: Doorbells) -> None:
    start(alice, linear(log("a")))
    doorbells.receive()
    (run,) = doorbells.waiting
    assert running.claim(run.run_id, run.attempt, HOLDER, registry.known_types()) is not None
    assert running.claim(run.run_id, run.attempt, HOLDER, registry.known_types()) is None


def test_a_message_of_another_attempt_claims_nothing(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    run = execution.runs.get()
    assert running.claim(run.pk, 2, HOLDER, registry.known_types()) is None
    assert running.claim(execution.pk, 1, HOLDER, registry.known_types()) is None


def test_the_result_of_a_rescued_attempt_is_refused(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(transform("a", "right")))
    run = execution.runs.get()
    claimed = running.claim(run.pk, 1, HOLDER, registry.known_types())
    assert claimed is not None
    ComponentRun.objects.update(lease_until="2000-01-01T00:00:00Z")
    assert maintenance.rescue_expired() == 1
    late = running.finish(claimed.run, Ended(RunStatus.COMPLETED, output_text='"late"'), (), holder=HOLDER, keep=None)
    assert late is None
    doorbells.work()
    execution.refresh_from_db()
    assert execution.results == "right"
    assert event_types(execution).count("component.completed") == 1


def test_a_component_whose_process_dies_three_times_fails(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a"), log("b")))
    run = execution.runs.get(component_id="a")
    for attempt in (1, 2, 3):
        assert running.claim(run.pk, attempt, HOLDER, registry.known_types()) is not None
        ComponentRun.objects.filter(pk=run.pk).update(lease_until="2000-01-01T00:00:00Z")
        maintenance.rescue_expired()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.FAILED
    assert execution.error == {
        "code": "COMPONENT_ERROR",
        "message": "The worker process died 3 times while running this component",
        "component_id": "a",
    }


def test_lost_messages_are_rung_again(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    doorbells.receive()
    doorbells.waiting.clear()
    assert maintenance.ring_unclaimed() == 0
    ComponentRun.objects.update(rung_at="2000-01-01T00:00:00Z")
    assert maintenance.ring_unclaimed() == 1
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.COMPLETED


def test_a_failed_attempt_is_retried_after_its_delay_and_then_fails(alice: User, doorbells: Doorbells) -> None:
    policy = {"max_attempts": 2, "initial_delay_seconds": 3600, "max_delay_seconds": 3600, "backoff_multiplier": 1}
    execution = start(alice, linear(refused("a", retry_policy=policy)))
    doorbells.work()
    run = execution.runs.get()
    assert (run.status, run.attempt) == (RunStatus.WAITING, 2)
    assert maintenance.wake_due() == 0
    ComponentRun.objects.update(wake_at="2000-01-01T00:00:00Z")
    assert maintenance.wake_due() == 1
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.FAILED
    assert event_types(execution).count("component.started") == 2
    assert event_types(execution).count("component.waiting") == 1


def test_a_permanent_failure_is_not_retried(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(failing("a", retry_policy={"max_attempts": 5})))
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.FAILED
    assert event_types(execution).count("component.started") == 1


def test_a_delay_holds_no_worker_and_ends_when_it_is_due(alice: User, doorbells: Doorbells) -> None:
    delay = {"id": "d", "type": "delay", "config": {"seconds": 3600}}
    execution = start(alice, linear(delay, transform("z", "done")))
    doorbells.work()
    assert statuses(execution) == {"d": "waiting", "z": "blocked"}
    ComponentRun.objects.filter(component_id="d").update(wake_at="2000-01-01T00:00:00Z")
    maintenance.wake_due()
    doorbells.work()
    execution.refresh_from_db()
    assert execution.results == "done"
    assert event_types(execution).count("component.started") == 2


def test_cancel_ends_a_waiting_execution_at_once(alice: User, doorbells: Doorbells) -> None:
    delay = {"id": "d", "type": "delay", "config": {"seconds": 3600}}
    execution = start(alice, linear(delay, log("z")))
    doorbells.work()
    cancelled = interventions.cancel_execution(execution)
    assert cancelled.status == ExecutionStatus.CANCELLED
    assert statuses(execution) == {"d": "cancelled", "z": "cancelled"}
    assert event_types(execution)[-1] == "execution.cancelled"


def test_cancel_while_a_component_runs_lets_nothing_new_start(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a"), log("b")))
    claimed = running.claim(execution.runs.get(component_id="a").pk, 1, HOLDER, registry.known_types())
    assert claimed is not None
    assert interventions.cancel_execution(execution).status == ExecutionStatus.RUNNING
    assert interventions.cancel_execution(execution).status == ExecutionStatus.RUNNING
    _end(claimed.run, execution)
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.CANCELLED
    assert statuses(execution) == {"a": "completed", "b": "cancelled"}
    assert event_types(execution).count("component.started") == 1


def _end(run: Held, execution: Execution) -> None:
    compiled = plans.compiled(execution.version_id)
    settled = settle(compiled.definition, "a", RunStatus.COMPLETED)
    ended = Ended(RunStatus.COMPLETED, output_text="{}")
    conclude.end_run(run, compiled, ended, settled, holder=HOLDER, keep=True)


def test_x3_cancelling_an_ended_execution_conflicts(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    doorbells.work()
    with pytest.raises(ConflictError):
        interventions.cancel_execution(execution)
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.COMPLETED


def test_over_the_tier_executions_wait_and_start_by_priority_then_age(alice: User, doorbells: Doorbells) -> None:
    alice.tier, alice.concurrent_executions = "custom", 1
    alice.save(update_fields=["tier", "concurrent_executions"])
    first = start(alice, linear(log("a")))
    low, high, low_too = (start(alice, linear(log("a")), priority=priority) for priority in (3, 9, 3))
    assert first.admitted_at is not None
    assert [execution.admitted_at for execution in (low, high, low_too)] == [None] * 3
    doorbells.work()
    ends = Execution.objects.order_by("completed_at").values_list("pk", flat=True)
    assert list(ends) == [first.pk, high.pk, low.pk, low_too.pk]


def test_x2_a_scheduled_execution_waits_for_its_time(alice: User, doorbells: Doorbells) -> None:
    from datetime import timedelta

    from django.utils import timezone

    execution = start(alice, linear(log("a")), scheduled_at=timezone.now() + timedelta(hours=1))
    assert execution.status == ExecutionStatus.PENDING
    maintenance.sweep()
    assert doorbells.work() == 0
    Execution.objects.update(scheduled_at="2000-01-01T00:00:00Z")
    maintenance.sweep()
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.COMPLETED


def test_an_overdue_execution_fails_with_a_timeout(alice: User, doorbells: Doorbells) -> None:
    delay = {"id": "d", "type": "delay", "config": {"seconds": 3600}}
    execution = start(alice, linear(delay, timeout_seconds=1))
    doorbells.work()
    Execution.objects.update(deadline_at="2000-01-01T00:00:00Z")
    assert maintenance.stop_overdue() == 1
    execution.refresh_from_db()
    assert (execution.status, execution.error["code"]) == (ExecutionStatus.FAILED, "TIMEOUT_ERROR")


def test_an_execution_whose_worker_died_before_its_end_is_completed(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(transform("a", 1)))
    claimed = running.claim(execution.runs.get().pk, 1, HOLDER, registry.known_types())
    assert claimed is not None
    running.finish(claimed.run, Ended(RunStatus.COMPLETED, output_text="1"), (), holder=HOLDER, keep=None)
    assert maintenance.complete_unfinished() == 1
    execution.refresh_from_db()
    assert (execution.status, execution.results) == (ExecutionStatus.COMPLETED, 1)


def test_secret_parameters_are_sealed_shown_redacted_and_usable(alice: User, doorbells: Doorbells) -> None:
    secret = "s3cr3t-value-of-alice"
    definition = linear(
        log("a", "token {{ api_token }}"),
        transform("b", {"upper": "{{ api_token | upper }}"}),
        transform("c", "{{ components.b.output.upper == api_token | upper }} {{ api_token }}"),
    )
    execution = start(alice, definition, parameters={"api_token": secret, "size": 3})
    assert execution.parameters == {"api_token": "[REDACTED]", "size": 3}
    doorbells.work()
    execution.refresh_from_db()
    assert execution.results == "true [REDACTED]"
    stored = [*Event.objects.values_list("data", flat=True), *ComponentRun.objects.values_list("output", flat=True)]
    assert secret not in str(stored)


def test_x1_a_missing_parameter_is_named_and_nothing_is_stored(alice: User, doorbells: Doorbells) -> None:
    definition = {**linear(log("a")), "parameters": [{"name": "size", "type": "integer", "required": True}]}
    with pytest.raises(ValidationFailedError) as caught:
        start(alice, definition)
    assert [problem.field for problem in caught.value.problems] == ["parameters.size"]
    assert Execution.objects.count() == 0


@pytest.mark.parametrize("status", ["inactive", "archived"])
def test_o7_an_inactive_workflow_cannot_be_executed(alice: User, doorbells: Doorbells, status: str) -> None:
    workflow = make_workflow(alice, linear(log("a")))
    workflow.status = status
    with pytest.raises(ConflictError):
        services.start_execution(workflow=workflow, user=alice, request=services.StartRequest({}))


def test_an_idempotency_key_gives_the_same_execution_and_refuses_another_body(
    alice: User, doorbells: Doorbells
) -> None:
    workflow = make_workflow(alice, linear(log("a")))
    request = services.StartRequest({"n": 1}, idempotency_key="key")
    first = services.start_execution(workflow=workflow, user=alice, request=request)
    again = services.start_execution(workflow=workflow, user=alice, request=request)
    assert (first.created, again.created) == (True, False)
    assert first.execution == again.execution
    with pytest.raises(ConflictError):
        other = services.StartRequest({"n": 2}, idempotency_key="key")
        services.start_execution(workflow=workflow, user=alice, request=other)
    assert Execution.objects.count() == 1


def test_an_output_that_is_too_large_fails_the_component(alice: User, doorbells: Doorbells, settings: object) -> None:
    settings.MAX_OUTPUT_BYTES = 1000  # type: ignore[attr-defined]
    execution = start(alice, linear(transform("a", "{{ range(1000) }}")))
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.FAILED
    assert "at most 1000 are stored" in execution.error["message"]
