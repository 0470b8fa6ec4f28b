"""A sweep's pass: what somebody holds or what fails keeps nothing else from being seen to."""

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from accounts.callers import Caller
from accounts.models import User
from accounts.scopes import Scope
from core.ids import to_uuid
from core.types import JSONObject
from executions import bulk_cancel, interventions, maintenance, passes, plans
from executions.interrupts import Board
from executions.models import BulkCancel, Execution
from executions.passes import see_to_each
from executions.selection import Selection
from executions.states import ExecutionStatus, RunStatus
from executions.transitions import running
from executions.transitions.statements import Holder, patient_for
from executions.warden import Killed, Verdict, Warden
from executions.worker import Keeper
from tests.integration.executions.conftest import Doorbells, linear, log, start
from workflows.components import registry
from workflows.components.base import Completed, Component, Context, Outcome
from workflows.expressions import References

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = "2000-01-01T00:00:00Z"


@contextmanager
def held(table: str, id_: str) -> Iterator[None]:
    """A row whose lock somebody else has."""
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute(f"SELECT FROM {table} WHERE id = %s FOR UPDATE".encode(), [to_uuid(id_)])
        yield
        other.rollback()


def hold(execution: Execution, pid: int) -> None:
    """A process has claimed its run, and is gone."""
    assert running.claim(execution.runs.get().pk, 1, Holder("gone", pid), registry.known_types(), jump=True)
    execution.runs.update(lease_until=LONG_AGO)


def lost(user: User, pid: int = 7) -> Execution:
    """An execution whose run a worker held that is gone."""
    execution = start(user, linear(log("a")))
    hold(execution, pid)
    return execution


def overdue(user: User) -> Execution:
    execution = start(user, linear(log("a")))
    Execution.objects.filter(pk=execution.pk).update(deadline_at=LONG_AGO)
    return execution


def was_rescued(execution: Execution) -> bool:
    return execution.runs.get().status == RunStatus.QUEUED


def was_stopped(execution: Execution) -> bool:
    return Execution.objects.get(pk=execution.pk).status == ExecutionStatus.FAILED


@pytest.mark.parametrize(
    ("sweep", "make", "moved"),
    [("rescue_expired", lost, was_rescued), ("stop_overdue", overdue, was_stopped)],
    ids=["rescue_expired", "stop_overdue"],
)
def test_what_is_held_is_left_and_all_others_are_seen_to(
    alice: User,
    doorbells: Doorbells,
    sweep: str,
    make: Callable[[User], Execution],
    moved: Callable[[Execution], bool],
) -> None:
    one, *others = [make(alice) for _ in range(4)]
    with held("executions_execution", one.pk):
        assert maintenance.sweep_one(sweep) == 3
        assert [moved(execution) for execution in (one, *others)] == [False, True, True, True]
    assert maintenance.sweep_one(sweep) == 1
    assert moved(one)


def test_an_account_that_is_held_keeps_no_other_from_its_slots(alice: User, bob: User, doorbells: Doorbells) -> None:
    for user in (alice, bob):
        user.tier, user.concurrent_executions = "custom", 1
        user.save(update_fields=["tier", "concurrent_executions"])
        start(user, linear(log("a")))
    waiting = [start(user, linear(log("a"))) for user in (alice, bob)]
    User.objects.filter(pk__in=[alice.pk, bob.pk]).update(concurrent_executions=2)
    with held("accounts_user", alice.pk):
        assert maintenance.sweep_one("admit_waiting") == 1
        admitted = [Execution.objects.get(pk=execution.pk).admitted_at is not None for execution in waiting]
        assert admitted == [False, True]
    assert maintenance.sweep_one("admit_waiting") == 1


def test_what_staff_cancel_passes_over_one_that_is_held(
    alice: User, admin: User, doorbells: Doorbells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_cancel, "_SLICE_SECONDS", 60)
    one, *others = [start(alice, linear(log("a"))) for _ in range(3)]
    with held("executions_execution", one.pk), patient_for(0.1):
        selection, caller = Selection(), Caller(admin, frozenset(Scope), "admin")
        bulk_cancel.request_cancel(selection=selection, caller=caller, address="", typed=bulk_cancel.ALL_OF_THEM)
        cancelled = [Execution.objects.get(pk=execution.pk).status == "cancelled" for execution in (one, *others)]
        assert cancelled == [False, True, True]
    assert [bulk_cancel.work(), bulk_cancel.work()] == [1, 0]
    assert BulkCancel.objects.get().completed_at is not None


def test_what_fails_is_logged_and_with_it_what_else_is_its_owners(caplog: pytest.LogCaptureFixture) -> None:
    def see_to(thing: tuple[str, int]) -> int:
        if thing[0] == "bad":
            raise KeyError("secret")
        return thing[1]

    things = [("bad", 1), ("bad", 2), ("good", 3), ("fine", 4)]
    assert sorted(see_to_each("test", things, see_to, whose=lambda thing: thing[0])) == [3, 4]
    (line,) = caplog.records
    assert line.getMessage() == "Sweep failed: test, of bad"


