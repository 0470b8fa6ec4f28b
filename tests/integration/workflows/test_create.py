"""Creating workflows: what is stored, answered and told, and what is refused."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import IntegrityError, connection

from accounts.models import User
from core.errors import ConflictError
from events.models import Event
from tests.api import Api
from tests.integration.workflows.conftest import LONE, make, sends, told
from workflows.models import Workflow, WorkflowVersion
from workflows.services import create_workflow

pytestmark = pytest.mark.django_db

FULL = {
    "name": "New Workflow",
    "description": "Description of the workflow",
    "definition": LONE,
    "category": "automation",
    "tags": ["example"],
    "priority": 7,
}


def test_create_stores_every_field_and_answers_as_printed(caller: Api, alice: User) -> None:
    answer = caller.post("/workflows", FULL)
    workflow = Workflow.objects.get()
    assert answer.status == 201
    assert answer.body["message"] == "Workflow created successfully"
    assert answer.data == {
        "id": workflow.pk,
        "name": "New Workflow",
        "status": "draft",
        "version": 1,
        "created_at": workflow.created_at.isoformat().replace("+00:00", "Z"),
    }
    assert (workflow.created_by, workflow.description, workflow.category) == (alice, FULL["description"], "automation")
    assert (workflow.tags, workflow.priority, workflow.component_count) == (["example"], 7, 1)
    version = WorkflowVersion.objects.get()
    assert (version.workflow, version.number, version.definition, version.created_by) == (workflow, 1, LONE, alice)


def test_create_needs_a_name_and_a_definition_alone(caller: Api) -> None:
    data = caller.get(f"/workflows/{make(caller)}").data
    assert (data["description"], data["category"], data["tags"], data["priority"]) == ("", "", [], 5)
    missing = caller.post("/workflows", {})
    assert (missing.status, missing.fields) == (422, ["name", "definition"])


def test_create_tells_the_ledger_once(caller: Api, alice: User) -> None:
    id_ = make(caller, "Told")
    event = Event.objects.get()
    assert (event.subject_id, event.workflow_id, event.owner_id, event.sequence) == (id_, id_, alice.pk, 1)
    assert event.type == "workflow.created"
    assert event.data == {"id": id_, "name": "Told", "status": "draft", "version": 1}


def test_a_name_is_trimmed_before_it_is_judged(caller: Api) -> None:
    assert caller.get(f"/workflows/{make(caller, '  ' + 'x' * 255 + '  ')}").data["name"] == "x" * 255


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"description": "x" * 1000}, {"description": "x" * 1000}),
        ({"category": "c" * 100}, {"category": "c" * 100}),
        ({"tags": [str(n) for n in range(50)]}, {"tags": [str(n) for n in range(50)]}),
        ({"tags": ["t" * 100]}, {"tags": ["t" * 100]}),
        ({"tags": ["b", "a", "b"]}, {"tags": ["b", "a"]}),
        ({"priority": 1}, {"priority": 1}),
        ({"priority": 10}, {"priority": 10}),
    ],
)
def test_values_at_their_limits_are_kept(alice_api: Api, change: dict[str, Any], kept: dict[str, Any]) -> None:
    data = alice_api.get(f"/workflows/{make(alice_api, **change)}").data
    assert {name: data[name] for name in kept} == kept


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"definition": None}, "definition"),
        ({"definition": "x"}, "definition"),
        ({"category": "c" * 101}, "category"),
        ({"category": 1}, "category"),
        ({"description": None}, "description"),
        ({"tags": [str(n) for n in range(51)]}, "tags"),
        ({"tags": ["t" * 101]}, "tags[0]"),
        ({"tags": ["a", " "]}, "tags[1]"),
        ({"tags": ["a", 1]}, "tags[1]"),
        ({"expected_version": 1}, "expected_version"),
        ({"component_count": 1}, "component_count"),
        ({"created_at": "2026-01-01T00:00:00Z"}, "created_at"),
    ],
)
def test_o1_o2_values_beyond_them_are_422_and_named(caller: Api, change: dict[str, Any], field: str) -> None:
    answer = caller.post("/workflows", {**FULL, **change})
    assert (answer.status, answer.code, answer.fields) == (422, "VALIDATION_ERROR", [field])
    assert (Workflow.objects.count(), Event.objects.count()) == (0, 0)


def test_every_fault_is_named_at_once(caller: Api) -> None:
    answer = caller.post("/workflows", {"name": "", "definition": LONE, "priority": 0, "id": "x"})
    assert sorted(str(field) for field in answer.fields) == ["id", "name", "priority"]


def test_a_definition_of_the_size_limit_is_taken_and_one_byte_more_refused(caller: Api, settings: Any) -> None:
    definition = sends("x" * 1000)
    limit = settings.MAX_DEFINITION_BYTES = len(json.dumps(definition, separators=(",", ":")))
    id_ = make(caller, "fits", definition)
    larger = sends("x" * 1001)
    refused = caller.post("/workflows", {"name": "larger", "definition": larger})
    assert (refused.status, refused.code, refused.fields) == (422, "VALIDATION_ERROR", ["definition"])
    assert refused.body["errors"][0]["details"] == {
        "expected": f"at most {limit} bytes",
        "received": f"{limit + 1} bytes",
    }
    for path in ("/workflows/validate", f"/workflows/{id_}/validate"):
        judged = caller.post(path, {"definition": larger}).data
        assert (judged["is_valid"], [error["field"] for error in judged["errors"]]) == (False, ["definition"])


def test_o4_names_are_unique_for_each_owner_alone(alice_api: Api, bob_api: Api) -> None:
    make(alice_api, "Same")
    make(bob_api, "Same")
    refused = alice_api.post("/workflows", {"name": " Same ", "definition": LONE})
    assert (refused.status, refused.code, refused.fields) == (409, "RESOURCE_CONFLICT", ["name"])
    assert Workflow.objects.count() == 2


def test_an_archived_workflow_gives_its_name_free(alice_api: Api) -> None:
    archived = make(alice_api, "Same")
    alice_api.call("PATCH", f"/workflows/{archived}", {"status": "archived"})
    make(alice_api, "Same")
    back = alice_api.call("PATCH", f"/workflows/{archived}", {"status": "draft"})
    assert (back.status, back.code, back.fields) == (409, "RESOURCE_CONFLICT", ["name"])
    assert alice_api.get(f"/workflows/{archived}").data["status"] == "archived"


def test_another_broken_constraint_is_no_name_conflict(alice: User) -> None:
    # Its text quotes the row, and the row the constraint's name.
    with pytest.raises(IntegrityError, match="workflow_priority_range"):
        create_workflow(user=alice, name="workflow_name_unique_per_owner", definition=LONE, priority=11)


@pytest.mark.django_db(transaction=True)
def test_of_two_creates_at_once_under_one_name_exactly_one_passes(alice: User) -> None:
    both_ready = Barrier(2, timeout=10)

    def create() -> str:
        both_ready.wait()
        try:
            return str(create_workflow(user=alice, name="Same", definition=LONE).name)
        except ConflictError as error:
            return str(error.problems[0].field)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        outcomes = [threads.submit(create) for _ in range(2)]
    assert sorted(outcome.result() for outcome in outcomes) == ["Same", "name"]
    assert [told(workflow.pk) for workflow in Workflow.objects.all()] == [["workflow.created"]]


def test_an_operator_sets_how_large_a_definition_may_be(caller: Api, settings: Any) -> None:
    settings.MAX_COMPONENTS, settings.MAX_CONNECTIONS, settings.MAX_NESTING = 2, 1, 6
    parts = [{"id": f"c{n}", "type": "log", "config": {"message": "m"}} for n in range(3)]
    joined = [{"source": "c0", "target": "c1"}, {"source": "c0", "target": "c1", "type": "error"}]
    deep: Any = "x"
    for _ in range(6):
        deep = [deep]
    loop = {"id": "l", "type": "for_each", "config": {"items": [], "components": parts[:2]}}
    for definition, field in (
        ({"components": parts}, "definition.components"),
        ({"components": parts[:2], "connections": joined}, "definition.connections"),
        ({"components": [loop]}, "definition"),
        ({"components": [{"id": "t", "type": "transform", "config": {"output": deep}}]}, "definition.components[0]"),
    ):
        answer = caller.post("/workflows", {"name": "Large", "definition": definition})
        assert answer.status == 422
        assert str(answer.fields[0]).startswith(field)
        assert caller.post("/workflows/validate", {"definition": definition}).data["is_valid"] is False
    assert Workflow.objects.count() == 0


def test_what_was_accepted_under_other_limits_still_runs(caller: Api, settings: Any) -> None:
    id_ = caller.post("/workflows", {"name": "Two", "definition": linear_pair()}).data["id"]
    settings.MAX_COMPONENTS = 1
    assert caller.post(f"/workflows/{id_}/execute").status == 201


def linear_pair() -> dict[str, Any]:
    return {"components": [{"id": f"c{n}", "type": "log", "config": {"message": "m"}} for n in range(2)]}
