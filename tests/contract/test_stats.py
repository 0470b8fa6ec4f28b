"""API reference, "System": GET stats, the caller's own numbers; for staff everybody's."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.models import User
from config import system
from core.ids import first_id
from executions.listing import totals
from executions.models import ComponentRun, Execution, Worker
from executions.states import ExecutionStatus, RunStatus
from tests.api import BASES, Api
from tests.integration.workflows.conftest import execution, make
from workflows.models import Role, Share, Workflow

pytestmark = pytest.mark.django_db

Callers = Callable[..., Api]
NOTHING = {"today": 0, "this_week": 0, "this_month": 0, "success_rate": 0.0}


def shown(api: Api) -> tuple[Any, Any]:
    """What the statistics say of workflows and of executions."""
    answer = api.get("/stats")
    assert answer.status == 200, answer.body
    return answer.data["workflows"], answer.data["executions"]


@pytest.fixture(autouse=True)
def began(monkeypatch: pytest.MonkeyPatch) -> None:
    """Now is when the test began, for what counts by days too: midnight may pass in it."""
    now = timezone.now()
    monkeypatch.setattr(system, "timezone", SimpleNamespace(now=lambda: now))


@pytest.fixture
def alices(alice_api: Api) -> str:
    """Alice has an active workflow with executions of every end, a draft and an archived one; the first one's id."""
    first, _, old = (make(alice_api, name) for name in ("active", "draft", "archived"))
    Workflow.objects.filter(pk=first).update(status="active")
    Workflow.objects.filter(pk=old).update(status="archived")
    for status in [ExecutionStatus.COMPLETED] * 3 + [ExecutionStatus.FAILED, ExecutionStatus.CANCELLED]:
        execution(first, status)
    return first


@pytest.mark.parametrize("base", BASES)
def test_it_has_the_printed_shape_at_every_base(as_user: Callers, alice: User, base: str) -> None:
    data = as_user(alice, base).get("/stats").data
    assert set(data) == {"workflows", "executions", "system"}
    assert data["workflows"] == {"total": 0, "active": 0, "draft": 0}
    assert data["executions"] == NOTHING
    assert set(data["system"]) == {"cpu_usage", "memory_usage", "disk_usage", "queue_depth", "workers"}
    for name in ("cpu_usage", "memory_usage", "disk_usage"):
        assert 0 <= data["system"][name] <= 1
    assert data["system"]["memory_usage"] > 0
    assert data["system"]["disk_usage"] > 0


def test_an_owner_gets_their_own_numbers(alice_api: Api, alices: str) -> None:
    assert shown(alice_api) == (
        {"total": 3, "active": 1, "draft": 1},
        {"today": 5, "this_week": 5, "this_month": 5, "success_rate": 0.75},
    )


def test_a_strangers_numbers_are_nothing(as_user: Callers, bob: User, alices: str) -> None:
    _queued(alices)
    assert shown(as_user(bob)) == ({"total": 0, "active": 0, "draft": 0}, NOTHING)
    assert as_user(bob).get("/stats").data["system"]["queue_depth"] == 0


@pytest.mark.parametrize("through", ["user", "group", "both"])
def test_what_is_shared_counts_once(as_user: Callers, alice: User, bob: User, alices: str, through: str) -> None:
    group = Group.objects.create(name="team")
    bob.groups.add(group)
    if through in {"user", "both"}:
        Share.objects.create(workflow_id=alices, user=bob, role=Role.VIEWER, created_by=alice)
    if through in {"group", "both"}:
        Share.objects.create(workflow_id=alices, group=group, role=Role.VIEWER, created_by=alice)
    assert shown(as_user(bob)) == (
        {"total": 1, "active": 1, "draft": 0},
        {"today": 5, "this_week": 5, "this_month": 5, "success_rate": 0.75},
    )


def test_what_an_owner_shares_with_their_own_group_counts_once(alice_api: Api, alice: User, alices: str) -> None:
    group = Group.objects.create(name="team")
    alice.groups.add(group)
    Share.objects.create(workflow_id=alices, group=group, role=Role.VIEWER, created_by=alice)
    assert shown(alice_api)[1]["today"] == 5
    assert alice_api.get("/executions").body["metadata"]["total_count"] == 5


def test_staff_get_everybodys(as_user: Callers, admin: User, bob: User, alices: str) -> None:
    execution(make(as_user(bob), "bob's"), ExecutionStatus.COMPLETED)
    assert shown(as_user(admin)) == (
        {"total": 4, "active": 1, "draft": 2},
        {"today": 6, "this_week": 6, "this_month": 6, "success_rate": 0.8},
    )


def test_days_weeks_and_months_begin_in_utc_and_weeks_on_monday(alice: User, alice_api: Api) -> None:
    workflow = make(alice_api, "w")
    thursday = datetime(2026, 10, 15, 12, tzinfo=UTC)
    monday, first = datetime(2026, 10, 12, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)
    midnight = datetime(2026, 10, 15, tzinfo=UTC)
    for start in (midnight, monday, first):
        for moment in (start, start - timedelta(milliseconds=1)):
            stored = execution(workflow, ExecutionStatus.CANCELLED)
            Execution.objects.filter(pk=stored.pk).update(id=first_id(moment))
    numbers = totals(_caller(alice), thursday)
    assert (numbers.today, numbers.this_week, numbers.this_month) == (1, 3, 5)


def test_the_queue_and_the_workers_are_the_real_ones(alice_api: Api, alices: str) -> None:
    _queued(alices)
    _queued(alices, held=True)
    Worker.objects.create(name="w1")
    Worker.objects.create(name="gone")
    Worker.objects.filter(name="gone").update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    system = alice_api.get("/stats").data["system"]
    assert (system["queue_depth"], system["workers"]) == (1, 1)


def test_its_queries_do_not_grow_with_what_is_stored(
    alice_api: Api, alices: str, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(12):
        alice_api.get("/stats")


def _queued(workflow_id: str, *, held: bool = False) -> None:
    stored = execution(workflow_id, ExecutionStatus.QUEUED)
    ComponentRun.objects.create(
        execution=stored, component_id="start", component_type="start", position=0, status=RunStatus.QUEUED, held=held
    )


def _caller(user: User) -> Any:
    from accounts.callers import Caller
    from accounts.scopes import ALL

    return Caller(user, ALL)
