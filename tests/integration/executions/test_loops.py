"""for_each and repeat_until: items as runs of their own, in order, a few at a time, and what failures do."""

import pytest

from accounts.models import User
from core.redact import REDACTED
from core.types import JSONObject
from executions import maintenance
from executions.models import ComponentRun, Execution, LoopItem
from executions.states import ExecutionStatus, RunStatus
from executions.transitions import running
from executions.transitions.statements import Holder
from tests.integration.executions.conftest import Doorbells, linear, log, opened, start, transform
from tests.integration.executions.test_engine import event_types, failing, refused
from workflows.components import registry

pytestmark = pytest.mark.django_db(transaction=True)


def for_each(items: object, *components: JSONObject, id_: str = "loop", **config: object) -> JSONObject:
    body = linear(*components)
    parts = {"components": body["components"], "connections": body["connections"]}
    return {"id": id_, "type": "for_each", "config": {"items": items, **parts, **config}}


def repeat(condition: str, *components: JSONObject, **config: object) -> JSONObject:
    body = linear(*components)
    parts = {"components": body["components"], "connections": body["connections"]}
    return {"id": "loop", "type": "repeat_until", "config": {"condition": condition, **parts, **config}}


def ended(execution: Execution) -> Execution:
    execution.refresh_from_db()
    assert execution.remaining == 0
    return execution


def test_results_come_in_the_order_of_the_items(alice: User, doorbells: Doorbells) -> None:
    loop = for_each([3, 1, 2], transform("double", "{{ item * 2 }}"), max_concurrency=2)
    execution = start(alice, linear(loop, transform("z", "{{ input | sum }}")))
    doorbells.work()
    assert ended(execution).results == 12
    assert ComponentRun.objects.get(component_id="loop").output == [6, 2, 4]
    runs = ComponentRun.objects.filter(component_id="double").order_by("item_index")
    assert [(run.item_index, run.output) for run in runs] == [(0, 6), (1, 2), (2, 4)]
    assert (execution.ended_components, execution.total_components) == (2, 2)
    assert event_types(execution)[-1] == "execution.completed"


def test_no_items_is_an_empty_list(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(for_each([], log("a"))))
    doorbells.work()
    assert ended(execution).results == []


def test_a_body_sees_item_index_its_own_and_outer_outputs(alice: User, doorbells: Doorbells) -> None:
    body = (transform("own", "{{ item.n + index }}"), transform("last", "{{ own.output }}/{{ base.output }}/{{ who }}"))
    loop = for_each([{"n": 10}, {"n": 20}], *body)
    execution = start(alice, linear(transform("base", "b"), loop), parameters={"who": "w"})
    doorbells.work()
    assert ended(execution).results == ["10/b/w", "21/b/w"]


def test_a_body_with_branches_is_joined_for_each_item(alice: User, doorbells: Doorbells) -> None:
    config = {
        "items": [1, 5],
        "components": [
            transform("n", "{{ item }}"),
            transform("big", "big {{ input }}"),
            transform("small", "small {{ input }}"),
            transform("both", "{{ input }}", join="any"),
        ],
        "connections": [
            {"source": "n", "target": "big", "type": "conditional", "condition": "input > 2"},
            {"source": "n", "target": "small", "type": "conditional", "condition": "input <= 2"},
            {"source": "big", "target": "both"},
            {"source": "small", "target": "both"},
        ],
    }
    execution = start(alice, linear({"id": "loop", "type": "for_each", "config": config}))
    doorbells.work()
    assert ended(execution).results == ["small 1", "big 5"]
    skipped = ComponentRun.objects.filter(status=RunStatus.SKIPPED).values_list("component_id", "item_index")
    assert sorted(skipped) == [("big", 0), ("small", 1)]


