"""Who goes first: priorities, fairness between owners, `max_parallel`, `settings.concurrency`, worker's types."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from core.errors import ConflictError
from core.ids import to_uuid
from core.types import JSONObject
from executions import interventions, maintenance, passes, plans, runner, services
from executions.models import ComponentRun, Execution
from executions.states import ExecutionStatus, RunStatus
from executions.transitions import running, starting, turns
from executions.transitions.statements import Claimed, Holder
from tests.eventually import eventually
from tests.integration.executions.conftest import Doorbells, linear, log, make_workflow, start, transform
from tests.integration.executions.test_waits import send, signal
from tests.locks import waiting
from workflows.components import registry
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)

HOLDER = Holder("test", 1)


def unlimited(user: User) -> User:
    user.tier, user.concurrent_executions = "custom", 10_000
    user.save(update_fields=["tier", "concurrent_executions"])
    return user


def take(run: ComponentRun) -> Claimed | None:
    """What a worker that got this run's message would work on."""
    return runner._claim(run.pk, run.attempt, HOLDER)


def queued(execution: Execution) -> ComponentRun:
    return execution.runs.get(status=RunStatus.QUEUED)


def run(workflow: Workflow, user: User, **request: object) -> Execution:
    return services.start_execution(
        workflow=workflow,
        user=user,
        request=services.StartRequest(**request),  # type: ignore[arg-type]
    ).execution


def test_a_more_urgent_run_is_taken_first_whatever_the_message_says(alice: User, doorbells: Doorbells) -> None:
    workflow = make_workflow(unlimited(alice), linear(log("a")))
    full = [run(workflow, alice) for _ in range(200)]
    late = [run(workflow, alice, priority=priority) for priority in (1, 2, 3, 4, 6, 7, 8, 9, 10)]
    order = []
    for execution in [*full, *late]:
        claimed = take(execution.runs.get())
        assert claimed is not None
        order.append(claimed.execution["priority"])
    assert order == [10, 9, 8, 7, 6, *[5] * 200, 4, 3, 2, 1]


def test_one_owner_with_many_queued_does_not_delay_anothers_single_one(
    alice: User, bob: User, doorbells: Doorbells
) -> None:
    workflow = make_workflow(unlimited(alice), linear(log("a")))
    many = [run(workflow, alice) for _ in range(500)]
    single = start(bob, linear(log("b")))
    first = take(queued(many[0]))
    assert first is not None
    second = take(queued(many[1]))
    assert second is not None
    # Nothing of bob's ran when the first worker became free: his is the next, before 498 older ones.
    owners = {first.execution["created_by_id"], second.execution["created_by_id"]}
    assert owners == {alice.pk, bob.pk}
    assert single.runs.get().status == RunStatus.RUNNING


def test_a_worker_with_successors_hands_over_when_another_owner_waits(
    alice: User, bob: User, doorbells: Doorbells
) -> None:
    start(bob, linear(log("b")))
    assert not turns.others_wait(5, bob.pk, HOLDER.queues)
    ComponentRun.objects.update(changed_at="2000-01-01T00:00:00Z")
    assert not turns.others_wait(5, bob.pk, HOLDER.queues)
    assert turns.others_wait(5, alice.pk, HOLDER.queues)
    assert turns.others_wait(4, bob.pk, HOLDER.queues)
    assert not turns.others_wait(6, alice.pk, HOLDER.queues)


def test_of_one_owner_the_oldest_goes_first(alice: User, doorbells: Doorbells) -> None:
    workflow = make_workflow(unlimited(alice), linear(log("a")))
    executions = [run(workflow, alice) for _ in range(4)]
    found = [run_id for run_id, _ in turns.next_in_turn(registry.known_types(), HOLDER.queues)]
    assert found == [execution.runs.get().pk for execution in executions[:2]]


