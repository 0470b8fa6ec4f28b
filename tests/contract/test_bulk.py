"""Bulk operations: the API reference's request and answer, at each address, and rows K1, K2, K4 of bulk bodies."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.api_keys import create_api_key
from accounts.models import User
from core.ids import new_id
from tests.api import Api
from tests.eventually import eventually
from tests.locks import waiting
from workflows.models import Workflow, WorkflowVersion
from workflows.services import create_workflow

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESSES = (
    "/api/v2/workflow_orchestration/workflows/bulk",
    "/api/v2/workflows/bulk",
    "/api/v1/workflow_orchestration/v2/workflows/bulk",
    "/api/v1/v2/workflows/bulk",
)
BULK = ADDRESSES[0]
DEFINITION = {"components": [{"id": "start", "type": "start", "config": {"trigger_type": "manual"}}]}
OTHER = {"components": [{"id": "begin", "type": "start", "config": {"trigger_type": "manual"}}]}


def create(name: str, definition: Any = DEFINITION) -> dict[str, Any]:
    return {"operation": "create", "data": {"name": name, "definition": definition}}


def run(api: Api, *operations: Any, address: str = BULK, **more: Any) -> Any:
    return api.post(address, {"operations": list(operations), **more})


def codes(answer: Any) -> list[str | None]:
    return [None if result["success"] else result["errors"][0]["code"] for result in answer.data["results"]]


@pytest.mark.parametrize("address", ADDRESSES)
def test_bulk_create_as_printed(alice_api: Api, address: str) -> None:
    """Bulk Operations, "Bulk Create"."""
    answer = run(alice_api, create("Workflow 1"), create("Workflow 2", {"components": []}), address=address)
    assert answer.status == 200
    assert set(answer.body) == {"success", "data", "message", "errors", "metadata"}
    first, second = answer.data["results"]
    stored = Workflow.objects.get()
    assert first == {"success": True, "data": {"id": stored.pk, "name": "Workflow 1", "status": "draft", "version": 1}}
    assert (second["success"], second["errors"][0]["code"]) == (False, "VALIDATION_ERROR")
    assert second["errors"][0]["field"].startswith("operations[1].data.definition.components")
    assert answer.data["summary"] == {"total": 2, "successful": 1, "failed": 1}


def test_every_operation_in_order_each_sees_what_came_before(alice_api: Api) -> None:
    id_ = run(alice_api, create("w")).data["results"][0]["data"]["id"]
    answer = run(
        alice_api,
        {"operation": "update", "workflow_id": id_, "data": {"definition": OTHER, "expected_version": 1}},
        {"operation": "update", "workflow_id": id_, "data": {"description": "d", "expected_version": 1}},
        {"operation": "activate", "workflow_id": id_},
        {"operation": "deactivate", "workflow_id": id_, "data": {}},
        create("w"),
        {"operation": "delete", "workflow_id": id_, "data": {"force": True}},
        create("w"),
        {"operation": "activate", "workflow_id": id_},
    )
    assert codes(answer) == [
        None,
        "RESOURCE_CONFLICT",
        None,
        None,
        "RESOURCE_CONFLICT",
        None,
        None,
        "RESOURCE_NOT_FOUND",
    ]
    data = [result.get("data") for result in answer.data["results"]]
    assert data[0] == {"id": id_, "name": "w", "status": "draft", "version": 2}
    assert (data[2]["status"], data[3]["status"], data[5]) == ("active", "inactive", {"id": id_})
    assert Workflow.objects.get().description == ""


def test_atomic_does_all_or_nothing(alice_api: Api) -> None:
    id_ = run(alice_api, create("kept")).data["results"][0]["data"]["id"]
    answer = run(
        alice_api,
        create("new"),
        {"operation": "update", "workflow_id": id_, "data": {"definition": OTHER}},
        {"operation": "delete", "workflow_id": id_},
        create("bad", {"components": []}),
        create("never tried"),
        atomic=True,
    )
    assert codes(answer) == ["RESOURCE_CONFLICT"] * 3 + ["VALIDATION_ERROR", "RESOURCE_CONFLICT"]
    assert answer.data["summary"] == {"total": 5, "successful": 0, "failed": 5}
    assert Workflow.objects.get().name == "kept"
    assert WorkflowVersion.objects.count() == 1
    good = run(alice_api, create("a"), create("b"), {"operation": "delete", "workflow_id": id_}, atomic=True)
    assert codes(good) == [None] * 3
    assert sorted(Workflow.objects.values_list("name", flat=True)) == ["a", "b"]


def test_k4_a_name_twice_conflicts_and_an_atomic_request_names_which(alice_api: Api) -> None:
    assert codes(run(alice_api, create("w"), create("w"))) == [None, "RESOURCE_CONFLICT"]
    atomic = run(alice_api, create("x"), create("x"), atomic=True)
    assert [error["field"] for result in atomic.data["results"] for error in result["errors"]] == [
        "operations[0]",
        "operations[1].data.name",
    ]
    assert Workflow.objects.count() == 1


def test_atomic_requests_with_the_same_workflows_in_another_order_are_all_done(alice_api: Api) -> None:
    made = run(alice_api, *map(create, "abc")).data["results"]
    a, b, c = ({"operation": "activate", "workflow_id": result["data"]["id"]} for result in made)
    with ThreadPoolExecutor(2) as threads:
        with transaction.atomic():
            Workflow.objects.select_for_update().get(name="c")
            answers = in_threads(threads, alice_api, [c, a, b], [b, c, a])
            # Locked before the first operation, which waits.
            assert list(Workflow.objects.select_for_update(skip_locked=True).filter(name="a")) == []
        assert [codes(answer.result()) for answer in answers] == [[None] * 3] * 2
    assert list(Workflow.objects.values_list("status", flat=True)) == ["active"] * 3


def test_k4_atomic_requests_with_the_same_names_in_another_order_conflict(alice_api: Api, alice: User) -> None:
    x, y, z = map(create, "xyz")
    with ThreadPoolExecutor(2) as threads:
        with transaction.atomic():
            create_workflow(user=alice, name="z", definition=DEFINITION, durable=False)
            answers = in_threads(threads, alice_api, [x, z, y], [y, z, x])
            transaction.set_rollback(True)
        done, refused = sorted((codes(answer.result()) for answer in answers), key=str, reverse=True)
    assert (done, refused) == ([None] * 3, ["RESOURCE_CONFLICT"] * 3)
    assert sorted(Workflow.objects.values_list("name", flat=True)) == ["x", "y", "z"]


def in_threads(threads: ThreadPoolExecutor, api: Api, *requests: list[Any]) -> list[Future[Any]]:
    """The atomic requests, each on a connection of its own, when all of them wait for a lock."""

    def send(operations: list[Any]) -> Any:
        try:
            return run(api, *operations, atomic=True)
        finally:
            connection.close()

    answers = [threads.submit(send, operations) for operations in requests]
    eventually(lambda: waiting() == len(requests))
    return answers


@pytest.mark.parametrize(
    ("body", "field"),
    [({"operations": []}, "operations"), ({"operations": [{}] * 101}, "operations"), ({"operations": {}}, "operations"),
     ({"operations": None}, "operations"), ({}, "operations"), ({"operations": [{}], "atomic": 1}, "atomic"),
     ({"operations": [{}], "executions": []}, "executions")],
)  # fmt: skip
def test_k1_a_body_that_is_no_bulk_is_refused_whole(alice_api: Api, body: Any, field: str) -> None:
    answer = alice_api.post(BULK, body)
    assert (answer.status, answer.fields) == (422, [field])


def test_k2_bad_operations_are_named_and_the_good_ones_done(alice_api: Api) -> None:
    id_ = new_id()
    bad: list[tuple[Any, str, str]] = [
        (5, "VALIDATION_ERROR", ""),
        ({}, "VALIDATION_ERROR", ".operation"),
        ({"operation": "explode"}, "VALIDATION_ERROR", ".operation"),
        ({"operation": "create", "data": 5}, "VALIDATION_ERROR", ".data"),
        ({"operation": "create"}, "VALIDATION_ERROR", ".data.name"),
        ({**create("x"), "workflow_id": id_}, "VALIDATION_ERROR", ".workflow_id"),
        ({**create("x"), "owner": id_}, "VALIDATION_ERROR", ".owner"),
        (
            {"operation": "create", "data": {**create("x")["data"], "status": "active"}},
            "VALIDATION_ERROR",
            ".data.status",
        ),
        ({"operation": "update", "data": {}}, "VALIDATION_ERROR", ".workflow_id"),
        ({"operation": "update", "workflow_id": 5}, "VALIDATION_ERROR", ".workflow_id"),
        ({"operation": "update", "workflow_id": "x"}, "RESOURCE_NOT_FOUND", ""),
        ({"operation": "delete", "workflow_id": id_}, "RESOURCE_NOT_FOUND", ""),
        ({"operation": "delete", "workflow_id": id_, "data": {"force": "yes"}}, "VALIDATION_ERROR", ".data.force"),
        ({"operation": "activate", "workflow_id": id_, "data": {"x": 1}}, "VALIDATION_ERROR", ".data.x"),
    ]
    operations = [each for number, (entry, _, _) in enumerate(bad) for each in (create(f"w{number}"), entry)]
    answer = run(alice_api, *operations)
    assert answer.data["summary"] == {"total": 28, "successful": 14, "failed": 14}
    for index, (_, code, field) in enumerate(bad):
        error = answer.data["results"][2 * index + 1]["errors"][0]
        assert (error["code"], error["field"]) == (code, f"operations[{2 * index + 1}]{field}")
    assert Workflow.objects.count() == 14


def test_each_operation_needs_its_own_scope(alice: User, alice_api: Api) -> None:
    id_ = run(alice_api, create("w")).data["results"][0]["data"]["id"]
    operations = (
        create("x"),
        {"operation": "delete", "workflow_id": id_},
        {"operation": "activate", "workflow_id": id_},
    )

    def with_key(*permissions: str) -> list[str | None]:
        _, key = create_api_key(owner=alice, name="k", permissions=permissions)
        return codes(run(Api(key=key), *operations))

    refused = "AUTHORIZATION_ERROR"
    assert with_key("workflow.read") == [refused] * 3
    assert with_key("workflow.write") == [None, refused, None]
    assert with_key("workflow.delete") == [refused, None, refused]


def test_k3_others_workflows_are_not_there(alice_api: Api, as_user: Callable[..., Api], bob: User) -> None:
    id_ = run(alice_api, create("w")).data["results"][0]["data"]["id"]
    operations = [{"operation": kind, "workflow_id": id_} for kind in ("update", "delete", "activate", "deactivate")]
    assert codes(run(as_user(bob), *operations, create("own"))) == ["RESOURCE_NOT_FOUND"] * 4 + [None]
    assert Workflow.objects.get(pk=id_).status == "draft"


def test_k5_the_rate_counts_operations(alice_api: Api, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(tier="custom", requests_per_hour=10)
    assert run(alice_api, *[create(f"w{number}") for number in range(6)]).status == 200
    answer = run(alice_api, *[create(f"x{number}") for number in range(6)])
    assert (answer.status, answer.code) == (429, "RATE_LIMIT_EXCEEDED")
    assert Workflow.objects.count() == 6
