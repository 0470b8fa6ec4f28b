"""Bad input of executions: rows O7, X1, X2, X3 and X6 at their addresses; what is refused starts nothing."""

from typing import Any

import pytest

from core.types import JSONObject
from executions.models import Execution
from tests.api import Api
from tests.contract.pipelines import made
from tests.integration.executions.conftest import Doorbells, linear, log

pytestmark = pytest.mark.django_db(transaction=True)

DECLARED: JSONObject = {
    **linear(log("a")),
    "parameters": [
        {"name": "size", "type": "integer", "required": True, "validation_rules": {"min": 1, "max": 10}},
        {"name": "kind", "type": "string", "validation_rules": {"enum": ["x", "y"]}},
    ],
}
WAITS: JSONObject = linear({"id": "w", "type": "wait_for_signal", "config": {"signal": "go"}})


@pytest.mark.parametrize(("action", "status"), [("activate", 201), ("deactivate", 409), ("archive", 409), (None, 201)])
def test_o7_drafts_and_active_workflows_run_and_no_others(
    caller: Api, doorbells: Doorbells, action: str | None, status: int
) -> None:
    id_ = made(caller, linear(log("a")), active=False)
    if action is not None:
        caller.post(f"/workflows/{id_}/{action}")
    answer = caller.post(f"/workflows/{id_}/execute", {})
    assert answer.status == status
    assert Execution.objects.count() == (status == 201)
    if status == 409:
        assert answer.code == "RESOURCE_CONFLICT"


def test_o7_a_deleted_workflow_is_not_there(caller: Api) -> None:
    id_ = made(caller, linear(log("a")))
    caller.call("DELETE", f"/workflows/{id_}")
    answer = caller.post(f"/workflows/{id_}/execute", {})
    assert (answer.status, answer.code) == (404, "RESOURCE_NOT_FOUND")


PARAMETERS: dict[str, tuple[JSONObject, str]] = {
    "missing": ({}, "size"),
    "null": ({"size": None}, "size"),
    "text": ({"size": "5"}, "size"),
    "a fraction": ({"size": 5.5}, "size"),
    "true": ({"size": True}, "size"),
    "over its bound": ({"size": 11}, "size"),
    "none of the choices": ({"size": 5, "kind": "z"}, "kind"),
}


@pytest.mark.parametrize(("parameters", "name"), PARAMETERS.values(), ids=PARAMETERS.keys())
def test_x1_a_parameter_that_is_not_as_declared_is_422_and_named(
    caller: Api, parameters: JSONObject, name: str
) -> None:
    answer = caller.post(f"/workflows/{made(caller, DECLARED)}/execute", {"parameters": parameters})
    assert (answer.status, answer.code, answer.fields) == (422, "VALIDATION_ERROR", [f"parameters.{name}"])
    assert Execution.objects.count() == 0


def test_x1_a_parameter_that_is_not_declared_is_taken(caller: Api, doorbells: Doorbells) -> None:
    body = {"parameters": {"size": 5, "kind": "x", "other": ["x"], "__proto__": 1}}
    answer = caller.post(f"/workflows/{made(caller, DECLARED)}/execute", body)
    assert answer.status == 201
    assert caller.get(f"/executions/{answer.data['execution_id']}").data["parameters"] == body["parameters"]


def test_x1_parameters_larger_than_an_output_are_refused(caller: Api, doorbells: Doorbells, settings: Any) -> None:
    settings.MAX_OUTPUT_BYTES = 2000
    path = f"/workflows/{made(caller, linear(log('a')))}/execute"
    # With its name and the quotes a value of 1,992 letters makes 2,000 bytes.
    refused = caller.post(path, {"parameters": {"x": "y" * 1993}})
    assert (refused.status, refused.code, refused.fields) == (422, "VALIDATION_ERROR", ["parameters"])
    assert refused.body["errors"][0]["details"] == {"expected": "at most 2000 bytes", "received": "2001 bytes"}
    assert Execution.objects.count() == 0
    assert caller.post(path, {"parameters": {"x": "y" * 1992}}).status == 201