def test_a_worker_leaves_what_it_does_not_know_to_one_that_does(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    row = execution.runs.get()
    assert running.claim(row.pk, 1, HOLDER, ["transform"]) is None
    assert turns.next_in_turn(["transform"], HOLDER.queues) == []
    assert queued(execution) == row
    assert running.claim(row.pk, 1, HOLDER, ["log"]) is not None


def test_max_parallel_holds_runs_out_of_the_queue_until_another_ends(alice: User, doorbells: Doorbells) -> None:
    definition = {"components": [log(f"c{n}") for n in range(4)], "settings": {"max_parallel": 2}}
    execution = start(alice, definition)
    rows = list(execution.runs.order_by("position"))
    assert [take(row) is not None for row in rows] == [True, True, False, False]
    assert list(execution.runs.filter(held=True).values_list("component_id", flat=True)) == ["c2", "c3"]
    assert (running.let_in(execution.pk), maintenance.let_in_held()) == ([], 0)
    ComponentRun.objects.filter(component_id="c0").update(lease_until="2000-01-01T00:00:00Z")
    maintenance.rescue_expired()
    # c0 is queued again and has its place; c1 still runs.
    assert running.let_in(execution.pk) == []
    ComponentRun.objects.filter(component_id="c1").update(lease_until="2000-01-01T00:00:00Z")
    maintenance.rescue_expired()
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == ExecutionStatus.COMPLETED


def test_a_held_back_execution_stands_in_nobodys_way(alice: User, bob: User, doorbells: Doorbells) -> None:
    components = [log(f"c{n}") for n in range(3)]
    hers = start(alice, {"components": components, "settings": {"max_parallel": 1}}, priority=10)
    assert [take(row) is not None for row in hers.runs.order_by("position")] == [True, False, False]
    his = start(bob, linear(log("b")))
    assert not turns.others_wait(5, bob.pk, HOLDER.queues)
    claimed = take(his.runs.get())
    assert claimed is not None
    assert claimed.execution["created_by_id"] == bob.pk


def test_two_claims_at_once_do_not_both_take_the_last_place(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, {"components": [log("a"), log("b")], "settings": {"max_parallel": 1}})
    first, second = execution.runs.order_by("position")

    def claim(run_id: str) -> bool:
        try:
            return running.claim(run_id, 1, HOLDER, registry.known_types(), jump=True) is not None
        finally:
            connection.close()

    with ThreadPoolExecutor() as pool, psycopg.connect(**connection.get_connection_params()) as other:
        # Both wait for the execution's row, and have looked before they have it.
        other.execute("SELECT 1 FROM executions_execution FOR NO KEY UPDATE")
        claims = [pool.submit(claim, run.pk) for run in (first, second)]
        eventually(lambda: waiting() == 2)
        other.rollback()
        assert sorted(claim.result(20) for claim in claims) == [False, True]


def test_a_place_that_a_wait_gives_back_is_taken_at_once(alice: User, doorbells: Doorbells) -> None:
    delay = {"id": "d", "type": "delay", "config": {"seconds": 3600}}
    execution = start(alice, {"components": [delay, log("a")], "settings": {"max_parallel": 1}})
    doorbells.receive()
    assert take(execution.runs.get(component_id="d")) is not None
    assert take(execution.runs.get(component_id="a")) is None
    ComponentRun.objects.filter(component_id="d").update(lease_until="2000-01-01T00:00:00Z")
    maintenance.rescue_expired()
    doorbells.work()
    assert dict(execution.runs.values_list("component_id", "status")) == {"d": "waiting", "a": "completed"}


def limited(strategy: str, key: str = "", limit: int = 1) -> JSONObject:
    return linear(signal(), concurrency={"limit": limit, "key": key, "strategy": strategy})


def slots(*executions: Execution) -> list[bool]:
    """Which of them were admitted."""
    admitted = dict(Execution.objects.values_list("pk", "admitted_at"))
    return [admitted[execution.pk] is not None for execution in executions]


REPLACED = {
    "code": "RESOURCE_CONFLICT",
    "message": "A newer execution took its place: the workflow's concurrency limit of 1 is reached, "
    "and its strategy is cancel_running",
}
SKIPPED = {
    "code": "RESOURCE_CONFLICT",
    "message": "The workflow's concurrency limit of 1 is reached, and its strategy is skip",
}


def ends(*executions: Execution) -> list[tuple[str, JSONObject | None]]:
    """Status and error of each."""
    rows = {pk: (status, error) for pk, status, error in Execution.objects.values_list("pk", "status", "error")}
    return [rows[execution.pk] for execution in executions]


def test_queue_waits_for_a_place_of_the_key(alice: User, doorbells: Doorbells) -> None:
    workflow = make_workflow(alice, limited("queue", "{{ customer }}"))
    a, b, other = (run(workflow, alice, parameters={"customer": name}) for name in ("x", "x", "y"))
    assert slots(a, b, other) == [True, False, True]
    doorbells.work()
    send(a, alice, None)
    doorbells.work()
    assert slots(b) == [True]


def test_a_place_is_given_on_to_another_account(alice: User, admin: User, doorbells: Doorbells) -> None:
    workflow = make_workflow(alice, limited("queue"))
    a, b = run(workflow, alice), run(workflow, admin)
    assert slots(a, b) == [True, False]
    interventions.cancel_execution(a)
    assert slots(b) == [True]


def test_skip_refuses_the_next(alice: User, doorbells: Doorbells) -> None:
    workflow = make_workflow(alice, limited("skip", limit=2))
    run(workflow, alice)
    run(workflow, alice)
    with pytest.raises(ConflictError):
        run(workflow, alice)
    assert Execution.objects.count() == 2


def test_cancel_running_ends_the_one_before(alice: User, doorbells: Doorbells) -> None:
    workflow = make_workflow(alice, limited("cancel_running"))
    first = run(workflow, alice)
    doorbells.work()
    second = run(workflow, alice)
    assert ends(first) == [("cancelled", REPLACED)]
    assert slots(second) == [True]


def test_cancel_running_waits_for_a_component_that_still_runs(alice: User, doorbells: Doorbells) -> None:
    workflow = make_workflow(alice, limited("cancel_running"))
    first = run(workflow, alice)
    assert take(first.runs.get()) is not None
    second = run(workflow, alice)
    first.refresh_from_db()
    assert (first.status, first.stop_as) == (ExecutionStatus.RUNNING, "cancelled")
    assert slots(second) == [False]


def test_a_key_that_cannot_be_computed_is_named(alice: User, doorbells: Doorbells) -> None:
    from core.errors import ValidationFailedError

    workflow = make_workflow(alice, limited("queue", "{{ nobody }}"))
    with pytest.raises(ValidationFailedError) as caught:
        run(workflow, alice)
    assert [problem.field for problem in caught.value.problems] == ["definition.settings.concurrency.key"]
    assert Execution.objects.count() == 0


def test_the_key_is_kept_as_a_digest(alice: User, doorbells: Doorbells) -> None:
    workflow = make_workflow(alice, limited("queue", "{{ api_token }}"))
    execution = run(workflow, alice, parameters={"api_token": "s3cr3t-value"})
    assert execution.concurrency_key is not None
    assert len(execution.concurrency_key) == 64


def test_without_a_place_an_execution_takes_no_slot_of_the_account(alice: User, doorbells: Doorbells) -> None:
    alice.tier, alice.concurrent_executions = "custom", 2
    alice.save(update_fields=["tier", "concurrent_executions"])
    workflow = make_workflow(alice, limited("queue"))
    first, second = run(workflow, alice), run(workflow, alice)
    free = start(alice, linear(transform("a", 1)))
    assert slots(first, second, free) == [True, False, True]


@pytest.mark.parametrize(
    ("strategy", "first", "second"), [("cancel_running", "cancelled", True), ("skip", "running", False)]
)
def test_a_scheduled_execution_keeps_to_the_strategy_at_its_time(
    alice: User, doorbells: Doorbells, strategy: str, first: str, second: bool
) -> None:
    workflow = make_workflow(alice, limited(strategy))
    later = run(workflow, alice, scheduled_at=timezone.now() + timedelta(hours=1))
    holder = run(workflow, alice)
    doorbells.work()
    Execution.objects.filter(pk=later.pk).update(scheduled_at="2000-01-01T00:00:00Z")
    maintenance.sweep()
    holder.refresh_from_db()
    later.refresh_from_db()
    assert (holder.status, later.admitted_at is not None) == (first, second)
    assert later.status == ("queued" if second else "cancelled")


def due_together(workflow: Workflow, user: User, count: int) -> list[Execution]:
    """Scheduled executions whose times have come since the last sweep, in that order."""
    executions = [run(workflow, user, scheduled_at=timezone.now() + timedelta(hours=1)) for _ in range(count)]
    for second, execution in enumerate(executions):
        Execution.objects.filter(pk=execution.pk).update(scheduled_at=f"2000-01-01T00:00:0{second}Z")
    return executions


def test_of_those_that_are_due_together_the_last_runs_with_cancel_running(alice: User, doorbells: Doorbells) -> None:
    executions = due_together(make_workflow(alice, limited("cancel_running")), alice, 3)
    maintenance.sweep()
    assert ends(*executions) == [("cancelled", REPLACED), ("cancelled", REPLACED), ("queued", None)]
    assert slots(executions[2]) == [True]


def test_of_those_that_are_due_together_the_first_runs_with_skip(alice: User, doorbells: Doorbells) -> None:
    executions = due_together(make_workflow(alice, limited("skip")), alice, 3)
    maintenance.sweep()
    assert ends(*executions) == [("queued", None), ("cancelled", SKIPPED), ("cancelled", SKIPPED)]
    assert slots(*executions) == [True, False, False]


def test_a_pass_over_its_time_leaves_the_rest_for_the_next(
    alice: User, doorbells: Doorbells, monkeypatch: pytest.MonkeyPatch
) -> None:
    executions = due_together(make_workflow(alice, limited("skip")), alice, 2)
    with monkeypatch.context() as patch:
        patch.setattr(passes, "PASS_SECONDS", -1.0)
        assert maintenance.sweep_one("queue_scheduled") == 0
        assert ends(*executions) == [("pending", None)] * 2
    assert maintenance.sweep_one("queue_scheduled") == 2
    assert ends(*executions) == [("queued", None), ("cancelled", SKIPPED)]


def test_one_that_another_worker_has_queued_is_left_alone(alice: User, doorbells: Doorbells) -> None:
    first, _ = due_together(make_workflow(alice, limited("skip")), alice, 2)
    due = starting.due_with_key(100)
    maintenance.sweep()
    assert [services.queue_scheduled(execution) for execution in due] == [False, False]
    assert slots(first) == [True]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("cancel_running", [("cancelled", REPLACED), ("queued", None)]),
        ("skip", [("running", None), ("cancelled", SKIPPED)]),
    ],
)
def test_a_held_row_costs_no_scheduled_execution_its_strategy(
    alice: User, bob: User, doorbells: Doorbells, strategy: str, expected: list[tuple[str, JSONObject | None]]
) -> None:
    workflow = make_workflow(alice, limited(strategy))
    holder = run(workflow, alice)
    doorbells.work()
    (later,) = due_together(workflow, alice, 1)
    (his,) = due_together(make_workflow(bob, limited(strategy)), bob, 1)
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SELECT 1 FROM accounts_user WHERE username = %s FOR UPDATE", [alice.username])
        assert maintenance.sweep_one("queue_scheduled") == 1
        assert ends(holder, later, his) == [("running", None), ("pending", None), ("queued", None)]
    assert maintenance.sweep_one("queue_scheduled") == 1
    assert ends(holder, later) == expected