def test_loops_within_loops(alice: User, doorbells: Doorbells) -> None:
    inner = for_each("{{ item }}", transform("cell", "{{ item * 10 + index }}"), id_="inner", max_concurrency=3)
    execution = start(alice, linear(for_each([[1, 2], [3], []], inner, max_concurrency=2)))
    doorbells.work()
    assert ended(execution).results == [[10, 21], [30], []]


def test_no_more_than_max_concurrency_items_are_open_at_once(alice: User, doorbells: Doorbells) -> None:
    delay = {"id": "pause", "type": "delay", "config": {"seconds": 3600}}
    execution = start(alice, linear(for_each([1, 2, 3, 4, 5], delay, max_concurrency=2)))
    doorbells.work()
    for done in range(0, 5):
        assert LoopItem.objects.filter(status="running").count() == min(2, 5 - done)
        waiting = ComponentRun.objects.filter(component_id="pause", status="waiting").order_by("item_index").first()
        assert waiting is not None
        ComponentRun.objects.filter(pk=waiting.pk).update(wake_at="2000-01-01T00:00:00Z")
        maintenance.wake_due()
        doorbells.work()
    assert ended(execution).status == ExecutionStatus.COMPLETED


def test_a_failed_item_stops_the_loop_and_fails_it(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(for_each([1, 0, 2], transform("inverse", "{{ 1 / item }}"))))
    doorbells.work()
    error = ended(execution).error
    assert (execution.status, error["code"], error["component_id"]) == ("failed", "COMPONENT_ERROR", "loop")
    assert error["message"].startswith("Item 1 failed in inverse: ")
    assert list(LoopItem.objects.order_by("index").values_list("status", flat=True)) == [
        "completed", "failed", "blocked",
    ]  # fmt: skip


def test_a_failed_item_is_handled_by_the_loops_error_connection(alice: User, doorbells: Doorbells) -> None:
    loop, handler = for_each([0], failing("bad")), transform("handler", "{{ error.component_id }}")
    definition = {
        "components": [loop, handler],
        "connections": [{"source": "loop", "target": "handler", "type": "error"}],
    }
    execution = start(alice, definition)
    doorbells.work()
    assert (ended(execution).status, execution.results) == ("completed", "loop")


def test_with_continue_the_error_stands_in_the_items_place(alice: User, doorbells: Doorbells) -> None:
    loop = for_each([1, 0, 2], transform("inverse", "{{ 2 / item }}"), on_item_error="continue")
    execution = start(alice, linear(loop))
    doorbells.work()
    results = ended(execution).results
    assert (results[0], results[2]) == (2.0, 1.0)
    assert results[1]["error"]["component_id"] == "inverse"
    assert results[1]["error"]["item_index"] == 1


def test_an_error_handled_in_the_body_is_no_failure_of_the_item(alice: User, doorbells: Doorbells) -> None:
    config = {
        "items": [1],
        "components": [failing("bad"), transform("mend", "mended")],
        "connections": [{"source": "bad", "target": "mend", "type": "error"}],
    }
    execution = start(alice, linear({"id": "loop", "type": "for_each", "config": config}))
    doorbells.work()
    assert ended(execution).results == ["mended"]


def test_a_retried_loop_keeps_the_items_that_ended_well(alice: User, doorbells: Doorbells) -> None:
    policy = {"max_attempts": 2, "initial_delay_seconds": 3600, "max_delay_seconds": 3600}
    call = refused("call", retry_policy={"max_attempts": 1})
    body = (transform("ok", "{{ item }}"), call)
    loop = {**for_each([1, 2], *body, on_item_error="stop"), "retry_policy": policy}
    execution = start(alice, linear(loop))
    doorbells.work()
    first = ComponentRun.objects.get(component_id="loop")
    assert (first.status, first.attempt, first.waiting_for) == ("waiting", 2, "retry")
    LoopItem.objects.filter(index=0).update(status="completed")
    kept = ComponentRun.objects.get(component_id="ok", item_index=0).pk
    ComponentRun.objects.update(wake_at="2000-01-01T00:00:00Z")
    maintenance.wake_due()
    doorbells.work()
    assert ComponentRun.objects.get(component_id="ok", item_index=0).pk == kept
    assert ended(execution).error["message"].startswith("Item 1 failed in call: ")


