"""Why an execution waits: each stable reason, since when, and what comes next."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from executions.models import ComponentRun, Execution, Worker
from executions.transitions import running
from executions.transitions.statements import Holder
from tests.api import Api
from tests.integration.executions.conftest import Doorbells, linear, log, make_workflow, start, transform
from tests.integration.executions.test_engine import refused
from tests.integration.executions.test_loops import for_each
from tests.integration.executions.test_turns import limited, run
from tests.integration.executions.test_waits import approval, signal, sub
from workflows.components import registry

pytestmark = pytest.mark.django_db(transaction=True)


def why(api: Api, execution: Execution) -> Any:
    answer = api.get(f"/executions/{execution.pk}/diagnosis")
    assert answer.status == 200
    assert answer.data["execution_id"] == execution.pk
    return answer.data


@pytest.fixture
def worker(transactional_db: None) -> Worker:
    """A worker that is alive and knows every type."""
    return Worker.objects.create(name="w1", component_types=list(registry.known_types()))


def test_an_ended_execution_waits_for_nothing(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    doorbells.work()
    data = why(alice_api, execution)
    assert (data["status"], data["reason"], data["since"], data["components"]) == ("completed", None, None, [])


def test_scheduled(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    at = timezone.now() + timedelta(hours=1)
    data = why(alice_api, start(alice, linear(log("a")), scheduled_at=at))
    assert (data["reason"], data["status"]) == ("scheduled", "pending")
    assert data["next_at"] == at.isoformat().replace("+00:00", "Z")


def test_the_accounts_limit_names_its_holders(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    alice.tier, alice.concurrent_executions = "custom", 1
    alice.save(update_fields=["tier", "concurrent_executions"])
    holder, waiting = start(alice, linear(log("a"))), start(alice, linear(log("a")))
    data = why(alice_api, waiting)
    assert data["reason"] == "concurrency_limit"
    assert data["details"] == {"scope": "account", "limit": 1, "holders": [holder.pk], "queue_position": 1}


def test_the_workflows_own_limit_names_its_holders(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    workflow = make_workflow(alice, limited("queue"))
    holder, waiting = run(workflow, alice), run(workflow, alice)
    data = why(alice_api, waiting)
    assert data["reason"] == "concurrency_limit"
    assert (data["details"]["scope"], data["details"]["holders"]) == ("workflow", [holder.pk])


def test_no_worker_alive_or_none_that_knows_the_type(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    assert why(alice_api, execution)["message"] == "No worker is alive"
    Worker.objects.create(name="w1", component_types=["transform"])
    data = why(alice_api, execution)
    assert (data["reason"], data["message"]) == ("no_worker", "No worker alive knows the type log")
    Worker.objects.update(heartbeat_at="2000-01-01T00:00:00Z")
    assert why(alice_api, execution)["message"] == "No worker is alive"


def test_no_worker_alive_serves_the_queue(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    execution = start(
        alice, linear({"id": "h", "type": "http_request", "config": {"url": "http://a", "method": "GET"}})
    )
    Worker.objects.create(name="w1", component_types=["http_request"], queues=["default", "script"])
    data = why(alice_api, execution)
    assert (data["reason"], data["message"]) == ("no_worker", "No worker alive serves the queue io")
    assert data["details"] == {"queue": "io"}
    Worker.objects.create(name="w2", component_types=["http_request"], queues=["io"])
    assert why(alice_api, execution)["reason"] == "queued_behind"


def test_queued_behind_counts_what_is_ahead(alice: User, alice_api: Api, worker: Worker, doorbells: Doorbells) -> None:
    start(alice, linear(log("a")), priority=9)
    execution = start(alice, linear(log("a")))
    data = why(alice_api, execution)
    assert (data["reason"], data["details"]) == ("queued_behind", {"ahead": 1, "priority": 5, "queue": "default"})
    (component,) = data["components"]
    assert (component["component_id"], component["status"]) == ("a", "queued")


def test_running_on_a_worker_and_worker_lost(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a", timeout_seconds=60)))
    assert running.claim(execution.runs.get().pk, 1, Holder("w1", 7), registry.known_types())
    data = why(alice_api, execution)
    assert (data["reason"], data["details"]) == ("running_on", {"worker": "w1", "process": 7})
    assert data["next_at"] is not None
    ComponentRun.objects.update(lease_until="2000-01-01T00:00:00Z")
    data = why(alice_api, execution)
    assert (data["reason"], data["since"]) == ("worker_lost", "2000-01-01T00:00:00Z")


def test_max_parallel_is_a_concurrency_limit(alice: User, alice_api: Api, worker: Worker, doorbells: Doorbells) -> None:
    execution = start(alice, {"components": [log("a"), log("b")], "settings": {"max_parallel": 1}})
    for queued in execution.runs.order_by("position"):
        running.claim(queued.pk, 1, Holder("w1", 7), registry.known_types())
    data = why(alice_api, execution)
    assert [component["reason"] for component in data["components"]] == ["running_on", "concurrency_limit"]
    assert data["components"][1]["details"]["holders"] == ["a"]


def test_waiting_for_a_time_and_for_the_next_attempt(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    delay = {"id": "d", "type": "delay", "config": {"until": "2090-01-01T00:00:00Z"}}
    data = why(alice_api, _worked(doorbells, start(alice, linear(delay))))
    assert (data["reason"], data["next_at"]) == ("waiting_until", "2090-01-01T00:00:00Z")
    policy = {"max_attempts": 2, "initial_delay_seconds": 3600, "max_delay_seconds": 3600}
    data = why(alice_api, _worked(doorbells, start(alice, linear(refused("r", retry_policy=policy)))))
    assert (data["reason"], data["next"]) == ("waiting_until", "Attempt 2 begins")
    assert data["details"]["error"]["code"] == "COMPONENT_ERROR"


def test_waiting_for_a_signal_an_approval_a_child(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    child = make_workflow(alice, linear(signal("inner")))
    execution = start(alice, {"components": [signal(), approval(approvers=["finance"]), sub(child.pk)]})
    doorbells.work()
    data = why(alice_api, execution)
    assert data["reason"] == "waiting_for_child"
    found = {component["component_id"]: component for component in data["components"]}
    assert found["wait"]["details"] == {"signal": "go", "approvers": []}
    assert found["ask"]["details"] == {"signal": "ask", "approvers": ["finance"]}
    assert found["child"]["details"] == {
        "execution_id": Execution.objects.get(workflow=child).pk, "status": "running",
    }  # fmt: skip


def test_a_loop_is_explained_by_its_items(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    data = why(alice_api, _worked(doorbells, start(alice, linear(for_each([1, 2], signal()), transform("z", 1)))))
    (component,) = data["components"]
    assert (component["component_id"], component["item_index"], component["reason"]) == (
        "wait",
        0,
        "waiting_for_signal",
    )


def _worked(doorbells: Doorbells, execution: Execution) -> Execution:
    doorbells.work()
    return execution
