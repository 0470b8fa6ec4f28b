"""Validation over REST, and the catalogue of components."""

from typing import Any

import pytest

from accounts.models import User
from accounts.secret_store import create_secret
from core.types import JSONObject
from events.models import Event
from tests.api import Api
from tests.integration.workflows.conftest import LONE, START, make, sends
from workflows.components import registry
from workflows.models import WorkflowVersion

pytestmark = pytest.mark.django_db

BROKEN = {"components": [START, {"id": "get", "type": "http_request", "config": {"url": "invalid-url"}}]}
CALL = {"id": "call", "type": "http_request", "config": {"url": "https://example.com/", "method": "GET"}}


def test_the_stored_definition_is_judged_as_printed(caller: Api) -> None:
    connection = {"source": "start", "target": "call", "type": "success"}
    definition = {"components": [START, CALL], "connections": [connection]}
    answer = caller.post(f"/workflows/{make(caller, definition=definition)}/validate")
    assert (answer.status, answer.body["success"]) == (200, True)
    assert answer.data == {
        "is_valid": True,
        "errors": [],
        "warnings": [
            {
                "component_id": "call",
                "message": "Component has no error handling configured",
                "severity": "warning",
            },
            {
                "component_id": "call",
                "message": "Component calls an external service without a timeout",
                "severity": "warning",
            },
        ],
        "info": [{"message": "Workflow contains 2 components and 1 connections", "severity": "info"}],
    }


def test_a_body_without_a_definition_judges_the_stored_one(caller: Api) -> None:
    id_ = make(caller, definition=sends(1))
    bodies: list[JSONObject | None] = [None, {}]
    for body in bodies:
        data = caller.post(f"/workflows/{id_}/validate", body).data
        assert data["info"][0]["message"] == "Workflow contains 2 components and 1 connections"


def test_a_definition_in_the_body_is_judged_instead_and_not_stored(caller: Api) -> None:
    id_ = make(caller)
    judged = caller.post(f"/workflows/{id_}/validate", {"definition": BROKEN}).data
    assert (judged["is_valid"], judged["warnings"], judged["info"]) == (False, [], [])
    assert caller.post(f"/workflows/{id_}/validate").data["is_valid"] is True
    assert [version.definition for version in WorkflowVersion.objects.all()] == [LONE]
    assert Event.objects.count() == 1


def test_errors_name_component_place_and_expectation(caller: Api) -> None:
    errors = caller.post("/workflows/validate", {"definition": BROKEN}).data["errors"]
    url = next(error for error in errors if error["field"] == "definition.components[1].config.url")
    assert (url["component_id"], url["severity"], url["code"]) == ("get", "error", "VALIDATION_ERROR")
    assert "invalid-url" in url["details"]["received"]


def test_what_a_stored_definition_no_longer_passes_is_found(caller: Api) -> None:
    id_ = make(caller)
    WorkflowVersion.objects.update(definition={"components": [{"id": "a", "type": "gone_plugin", "config": {}}]})
    data = caller.post(f"/workflows/{id_}/validate").data
    assert (data["is_valid"], data["errors"][0]["field"]) == (False, "definition.components[0].type")


@pytest.mark.parametrize("definition", [None, [], "x", 1, True, {}, {"components": None}])
def test_any_json_is_judged_and_none_of_these_is_valid(caller: Api, definition: Any) -> None:
    for path in ("/workflows/validate", f"/workflows/{make(caller)}/validate"):
        answer = caller.post(path, {"definition": definition})
        assert (answer.status, answer.data["is_valid"]) == (200, False)
        assert answer.data["errors"][0]["field"].startswith("definition")


def test_without_a_workflow_a_definition_is_needed(caller: Api) -> None:
    answer = caller.post("/workflows/validate", {})
    assert (answer.status, answer.code, answer.fields) == (422, "VALIDATION_ERROR", ["definition"])
    assert caller.post("/workflows/validate").status == 400


@pytest.mark.parametrize("path", ["/workflows/validate", "/workflows/{}/validate"])
def test_an_unknown_field_is_422_and_named(caller: Api, path: str) -> None:
    answer = caller.post(path.format(make(caller)), {"definition": LONE, "strict": True})
    assert (answer.status, answer.fields) == (422, ["strict"])


def test_components_are_listed_in_pages(caller: Api) -> None:
    every = caller.get("/components")
    assert [item["type"] for item in every.data] == [component.type for component in registry.all_types()]
    page = caller.get("/components?limit=2&offset=1")
    assert page.data == every.data[1:3]
    metadata = page.body["metadata"]
    assert (metadata["total_count"], metadata["limit"], metadata["offset"]) == (len(every.data), 2, 1)
    assert metadata["has_more"] is True


def test_each_component_has_the_printed_fields_and_its_own_address(caller: Api) -> None:
    for item in caller.get("/components").data:
        assert caller.get(f"/components/{item['type']}/schema").data == item
        assert list(item) == [
            "type", "name", "description", "category", "config_schema", "input_schema", "output_schema",
        ]  # fmt: skip
        assert all(item[name] for name in ("name", "description", "category"))
        assert all(isinstance(item[name], dict) for name in ("config_schema", "input_schema", "output_schema"))


@pytest.mark.parametrize("type_", ["nothing", "START", "__import__", "start%20", "x" * 10_000])
def test_a_type_that_is_none_is_404(caller: Api, type_: str) -> None:
    answer = caller.get(f"/components/{type_}/schema")
    assert (answer.status, answer.code) == (404, "RESOURCE_NOT_FOUND")


def test_only_who_may_edit_learns_what_the_owner_has(alice_api: Api, bob_api: Api, alice: User, bob: User) -> None:
    create_secret(owner=alice, name="HERS", value="a-value-of-hers")
    hidden, seen = make(alice_api, "hidden"), make(alice_api, "seen")
    child = {"id": "child", "type": "sub_workflow", "config": {"workflow_id": hidden}}
    asking = [sends("{{ secrets.HERS }}"), sends("{{ secrets.NONE }}"), {"components": [child]}]
    shared = alice_api.post(f"/workflows/{seen}/shares", {"user_id": bob.pk, "role": "operator"})
    answers = [bob_api.post(f"/workflows/{seen}/validate", {"definition": each}) for each in asking]
    assert [answer.data["is_valid"] for answer in answers] == [True, True, True]
    alice_api.call("DELETE", f"/workflows/{seen}/shares/{shared.data['id']}")
    alice_api.post(f"/workflows/{seen}/shares", {"user_id": bob.pk, "role": "editor"})
    answers = [bob_api.post(f"/workflows/{seen}/validate", {"definition": each}) for each in asking]
    assert [answer.data["is_valid"] for answer in answers] == [True, False, True]