def test_a_postgresql_that_is_away_ends_a_pass() -> None:
    def see_to(thing: str) -> None:
        with psycopg.connect(**connection.get_connection_params()) as own:
            own.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    connection.ensure_connection()
    with pytest.raises(OperationalError):
        see_to_each("test", ["a", "b"], see_to, whose=str)
    connection.close()


def test_a_pass_ends_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr(passes, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert see_to_each("test", ["a", "b", "c", "d"], lambda thing: 1, whose=str, seconds=2) == [1, 1]


def test_a_statement_that_took_too_long_keeps_no_sweep_from_its_work(
    alice: User, doorbells: Doorbells, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def too_long() -> int:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '1ms'")
            cursor.execute("SELECT pg_sleep(1)")
        return 1

    execution = lost(alice)
    monkeypatch.setitem(maintenance.SWEEPS, "stop_overdue", too_long)
    maintenance.sweep()
    assert was_rescued(execution)
    assert "Sweep failed: stop_overdue" in caplog.text


@pytest.fixture
def keeper() -> Keeper:
    return Keeper("gone", Board(), Warden(Board()))


def test_a_dead_process_whose_execution_is_held_keeps_the_keeper_from_nothing(
    alice: User, doorbells: Doorbells, keeper: Keeper
) -> None:
    one, other = lost(alice, pid=2**22 + 1), lost(alice, pid=2**22 + 2)
    late = overdue(alice)
    with held("executions_execution", one.pk):
        keeper.tick()
        assert [was_rescued(execution) for execution in (one, other)] == [False, True]
        assert was_stopped(late)
    keeper.tick()
    assert was_rescued(one)


class Fickle(Component):
    """A plug-in's, as after an upgrade: what was saved cannot be read any more."""

    type: ClassVar = "fickle"
    name: ClassVar = "Fickle"
    description: ClassVar = "Fails after an upgrade"
    category: ClassVar = "test"
    config_schema: ClassVar[JSONObject] = {"type": "object"}
    input_schema: ClassVar[JSONObject] = {}
    output_schema: ClassVar[JSONObject] = {}
    upgraded: ClassVar = False

    def reads(self, config: JSONObject) -> References:
        if self.upgraded:
            raise KeyError("renamed")
        return super().reads(config)

    def run(self, config: JSONObject, context: Context) -> Outcome:
        return Completed(None)


@pytest.fixture
def upgrade(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """The plug-in is installed; a call upgrades it."""
    module = ModuleType("plug_ins_of_this_test")
    monkeypatch.setattr(module, "Fickle", Fickle, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    point = EntryPoint(name="fickle", value=f"{module.__name__}:Fickle", group=registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == registry.ENTRY_POINT_GROUP else [])
    registry._plug_ins.cache_clear()

    def upgrade() -> None:
        monkeypatch.setattr(Fickle, "upgraded", True)
        plans.compiled.cache_clear()

    yield upgrade
    registry._plug_ins.cache_clear()


@pytest.fixture
def unreadable(alice: User, upgrade: Callable[[], None]) -> Execution:
    """An execution whose run a dead process held, and whose definition no worker can read any more."""
    execution = start(alice, linear({"id": "a", "type": "fickle", "config": {}}))
    hold(execution, pid=2**22 + 1)
    upgrade()
    return execution


def test_what_no_worker_can_read_ends_with_the_reason_and_holds_up_nobody(
    alice: User, doorbells: Doorbells, unreadable: Execution, caplog: pytest.LogCaptureFixture
) -> None:
    unreadable.runs.update(crashes=2)
    healthy = lost(alice)
    assert maintenance.sweep_one("rescue_expired") == 2
    assert was_rescued(healthy)
    unreadable.refresh_from_db()
    assert (unreadable.status, unreadable.error["code"]) == (ExecutionStatus.FAILED, "WORKFLOW_INVALID")
    assert unreadable.error["message"] == "the stored definition could not be read; the server's log says why"
    assert "KeyError: 'renamed'" in caplog.text


def test_what_no_worker_can_read_can_be_cancelled(alice: User, doorbells: Doorbells, unreadable: Execution) -> None:
    interventions.cancel_execution(unreadable)
    maintenance.sweep_one("rescue_expired")
    unreadable.refresh_from_db()
    assert unreadable.status == ExecutionStatus.CANCELLED


def test_a_process_that_was_killed_over_what_cannot_be_read_keeps_the_keeper_from_nothing(
    alice: User, doorbells: Doorbells, keeper: Keeper, unreadable: Execution
) -> None:
    run = unreadable.runs.get()
    keeper.warden.verdicts[2**22 + 1] = Killed(run.pk, Verdict.FAIL, "Timed out, and was killed")
    late = overdue(alice)
    keeper.tick()
    assert was_stopped(unreadable)
    assert was_stopped(late)