def test_none_overtakes_the_one_before_it_that_waits_for_a_row(alice: User, admin: User, doorbells: Doorbells) -> None:
    workflow = make_workflow(alice, limited("skip"))
    (first,), (second,) = due_together(workflow, alice, 1), due_together(workflow, admin, 1)
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SELECT 1 FROM accounts_user WHERE username = %s FOR UPDATE", [alice.username])
        assert maintenance.sweep_one("queue_scheduled") == 0
    assert maintenance.sweep_one("queue_scheduled") == 2
    assert ends(first, second) == [("queued", None), ("cancelled", SKIPPED)]


def test_a_scheduled_execution_that_cannot_run_any_more_says_so_at_its_time(alice: User, doorbells: Doorbells) -> None:
    workflow, broken = (make_workflow(alice, limited("cancel_running")) for _ in range(2))
    holders = run(workflow, alice), run(broken, alice)
    doorbells.work()
    (unrunnable,), (later,) = due_together(broken, alice, 1), due_together(workflow, alice, 1)
    unrunnable.version.definition["components"] *= 2
    unrunnable.version.save(update_fields=["definition"])
    plans.compiled.cache_clear()
    assert maintenance.sweep_one("queue_scheduled") == 2
    assert ends(*holders, unrunnable, later) == [
        ("cancelled", REPLACED),
        ("running", None),
        ("failed", {"code": "WORKFLOW_INVALID", "message": "the stored definition does not pass validation"}),
        ("queued", None),
    ]


