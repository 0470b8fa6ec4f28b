"""What is counted in advance adds up to what is stored: sealing, deletes, late inserts, pages."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader

from accounts.models import User
from core.ids import first_id, to_uuid
from core.times import midnight
from executions import maintenance
from executions.maintenance import seal_days
from executions.models import Execution, ExecutionTally, TallyState
from executions.states import FINAL_EXECUTION, ExecutionStatus
from tests.api import Api
from tests.eventually import eventually
from tests.integration.workflows.conftest import make
from tests.locks import waiting
from workflows.models import Share, Workflow, WorkflowTally, WorkflowVersion

pytestmark = pytest.mark.django_db

TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
C, F, R = ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.RUNNING


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    """The day on which the tests began, however late it is."""
    monkeypatch.setattr(maintenance, "timezone", SimpleNamespace(now=lambda: TODAY))


def stored(workflow_id: str, status: ExecutionStatus, made: datetime, started: datetime | None = None) -> Execution:
    """An execution made then, with the id of that moment, not necessarily started."""
    workflow = Workflow.objects.get(pk=workflow_id)
    number = Execution.objects.count()
    id_ = first_id(made)[:-4] + f"{number:04d}"
    final = status in FINAL_EXECUTION
    return Execution.objects.create(
        id=id_,
        workflow=workflow,
        version=WorkflowVersion.objects.get(workflow=workflow),
        created_by=workflow.created_by,
        status=status,
        total_components=1,
        remaining=0 if final else 1,
        created_at=made,
        started_at=started,
        completed_at=(started or made) if final else None,
        trigger={"type": "manual"},
    )


@pytest.fixture
def staff(as_user: Callable[..., Api], admin: User) -> Api:
    return as_user(admin)


@pytest.fixture
def workflow(alice_api: Api) -> str:
    return make(alice_api, "w")


@pytest.fixture
def two_weeks(workflow: str) -> list[Execution]:
    """Three executions a day for two weeks, the newest last; each fourth failed, each fifth never started."""
    made = []
    for place in range(42):
        at = TODAY - timedelta(days=14) + timedelta(hours=8 * place)
        start = None if place % 5 == 0 else at + timedelta(hours=place % 30)
        made.append(stored(workflow, F if place % 4 == 0 else C, at, start))
    return made


def listed(api: Api, query: str, limit: int = 5) -> tuple[int, list[str]]:
    """The total and the ids of all pages, one after another; each page says the same total."""
    found: list[str] = []
    while True:
        answer = api.get(f"/executions?{query}&limit={limit}&offset={len(found)}")
        found += [item["id"] for item in answer.data]
        if not answer.body["metadata"]["has_more"]:
            return answer.body["metadata"]["total_count"], found


def sealed() -> tuple[date | None, int]:
    state = TallyState.objects.first()
    return (state.sealed_until if state else None), sum(ExecutionTally.objects.values_list("count", flat=True))


def test_days_that_are_over_are_sealed_but_for_the_last(two_weeks: list[Execution]) -> None:
    assert seal_days() == 13
    until = TODAY.date() - timedelta(days=1)
    assert TallyState.objects.get().sealed_until == until
    before = Execution.objects.filter(pk__lt=first_id(midnight(until)))
    made = {
        (tally.day, tally.status): tally.count for tally in ExecutionTally.objects.filter(kind="made").order_by("day")
    }
    expected: dict[Any, int] = {}
    for execution in before:
        key = (execution.created_at.date(), execution.status)
        expected[key] = expected.get(key, 0) + 1
    assert made == expected
    assert seal_days() == 0


def test_an_execution_that_has_not_ended_keeps_its_day_open(workflow: str, two_weeks: list[Execution]) -> None:
    stored(workflow, R, TODAY - timedelta(days=5))
    seal_days()
    assert TallyState.objects.get().sealed_until == (TODAY - timedelta(days=5)).date()


@pytest.mark.parametrize("limit", [1, 4, 50])
@pytest.mark.parametrize("query", ["", "status=failed", "status=running"])
def test_lists_are_the_same_before_and_after_sealing(
    staff: Api, two_weeks: list[Execution], query: str, limit: int
) -> None:
    before = listed(staff, query, limit)
    assert before[0] == len(before[1])
    assert before[1] == sorted(before[1], reverse=True)
    seal_days()
    assert listed(staff, query, limit) == before


def test_ranges_of_starts_are_the_same_before_and_after_sealing(staff: Api, two_weeks: list[Execution]) -> None:
    chance = random.Random(5)
    moments = [TODAY - timedelta(hours=chance.randrange(24 * 16)) for _ in range(8)]
    moments += [execution.started_at for execution in two_weeks if execution.started_at][::9]
    queries = [f"{name}={_z(moment)}" for moment in moments for name in ("start_date", "end_date")]
    queries += [
        f"start_date={_z(min(pair))}&end_date={_z(max(pair))}" for pair in zip(moments, moments[3:], strict=False)
    ]
    queries += [f"{query}&status=completed" for query in queries[:6]]
    before = {query: listed(staff, query, 9) for query in queries}
    seal_days()
    assert {query: listed(staff, query, 9) for query in queries} == before
    starts = {execution.pk: execution.started_at for execution in two_weeks}
    for total, ids in before.values():
        shown = [starts[id_] for id_ in ids]
        assert total == len(ids)
        assert shown == sorted(shown, key=lambda start: start or TODAY, reverse=True)


def test_a_clock_that_is_ahead_of_the_databases_loses_no_start(
    staff: Api, workflow: str, two_weeks: list[Execution]
) -> None:
    until = midnight(TODAY.date() - timedelta(days=1))
    early = stored(workflow, C, until + timedelta(seconds=2), until - timedelta(seconds=3))
    query = f"start_date={_z(until - timedelta(days=3))}"
    before = listed(staff, query)
    assert early.pk in before[1]
    seal_days()
    assert sealed()[0] == until.date()
    assert listed(staff, query) == before


def test_a_long_list_of_one_starter_is_the_short_one_read_another_way(
    as_user: Callable[..., Api],
    alice: User,
    bob: User,
    workflow: str,
    two_weeks: list[Execution],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bobs = as_user(bob)
    mine = make(bobs, "bob's")
    stored(mine, F, TODAY - timedelta(days=7))
    by_alice = stored(mine, C, TODAY - timedelta(days=6))
    Execution.objects.filter(pk=by_alice.pk).update(created_by=alice)
    Share.objects.create(workflow_id=workflow, user=bob, role="viewer", created_by=alice)
    before = listed(bobs, f"user_id={alice.pk}")
    assert before[0] == 43
    monkeypatch.setattr("executions.listing._StartersKeys.MANY", 10)
    assert listed(bobs, f"user_id={alice.pk}") == before


def test_a_delete_subtracts(alice_api: Api, staff: Api, two_weeks: list[Execution]) -> None:
    other = make(alice_api, "other")
    stored(other, C, TODAY - timedelta(days=9), TODAY - timedelta(days=8))
    seal_days()
    Execution.objects.filter(pk__in=[execution.pk for execution in two_weeks[::2]]).delete()
    assert listed(staff, "") == (22, listed(staff, "", 50)[1])
    assert (
        listed(staff, f"start_date={_z(TODAY - timedelta(days=30))}")[0]
        == Execution.objects.exclude(started_at=None).count()
    )
    assert alice_api.call("DELETE", f"/workflows/{other}").status == 200
    assert listed(staff, "")[0] == 21
    assert sealed()[0] is not None


@pytest.mark.django_db(transaction=True)
def test_a_delete_while_days_are_sealed_for_the_first_time_subtracts(staff: Api, two_weeks: list[Execution]) -> None:
    TallyState.objects.all().delete()
    _apply("0020_tally_state")
    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            assert seal_days() == 13
            deleted = thread.submit(_delete, [execution.pk for execution in two_weeks[::2]])
            eventually(lambda: waiting() == 1 or deleted.done())
        deleted.result(timeout=10)
    assert sealed()[0] is not None
    assert staff.get("/executions").body["metadata"]["total_count"] == 21


def _apply(name: str) -> None:
    """The migration, whatever has been done since to what it left."""
    loader, key = MigrationLoader(connection), ("executions", name)
    with connection.schema_editor() as editor:
        loader.get_migration(*key).apply(loader.project_state(key, at_end=False), editor)


def _delete(ids: list[str]) -> None:
    try:
        Execution.objects.filter(pk__in=ids).delete()
    finally:
        connection.close()


def test_owners_and_sharees_count_the_same_before_and_after_sealing(
    alice_api: Api, as_user: Callable[..., Api], alice: User, bob: User, workflow: str, two_weeks: list[Execution]
) -> None:
    bobs = as_user(bob)
    stored(make(bobs, "bob's"), F, TODAY - timedelta(days=7))
    Share.objects.create(workflow_id=workflow, user=bob, role="viewer", created_by=alice)
    queries = ["", "status=completed", "status=failed", "status=running", f"workflow_id={workflow}"]
    before = [listed(api, query) for api in (alice_api, bobs) for query in queries]
    assert [total for total, _ in before] == [42, 31, 11, 0, 42, 43, 31, 12, 0, 42]
    seal_days()
    stored(workflow, R, datetime.now(UTC))
    Execution.objects.filter(status=R).delete()
    assert [listed(api, query) for api in (alice_api, bobs) for query in queries] == before


@pytest.mark.parametrize("limit", [1, 3, 4, 50])
def test_a_sharees_range_of_starts_is_all_of_it_in_order(
    as_user: Callable[..., Api], alice: User, bob: User, workflow: str, two_weeks: list[Execution], limit: int
) -> None:
    bobs = as_user(bob)
    own = make(bobs, "bob's")
    mine = [stored(own, F, start - timedelta(hours=30), start) for start in _starts(two_weeks)[3::4]]
    Share.objects.create(workflow_id=workflow, user=bob, role="viewer", created_by=alice)
    newest_first = sorted(
        ((execution.started_at, execution.pk) for execution in [*two_weeks, *mine] if execution.started_at),
        reverse=True,
    )
    for query, wanted in (
        (f"end_date={_z(TODAY - timedelta(days=5))}", lambda start: start <= TODAY - timedelta(days=5)),
        (f"start_date={_z(TODAY - timedelta(days=9))}", lambda start: start >= TODAY - timedelta(days=9)),
        (f"end_date={_z(TODAY)}&status=failed", lambda start: True),
    ):
        expected = [pk for start, pk in newest_first if wanted(start)]
        if "status" in query:
            failed = set(Execution.objects.filter(status=F).values_list("pk", flat=True))
            expected = [pk for pk in expected if pk in failed]
        assert listed(bobs, query, limit) == (len(expected), expected)


def test_a_workflows_numbers_are_the_same_before_and_after_sealing(
    alice_api: Api, workflow: str, two_weeks: list[Execution]
) -> None:
    make(alice_api, "idle")
    stored(make(alice_api, "old"), F, TODAY - timedelta(days=9))
    new = make(alice_api, "new")
    before = alice_api.get("/workflows").data
    assert {item["name"]: item["execution_count"] for item in before} == {"w": 42, "idle": 0, "old": 1, "new": 0}
    assert before[-1]["success_rate"] == 0.7381
    seal_days()
    assert WorkflowTally.objects.count() == 2
    assert alice_api.get("/workflows").data == before
    stored(new, C, datetime.now(UTC))
    Execution.objects.filter(pk__in=[execution.pk for execution in two_weeks[:4]]).delete()
    shown = {item["name"]: (item["execution_count"], item["success_rate"]) for item in alice_api.get("/workflows").data}
    assert shown == {"w": (38, 0.7368), "idle": (0, 0.0), "old": (1, 0.0), "new": (1, 1.0)}


def test_what_comes_late_unseals(workflow: str, staff: Api, two_weeks: list[Execution]) -> None:
    seal_days()
    stored(workflow, C, TODAY - timedelta(days=10))
    assert sealed() == (None, 0)
    assert listed(staff, "")[0] == 43
    seal_days()
    assert listed(staff, "")[0] == 43


def test_an_end_that_is_changed_by_hand_unseals(staff: Api, two_weeks: list[Execution]) -> None:
    seal_days()
    Execution.objects.filter(pk=two_weeks[5].pk).update(status=F)
    assert sealed() == (None, 0)
    assert listed(staff, "status=failed")[0] == 12


def test_what_comes_in_time_leaves_all_sealed(workflow: str, staff: Api, two_weeks: list[Execution]) -> None:
    seal_days()
    before = sealed()
    stored(workflow, R, datetime.now(UTC))
    assert sealed() == before
    assert listed(staff, "")[0] == 43


def test_the_databases_days_are_those_of_the_ids() -> None:
    for moment in (datetime(1970, 1, 2, tzinfo=UTC), datetime(2026, 2, 28, 23, 59, 59, 999000, tzinfo=UTC)):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT executions_first_id(%s), executions_day_of(executions_first_id(%s))",
                [moment.replace(tzinfo=None)] * 2,
            )
            assert cursor.fetchone() == (to_uuid(first_id(moment)), moment.date())


def _starts(executions: list[Execution]) -> list[datetime]:
    return [execution.started_at for execution in executions if execution.started_at]


def _z(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
