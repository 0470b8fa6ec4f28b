"""API reference, "Executions" and "Batch Execution": each request and answer as printed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from executions.models import Execution
from executions.states import ExecutionStatus
from tests.api import Api
from tests.contract.pipelines import five, made, started
from tests.contract.reference import EXAMPLES, MODELS, assert_as_printed, differences, faults, quotes, send
from tests.integration.executions.conftest import Doorbells, transform
from tests.integration.workflows.conftest import execution
from tests.unit.components.context import LOCAL
from tests.unit.outbound_peers import peer, response

pytestmark = pytest.mark.django_db(transaction=True)

WAITS = {"id": "transform", "type": "wait_for_signal", "config": {"signal": "go"}}
FAILS = {"id": "transform", "type": "fail", "config": {"message": "no good"}}


@quotes("List Executions")
def test_list_executions_has_the_printed_execution(caller: Api, doorbells: Doorbells) -> None:
    """List Executions, each as Get Execution shows it."""
    id_ = started(caller, made(caller, five(WAITS)))
    doorbells.work()
    answer = send(caller, "List Executions")
    assert (answer.status, answer.body["metadata"]["total_count"], answer.body["metadata"]["limit"]) == (200, 1, 50)
    printed = {**EXAMPLES["Get Execution"].answer, "data": [EXAMPLES["Get Execution"].answer["data"]]}
    free = ("data[].duration_seconds", "data[].resource_usage")
    assert list(differences(printed, answer.body, free=free)) == []
    assert answer.data[0]["id"] == id_


@quotes("Get Execution")
def test_get_execution_answers_as_printed(caller: Api, doorbells: Doorbells) -> None:
    """Get Execution: two of five components have ended, and `transform` is at work for two minutes."""
    id_ = started(caller, made(caller, five(WAITS)))
    doorbells.work()
    began = timezone.now() - timedelta(seconds=120)
    measured = {"cpu_seconds": 15.5, "memory_mb": 256, "network_bytes": 1048576}
    Execution.objects.filter(pk=id_).update(started_at=began, **measured)
    answer = send(caller, "Get Execution", execution_id=id_)
    assert_as_printed(answer, "Get Execution", status=200, free=("data.duration_seconds",))
    assert 120 <= answer.data["duration_seconds"] < 180
    assert answer.data["results"] is answer.data["error_message"] is answer.data["completed_at"] is None


def test_an_execution_has_every_field_of_its_model_at_every_stage(caller: Api, doorbells: Doorbells) -> None:
    """Data Models, "Execution Model"; `current_component` is null before there is one."""
    id_ = started(caller, made(caller, five(WAITS)))
    queued = caller.get(f"/executions/{id_}").data
    assert list(faults(MODELS["Execution Model"], queued)) == ["progress.current_component is None, not string"]
    doorbells.work()
    running = caller.get(f"/executions/{id_}").data
    caller.post(f"/executions/{id_}/signals/go", {"data": 1})
    doorbells.work()
    ended = caller.get(f"/executions/{id_}").data
    assert [each["status"] for each in (queued, running, ended)] == ["queued", "running", "completed"]
    for each in (running, ended):
        assert list(faults(MODELS["Execution Model"], each)) == []


@quotes("Cancel Execution")
def test_cancel_execution_ends_it(caller: Api, doorbells: Doorbells) -> None:
    """Cancel Execution."""
    id_ = started(caller, made(caller, five(WAITS)))
    doorbells.work()
    answer = send(caller, "Cancel Execution", execution_id=id_)
    assert (answer.status, answer.data["id"], answer.data["status"]) == (200, id_, "cancelled")


@quotes("Retry Execution")
def test_retry_execution_runs_from_the_component_with_the_parameters(caller: Api, doorbells: Doorbells) -> None:
    """Retry Execution."""
    id_ = started(caller, made(caller, five(FAILS)))
    doorbells.work()
    answer = send(caller, "Retry Execution", execution_id=id_)
    assert (answer.status, answer.data["retry_of"]) == (201, id_)
    assert answer.data["parameters"] == {"api_token": "[REDACTED]", "batch_size": 500}
    doorbells.work()
    runs = caller.get(f"/executions/{answer.data['id']}/components").data
    assert [(run["component_id"], run["status"]) for run in runs[:3]] == [
        ("start", "completed"),
        ("extract", "completed"),
        ("transform", "failed"),
    ]


@quotes("Get Execution Logs")
def test_get_execution_logs_answers_as_printed(caller: Api, doorbells: Doorbells, settings: Any) -> None:
    """Get Execution Logs: of a component that calls an API. The words and numbers of its lines are its own."""
    settings.APG_OUTBOUND_ALLOW = LOCAL.allow
    with peer(response(b"[]")) as far:
        call = {"id": "extract", "type": "http_request", "config": {"url": far.url("/customers"), "method": "GET"}}
        id_ = started(caller, made(caller, five(transform("transform", 1), call)))
        doorbells.work()
    lines = caller.get(f"/executions/{id_}/logs?component_id=extract").data
    answer = send(caller, "Get Execution Logs", execution_id=id_)
    assert answer.status == 200
    own = ("message", "metadata.url", "metadata.record_count", "metadata.duration_ms")
    for printed, line in zip(EXAMPLES["Get Execution Logs"].answer["data"], lines, strict=True):
        # Which facts a line carries is its component's; how long a call took and where it went are these.
        printed = {**printed, "metadata": {k: v for k, v in printed["metadata"].items() if k != "record_count"}}
        assert list(differences(printed, line, free=own)) == []
    assert answer.data[:2] == lines


@quotes("Batch Execution")
def test_execute_multiple_workflows_answers_a_result_for_each(caller: Api, doorbells: Doorbells) -> None:
    """Batch Execution, "Execute Multiple Workflows"; the ids alone are others."""
    ids = [made(caller, five(WAITS) | {"parameters": []}, name=name) for name in ("one", "two")]
    entries = EXAMPLES["Batch Execution"].body["executions"]
    body = {"executions": [{**entry, "workflow_id": id_} for entry, id_ in zip(entries, ids, strict=True)]}
    answer = send(caller, "Batch Execution", body=body)
    assert answer.status == 200
    assert answer.data["summary"] == {"total": 2, "successful": 2, "failed": 0}
    printed = EXAMPLES["Execute Workflow"].answer["data"]
    for entry, result in zip(body["executions"], answer.data["results"], strict=True):
        expected = {**printed, "workflow_id": entry["workflow_id"], "priority": entry["priority"],
                    "estimated_duration": None, "queue_position": 0}  # fmt: skip
        assert list(differences(expected, result["data"])) == []
        stored = Execution.objects.get(pk=result["data"]["execution_id"])
        assert (stored.workflow_id, stored.parameters) == (entry["workflow_id"], entry["parameters"])


# --- Query parameters

YEAR_1, YEAR_2 = (datetime(year, 6, 1, tzinfo=UTC) for year in (2024, 2025))
LISTS = {
    "workflow_id": ("workflow_id={workflow}", ["first"]),
    "status": ("status=failed", ["second"]),
    "user_id": ("user_id={bob}", ["second"]),
    "start_date": ("start_date=2025-01-01T00:00:00Z", ["second"]),
    "end_date": ("end_date=2025-01-01T00:00:00Z", ["first"]),
    "limit": ("limit=1", ["second"]),
    "offset": ("offset=1", ["first"]),
}


@pytest.mark.parametrize(("query", "found"), LISTS.values(), ids=LISTS.keys())
def test_query_parameters_of_list_executions(caller: Api, bob: User, query: str, found: list[str]) -> None:
    workflow, other = made(caller, five(WAITS), name="one"), made(caller, five(WAITS), name="two")
    first = execution(workflow, ExecutionStatus.COMPLETED)
    second = execution(other, ExecutionStatus.FAILED)
    Execution.objects.filter(pk=first.pk).update(started_at=YEAR_1)
    Execution.objects.filter(pk=second.pk).update(started_at=YEAR_2, created_by=bob)
    names = {first.pk: "first", second.pk: "second"}
    answer = caller.get(f"/executions?{query.format(workflow=workflow, bob=bob.pk)}")
    assert (answer.status, [names[item["id"]] for item in answer.data]) == (200, found)


LOGS: dict[str, tuple[str, list[str]]] = {
    "level": ("level=warning", ["b"]),
    "component_id": ("component_id=c", ["c"]),
    "limit": ("limit=2", ["a", "b"]),
    "offset": ("offset=2", ["c"]),
}


@pytest.mark.parametrize(("query", "found"), LOGS.values(), ids=LOGS.keys())
def test_query_parameters_of_get_execution_logs(
    caller: Api, doorbells: Doorbells, query: str, found: list[str]
) -> None:
    levels = {"a": "info", "b": "warning", "c": "error"}
    lines = [{"id": id_, "type": "log", "config": {"message": id_, "level": level}} for id_, level in levels.items()]
    connections = [{"source": a, "target": b, "type": "success"} for a, b in (("a", "b"), ("b", "c"))]
    id_ = started(caller, made(caller, {"components": lines, "connections": connections}))
    doorbells.work()
    answer = caller.get(f"/executions/{id_}/logs?{query}")
    assert (answer.status, [line["message"] for line in answer.data]) == (200, found)
