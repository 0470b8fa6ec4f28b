"""API reference, "Error Handling": the printed error, and every status and code of the two tables, provoked."""

from typing import Any

import pytest

from accounts.api_keys import create_api_key
from accounts.models import User
from core.ids import new_id
from core.types import JSONObject
from tests.api import Answer, Api
from tests.contract.pipelines import START, made, started
from tests.contract.reference import ENVELOPE, EXAMPLES, assert_as_printed, provokes, quotes
from tests.integration.executions.conftest import Doorbells, linear, transform
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

LONE: JSONObject = {"components": [START]}


def assert_refused(answer: Answer, status: int, code: str) -> None:
    """An error in the envelope, whose every entry has that code."""
    assert (answer.status, {error["code"] for error in answer.body["errors"]}) == (status, {code})
    assert set(answer.body) == ENVELOPE
    assert (answer.body["success"], answer.body["data"]) == (False, None)
    assert answer.body["message"]
    assert all(error["message"] for error in answer.body["errors"])


@quotes("Error Response Format")
@provokes(422, "VALIDATION_ERROR")
def test_an_error_answers_as_printed(caller: Api) -> None:
    """Error Response Format: of that very definition. What is printed as the entry's message is the answer's own; the
    entry's says what is wrong with its field.
    """
    broken = {"id": "call", "type": "http_request", "config": {"url": "invalid-url", "method": "GET"}}
    answer = caller.post("/workflows", {"name": "w", "definition": {"components": [broken]}})
    assert_as_printed(answer, "Error Response Format", status=422, free=("message", "errors[].message"))
    assert answer.body["message"] == EXAMPLES["Error Response Format"].answer["errors"][0]["message"]
    assert_refused(answer, 422, "VALIDATION_ERROR")
    assert not Workflow.objects.exists()


@provokes(200)
def test_200_what_was_read_or_done(caller: Api) -> None:
    assert caller.get("/workflows").status == 200


@provokes(201)
def test_201_what_was_made(caller: Api) -> None:
    answer = caller.post("/workflows", {"name": "w", "definition": LONE})
    assert (answer.status, answer.body["success"]) == (201, True)


@provokes(204)
def test_204_is_never_needed_since_every_answer_has_a_body(alice: User, caller: Api) -> None:
    """The page prints a body for deletes, so what could be a 204 is a 200: of every kind of object there is."""
    key, _ = create_api_key(owner=alice, name="k", permissions=("workflow.read",))
    caller.post("/secrets", {"name": "TOKEN", "value": "v4lue-of-a-secret"})
    for path in (f"/workflows/{made(caller, LONE)}", "/secrets/TOKEN", f"/api/v1/auth/api-keys/{key.pk}"):
        answer = caller.call("DELETE", path)
        assert (answer.status, set(answer.body), answer.body["success"]) == (200, ENVELOPE, True), path


@provokes(400, "VALIDATION_ERROR")
def test_400_a_request_that_cannot_be_read(caller: Api) -> None:
    assert_refused(caller.call("POST", "/workflows", raw=b"{"), 400, "VALIDATION_ERROR")
    assert_refused(caller.get("/workflows?limit=0"), 400, "VALIDATION_ERROR")


@provokes(401, "AUTHENTICATION_ERROR")
def test_401_without_a_credential(api: Api) -> None:
    answer = api.get("/workflows")
    assert_refused(answer, 401, "AUTHENTICATION_ERROR")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@provokes(403, "AUTHORIZATION_ERROR")
def test_403_without_the_permission(alice: User, caller: Api) -> None:
    _, key = create_api_key(owner=alice, name="k", permissions=("workflow.read",))
    answer = Api(base=caller.base, key=key).post("/workflows", {"name": "w", "definition": LONE})
    assert_refused(answer, 403, "AUTHORIZATION_ERROR")
    assert not Workflow.objects.exists()


@provokes(404, "RESOURCE_NOT_FOUND")
def test_404_what_is_not_there(caller: Api) -> None:
    assert_refused(caller.get(f"/workflows/{new_id()}"), 404, "RESOURCE_NOT_FOUND")


@provokes(409, "RESOURCE_CONFLICT")
def test_409_a_duplicate_name(caller: Api) -> None:
    made(caller, LONE)
    answer = caller.post("/workflows", {"name": "Data Processing Pipeline", "definition": LONE})
    assert_refused(answer, 409, "RESOURCE_CONFLICT")
    assert Workflow.objects.count() == 1


@provokes(422, "WORKFLOW_INVALID")
def test_422_a_stored_definition_that_cannot_run(caller: Api) -> None:
    definition = linear(START, transform("t", "{{ secrets.MISSING }}"))
    id_ = made(caller, definition, active=False)
    for action in ("activate", "execute"):
        assert_refused(caller.post(f"/workflows/{id_}/{action}", {}), 422, "WORKFLOW_INVALID")
    assert caller.get(f"/workflows/{id_}").data["status"] == "draft"
    assert caller.get("/executions").data == []


@pytest.mark.urls("tests.integration.core.broken_urls")
@provokes(500, "SYSTEM_ERROR")
def test_500_a_bug(api: Api) -> None:
    assert_refused(api.get("/api/v1/broken"), 500, "SYSTEM_ERROR")


FAILING: dict[str, tuple[JSONObject, str, str]] = {
    "COMPONENT_ERROR": ({"id": "c", "type": "fail", "config": {"message": "no good"}}, "COMPONENT_ERROR", "no good"),
    "TIMEOUT_ERROR": (
        {"id": "c", "type": "script", "config": {"code": "while True: pass", "timeout_seconds": 0.2}},
        "TIMEOUT_ERROR",
        "code: it took too long",
    ),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("component", "code", "message"), FAILING.values(), ids=FAILING.keys())
@provokes("COMPONENT_ERROR", "TIMEOUT_ERROR")
def test_a_failed_execution_names_the_code_and_the_component(
    caller: Api, doorbells: Doorbells, component: JSONObject, code: str, message: str
) -> None:
    id_ = started(caller, made(caller, linear(START, component)))
    doorbells.work()
    failed = caller.get(f"/executions/{id_}").data
    assert (failed["status"], failed["error_message"]) == ("failed", message)
    assert {name: failed["error"][name] for name in ("code", "message", "component_id")} == {
        "code": code, "message": message, "component_id": "c",
    }  # fmt: skip
    run = caller.get(f"/executions/{id_}/components").data[-1]
    assert (run["component_id"], run["status"], run["error"]["code"]) == ("c", "failed", code)


@pytest.mark.django_db(transaction=True)
@provokes("EXECUTION_FAILED")
def test_an_execution_that_fails_by_another_says_so(caller: Api, doorbells: Doorbells) -> None:
    """What a child's cancelled execution is to the component that started it."""
    child = made(caller, linear({"id": "w", "type": "wait_for_signal", "config": {"signal": "go"}}), name="child")
    parent = made(caller, linear({"id": "c", "type": "sub_workflow", "config": {"workflow_id": child}}))
    id_ = started(caller, parent)
    doorbells.work()
    (running,) = caller.get(f"/executions?workflow_id={child}").data
    caller.post(f"/executions/{running['id']}/cancel")
    doorbells.work()
    failed: Any = caller.get(f"/executions/{id_}").data
    assert (failed["status"], failed["error"]["code"], failed["error"]["component_id"]) == (
        "failed", "EXECUTION_FAILED", "c",
    )  # fmt: skip
