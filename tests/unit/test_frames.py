"""Each type of event has its message."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from events.event_types import EventType
from executions.frames import Row, State, row_frame, update_frame, workflow_frame

AT = datetime(2025, 1, 1, 12, 5, tzinfo=UTC)
STATE = State("E", "W", "running", 9, 3, 5, "transform", AT - timedelta(seconds=300), None, None)
COMPONENT = {"component_id": "a", "component_type": "log", "attempt": 3}
ERROR = {"message": "no", "code": "TIMEOUT_ERROR"}

# By type of event: what it holds, and the message that it is.
MESSAGES: dict[EventType, tuple[dict[str, Any], str]] = {
    EventType.WORKFLOW_CREATED: ({"id": "W", "name": "w"}, "workflow_update"),
    EventType.WORKFLOW_UPDATED: ({"id": "W", "name": "w"}, "workflow_update"),
    EventType.WORKFLOW_DELETED: ({"id": "W", "name": "w"}, "workflow_update"),
    EventType.WORKFLOW_ACTIVATED: ({"id": "W", "name": "w"}, "workflow_update"),
    EventType.WORKFLOW_DEACTIVATED: ({"id": "W", "name": "w"}, "workflow_update"),
    EventType.EXECUTION_STARTED: ({}, "execution_update"),
    EventType.EXECUTION_COMPLETED: ({"status": "completed"}, "execution_update"),
    EventType.EXECUTION_FAILED: ({"status": "failed"}, "execution_update"),
    EventType.EXECUTION_CANCELLED: ({"status": "cancelled"}, "execution_update"),
    EventType.COMPONENT_STARTED: (COMPONENT, "component_started"),
    EventType.COMPONENT_WAITING: ({**COMPONENT, "waiting_for": "signal"}, "component_waiting"),
    EventType.COMPONENT_COMPLETED: ({**COMPONENT, "duration_seconds": 1.9}, "component_completed"),
    EventType.COMPONENT_FAILED: ({**COMPONENT, "error": ERROR}, "error"),
    EventType.COMPONENT_SKIPPED: (COMPONENT, "component_completed"),
    EventType.LOG: ({"level": "info", "message": "m"}, "log"),
}
# Of triggers, which have lists of their own: no channel is about them.
NOT_TOLD = {EventType.TRIGGER_SKIPPED}


def test_every_type_of_event_is_told_or_known_not_to_be() -> None:
    assert MESSAGES.keys() | NOT_TOLD == set(EventType)


@pytest.mark.parametrize("type_", MESSAGES)
def test_every_type_of_event_is_one_message_with_its_number(type_: EventType) -> None:
    data, expected = MESSAGES[type_]
    row = Row(7, type_, data, AT)
    told = orjson.loads(workflow_frame(row, "W") if type_.startswith("workflow.") else row_frame(row, STATE))
    assert set(told) == {"type", "id", "timestamp", "data"}
    assert (told["type"], told["timestamp"], told["data"]["sequence"]) == (expected, "2025-01-01T12:05:00Z", 7)
    assert told["id"] == ("W-7" if type_.startswith("workflow.") else "E-7")
    assert told["data"]["workflow_id"] == "W"
    if not type_.startswith("workflow."):
        assert told["data"]["execution_id"] == "E"


def test_a_retry_is_an_error_with_the_number_of_retries_before_it() -> None:
    row = Row(7, EventType.COMPONENT_WAITING, {**COMPONENT, "waiting_for": "retry", "error": ERROR}, AT)
    told = orjson.loads(row_frame(row, STATE))
    assert told["type"] == "error"
    assert (told["data"]["error"], told["data"]["code"], told["data"]["retry_count"]) == ("no", "TIMEOUT_ERROR", 2)


def test_durations_are_whole_seconds() -> None:
    row = Row(7, EventType.COMPONENT_COMPLETED, {**COMPONENT, "duration_seconds": 1.9}, AT, '{"n":1}')
    data = orjson.loads(row_frame(row, STATE))["data"]
    assert (data["duration"], data["output_data"], "output_omitted" in data) == (1, {"n": 1}, False)


def test_progress_follows_with_the_number_of_the_last_row() -> None:
    told = orjson.loads(update_frame(STATE, AT))
    assert (told["id"], told["data"]["sequence"], told["data"]["duration"]) == ("E-9-progress", 9, 300)
    assert told["data"]["progress"] == {
        "current_component": "transform",
        "completed_components": 3,
        "total_components": 5,
        "percentage": 60.0,
    }
