"""What the ledger's rows and an execution's state read as WebSocket messages (API reference; contract §8)."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orjson import Fragment

from core.json_text import dumps
from core.times import iso
from core.types import JSONObject, JSONValue
from events.event_types import EventType

ENDS = frozenset({EventType.EXECUTION_COMPLETED, EventType.EXECUTION_FAILED, EventType.EXECUTION_CANCELLED})
_COMPONENTS = {
    EventType.COMPONENT_STARTED: "component_started",
    EventType.COMPONENT_WAITING: "component_waiting",
    EventType.COMPONENT_COMPLETED: "component_completed",
    EventType.COMPONENT_SKIPPED: "component_completed",
}
# In words of the ledger; what a message names otherwise, or not at all.
_RENAMED = frozenset({"duration_seconds", "error", "metadata"})
# Said in other words; and with whom it was shared, which is for the platform alone.
_NOT_OF_A_WORKFLOW = frozenset({"id", "shared_with"})


@dataclass(frozen=True, slots=True)
class State:
    """An execution as it was when its events were read; `current_component` as REST has it."""

    execution_id: str
    workflow_id: str
    status: str
    sequence: int
    ended_components: int
    total_components: int
    current_component: str | None
    started_at: datetime | None
    completed_at: datetime | None
    error: JSONObject | None


@dataclass(frozen=True, slots=True)
class Row:
    """One event of the ledger; `output` is JSON text, None where it is too long to send or there is none."""

    sequence: int
    type: str
    data: Mapping[str, Any]
    timestamp: datetime
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A system notification; `type` is one of the reference's NotificationType, in lower case."""

    type: str
    title: str
    message: str
    data: JSONObject
    timestamp: datetime


def frame(type_: str, message_id: str, timestamp: datetime, data: JSONObject) -> str:
    """A message in the reference's format, as JSON text."""
    return dumps({"type": type_, "id": message_id, "timestamp": iso(timestamp), "data": data}).decode()


def wire(text: str) -> bytes:
    """A text message as one frame of a server's, which is not masked (RFC 6455 §5.2)."""
    payload = text.encode()
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x81, length)
    elif length < 2**16:
        head = struct.pack("!BBH", 0x81, 126, length)
    else:
        head = struct.pack("!BBQ", 0x81, 127, length)
    return head + payload


def row_frame(row: Row, state: State) -> str:
    """The one message that a row of an execution's events is."""
    return frame(*_told(row, state))


def update_frame(state: State, at: datetime) -> str:
    """The `execution_update` that follows rows about components: where the execution is after them."""
    return frame(
        "execution_update", f"{state.execution_id}-{state.sequence}-progress", at, {
            **_update(state, state.status, at), "sequence": state.sequence,
        },
    )  # fmt: skip


def workflow_frame(row: Row, workflow_id: str) -> str:
    """The message that a row of a workflow's own events is."""
    data = {"workflow_id": workflow_id, "event": row.type, "sequence": row.sequence}
    known = {name: value for name, value in row.data.items() if name not in _NOT_OF_A_WORKFLOW}
    return frame("workflow_update", f"{workflow_id}-{row.sequence}", row.timestamp, {**known, **data})


def notification_frame(message_id: str, notice: Notice) -> str:
    """A `notification` of the system channel."""
    data = {"type": notice.type, "title": notice.title, "message": notice.message, "data": notice.data}
    return frame("notification", message_id, notice.timestamp, data)


def _told(row: Row, state: State) -> tuple[str, str, datetime, JSONObject]:
    place: JSONObject = {"execution_id": state.execution_id, "workflow_id": state.workflow_id, "sequence": row.sequence}
    message_id = f"{state.execution_id}-{row.sequence}"
    type_ = EventType(row.type)
    if type_ in ENDS:
        return "execution_update", message_id, row.timestamp, {**_update(state, state.status, row.timestamp), **place}
    if type_ is EventType.EXECUTION_STARTED:
        return "execution_update", message_id, row.timestamp, {**_begun(state), **place}
    if type_ is EventType.LOG:
        line = {"component_id": None, **row.data, "metadata": row.data.get("metadata", {})}
        return "log", message_id, row.timestamp, {**line, **place}
    known: JSONObject = {name: value for name, value in row.data.items() if name not in _RENAMED}
    error = row.data.get("error")
    if error is not None:
        known |= {"error": error["message"], "code": error["code"], "retry_count": row.data["attempt"] - 1}
        return "error", message_id, row.timestamp, {**known, **place}
    if type_ is EventType.COMPONENT_COMPLETED:
        output: Any = None if row.output is None else Fragment(row.output)
        known |= {"duration": _seconds(row.data.get("duration_seconds")), "output_data": output}
        if row.output is None:
            known["output_omitted"] = True
    elif type_ is EventType.COMPONENT_SKIPPED:
        known |= {"duration": None, "output_data": None}
    return _COMPONENTS[type_], message_id, row.timestamp, {**known, **place}


def _begun(state: State) -> JSONObject:
    """The update that tells of the start, as it was then."""
    progress = {
        "current_component": None,
        "completed_components": 0,
        "total_components": state.total_components,
        "percentage": 0.0,
    }
    return {"status": "running", "progress": progress, "duration": 0}


def _update(state: State, status: str, at: datetime) -> JSONObject:
    percentage = 100 * state.ended_components / state.total_components
    progress: JSONValue = {
        "current_component": state.current_component,
        "completed_components": state.ended_components,
        "total_components": state.total_components,
        "percentage": round(percentage, 1),
    }
    data: JSONObject = {
        "execution_id": state.execution_id,
        "workflow_id": state.workflow_id,
        "status": status,
        "progress": progress,
        "duration": None,
    }
    if state.started_at is not None:
        data["duration"] = _seconds(((state.completed_at or at).astimezone(UTC) - state.started_at).total_seconds())
    if state.error is not None and status == "failed":
        data["error"] = state.error
    return data


def _seconds(value: float | None) -> int | None:
    return None if value is None else int(value)
