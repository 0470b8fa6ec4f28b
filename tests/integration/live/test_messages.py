"""What a subscriber is told, event by event (contract §8)."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from core.redis import client
from events import bells
from events.models import Event
from executions import interventions
from executions.models import Execution
from executions.services import StartRequest, start_execution
from tests.eventually import eventually
from tests.integration.executions.conftest import Doorbells, linear, log, make_workflow, start, transform
from tests.integration.executions.test_engine import failing, refused
from tests.integration.executions.test_loops import for_each
from tests.integration.executions.test_waits import send, signal, time_passes
from tests.integration.live.conftest import Dial, is_silent, told_until_end
from tests.sockets import row_messages
from workflows.services import delete_workflow, update_workflow

pytestmark = pytest.mark.django_db(transaction=True)


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    """The types of messages about components, with the component."""
    return [
        f"{found['type']} {found['data']['component_id']}" if "component_id" in found["data"] else found["type"]
        for found in row_messages(messages)
        if found["type"] != "log"
    ]


def of_type(messages: list[dict[str, Any]], type_: str) -> list[dict[str, Any]]:
    return [found["data"] for found in messages if found["type"] == type_]


def test_a_subscriber_sees_an_execution_move(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("extract", "hello"), transform("transform", {"processed_records": 1500})))
    socket = dial(alice)
    answer = socket.subscribe("execution", execution.pk, "msg_002")
    assert (answer["type"], answer["id"]) == ("subscribed", "msg_002")
    assert set(answer["data"]) == {"channel", "execution_id", "snapshot", "sequence"}
    assert (answer["data"]["execution_id"], answer["data"]["sequence"]) == (execution.pk, 0)
    assert answer["data"]["snapshot"]["execution"]["status"] == "queued"
    assert [run["component_id"] for run in answer["data"]["snapshot"]["components"]] == ["extract", "transform"]
    doorbells.work()
    found = told_until_end(socket)
    assert kinds(found) == [
        "execution_update",
        "component_started extract",
        "component_completed extract",
        "component_started transform",
        "component_completed transform",
        "execution_update",
    ]
    assert [data["output_data"] for data in of_type(found, "component_completed")][1] == {"processed_records": 1500}
    assert [data["message"] for data in of_type(found, "log")] == ["hello"]
    last = found[-1]["data"]
    assert (last["status"], last["progress"]["percentage"], "error" in last) == ("completed", 100.0, False)


def test_every_row_of_the_ledger_is_one_message_with_its_number(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    loop = for_each([1, 2], log("each"))
    execution = start(alice, linear(loop, signal(), transform("z", 1)))
    socket = dial(alice)
    socket.subscribe("execution", execution.pk)
    doorbells.work()
    send(execution, alice, "go on")
    doorbells.work()
    rows = row_messages(told_until_end(socket))
    events = list(Event.objects.filter(subject_id=execution.pk).order_by("sequence"))
    assert [found["data"]["sequence"] for found in rows] == [event.sequence for event in events]
    assert [found["id"] for found in rows] == [f"{execution.pk}-{event.sequence}" for event in events]
    assert {found["data"]["workflow_id"] for found in rows} == {execution.workflow_id}
    assert [found["data"]["item_index"] for found in rows if found["data"].get("component_id") == "each"] == [
        *(0, 0, 0),
        *(1, 1, 1),
    ]


def test_a_wait_is_told_with_what_it_waits_for(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(signal("ask", "go")))
    socket = dial(alice)
    socket.subscribe("execution", execution.pk)
    doorbells.work()
    waiting = socket.until("component_waiting")["data"]
    assert (waiting["component_id"], waiting["waiting_for"], waiting["signal"]) == ("ask", "signal", "go")


def test_a_retry_is_an_error_and_the_execution_goes_on(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    policy = {"max_attempts": 3, "initial_delay_seconds": 1}
    execution = start(alice, linear(refused("load", retry_policy=policy)))
    socket = dial(alice)
    socket.subscribe("execution", execution.pk)
    doorbells.work()
    for _ in range(2):
        time_passes()
        doorbells.work()
    found = told_until_end(socket)
    errors = of_type(found, "error")
    assert [(data["component_id"], data["retry_count"]) for data in errors] == [("load", 0), ("load", 1), ("load", 2)]
    assert [data["status"] for data in errors] == ["waiting", "waiting", "failed"]
    assert all(isinstance(data["error"], str) for data in errors)
    last = found[-1]["data"]
    assert (last["status"], last["error"]["component_id"]) == ("failed", "load")


def test_a_skipped_component_is_told_as_completed_without_output(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    definition = {
        "components": [transform("a", 1), transform("handler", 2)],
        "connections": [{"source": "a", "target": "handler", "type": "error"}],
    }
    execution = start(alice, definition)
    socket = dial(alice)
    socket.subscribe("execution", execution.pk)
    doorbells.work()
    data = of_type(told_until_end(socket), "component_completed")[1]
    assert (data["component_id"], data["status"], data["duration"], data["output_data"]) == (
        "handler",
        "skipped",
        None,
        None,
    )


def test_a_long_output_is_left_out_and_said_to_be(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(transform("a", "{{ 'x' * 20000 }}")))
    socket = dial(alice)
    socket.subscribe("execution", execution.pk)
    doorbells.work()
    (data,) = of_type(told_until_end(socket), "component_completed")
    assert (data["output_data"], data["output_omitted"]) == (None, True)


def test_a_cancelled_execution_ends_in_an_update(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(signal()))
    socket = dial(alice)
    socket.subscribe("execution", execution.pk)
    doorbells.work()
    interventions.cancel_execution(execution)
    last = told_until_end(socket)[-1]["data"]
    assert (last["status"], "error" in last) == ("cancelled", False)


def test_a_sub_workflow_is_an_execution_of_its_own(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    child = make_workflow(alice, linear(transform("inner", 1)))
    call = {"id": "call", "type": "sub_workflow", "config": {"workflow_id": child.pk}}
    execution = start(alice, linear(call))
    socket = dial(alice)
    socket.subscribe("execution", execution.pk)
    watching = dial(alice)
    watching.subscribe("workflow", child.pk)
    doorbells.work()
    assert of_type(told_until_end(socket), "component_waiting")[0]["waiting_for"] == "child"
    told = told_until_end(watching)
    started = Execution.objects.get(workflow=child)
    assert {found["data"]["execution_id"] for found in told} == {started.pk}
    assert "component_completed inner" in kinds(told)


def test_the_workflow_channel_has_its_executions_each_from_its_first_event(
    dial: Dial, alice: User, doorbells: Doorbells
) -> None:
    workflow = make_workflow(alice, linear(log("a")))
    before = start_execution(workflow=workflow, user=alice, request=StartRequest()).execution
    doorbells.work()
    socket = dial(alice)
    answer = socket.subscribe("workflow", workflow.pk, "w1")
    assert (answer["type"], answer["id"]) == ("subscribed", "w1")
    assert answer["data"]["snapshot"]["workflow"]["name"] == workflow.name
    assert answer["data"]["snapshot"]["executions"] == []
    # As a bell may that was under way when the subscription began.
    eventually(lambda: client().pubsub_numsub(bells.channel())[0][1] == 1)
    bells.ring(before.pk)
    after = [start_execution(workflow=workflow, user=alice, request=StartRequest()).execution.pk for _ in range(2)]
    doorbells.work()
    rows = row_messages(told_until_end(socket) + told_until_end(socket))
    assert before.pk not in {found["data"]["execution_id"] for found in rows}
    for id_ in after:
        numbers = [found["data"]["sequence"] for found in rows if found["data"]["execution_id"] == id_]
        assert numbers == list(range(1, Event.objects.filter(subject_id=id_).count() + 1))


def test_the_workflow_channel_goes_on_with_what_has_begun(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(signal(), log("b")))
    doorbells.work()
    execution.refresh_from_db()
    socket = dial(alice)
    answer = socket.subscribe("workflow", execution.workflow_id)
    (known,) = answer["data"]["snapshot"]["executions"]
    assert (known["id"], known["status"], known["sequence"]) == (execution.pk, "running", execution.sequence)
    send(execution, alice, 1)
    doorbells.work()
    rows = row_messages(told_until_end(socket))
    assert [found["data"]["sequence"] for found in rows] == list(
        range(execution.sequence + 1, Event.objects.filter(subject_id=execution.pk).count() + 1)
    )


def test_a_change_of_the_workflow_is_told(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    workflow = make_workflow(alice, linear(log("a")))
    socket = dial(alice)
    socket.subscribe("workflow", workflow.pk)
    update_workflow(workflow=workflow, user=alice, changes={"name": "renamed"})
    message = socket.receive()
    data = message["data"]
    assert message["type"] == "workflow_update"
    assert (data["workflow_id"], data["event"], data["name"]) == (workflow.pk, "workflow.updated", "renamed")
    assert data["sequence"] == Event.objects.filter(subject_id=workflow.pk).count()


@pytest.mark.parametrize("at_once", [10_000, -1])
def test_the_owner_is_told_of_a_deletion_and_of_nothing_after_it(
    dial: Dial, alice: User, doorbells: Doorbells, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("executions.models.execution._TOLD_AT_ONCE", at_once)
    workflow = make_workflow(alice, linear(log("a")))
    socket = dial(alice)
    socket.subscribe("workflow", workflow.pk)
    delete_workflow(workflow=workflow, force=False)
    told = socket.receive()["data"]
    assert told["event"] == "workflow.deleted"
    assert "shared_with" not in told
    socket.send("subscribe", "s2", channel="workflow", workflow_id=workflow.pk)
    assert socket.receive()["data"]["code"] == "RESOURCE_NOT_FOUND"


def test_unsubscribed_says_no_more(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    socket = dial(alice)
    socket.subscribe("execution", execution.pk)
    socket.send("unsubscribe", "msg_003", channel="execution", execution_id=execution.pk)
    answer = socket.receive()
    assert (answer["type"], answer["id"]) == ("unsubscribed", "msg_003")
    assert answer["data"] == {"channel": "execution", "execution_id": execution.pk}
    doorbells.work()
    assert is_silent(socket)


def test_a_ping_is_answered_with_its_id(dial: Dial, alice: User) -> None:
    socket = dial(alice)
    socket.send("ping", "p1")
    answer = socket.receive()
    assert (answer["type"], answer["id"], answer["data"]) == ("pong", "p1", {})


def test_a_scheduled_execution_has_not_begun(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")), scheduled_at=timezone.now() + timedelta(hours=1))
    answer = dial(alice).subscribe("execution", execution.pk)
    assert (answer["data"]["snapshot"]["execution"]["status"], answer["data"]["sequence"]) == ("pending", 0)


def test_a_failure_without_a_retry_is_one_error(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(failing("bad")))
    socket = dial(alice)
    socket.subscribe("execution", execution.pk)
    doorbells.work()
    (data,) = of_type(told_until_end(socket), "error")
    assert (data["component_id"], data["code"], data["retry_count"]) == ("bad", "COMPONENT_ERROR", 0)
