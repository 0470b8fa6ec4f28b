"""The body of a delivery: as printed, and never over its limit."""

import json
from datetime import UTC, datetime
from typing import Any

from events.event_types import EventType
from tests.contract.reference import EXAMPLES, quotes
from webhooks import payloads

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)
WORKFLOW = {"id": "01HQNZ2G5XKJ8P7M9N6V3R4T5W", "name": "Data Processing Pipeline"}


def _text(data: Any) -> str:
    return payloads.text_of(event="e", timestamp=NOON, webhook_id="W", delivery_id="D", data=data)


@quotes("Webhook Payload")
def test_an_execution_that_completed_reads_exactly_as_printed_and_has_the_delivery_s_id() -> None:
    printed = EXAMPLES["Webhook Payload"].answer
    execution = printed["data"]["execution"]
    told = {"status": "completed", "duration_seconds": 300.25, "results": execution["results"]}
    text = payloads.text_of(
        event=printed["event"],
        timestamp=NOON,
        webhook_id=printed["webhook_id"],
        delivery_id="01HQNZ2G5XKJ8P7M9N6V3R4T50",
        data=payloads.execution_data(EventType.EXECUTION_COMPLETED, execution["id"], WORKFLOW, told),
    )
    assert json.loads(text) == {**printed, "delivery_id": "01HQNZ2G5XKJ8P7M9N6V3R4T50"}


def test_what_an_execution_tells_depends_on_how_far_it_is() -> None:
    error = {"code": "COMPONENT_ERROR", "message": "no"}

    def keys(event: EventType, **told: Any) -> dict[str, Any]:
        data = payloads.execution_data(event, "E", WORKFLOW, told)["execution"]
        assert isinstance(data, dict)
        return {name: value for name, value in data.items() if name not in {"id", "workflow_id"}}

    assert keys(EventType.EXECUTION_STARTED, status="running", priority=5) == {"status": "running"}
    assert keys(EventType.EXECUTION_FAILED, status="failed", duration_seconds=1.9, error=error) == {
        "status": "failed", "duration_seconds": 1, "error": error,
    }  # fmt: skip
    assert keys(EventType.EXECUTION_CANCELLED, status="cancelled") == {"status": "cancelled", "duration_seconds": None}


def test_a_component_tells_its_output_or_its_error() -> None:
    told = {"component_id": "a", "component_type": "log", "status": "failed", "attempt": 3, "error": {"code": "X"}}
    assert payloads.component_data("E", WORKFLOW, told) == {
        "execution": {"id": "E", "workflow_id": WORKFLOW["id"], "status": "running"},
        "workflow": WORKFLOW,
        "component": {"component_id": "a", "status": "failed", "output_data": None, "error": {"code": "X"}},
    }


def test_h7_what_is_too_large_is_left_out_and_said_so() -> None:
    data = {"execution": {"id": "E", "results": "é" * 40_000}, "workflow": WORKFLOW}
    text = _text(data)
    assert len(text.encode()) < payloads.MAX_BYTES
    assert json.loads(text)["data"] == {
        "execution": {"id": "E", "results": None}, "workflow": WORKFLOW, "truncated": True,
    }  # fmt: skip


def test_h7_what_fits_is_whole_to_the_last_byte() -> None:
    room = payloads.MAX_BYTES - len(_text({"execution": {"results": ""}}).encode())
    assert len(_text({"execution": {"results": "x" * room}}).encode()) == payloads.MAX_BYTES
    assert json.loads(_text({"execution": {"results": "x" * (room + 1)}}))["data"]["truncated"]


def test_h7_output_and_error_are_left_out_only_as_far_as_needed() -> None:
    small, large = {"code": "X"}, "y" * 70_000
    cut = json.loads(_text({"component": {"output_data": large, "error": small}}))["data"]
    assert cut == {"component": {"output_data": None, "error": small}, "truncated": True}
