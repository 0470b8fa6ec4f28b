"""Listing workflows: shape, filters, order, pages, numbers, and what others see."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from accounts.models import User
from core.ids import to_uuid
from executions.models import Execution
from executions.states import ExecutionStatus
from tests.api import Api
from tests.integration.workflows.conftest import LONE, execution, make
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


def names(api: Api, query: str = "") -> list[str]:
    """The names in a list, in its order."""
    answer = api.get(f"/workflows?{query}")
    assert answer.status == 200, answer.body
    assert answer.body["metadata"]["total_count"] == len(answer.data)
    return [item["name"] for item in answer.data]


def test_an_item_has_the_printed_fields(caller: Api, alice: User) -> None:
    id_ = make(caller, "Pipeline", description="ETL", category="data", tags=["etl"], priority=3)
    workflow = Workflow.objects.get()
    answer = caller.get("/workflows?limit=20")
    assert answer.data == [
        {
            "id": id_,
            "name": "Pipeline",
            "description": "ETL",
            "status": "draft",
            "category": "data",
            "tags": ["etl"],
            "version": 1,
            "priority": 3,
            "component_count": 1,
            "execution_count": 0,
            "success_rate": 0.0,
            "last_execution_at": None,
            "created_by": alice.pk,
            "created_at": workflow.created_at.isoformat().replace("+00:00", "Z"),
            "updated_at": workflow.updated_at.isoformat().replace("+00:00", "Z"),
        }
    ]
    paging = {name: answer.body["metadata"][name] for name in ("total_count", "limit", "offset", "has_more")}
    assert paging == {"total_count": 1, "limit": 20, "offset": 0, "has_more": False}
    assert (answer.body["success"], answer.body["message"], answer.body["errors"]) == (True, "", [])


def test_the_numbers_are_each_workflows_own(alice_api: Api) -> None:
    busy, idle, failing = (make(alice_api, name) for name in ("busy", "idle", "failing"))
    ends = [ExecutionStatus.COMPLETED] * 3 + [ExecutionStatus.FAILED, ExecutionStatus.CANCELLED]
    for hour, status in enumerate([*ends, ExecutionStatus.RUNNING]):
        execution(busy, status, NOON - timedelta(hours=hour))
    execution(idle, ExecutionStatus.CANCELLED, NOON - timedelta(days=1))
    execution(failing, ExecutionStatus.FAILED, NOON + timedelta(days=1))
    fields = ("execution_count", "success_rate", "last_execution_at")
    shown = {item["name"]: tuple(item[name] for name in fields) for item in alice_api.get("/workflows").data}
    assert shown == {
        "busy": (6, 0.75, "2026-01-01T12:30:00Z"),
        "idle": (1, 0.0, "2025-12-31T12:30:00Z"),
        "failing": (1, 0.0, "2026-01-02T12:30:00Z"),
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("category=data", ["a", "b"]),
        ("category=dat", []),
        ("category=", ["c", "d"]),
        ("status=active", ["b"]),
        ("status=draft", ["a", "c", "d"]),
        ("status=draft&category=data", ["a"]),
        ("tags=etl", ["a", "b"]),
        ("tags=etl,daily", ["a"]),
        ("tags=etl&tags=daily", ["a"]),
        ("tags=etl,%20daily%20,", ["a"]),
        ("tags=ETL", []),
        ("tags=", ["a", "b", "c", "d"]),
        ("tags=nothing", []),
        ("search=customers", ["a"]),
        ("search=CUSTOMERS", ["a"]),
        ("search=D", ["c", "d"]),
        ("search=", ["a", "b", "c", "d"]),
        ("search=100%25", ["c"]),
        ("search=0%25%20o", ["c"]),
        ("search=o_o", []),
        ("search=x_y", ["d"]),
        ("search=C:%5C", ["d"]),
        ("unknown=x&page=3", ["a", "b", "c", "d"]),
    ],
)
def test_filters_keep_exactly_what_fits(caller: Api, query: str, expected: list[str]) -> None:
    make(caller, "a", description="All Customers", category="data", tags=["etl", "daily"])
    b = make(caller, "b", category="data", tags=["etl"])
    make(caller, "c", description="100% odd")
    make(caller, "d", description="x_y in C:\\")
    Workflow.objects.filter(pk=b).update(status="active")
    assert names(caller, f"{query}&sort=name") == expected


def test_every_status_can_be_asked_for(alice_api: Api) -> None:
    for status in ("draft", "active", "inactive", "archived"):
        id_ = make(alice_api, status)
        Workflow.objects.filter(pk=id_).update(status=status)
        assert names(alice_api, f"status={status}") == [status]


def test_created_by_takes_an_id_in_any_spelling(caller: Api, alice: User, bob: User) -> None:
    make(caller, "a")
    for spelling in (alice.pk, alice.pk.lower(), str(to_uuid(alice.pk))):
        assert names(caller, f"created_by={spelling}") == ["a"]
    assert names(caller, f"created_by={bob.pk}") == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["c", "a", "b"]),
        ("sort=created_at", ["c", "a", "b"]),
        ("order=asc", ["b", "a", "c"]),
        ("sort=created_at&order=asc", ["b", "a", "c"]),
        ("sort=updated_at", ["b", "c", "a"]),
        ("sort=updated_at&order=asc", ["a", "c", "b"]),
        ("sort=name", ["a", "b", "c"]),
        ("sort=name&order=desc", ["c", "b", "a"]),
    ],
)
def test_each_order_is_as_asked(caller: Api, query: str, expected: list[str]) -> None:
    for name, created, updated in (("a", 2, 4), ("b", 1, 6), ("c", 3, 5)):
        Workflow.objects.filter(pk=make(caller, name)).update(
            created_at=NOON + timedelta(days=created), updated_at=NOON + timedelta(days=updated)
        )
    assert names(caller, query) == expected


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_of_equal_rows_neither_repeat_nor_miss_one(alice_api: Api, order: str) -> None:
    made = [make(alice_api, f"w{number}") for number in range(7)]
    Workflow.objects.update(created_at=NOON)
    seen: list[str] = []
    for offset in (0, 3, 6):
        answer = alice_api.get(f"/workflows?limit=3&offset={offset}&order={order}")
        assert answer.body["metadata"]["has_more"] is (offset < 6)
        seen += [item["id"] for item in answer.data]
    assert seen == (made if order == "asc" else made[::-1])


@pytest.mark.parametrize("name", ["category", "status", "search", "created_by", "sort", "order", "limit", "offset"])
def test_a_parameter_given_twice_is_400_and_named(caller: Api, alice: User, name: str) -> None:
    value = {"status": "draft", "created_by": alice.pk, "sort": "name", "order": "asc"}.get(name, "1")
    answer = caller.get(f"/workflows?{name}={value}&{name}={value}")
    assert (answer.status, answer.code, answer.fields) == (400, "VALIDATION_ERROR", [name])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=", "status"),
        ("status=Draft", "status"),
        ("sort=", "sort"),
        ("sort=id", "sort"),
        ("order=ASC", "order"),
        ("created_by=", "created_by"),
        ("created_by=" + "U" * 26, "created_by"),
        ("created_by=" + "x" * 10_000, "created_by"),
        ("category=" + "x" * 101, "category"),
        ("tags=" + ",".join(f"t{number}" for number in range(51)), "tags"),
        ("tags=" + "x" * 101, "tags"),
        ("tags=a%00", "tags"),
        ("search=" + "x" * 201, "search"),
    ],
)
def test_a_bad_value_is_400_and_shown_short(caller: Api, query: str, field: str) -> None:
    answer = caller.get(f"/workflows?{query}")
    assert (answer.status, answer.code, answer.fields) == (400, "VALIDATION_ERROR", [field])
    details = answer.body["errors"][0]["details"]
    assert set(details) == {"expected", "received"}
    assert len(details["received"]) <= 200


def test_values_at_their_limits_pass(alice_api: Api) -> None:
    tags = ",".join(f"t{number}" for number in range(50))
    query = f"search={quote('é' * 200)}&category={'x' * 100}&tags={tags}&limit=1000"
    assert names(alice_api, query) == []


def test_others_workflows_are_neither_listed_nor_counted_nor_searched(
    alice_api: Api, bob_api: Api, alice: User
) -> None:
    make(alice_api, "alices", category="data", tags=["etl"])
    make(bob_api, "bobs")
    assert names(bob_api) == ["bobs"]
    for query in ("search=alice", "category=data", "tags=etl", f"created_by={alice.pk}"):
        assert names(bob_api, query) == []


def test_staff_sees_all_and_can_pick_an_owner(alice_api: Api, bob_api: Api, admin_api: Api, bob: User) -> None:
    make(alice_api, "alices")
    make(bob_api, "bobs")
    assert names(admin_api, "sort=name") == ["alices", "bobs"]
    assert names(admin_api, f"created_by={bob.pk}") == ["bobs"]


def test_a_list_takes_six_queries_however_long_it_is(
    alice_api: Api, django_assert_num_queries: Callable[[int], Any]
) -> None:
    ids = [make(alice_api, f"w{number}", LONE) for number in range(3)]
    with django_assert_num_queries(6):  # the caller, the count, the page, three of its numbers
        alice_api.get("/workflows")
    ids += [make(alice_api, f"more{number}", LONE) for number in range(20)]
    for id_ in ids:
        execution(id_, ExecutionStatus.COMPLETED)
    with django_assert_num_queries(6):
        assert len(alice_api.get("/workflows?search=w&tags=&sort=name").data) == 3
    with django_assert_num_queries(6):
        assert len(alice_api.get("/workflows").data) == 23
    assert Execution.objects.count() == 23


def test_a_page_past_the_end_asks_for_no_rows(alice_api: Api, django_assert_num_queries: Callable[[int], Any]) -> None:
    make(alice_api)
    with django_assert_num_queries(2):
        answer = alice_api.get("/workflows?offset=1")
    assert (answer.data, answer.body["metadata"]["has_more"]) == ([], False)