TIMES = {
    "in the past": ("2025-01-01T15:00:00Z", "queued", "2025-01-01T15:00:00Z"),
    "far away": ("2126-01-01T00:00:00Z", "pending", "2126-01-01T00:00:00Z"),
    "without a zone": ("2126-01-01T00:00:00", "pending", "2126-01-01T00:00:00Z"),
    "with an offset": ("2126-01-01T00:00:00+02:00", "pending", "2125-12-31T22:00:00Z"),
    # 2:30 came twice in Berlin that night; the offset says which.
    "twice in a night": ("2126-10-27T02:30:00+01:00", "pending", "2126-10-27T01:30:00Z"),
}


@pytest.mark.parametrize(("sent", "status", "shown"), TIMES.values(), ids=TIMES.keys())
def test_x2_any_time_is_taken_and_one_that_has_passed_is_now(
    caller: Api, doorbells: Doorbells, sent: str, status: str, shown: str
) -> None:
    answer = caller.post(f"/workflows/{made(caller, linear(log('a')))}/execute", {"scheduled_at": sent})
    assert (answer.status, answer.data["status"], answer.data["scheduled_at"]) == (201, status, shown)


FIELDS: dict[str, tuple[JSONObject, str]] = {
    "no time": ({"scheduled_at": "tomorrow"}, "scheduled_at"),
    "a number": ({"scheduled_at": 1735740000}, "scheduled_at"),
    "the year 0": ({"scheduled_at": "0000-01-01T00:00:00Z"}, "scheduled_at"),
    "the year 9999": ({"scheduled_at": "9999-12-31T23:59:59Z"}, "scheduled_at"),
    "a thousand tags": ({"tags": [f"t{n}" for n in range(1000)]}, "tags"),
    "a long tag": ({"tags": ["x" * 101]}, "tags[0]"),
    "priority 0": ({"priority": 0}, "priority"),
    "priority 11": ({"priority": 11}, "priority"),
    "priority 5.5": ({"priority": 5.5}, "priority"),
    "priority true": ({"priority": True}, "priority"),
}


@pytest.mark.parametrize(("body", "field"), FIELDS.values(), ids=FIELDS.keys())
def test_x2_x6_a_field_out_of_its_range_is_422_and_named(caller: Api, body: JSONObject, field: str) -> None:
    answer = caller.post(f"/workflows/{made(caller, linear(log('a')))}/execute", body)
    assert (answer.status, answer.code, answer.fields) == (422, "VALIDATION_ERROR", [field])
    assert Execution.objects.count() == 0


def test_x3_what_is_running_cannot_be_retried_and_what_has_ended_not_cancelled(
    caller: Api, doorbells: Doorbells
) -> None:
    started: Any = caller.post(f"/workflows/{made(caller, WAITS)}/execute", {})
    path = f"/executions/{started.data['execution_id']}"
    doorbells.work()
    assert caller.post(f"{path}/retry").code == "RESOURCE_CONFLICT"
    assert caller.post(f"{path}/cancel").data["status"] == "cancelled"
    again = caller.post(f"{path}/cancel")
    assert (again.status, again.code) == (409, "RESOURCE_CONFLICT")
    unknown = caller.post(f"{path}/retry", {"from_component": "nothing"})
    assert (unknown.status, unknown.fields) == (422, ["from_component"])
    assert Execution.objects.count() == 1
    assert caller.post(f"{path}/retry").status == 201


def test_o3_cancel_takes_no_fields(alice_api: Api) -> None:
    id_ = made(alice_api, linear(log("a")))
    execution = alice_api.post(f"/workflows/{id_}/execute", {}).data["execution_id"]
    answer = alice_api.post(f"/executions/{execution}/cancel", {"force": True})
    assert (answer.status, answer.fields) == (422, ["force"])
    assert alice_api.get(f"/executions/{execution}").data["status"] == "queued"
    assert alice_api.post(f"/executions/{execution}/cancel", {}).status == 200