def test_a_scheduled_execution_whose_strategy_fails_says_so_and_holds_up_no_other(
    alice: User, doorbells: Doorbells
) -> None:
    workflows = [make_workflow(alice, limited("cancel_running")) for _ in range(2)]
    stubborn, holder = (run(workflow, alice) for workflow in workflows)
    doorbells.work()
    (failed,), (later,) = (due_together(workflow, alice, 1) for workflow in workflows)
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE executions_execution ADD CONSTRAINT stubborn CHECK (id <> %s OR stop_as IS NULL)",
            [to_uuid(stubborn.pk)],
        )
        try:
            assert maintenance.sweep_one("queue_scheduled") == 2
        finally:
            cursor.execute("ALTER TABLE executions_execution DROP CONSTRAINT stubborn")
    message = "Its concurrency strategy could not be applied; the server's log says why"
    assert ends(stubborn, holder, failed, later) == [
        ("running", None),
        ("cancelled", REPLACED),
        ("failed", {"code": "EXECUTION_FAILED", "message": message}),
        ("queued", None),
    ]


def test_a_sweep_does_not_wait_for_a_row_that_somebody_holds(alice: User, doorbells: Doorbells) -> None:
    alice.tier, alice.concurrent_executions = "custom", 1
    alice.save(update_fields=["tier", "concurrent_executions"])
    start(alice, linear(log("a")))
    start(alice, linear(log("a")))
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SELECT 1 FROM accounts_user FOR UPDATE")
        assert maintenance.sweep_one("admit_waiting") == 0
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)
