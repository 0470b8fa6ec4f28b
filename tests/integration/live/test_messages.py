"""The WebSocket API as the reference prints it, and contract §8."""

from collections.abc import Callable
from typing import Any

from accounts.models import User
from tests.integration.executions.conftest import Doorbells, linear, log, start, transform
from tests.sockets import SocketClient

Dial = Callable[..., SocketClient]


def test_a_subscriber_sees_an_execution_move(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("extract"), transform("transform", {"processed_records": 1500})))
    socket = dial(alice)
    answer = socket.subscribe("execution", execution.pk, "msg_002")
    assert answer["type"] == "subscribed"
    assert answer["id"] == "msg_002"
    assert answer["data"]["execution_id"] == execution.pk
    assert answer["data"]["sequence"] == 0
    assert answer["data"]["snapshot"]["execution"]["status"] == "queued"
    assert [run["component_id"] for run in answer["data"]["snapshot"]["components"]] == ["extract", "transform"]
    doorbells.work()
    found: list[Any] = []
    while not found or found[-1]["data"]["status"] != "completed" or found[-1]["type"] != "execution_update":
        message = socket.receive()
        if message["type"] != "log":
            found.append(message)
    assert [message["type"] for message in found[::2]] == ["execution_update", "component_completed"] * 2
    assert found[-2]["data"]["output_data"] == {"processed_records": 1500}
