"""Changing workflows: PUT and PATCH, versions, statuses, events, and who wins a race."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from core.errors import ConflictError, NotFoundError
from tests.api import Answer, Api
from tests.integration.workflows.conftest import LONE, make, sends, told
from workflows.models import Workflow, WorkflowVersion
from workflows.services import create_workflow, delete_workflow, update_workflow

pytestmark = pytest.mark.django_db


def put(api: Api, id_: str, **body: Any) -> Answer:
    return api.call("PUT", f"/workflows/{id_}", body)


def patch(api: Api, id_: str, **body: Any) -> Answer:
    return api.call("PATCH", f"/workflows/{id_}", body)


def test_put_replaces_what_it_leaves_out_by_defaults(caller: Api) -> None:
    id_ = make(caller, "Old", description="d", category="c", tags=["t"], priority=9)
    answer = put(caller, id_, name="New", definition=LONE)
    assert (answer.status, answer.body["message"]) == (200, "Workflow updated successfully")
    stored = caller.get(f"/workflows/{id_}").data
    assert answer.data == stored
    assert (stored["name"], stored["description"], stored["category"], stored["tags"]) == ("New", "", "", [])
    assert (stored["priority"], stored["status"], stored["version"]) == (5, "draft", 1)


def test_put_needs_name_and_definition(caller: Api) -> None:
    id_ = make(caller)
    answer = put(caller, id_, description="d")
    assert (answer.status, answer.fields) == (422, ["name", "definition"])
    assert caller.get(f"/workflows/{id_}").data["description"] == ""


def test_patch_changes_only_what_it_names(caller: Api) -> None:
    id_ = make(caller, "Name", description="d", category="c", tags=["t"], priority=9)
    before = caller.get(f"/workflows/{id_}").data
    after = patch(caller, id_, tags=["u"]).data
    assert {name for name in before if before[name] != after[name]} == {"tags", "updated_at"}
    assert after["tags"] == ["u"]
    assert after["updated_at"] > before["updated_at"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": " "}, "name"),
        ({"priority": 11}, "priority"),
        ({"definition": None}, "definition"),
        ({"definition": {"components": []}}, "definition.components"),
        ({"status": "bogus"}, "status"),
        ({"status": None}, "status"),
        ({"expected_version": "1"}, "expected_version"),
        ({"expected_version": 0}, "expected_version"),
        ({"id": "x"}, "id"),
        ({"version": 99}, "version"),
        ({"created_by": "x"}, "created_by"),
        ({"created_at": "2026-01-01T00:00:00Z"}, "created_at"),
        ({"permissions": {}}, "permissions"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_o3_invalid_and_read_only_fields_are_422_and_change_nothing(
    caller: Api, method: str, body: dict[str, Any], field: str
) -> None:
    id_ = make(caller)
    before = caller.get(f"/workflows/{id_}").data
    whole = {"name": "other", "definition": sends(1)} if method == "PUT" else {}
    answer = caller.call(method, f"/workflows/{id_}", {**whole, **body})
    assert (answer.status, answer.code, answer.fields) == (422, "VALIDATION_ERROR", [field])
    assert caller.get(f"/workflows/{id_}").data == before
    assert told(id_) == ["workflow.created"]


def test_a_changed_definition_makes_a_version_and_leaves_the_old_one_as_it_was(alice_api: Api, alice: User) -> None:
    id_ = make(alice_api, definition=LONE)
    answer = patch(alice_api, id_, definition=sends(1))
    assert (answer.data["version"], answer.data["component_count"], answer.data["definition"]) == (2, 2, sends(1))
    assert answer.headers["ETag"] == '"2"'
    versions = WorkflowVersion.objects.filter(workflow=id_).order_by("number")
    assert [(version.number, version.definition) for version in versions] == [(1, LONE), (2, sends(1))]


@pytest.mark.parametrize(
    ("old", "new", "version"),
    [(1, 1, 1), (1, True, 2), (0, False, 2), (1, 1.0, 2), ({"a": 1, "b": 2}, {"b": 2, "a": 1}, 1), ("1", 1, 2)],
)
def test_a_definition_is_changed_when_its_json_is(alice_api: Api, old: Any, new: Any, version: int) -> None:
    id_ = make(alice_api, definition=sends(old))
    assert patch(alice_api, id_, definition=sends(new)).data["version"] == version
    stored = alice_api.get(f"/workflows/{id_}").data["definition"]["components"][1]["config"]["output"]
    assert (stored, type(stored)) == (new, type(new))


def test_what_changes_nothing_writes_and_tells_nothing(alice_api: Api) -> None:
    id_ = make(alice_api, "Name", tags=["t"])
    before = alice_api.get(f"/workflows/{id_}").data
    assert patch(alice_api, id_).status == 200
    assert patch(alice_api, id_, status="draft").status == 200
    assert put(alice_api, id_, name="Name", definition=LONE, tags=["t"]).data == before
    assert told(id_) == ["workflow.created"]


@pytest.mark.parametrize(
    ("old", "body", "expected"),
    [
        ("draft", {"description": "d"}, ["workflow.updated"]),
        ("draft", {"definition": sends(1)}, ["workflow.updated"]),
        ("draft", {"status": "active"}, ["workflow.activated"]),
        ("draft", {"status": "active", "tags": ["t"]}, ["workflow.activated", "workflow.updated"]),
        ("draft", {"status": "inactive"}, ["workflow.deactivated"]),
        ("draft", {"status": "archived"}, ["workflow.updated"]),
        ("active", {"status": "inactive"}, ["workflow.deactivated"]),
        ("active", {"status": "draft"}, ["workflow.deactivated"]),
        ("active", {"status": "archived"}, ["workflow.deactivated"]),
        ("inactive", {"status": "active"}, ["workflow.activated"]),
        ("inactive", {"status": "archived", "priority": 1}, ["workflow.updated"]),
        ("archived", {"status": "draft"}, ["workflow.updated"]),
    ],
)
def test_each_change_is_told_by_its_name(alice_api: Api, old: str, body: dict[str, Any], expected: list[str]) -> None:
    id_ = make(alice_api)
    Workflow.objects.filter(pk=id_).update(status=old)
    assert patch(alice_api, id_, **body).status == 200
    assert told(id_) == ["workflow.created", *expected]


def test_activating_what_no_longer_passes_validation_is_workflow_invalid(caller: Api) -> None:
    id_ = make(caller)
    # As after the plug-in that brought the type was removed.
    gone = {"components": [{"id": "a", "type": "gone_plugin", "config": {}}]}
    WorkflowVersion.objects.filter(workflow=id_).update(definition=gone)
    answer = patch(caller, id_, status="active", name="n")
    assert (answer.status, answer.code, answer.fields) == (422, "WORKFLOW_INVALID", ["definition.components[0].type"])
    assert (caller.get(f"/workflows/{id_}").data["status"], told(id_)) == ("draft", ["workflow.created"])
    assert patch(caller, id_, status="active", definition=LONE).data["status"] == "active"


def test_o4_a_name_that_the_owner_has_given_already_is_409(caller: Api) -> None:
    make(caller, "Taken")
    id_ = make(caller, "Free")
    answer = patch(caller, id_, name="Taken", definition=sends(1))
    assert (answer.status, answer.code, answer.fields) == (409, "RESOURCE_CONFLICT", ["name"])
    assert (caller.get(f"/workflows/{id_}").data["version"], told(id_)) == (1, ["workflow.created"])


@pytest.mark.parametrize(
    ("header", "body", "status", "fields"),
    [
        ('"2"', None, 200, []),
        ('W/"2"', None, 200, []),
        ("*", None, 200, []),
        (None, 2, 200, []),
        ("*", 2, 200, []),
        ('"2"', 2, 200, []),
        ('"1"', None, 409, ["expected_version"]),
        ('"3"', None, 409, ["expected_version"]),
        ('"0"', None, 409, ["expected_version"]),
        (None, 1, 409, ["expected_version"]),
        ("*", 1, 409, ["expected_version"]),
        ('"2"', 1, 400, ["If-Match"]),
        ('"0"', 2, 400, ["If-Match"]),
        ("2", None, 400, ["If-Match"]),
        ('"x"', None, 400, ["If-Match"]),
        ('"1", "2"', None, 400, ["If-Match"]),
        ('"' + "9" * 5000 + '"', None, 400, ["If-Match"]),
        ("", None, 400, ["If-Match"]),
    ],
)
def test_o5_a_stale_version_is_409_and_an_unreadable_one_400(
    caller: Api, header: str | None, body: int | None, status: int, fields: list[str]
) -> None:
    id_ = make(caller)
    patch(caller, id_, definition=sends(1))
    headers: dict[str, Any] = {} if header is None else {"If_Match": header}
    sent = {"description": "d"} if body is None else {"description": "d", "expected_version": body}
    answer = caller.call("PATCH", f"/workflows/{id_}", sent, **headers)
    assert (answer.status, answer.fields) == (status, fields)
    assert caller.get(f"/workflows/{id_}").data["description"] == ("d" if status == 200 else "")


def test_a_stale_version_names_the_one_at_hand(caller: Api) -> None:
    answer = patch(caller, make(caller), description="d", expected_version=7)
    assert answer.body["errors"][0]["details"] == {"expected": 1, "received": 7}


def test_a_definition_made_too_large_by_an_update_is_422(caller: Api, settings: Any) -> None:
    id_ = make(caller)
    settings.MAX_DEFINITION_BYTES = 500
    answer = patch(caller, id_, definition=sends("x" * 500))
    assert (answer.status, answer.fields) == (422, ["definition"])
    assert caller.get(f"/workflows/{id_}").data["version"] == 1


def test_a_workflow_deleted_meanwhile_is_not_found(alice: User) -> None:
    workflow = create_workflow(user=alice, name="w", definition=LONE)
    stale = Workflow.objects.get()
    delete_workflow(workflow=workflow, force=False)
    with pytest.raises(NotFoundError):
        update_workflow(workflow=stale, user=alice, changes={"name": "n"})


@pytest.mark.django_db(transaction=True)
def test_of_two_updates_at_once_with_one_expected_version_exactly_one_passes(alice: User) -> None:
    workflow = create_workflow(user=alice, name="w", definition=LONE)
    both_ready = Barrier(2, timeout=10)

    def update(value: str) -> int:
        both_ready.wait()
        changes = {"definition": sends(value)}
        try:
            return update_workflow(workflow=workflow, user=alice, changes=changes, expected_version=1).version
        except ConflictError as error:
            return error.status
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(update, ["a", "b"]))
    assert sorted(outcomes) == [2, 409]
    assert Workflow.objects.get().version == 2
    assert told(workflow.pk) == ["workflow.created", "workflow.updated"]
