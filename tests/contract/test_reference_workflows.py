"""API reference, "REST API Endpoints": response format and workflows, each request and answer as printed."""

from typing import Any

import pytest

from accounts.models import User
from executions.models import Execution
from executions.states import ExecutionStatus
from tests.api import BASES, Api
from tests.contract.pipelines import START, ended, five, made, printed_definition
from tests.contract.reference import (
    ENVELOPE,
    EXAMPLES,
    MODELS,
    PAGE,
    TIME,
    assert_as_printed,
    differences,
    faults,
    quotes,
    send,
)
from tests.integration.executions.conftest import log, transform
from tests.integration.workflows.conftest import execution
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

WAITS = {"id": "transform", "type": "wait_for_signal", "config": {"signal": "go"}}
TYPES = {"boolean": bool, "string": str, "array": list}


def test_the_base_url_is_the_one_that_is_printed() -> None:
    """Base URL."""
    assert f"https://your-domain.com{BASES[0]}\n" in PAGE.read_text()


@quotes("Response Format")
def test_every_answer_has_the_five_keys(caller: Api) -> None:
    """Response Format."""
    printed = EXAMPLES["Response Format"].answer
    assert set(printed) == ENVELOPE
    for answer in (caller.get("/workflows"), caller.get("/nothing"), caller.get("/components/log/schema")):
        assert set(answer.body) == ENVELOPE
        for key, name in printed.items():
            assert key in {"data", "metadata"} or isinstance(answer.body[key], TYPES[name]), key
        assert isinstance(answer.body["data"], dict | list | None)
        metadata = answer.body["metadata"]
        assert metadata["version"] == printed["metadata"]["version"]
        assert TIME.fullmatch(metadata["timestamp"])
        assert metadata["request_id"] == answer.headers["X-Request-ID"]


@quotes("List Workflows")
def test_the_plain_list_has_a_page_of_fifty(caller: Api) -> None:
    """List Workflows."""
    assert send(caller, "List Workflows").data == []
    id_ = made(caller, {"components": [START]})
    answer = send(caller, "List Workflows")
    assert (answer.status, [item["id"] for item in answer.data]) == (200, [id_])
    page = {name: answer.body["metadata"][name] for name in ("total_count", "limit", "offset", "has_more")}
    assert page == {"total_count": 1, "limit": 50, "offset": 0, "has_more": False}


@quotes("List Workflows (2)")
def test_list_workflows_answers_as_printed(caller: Api) -> None:
    """List Workflows, "Example Request": five components at version 2, run 142 times, 19 of 20 with success."""
    id_ = made(caller, {"components": [START]})
    changed = caller.call("PATCH", f"/workflows/{id_}", {"definition": five(transform("transform", 1))})
    assert changed.status == 200
    ended(id_, ExecutionStatus.COMPLETED, 133)
    ended(id_, ExecutionStatus.FAILED, 7)
    ended(id_, ExecutionStatus.CANCELLED, 2)
    made(caller, {"components": [START]}, name="Another", active=False)
    assert_as_printed(send(caller, "List Workflows (2)"), "List Workflows (2)", status=200)


@quotes("Get Workflow")
def test_get_workflow_answers_as_printed(caller: Api) -> None:
    """Get Workflow."""
    id_ = made(caller, printed_definition())
    assert_as_printed(send(caller, "Get Workflow", workflow_id=id_), "Get Workflow", status=200)


def test_a_workflow_has_every_field_of_its_model(caller: Api) -> None:
    """Data Models, "Workflow Model"."""
    workflow = caller.get(f"/workflows/{made(caller, printed_definition())}").data
    # The printed parameter has no default; one that has is kept with it.
    assert list(faults(MODELS["Workflow Model"], workflow)) == ["there is no definition.parameters[].default_value"]


@quotes("Create Workflow")
def test_create_workflow_answers_as_printed(caller: Api) -> None:
    """Create Workflow."""
    answer = send(caller, "Create Workflow")
    assert_as_printed(answer, "Create Workflow", status=201)
    stored = caller.get(f"/workflows/{answer.data['id']}").data
    assert list(differences(EXAMPLES["Create Workflow"].body, stored)) == []


@quotes("Update Workflow")
def test_update_workflow_takes_the_body_of_create(caller: Api) -> None:
    """Update Workflow: "Same as Create Workflow"."""
    body = EXAMPLES["Create Workflow"].body
    id_ = made(caller, printed_definition(), active=False)
    answer = send(caller, "Update Workflow", workflow_id=id_, body=body)
    assert answer.status == 200
    assert list(differences(body, caller.get(f"/workflows/{id_}").data)) == []
    assert (answer.data["id"], answer.data["version"]) == (id_, 2)


