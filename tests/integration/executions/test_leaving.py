"""What becomes of the runs that a worker holds and does not work on: it stops, or could not record them."""

import os
import time
from collections.abc import Iterator

import pytest
from django.conf import settings

from accounts.models import User
from core.errors import ErrorCode
from executions import interrupts, plans, runner
from executions.attempts import Attempt, CancelledAttempt, run_attempt
from executions.interrupts import Board, Doing
from executions.models import ComponentRun
from executions.states import RunStatus
from executions.threads import ThreadWarden
from executions.transitions import running, waiting
from executions.transitions.statements import Claimed, Holder, RunKey
from executions.warden import Killed, Verdict, Warden
from executions.worker import Keeper
from tests.integration.executions.conftest import Doorbells, linear, log, start
from tests.read_only import read_only
from workflows.components import registry
from workflows.components.base import Completed

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
    assert (run.status, run.attempt, run.crashes) == (RunStatus.QUEUED, 2, 1)


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


# Beyond what the kernel gives.
_GONE = 2**22 + 1


class Judging(Warden):
    """Kills a process while the keeper sees to others, as the thread might."""

    def lives(self, pid: int, key: RunKey) -> bool:
        if pid != _GONE:
            self.verdicts[_GONE] = Killed("", Verdict.RELEASE, "Its lease could not be renewed; trying again")
        return super().lives(pid, key)


def test_what_was_killed_while_the_keeper_was_at_it_is_no_crash(alice: User, doorbells: Doorbells) -> None:
    first, killed = (start(alice, linear(log("a"))).runs.get() for _ in range(2))
    assert running.claim(first.pk, 1, Holder("w", _GONE + 1), registry.known_types(), jump=True)
    warden = Judging(Board())
    warden.renewed(time.monotonic())
    keeper = Keeper("w", warden._board, warden)
    keeper.tick()
    assert running.claim(killed.pk, 1, Holder("w", _GONE), registry.known_types(), jump=True)
    assert after_a_tick(keeper, killed) == (RunStatus.QUEUED, 2, 0)


def lease_lost(since: float) -> bool:
    """Whether a component is told to let go whose run was asked for then, where no lease is renewed since a minute."""
    board = Board()
    warden = ThreadWarden(board, 4)
    warden.renewed_at = time.monotonic() - 60
    doing = Doing(0, os.getpid(), 1, since, 0.0, "run")
    board.write(doing)
    warden.look()
    return board.is_target(doing)


def test_a_component_stops_at_two_thirds_of_a_lease_that_is_not_renewed() -> None:
    assert lease_lost(time.monotonic() - settings.ENGINE["LEASE_SECONDS"])


def test_what_was_claimed_since_is_not_stopped_for_the_leases_that_were_lost() -> None:
    assert not lease_lost(time.monotonic())


@pytest.fixture
def long_ago(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This thread is in a task of a worker, and asked for what it holds a minute ago."""
    monkeypatch.setattr(interrupts, "_board", None)
    monkeypatch.setattr(interrupts, "_places", None)
    monkeypatch.setattr(interrupts, "_here", interrupts._Here())
    interrupts.open_board(threads=True)
    with interrupts.in_task():
        interrupts.asked_again(time.monotonic() - 60)
        yield


def attempt_of(claimed: Claimed) -> Attempt:
    component = plans.compiled(claimed.execution["version_id"]).definition.by_id[claimed.run.component_id]
    return Attempt(claimed.run, component, {})


def test_a_lease_is_renewed_before_a_component_begins_whose_claim_took_long(
    alice: User, doorbells: Doorbells, long_ago: None
) -> None:
    run = start(alice, linear(log("a"))).runs.get()
    claimed = running.claim(run.pk, 1, Holder("w", 7), registry.known_types(), jump=True)
    assert claimed
    ComponentRun.objects.filter(pk=run.pk).update(lease_until="2000-01-01T00:00:00Z")
    assert isinstance(run_attempt(attempt_of(claimed), {}), Completed)
    run.refresh_from_db()
    assert run.lease_until is not None
    assert run.lease_until.year > 2000
    assert interrupts.asked_seconds_ago() < 60


def test_nothing_begins_of_a_run_that_others_took_over_meanwhile(
    alice: User, doorbells: Doorbells, long_ago: None
) -> None:
    run = start(alice, linear(log("a"))).runs.get()
    claimed = running.claim(run.pk, 1, Holder("w", 7), registry.known_types(), jump=True)
    assert claimed
    waiting.release(claimed.run.key, "The worker process died; trying again", crash=True)
    assert isinstance(run_attempt(attempt_of(claimed), {}), CancelledAttempt)
    assert runner.Session(claimed, Holder("w", 7)).work(claimed.run) is None
    run.refresh_from_db()
    assert (run.status, run.attempt) == (RunStatus.QUEUED, 2)
