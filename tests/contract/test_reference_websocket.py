"""API reference, "WebSocket API": each message as printed, in and out."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pytest

from accounts.models import User
from executions.models import ComponentRun, Execution
from tests.contract.reference import PAGE, TIME, differences, printed_messages
from tests.integration.executions.conftest import Doorbells, linear, log, start, transform
from tests.integration.executions.test_engine import refused
from tests.integration.executions.test_waits import signal, time_passes
from tests.integration.live.conftest import Dial, dial, is_silent, told_until_end, web

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["dial", "web"]

PRINTED: Mapping[str, Any] = printed_messages(PAGE.read_text())
F = TypeVar("F", bound=Callable[..., object])
_quoted: set[str] = set()


def quotes(*labels: str) -> Callable[[F], F]:
    """Marks a test as that of printed messages."""
    assert not set(labels) - set(PRINTED), f"docs/api-reference.md has no {set(labels) - set(PRINTED)}"
    _quoted.update(labels)

    def mark(test: F) -> F:
        return test

    return mark


def assert_as_printed(told: Any, label: str, *, free: tuple[str, ...] = ()) -> None:
    """Every printed key with a value of the printed type; those not `free` with the printed value."""
    assert set(told) == {"type", "id", "timestamp", "data"}
    assert list(differences(PRINTED[label], told, free=("id", *free))) == []


def test_every_printed_message_has_a_test() -> None:
    assert _quoted == set(PRINTED)
    assert len(PRINTED) == 7


@pytest.fixture
def waiting(alice: User, doorbells: Doorbells) -> Execution:
    """An execution at work on `transform`, the second of its three components."""
    execution = start(alice, linear(log("extract"), signal("transform"), log("load")))
    doorbells.work()
    return execution


@quotes("Message Format")
def test_every_message_has_the_printed_format(dial: Dial, alice: User, waiting: Execution) -> None:
    socket = dial(alice)
    told = [socket.subscribe("execution", waiting.pk, since=0), *(socket.receive() for _ in range(5))]
    for message in told:
        assert set(message) == set(PRINTED["Message Format"])
        assert TIME.fullmatch(message["timestamp"])
        assert (type(message["id"]), type(message["data"])) == (str, dict)


@quotes("Subscribe to Workflow Updates")
def test_subscribe_to_workflow_updates(dial: Dial, alice: User, waiting: Execution) -> None:
    answer = _sent(dial, alice, "Subscribe to Workflow Updates", workflow_id=waiting.workflow_id)
    assert (answer["type"], answer["id"], answer["data"]["channel"]) == ("subscribed", "msg_001", "workflow")
    assert answer["data"]["workflow_id"] == waiting.workflow_id
    assert set(answer["data"]["snapshot"]) == {"workflow", "executions"}


@quotes("Subscribe to Execution Updates")
def test_subscribe_to_execution_updates(dial: Dial, alice: User, waiting: Execution) -> None:
    answer = _sent(dial, alice, "Subscribe to Execution Updates", execution_id=waiting.pk)
    assert (answer["type"], answer["id"], answer["data"]["channel"]) == ("subscribed", "msg_002", "execution")
    assert answer["data"]["execution_id"] == waiting.pk
    assert set(answer["data"]["snapshot"]) == {"execution", "components"}


@quotes("Unsubscribe")
def test_unsubscribe(dial: Dial, alice: User, waiting: Execution) -> None:
    answer = _sent(dial, alice, "Unsubscribe", execution_id=waiting.pk)
    assert (answer["type"], answer["id"]) == ("unsubscribed", "msg_003")
    assert answer["data"] == {"channel": "execution", "execution_id": waiting.pk}


def _sent(dial: Dial, user: User, label: str, **ids: str) -> Any:
    """The answer to a message as it is printed, but for ids that there are."""
    message = {**PRINTED[label], "data": {**PRINTED[label]["data"], **ids}}
    socket = dial(user)
    socket.raw(json.dumps(message))
    return socket.receive()


@quotes("Execution Status Update")
def test_execution_update(dial: Dial, alice: User, waiting: Execution, doorbells: Doorbells) -> None:
    socket = dial(alice)
    socket.subscribe("execution", waiting.pk, since=0)
    updates = [socket.until("execution_update") for _ in range(2)]
    assert updates[0]["data"]["progress"]["current_component"] is None
    assert_as_printed(updates[1], "Execution Status Update", free=("data.progress.percentage", "data.duration"))
    assert updates[1]["data"]["progress"]["percentage"] == 33.3


@quotes("Component Completion")
def test_component_completed(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(transform("transform", {"processed_records": 1500})))
    socket = dial(alice)
    socket.subscribe("execution", execution.pk)
    doorbells.work()
    told = socket.until("component_completed")
    assert_as_printed(told, "Component Completion", free=("data.duration",))
    run = ComponentRun.objects.get(execution=execution)
    assert run.started_at is not None
    assert run.completed_at is not None
    assert told["data"]["duration"] == int((run.completed_at - run.started_at).total_seconds())


@quotes("Error Notification")
def test_error_after_two_retries(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    policy = {"max_attempts": 3, "initial_delay_seconds": 1}
    execution = start(alice, linear(refused("load", retry_policy=policy)))
    socket = dial(alice)
    socket.subscribe("execution", execution.pk)
    doorbells.work()
    for _ in range(2):
        time_passes()
        doorbells.work()
    last = [found for found in told_until_end(socket) if found["type"] == "error"][-1]
    assert_as_printed(last, "Error Notification", free=("data.error",))


def test_an_error_of_a_message_has_the_clients_id_and_a_code(dial: Dial, alice: User) -> None:
    """Contract §8."""
    socket = dial(alice)
    socket.send("nonsense", "mine")
    answer = socket.receive()
    assert (answer["type"], answer["id"]) == ("error", "mine")
    assert set(answer["data"]) == {"code", "error", "errors"}
    assert is_silent(socket)
