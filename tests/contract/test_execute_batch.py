"""Batch execution: the API reference's request and answer, at each address, and the bad-input rows of bulk bodies."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from core.ids import new_id, to_uuid
from core.redis import client
from executions.models import Execution
from tests.api import Api

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESSES = (
    "/api/v2/workflow_orchestration/workflows/execute-batch",
    "/api/v2/workflows/execute-batch",
    "/api/v1/workflow_orchestration/v2/workflows/execute-batch",
    "/api/v1/v2/workflows/execute-batch",
)
BATCH = ADDRESSES[0]
DEFINITION = {
    "components": [{"id": "start", "type": "start", "config": {"trigger_type": "manual"}}],
    "parameters": [{"name": "n", "type": "integer", "required": True}],
}


def workflow_of(api: Api, name: str = "w") -> str:
    return str(api.post("/workflows", {"name": name, "definition": DEFINITION}).data["id"])


def rung() -> int:
    """How many messages wait in the broker."""
    return sum(int(client().llen(key)) for key in set(client().scan_iter("default*", _type="LIST")))


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_batch_starts_its_executions_and_answers_in_order(alice_api: Api, address: str) -> None:
    first, second = workflow_of(alice_api, "first"), workflow_of(alice_api, "second")
    answer = alice_api.post(
        address,
        {
            "executions": [
                {"workflow_id": first, "parameters": {"n": 1}, "priority": 5},
                {"workflow_id": second, "parameters": {"n": 2}, "priority": 7, "tags": ["nightly"]},
                {"workflow_id": first, "parameters": {"n": 3}, "scheduled_at": "2999-01-01T00:00:00Z"},
            ]
        },
    )
    assert answer.status == 200
    assert set(answer.body) == {"success", "data", "message", "errors", "metadata"}
    assert (answer.body["success"], answer.body["errors"]) == (True, [])
    assert answer.data["summary"] == {"total": 3, "successful": 3, "failed": 0}
    results = answer.data["results"]
    assert [set(result) for result in results] == [{"success", "data"}] * 3
    assert [result["data"]["workflow_id"] for result in results] == [first, second, first]
    assert [result["data"]["status"] for result in results] == ["queued", "queued", "pending"]
    assert [result["data"]["priority"] for result in results] == [5, 7, 5]
    assert set(results[0]["data"]) == {
        "execution_id", "status", "workflow_id", "priority", "scheduled_at", "estimated_duration", "queue_position",
    }  # fmt: skip
    stored = {run.pk: run for run in Execution.objects.all()}
    assert [stored[result["data"]["execution_id"]].parameters for result in results] == [{"n": n} for n in (1, 2, 3)]
    assert stored[results[1]["data"]["execution_id"]].tags == ["nightly"]
    assert rung() == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"executions": []}, "executions"),
        ({"executions": [{}] * 101}, "executions"),
        ({"executions": [{}] * 100_000}, "executions"),
        ({"executions": {}}, "executions"),
        ({"executions": None}, "executions"),
        ({}, "executions"),
        ({"executions": [{}], "atomic": "yes"}, "atomic"),
        ({"executions": [{}], "operations": []}, "operations"),
    ],
)
def test_k1_a_body_that_is_no_batch_is_refused_whole(alice_api: Api, body: Any, field: str) -> None:
    answer = alice_api.post(BATCH, body)
    assert (answer.status, answer.code, answer.fields) == (422, "VALIDATION_ERROR", [field])
    assert Execution.objects.count() == 0


def test_k2_bad_items_are_named_and_the_good_ones_run(alice_api: Api) -> None:
    id_ = workflow_of(alice_api)
    good = {"workflow_id": id_, "parameters": {"n": 1}}
    bad: list[tuple[Any, str, str]] = [
        (5, "VALIDATION_ERROR", ""),
        ({"parameters": {"n": 1}}, "VALIDATION_ERROR", ".workflow_id"),
        ({**good, "workflow_id": 5}, "VALIDATION_ERROR", ".workflow_id"),
        ({**good, "workflow_id": "x"}, "RESOURCE_NOT_FOUND", ""),
        ({**good, "workflow_id": new_id()}, "RESOURCE_NOT_FOUND", ""),
        ({**good, "priority": 11}, "VALIDATION_ERROR", ".priority"),
        ({**good, "scheduled_at": "soon"}, "VALIDATION_ERROR", ".scheduled_at"),
        ({**good, "tags": [1]}, "VALIDATION_ERROR", ".tags[0]"),
        ({**good, "parameters": {"n": "1"}}, "VALIDATION_ERROR", ".parameters.n"),
        ({"workflow_id": id_}, "VALIDATION_ERROR", ".parameters.n"),
        ({**good, "definition": DEFINITION}, "VALIDATION_ERROR", ".definition"),
    ]
    items = [item for entry, _, _ in bad for item in (good, entry)]
    answer = alice_api.post(BATCH, {"executions": items})
    assert answer.status == 200
    assert answer.data["summary"] == {"total": 22, "successful": 11, "failed": 11}
    assert [result["success"] for result in answer.data["results"]] == [True, False] * 11
    for index, (_, code, field) in enumerate(bad):
        [error] = answer.data["results"][2 * index + 1]["errors"]
        assert (error["code"], error["field"]) == (code, f"executions[{2 * index + 1}]{field}")
    assert Execution.objects.count() == rung() + 6 == 11  # the free tier has five slots


def test_an_atomic_batch_starts_all_or_none(alice_api: Api) -> None:
    good = {"workflow_id": workflow_of(alice_api), "parameters": {"n": 1}}
    refused = alice_api.post(BATCH, {"executions": [good, {**good, "priority": 0}, good], "atomic": True})
    assert refused.status == 200
    assert refused.data["summary"] == {"total": 3, "successful": 0, "failed": 3}
    codes = [result["errors"][0]["code"] for result in refused.data["results"]]
    assert codes == ["RESOURCE_CONFLICT", "VALIDATION_ERROR", "RESOURCE_CONFLICT"]
    assert (Execution.objects.count(), rung()) == (0, 0)
    started = alice_api.post(BATCH, {"executions": [good, good], "atomic": True})
    assert started.data["summary"] == {"total": 2, "successful": 2, "failed": 0}
    assert Execution.objects.count() == rung() == 2


def test_k3_a_workflow_of_somebody_else_is_not_found_and_not_run(
    alice_api: Api, as_user: Callable[..., Api], bob: User
) -> None:
    hers, his = workflow_of(alice_api), workflow_of(as_user(bob))
    items = [{"workflow_id": id_, "parameters": {"n": 1}} for id_ in (hers, his)]
    results = alice_api.post(BATCH, {"executions": items}).data["results"]
    assert [result["success"] for result in results] == [True, False]
    assert results[1]["errors"][0]["code"] == "RESOURCE_NOT_FOUND"
    assert [run.workflow_id for run in Execution.objects.all()] == [hers]


def test_an_item_in_the_wrong_state_is_a_conflict_and_spellings_of_an_id_are_one(alice_api: Api) -> None:
    active, inactive = workflow_of(alice_api, "active"), workflow_of(alice_api, "inactive")
    alice_api.call("PATCH", f"/workflows/{inactive}", {"status": "inactive"})
    ids = [active.lower(), str(to_uuid(active)), inactive]
    results = alice_api.post(BATCH, {"executions": [{"workflow_id": id_, "parameters": {"n": 1}} for id_ in ids]}).data[
        "results"
    ]
    assert [result["success"] for result in results] == [True, True, False]
    assert results[2]["errors"][0]["code"] == "RESOURCE_CONFLICT"


def test_k5_the_rate_counts_items(alice: User, alice_api: Api) -> None:
    User.objects.filter(pk=alice.pk).update(tier="custom", requests_per_hour=11, concurrent_executions=100)
    good = {"workflow_id": workflow_of(alice_api), "parameters": {"n": 1}}  # one request
    answer = alice_api.post(BATCH, {"executions": [good] * 6})
    assert (answer.status, answer.headers["X-RateLimit-Remaining"]) == (200, "4")
    refused = alice_api.post(BATCH, {"executions": [good] * 5})
    assert (refused.status, refused.code) == (429, "RATE_LIMIT_EXCEEDED")
    assert int(refused.headers["Retry-After"]) > 0
    assert Execution.objects.count() == 6


def test_it_needs_a_token(api: Api) -> None:
    assert api.post(BATCH, {"executions": [{}]}).status == 401


def test_a_hundred_items_are_one_transaction(alice: User, alice_api: Api) -> None:
    User.objects.filter(pk=alice.pk).update(tier="enterprise")
    good = {"workflow_id": workflow_of(alice_api), "parameters": {"n": 1}}
    with CaptureQueriesContext(connection) as captured:
        answer = alice_api.post(BATCH, {"executions": [good] * 100})
    assert answer.data["summary"]["successful"] == 100
    statements = [query["sql"] for query in captured]
    assert (statements.count("BEGIN"), statements.count("COMMIT")) == (1, 1)
    assert rung() == 100