def test_a_lost_worker_in_an_item_costs_an_attempt_of_that_run_alone(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(for_each([1, 2], transform("a", "{{ item }}"), max_concurrency=2)))
    doorbells.receive()
    (first,) = doorbells.waiting
    doorbells.waiting.clear()
    claimed = running.claim(first.run_id, 1, Holder("gone", 1), registry.known_types())
    assert claimed is not None
    ComponentRun.objects.update(lease_until="2000-01-01T00:00:00Z")
    assert maintenance.rescue_expired() == 1
    doorbells.work()
    assert ended(execution).results == [1, 2]


def test_secrets_in_items_are_sealed(alice: User, doorbells: Doorbells) -> None:
    secret = "s3cr3t-value-of-alice"
    loop = for_each("{{ ['x', api_token] }}", transform("a", "{{ item | length }}"), log("b", "{{ item }}"))
    execution = start(alice, linear(loop), parameters={"api_token": secret})
    doorbells.work()
    assert ended(execution).status == "completed"
    assert list(
        ComponentRun.objects.filter(component_id="a").order_by("item_index").values_list("output", flat=True)
    ) == [1, REDACTED]
    assert opened(execution)["a"] == 21
    assert list(LoopItem.objects.order_by("index").values_list("value", flat=True)) == ["x", REDACTED]


def test_results_over_the_output_limit_fail_the_loop(alice: User, doorbells: Doorbells, settings: object) -> None:
    settings.MAX_OUTPUT_BYTES = 1000  # type: ignore[attr-defined]
    execution = start(alice, linear(for_each("{{ range(10) }}", transform("a", "{{ range(100) | join('') }}"))))
    doorbells.work()
    assert "at most 1000 are stored" in ended(execution).error["message"]


def test_cancel_ends_a_loop_and_starts_no_item(alice: User, doorbells: Doorbells) -> None:
    from executions.interventions import cancel_execution

    delay = {"id": "pause", "type": "delay", "config": {"seconds": 3600}}
    execution = start(alice, linear(for_each([1, 2, 3], delay)))
    doorbells.work()
    assert cancel_execution(execution).status == ExecutionStatus.CANCELLED
    assert ended(execution).runs.count() == 2


def test_repeat_until_the_condition_holds(alice: User, doorbells: Doorbells) -> None:
    loop = repeat("output >= 3", transform("count", "{{ (input | default(0, true)) + 1 }}"))
    execution = start(alice, linear(loop))
    doorbells.work()
    assert ended(execution).results == {"iterations": 3, "output": 3}


def test_repeat_until_sees_index_and_pauses_without_a_worker(alice: User, doorbells: Doorbells) -> None:
    loop = repeat("index == 1", transform("n", "{{ index }}"), delay_seconds=3600)
    execution = start(alice, linear(loop))
    doorbells.work()
    run = ComponentRun.objects.get(component_id="loop")
    assert (run.status, run.waiting_for) == ("waiting", "time")
    ComponentRun.objects.update(wake_at="2000-01-01T00:00:00Z")
    maintenance.wake_due()
    doorbells.work()
    assert ended(execution).results == {"iterations": 2, "output": 1}


def test_repeat_until_fails_at_its_limit(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(repeat("false", log("a"), max_iterations=4)))
    doorbells.work()
    assert ended(execution).error["message"] == "The condition did not hold after 4 rounds"
    assert ComponentRun.objects.filter(component_id="a").count() == 4


def test_a_failed_round_fails_the_loop(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(repeat("true", failing("a"))))
    doorbells.work()
    assert ended(execution).error["message"].startswith("Round 0 failed in a: ")
