"""The main job over REST, from a definition to the result."""

from typing import Any

import pytest

from tests.api import Api
from tests.integration.executions.conftest import Doorbells, linear, transform
from tests.integration.executions.conftest import doorbells as doorbells_fixture
from tests.integration.executions.conftest import only_legal_moves as only_legal_moves_fixture

doorbells, only_legal_moves = doorbells_fixture, only_legal_moves_fixture
pytestmark = pytest.mark.django_db(transaction=True)

DEFINITION = {
    **linear({"id": "start", "type": "start", "config": {"trigger_type": "manual"}}, transform("t", "{{ input }}")),
    "parameters": [{"name": "api_token", "type": "string", "required": True}],
}


def made(api: Api, **more: Any) -> Any:
    answer = api.post("/workflows", {"name": "Pipeline", "definition": DEFINITION, **more})
    assert answer.status == 201, answer.body
    return answer


def test_get_has_the_definition_permissions_and_an_etag(alice_api: Api) -> None:
    id_ = made(alice_api).data["id"]
    answer = alice_api.get(f"/workflows/{id_}")
    assert answer.data["definition"] == DEFINITION
    assert answer.data["permissions"] == {
        "can_edit": True, "can_execute": True, "can_delete": True, "can_share": True,
    }  # fmt: skip
    assert answer.headers["ETag"] == '"1"'
    assert "definition" not in alice_api.get(f"/workflows/{id_}?include_definition=false").data
    assert alice_api.get(f"/workflows/{id_}?include_stats=true").data["success_rate"] == 0.0


def test_put_replaces_and_makes_a_version_only_of_a_changed_definition(alice_api: Api) -> None:
    id_ = made(alice_api, description="old", tags=["a"]).data["id"]
    same = alice_api.call("PUT", f"/workflows/{id_}", {"name": "New", "definition": DEFINITION})
    assert (same.data["name"], same.data["description"], same.data["tags"], same.data["version"]) == ("New", "", [], 1)
    changed = {**DEFINITION, "settings": {"on_failure": "continue"}}
    assert alice_api.call("PATCH", f"/workflows/{id_}", {"definition": changed}).data["version"] == 2


def test_validate_names_a_parameter_that_nothing_reads(alice_api: Api) -> None:
    id_ = made(alice_api).data["id"]
    answer = alice_api.post(f"/workflows/{id_}/validate")
    assert answer.data == {
        "is_valid": True,
        "errors": [],
        "warnings": [{"message": "Parameter api_token is never used", "severity": "warning"}],
        "info": [{"message": "Workflow contains 2 components and 1 connections", "severity": "info"}],
    }


def test_execute_then_get_then_logs(alice_api: Api, doorbells: Doorbells) -> None:
    id_ = made(alice_api).data["id"]
    body = {"parameters": {"api_token": "t0ken-of-alice", "batch_size": 1000}, "priority": 7, "tags": ["manual"]}
    accepted = alice_api.post(f"/workflows/{id_}/execute", body)
    assert (accepted.status, accepted.body["message"]) == (201, "Workflow execution started")
    assert (accepted.data["status"], accepted.data["priority"], accepted.data["queue_position"]) == ("queued", 7, 0)
    doorbells.work()
    answer = alice_api.get(f"/executions/{accepted.data['execution_id']}")
    assert answer.data["status"] == "completed"
    assert answer.data["parameters"] == {"api_token": "[REDACTED]", "batch_size": 1000}
    assert answer.data["progress"] == {
        "current_component": "t", "completed_components": 2, "total_components": 2, "percentage": 100.0,
    }  # fmt: skip
    assert answer.data["results"] == {"api_token": "[REDACTED]", "batch_size": 1000}
    assert set(answer.data["resource_usage"]) == {"cpu_seconds", "memory_mb", "network_bytes"}
    assert alice_api.get(f"/executions/{answer.data['id']}/logs").data == []
    runs = alice_api.get(f"/executions/{answer.data['id']}/components").data
    assert [(run["component_id"], run["status"]) for run in runs] == [("start", "completed"), ("t", "completed")]
    listed = alice_api.get(f"/executions?workflow_id={id_}&status=completed")
    assert listed.body["metadata"]["total_count"] == 1


