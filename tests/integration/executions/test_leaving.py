"""What becomes of the runs that a worker holds and does not work on: it stops, or could not record them."""

import os

import pytest

from accounts.models import User
from core.errors import ErrorCode
from executions import runner
from executions.interrupts import Board, Doing
from executions.models import ComponentRun
from executions.states import RunStatus
from executions.threads import ThreadWarden
from executions.transitions import running
from executions.transitions.statements import Holder
from executions.warden import Killed, Verdict, Warden
from executions.worker import Keeper
from tests.integration.executions.conftest import Doorbells, linear, log, start
from tests.read_only import read_only
from workflows.components import registry

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_it_killed_for_its_time_fails_and_what_only_ran_is_tried_again(alice: User, doorbells: Doorbells) -> None:
    timed_out, unlucky = (start(alice, linear(log("a"))).runs.get() for _ in range(2))
    for pid, run in ((7, timed_out), (8, unlucky)):
        assert running.claim(run.pk, 1, Holder("w", pid), registry.known_types(), jump=True)
    warden = Warden(Board())
    warden.verdicts[7] = Killed(timed_out.pk, Verdict.FAIL, "Timed out, and was killed", ErrorCode.TIMEOUT_ERROR)
    Keeper("w", Board(), warden)._leave()
    timed_out.refresh_from_db()
    unlucky.refresh_from_db()
    assert (timed_out.status, timed_out.attempt) == (RunStatus.FAILED, 1)
    assert timed_out.error == {"code": "TIMEOUT_ERROR", "message": "Timed out, and was killed"}
    assert (unlucky.status, unlucky.attempt, unlucky.crashes) == (RunStatus.QUEUED, 2, 0)


def test_an_attempt_that_a_read_only_postgresql_does_not_record_is_let_go_of(alice: User, doorbells: Doorbells) -> None:
    run = start(alice, linear(log("a"))).runs.get()
    # Neither its end nor that it is given up.
    with read_only("UPDATE ON executions_componentrun", times=2, when="OLD.status = 'running'"):
        runner.run_component(run.pk, 1, Holder("w", 7))
    run.refresh_from_db()
    assert (run.status, run.attempt, run.crashes) == (RunStatus.QUEUED, 2, 0)


@pytest.fixture(params=["processes", "threads"])
def keeper(request: pytest.FixtureRequest) -> Keeper:
    """Of a worker in whose first place is this process."""
    board = Board()
    return Keeper("w", board, Warden(board) if request.param == "processes" else ThreadWarden(board, 4))


def hold(user: User) -> ComponentRun:
    """A run that this process has claimed; its lease has passed just now."""
    run = start(user, linear(log("a"))).runs.get()
    assert running.claim(run.pk, 1, Holder("w", os.getpid()), registry.known_types(), jump=True)
    ComponentRun.objects.filter(pk=run.pk).update(lease_until="2000-01-01T00:00:00Z")
    return run


def after_a_tick(keeper: Keeper, run: ComponentRun) -> tuple[str, int, int]:
    keeper.tick()
    run.refresh_from_db()
    return run.status, run.attempt, run.crashes


def test_a_run_that_an_idle_process_left_behind_is_tried_again(
    alice: User, doorbells: Doorbells, keeper: Keeper
) -> None:
    run = hold(alice)
    keeper.board.write(Doing(0, os.getpid(), 0, 0.0, 0.0, ""))
    assert after_a_tick(keeper, run) == (RunStatus.QUEUED, 2, 1)


def test_a_run_that_a_busy_process_left_behind_is_tried_again(
    alice: User, doorbells: Doorbells, keeper: Keeper
) -> None:
    left, current = hold(alice), hold(alice)
    keeper.board.write(Doing(0, os.getpid(), 1, 1.0, 0.0, current.pk))
    assert after_a_tick(keeper, left) == (RunStatus.QUEUED, 2, 1)
    current.refresh_from_db()
    assert (current.status, current.attempt) == (RunStatus.RUNNING, 1)


def test_a_process_between_two_components_may_be_at_any_run(alice: User, doorbells: Doorbells, keeper: Keeper) -> None:
    run = hold(alice)
    keeper.board.write(Doing(0, os.getpid(), 0, 1.0, 0.0, ""))
    assert after_a_tick(keeper, run) == (RunStatus.RUNNING, 1, 0)


def test_a_process_that_the_board_does_not_show_yet_keeps_its_run(
    alice: User, doorbells: Doorbells, keeper: Keeper
) -> None:
    run = hold(alice)
    assert after_a_tick(keeper, run) == (RunStatus.RUNNING, 1, 0)
