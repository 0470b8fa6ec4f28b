"""PURE: the body of a delivery (API reference, "Webhook Payload"; contract §10)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.json_text import storable_dumps
from core.times import iso
from core.types import JSONObject
from events.event_types import EventType

MAX_BYTES = 64 * 1024
TEST_EVENT = "webhook.test"
# Where what users and components made stands, the largest first to go.
_LARGE = (("execution", "results"), ("component", "output_data"), ("component", "error"), ("execution", "error"))


def text_of(*, event: str, timestamp: datetime, webhook_id: str, delivery_id: str, data: JSONObject) -> str:
    """The body as it is stored, signed and sent, of at most MAX_BYTES.

    Over that, results, output and errors are left out until it fits: they read null, and `data.truncated` is true.
    """

    def text(data: JSONObject) -> str:
        payload = {
            "event": event,
            "timestamp": iso(timestamp),
            "webhook_id": webhook_id,
            "data": data,
            "delivery_id": delivery_id,
        }
        return storable_dumps(payload)

    made = text(data)
    for part, key in _LARGE:
        if len(made.encode()) <= MAX_BYTES:
            break
        if data.get(part, {}).get(key) is not None:
            data = {**data, part: {**data[part], key: None}, "truncated": True}
            made = text(data)
    return made


def execution_data(event: EventType, execution_id: str, workflow: JSONObject, told: Mapping[str, Any]) -> JSONObject:
    """`data` of an `execution.*` event; `told` is the ledger's, with `results` where it completed."""
    execution: JSONObject = {
        "id": execution_id,
        "workflow_id": workflow["id"],
        "status": told["status"],
    }
    if event != EventType.EXECUTION_STARTED:
        seconds = told.get("duration_seconds")
        execution["duration_seconds"] = None if seconds is None else int(seconds)
    if event == EventType.EXECUTION_COMPLETED:
        execution["results"] = told.get("results")
    if event == EventType.EXECUTION_FAILED:
        execution["error"] = told.get("error")
    return {"execution": execution, "workflow": workflow}


def component_data(execution_id: str, workflow: JSONObject, told: Mapping[str, Any]) -> JSONObject:
    """`data` of a `component.*` event; `told` is the ledger's, with `output_data` where it completed."""
    return {
        # It ended while its execution ran.
        "execution": {"id": execution_id, "workflow_id": workflow["id"], "status": "running"},
        "workflow": workflow,
        "component": {
            "component_id": told["component_id"],
            "status": told["status"],
            "output_data": told.get("output_data"),
            "error": told.get("error"),
        },
    }


def workflow_data(told: Mapping[str, Any]) -> JSONObject:
    """`data` of a `workflow.*` event."""
    return {"workflow": {name: told[name] for name in ("id", "name", "status", "version")}}


def data_of_test() -> JSONObject:
    """`data` of a test."""
    return {"message": "This is a test. Nothing happened to a workflow."}