@quotes("Delete Workflow")
def test_delete_workflow_answers_as_printed(caller: Api) -> None:
    """Delete Workflow. A body is printed, so the status is 200 and not 204."""
    id_ = made(caller, printed_definition())
    answer = send(caller, "Delete Workflow", workflow_id=id_)
    assert_as_printed(answer, "Delete Workflow", status=200)
    assert not Workflow.objects.exists()


@pytest.mark.django_db(transaction=True)
@quotes("Execute Workflow")
def test_execute_workflow_answers_as_printed(caller: Api, alice: User, doorbells: object) -> None:
    """Execute Workflow: the slots are taken and one more waits, so the new one is second; runs took 300 seconds."""
    id_ = made(caller, five(WAITS))
    ended(id_, ExecutionStatus.COMPLETED, 3, seconds=300)
    User.objects.filter(pk=alice.pk).update(tier="custom", requests_per_hour=1000, concurrent_executions=1)
    for _ in range(2):
        caller.post(f"/workflows/{id_}/execute", {"parameters": {"api_token": "x"}, "priority": 8})
    answer = send(caller, "Execute Workflow", workflow_id=id_)
    assert_as_printed(answer, "Execute Workflow", status=201)
    stored = Execution.objects.get(pk=answer.data["execution_id"])
    assert (stored.tags, stored.parameters["batch_size"]) == (["manual_execution"], 1000)


@quotes("Validate Workflow")
def test_validate_workflow_answers_as_printed(caller: Api) -> None:
    """Validate Workflow: five components and four connections, of which `transform` calls out and handles no error."""
    config = {"url": "https://api.example.com/{{ api_token }}", "method": "GET", "timeout": 5}
    id_ = made(caller, five({"id": "transform", "type": "http_request", "config": config}))
    assert_as_printed(send(caller, "Validate Workflow", workflow_id=id_), "Validate Workflow", status=200)


# --- Query parameters


@pytest.fixture
def three(caller: Api) -> dict[str, str]:
    """Workflows a, b and c, made in this order; a is active."""
    lone = {"components": [START]}
    return {
        "a": made(caller, lone, name="a", description="Alpha", tags=["x", "y"]),
        "b": made(caller, lone, name="b", description="Beta", tags=["x"], category="other", active=False),
        "c": made(caller, lone, name="c", description="Gamma", tags=[], active=False),
    }


LISTS = {
    "limit": ("limit=2&sort=name&order=asc", ["a", "b"]),
    "offset": ("offset=1&sort=name&order=asc", ["b", "c"]),
    "category": ("category=other", ["b"]),
    "status": ("status=active", ["a"]),
    "search": ("search=GAMM", ["c"]),
    "tags": ("tags=x,y", ["a"]),
    "created_by": ("created_by={user}&sort=name&order=asc", ["a", "b", "c"]),
    "sort": ("sort=created_at&order=asc", ["a", "b", "c"]),
    "order": ("sort=name&order=desc", ["c", "b", "a"]),
}


@pytest.mark.parametrize(("query", "names"), LISTS.values(), ids=LISTS.keys())
def test_query_parameters_of_list_workflows(
    caller: Api, alice: User, three: dict[str, str], query: str, names: list[str]
) -> None:
    answer = caller.get(f"/workflows?{query.format(user=alice.pk)}")
    assert (answer.status, [item["name"] for item in answer.data]) == (200, names)


GETS: dict[str, tuple[str, str, bool]] = {
    "include_definition": ("include_definition=false", "definition", False),
    "include_stats": ("include_stats=true", "execution_count", True),
}


@pytest.mark.parametrize(("query", "key", "there"), GETS.values(), ids=GETS.keys())
def test_query_parameters_of_get_workflow(caller: Api, query: str, key: str, there: bool) -> None:
    id_ = made(caller, {"components": [START]})
    assert (key in caller.get(f"/workflows/{id_}").data) is not there
    assert (key in caller.get(f"/workflows/{id_}?{query}").data) is there


DELETES: dict[str, tuple[str, int]] = {"force": ("force=true", 200)}


@pytest.mark.parametrize(("query", "status"), DELETES.values(), ids=DELETES.keys())
def test_query_parameters_of_delete_workflow(caller: Api, query: str, status: int) -> None:
    id_ = made(caller, {"components": [log("l")]})
    execution(id_, ExecutionStatus.QUEUED)
    assert caller.call("DELETE", f"/workflows/{id_}").code == "RESOURCE_CONFLICT"
    answer: Any = caller.call("DELETE", f"/workflows/{id_}?{query}")
    assert (answer.status, Workflow.objects.count()) == (status, 0)