def test_cancel_over_rest(alice_api: Api, doorbells: Doorbells) -> None:
    definition = linear({"id": "d", "type": "delay", "config": {"seconds": 3600}})
    id_ = alice_api.post("/workflows", {"name": "Slow", "definition": definition}).data["id"]
    execution_id = alice_api.post(f"/workflows/{id_}/execute", {}).data["execution_id"]
    doorbells.work()
    refused = alice_api.call("DELETE", f"/workflows/{id_}")
    assert (refused.status, refused.code) == (409, "RESOURCE_CONFLICT")
    assert alice_api.post(f"/executions/{execution_id}/cancel").data["status"] == "cancelled"
    assert alice_api.post(f"/executions/{execution_id}/cancel").status == 409
    assert alice_api.call("DELETE", f"/workflows/{id_}").body["message"] == "Workflow deleted successfully"


def test_force_deletes_with_running_executions(alice_api: Api, doorbells: Doorbells) -> None:
    definition = linear({"id": "d", "type": "delay", "config": {"seconds": 3600}})
    id_ = alice_api.post("/workflows", {"name": "Slow", "definition": definition}).data["id"]
    execution_id = alice_api.post(f"/workflows/{id_}/execute", {}).data["execution_id"]
    assert alice_api.call("DELETE", f"/workflows/{id_}?force=true").status == 200
    assert alice_api.get(f"/executions/{execution_id}").status == 404


def test_an_idempotency_key_answers_200_with_the_same_execution(alice_api: Api, doorbells: Doorbells) -> None:
    id_ = made(alice_api).data["id"]
    body = {"parameters": {"api_token": "t"}}
    answers = [alice_api.call("POST", f"/workflows/{id_}/execute", body, Idempotency_Key="k") for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 200]
    assert answers[0].data["execution_id"] == answers[1].data["execution_id"]


def test_an_idempotency_key_is_for_the_same_body_whatever_the_order_of_its_keys(
    alice_api: Api, doorbells: Doorbells
) -> None:
    id_ = made(alice_api).data["id"]
    path, first = f"/workflows/{id_}/execute", {"parameters": {"api_token": "t", "more": {"a": 1, "b": 2}}}
    again = {"parameters": {"more": {"b": 2, "a": 1}, "api_token": "t"}}
    statuses = [alice_api.call("POST", path, body, Idempotency_Key="k").status for body in (first, again)]
    assert statuses == [201, 200]


def test_a_missing_parameter_is_422_and_named(alice_api: Api, doorbells: Doorbells) -> None:
    answer = alice_api.post(f"/workflows/{made(alice_api).data['id']}/execute", {})
    assert (answer.status, answer.fields) == (422, ["parameters.api_token"])


def test_components_have_schemas(alice_api: Api) -> None:
    types = [component["type"] for component in alice_api.get("/components").data]
    control = [
        "condition",
        "delay",
        "end",
        "fail",
        "for_each",
        "log",
        "repeat_until",
        "start",
        "sub_workflow",
        "switch",
    ]
    data = ["aggregate", "filter", "script", "transform", "validate"]
    human = ["approval", "wait_for_signal"]
    assert types == [*control, *data, *human, "database_query", "email", "http_request", "notification"]
    schema = alice_api.get("/components/http_request/schema").data["config_schema"]
    assert schema["required"] == ["url", "method"]


def test_health_is_degraded_without_a_worker(api: Api) -> None:
    answer = api.get("/health")
    assert set(answer.data) == {"status", "version", "uptime_seconds", "components"}
    assert set(answer.data["components"]) == {"database", "redis", "workflow_engine", "scheduler"}
    assert answer.data["status"] == "degraded"


def test_query_counts_do_not_grow_with_the_rows(alice_api: Api, django_assert_max_num_queries: Any) -> None:
    for number in range(5):
        made(alice_api, name=f"w{number}")
    with django_assert_max_num_queries(6):
        assert len(alice_api.get("/workflows").data) == 5
    with django_assert_max_num_queries(3):
        alice_api.get("/executions")
