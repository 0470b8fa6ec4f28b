"""Leases while PostgreSQL is away, and after: who is stopped, who is given up, and what counts as a crash."""

import os
import subprocess
import time
from collections.abc import Iterator

import pytest
from django.conf import settings

from accounts.models import User
from executions import interrupts, maintenance, plans, runner, tasks
from executions.attempts import Attempt, CancelledAttempt, run_attempt
from executions.interrupts import Board, Doing, may_judge_others
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

# Beyond what the kernel gives.
_GONE = 2**22 + 1


def state(run: ComponentRun) -> tuple[str, int, int]:
    run.refresh_from_db()
    return run.status, run.attempt, run.crashes


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
    keeper.tick()
    assert state(killed) == (RunStatus.QUEUED, 2, 0)


def lease_lost(since: float) -> bool:
    """Whether a component is told to let go whose run was asked for then, where no lease is renewed since a minute."""
    board = Board()
    warden = ThreadWarden(board, 4)
    board.leases = time.monotonic() - 60, 0.0
    doing = Doing(0, os.getpid(), 1, since, 0.0, "run")
    board.write(doing)
    warden.look()
    return board.is_target(doing)


def test_a_component_stops_at_two_thirds_of_a_lease_that_is_not_renewed() -> None:
    assert lease_lost(time.monotonic() - settings.ENGINE["LEASE_SECONDS"])


def test_what_was_claimed_since_is_not_stopped_for_the_leases_that_were_lost() -> None:
    assert not lease_lost(time.monotonic())


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    """This process is a worker of threads, with this board."""
    monkeypatch.setattr(interrupts, "_board", None)
    monkeypatch.setattr(interrupts, "_places", None)
    monkeypatch.setattr(interrupts, "_here", interrupts._Here())
    return interrupts.open_board(threads=True)


@pytest.fixture
def long_ago(board: Board) -> Iterator[None]:
    """This thread is in a task, and asked for what it holds a minute ago."""
    with interrupts.in_task():
        interrupts.asked_again(time.monotonic() - 60)
        yield


def claim(user: User) -> tuple[ComponentRun, Claimed]:
    run = start(user, linear(log("a"))).runs.get()
    claimed = running.claim(run.pk, 1, Holder("w", 7), registry.known_types(), jump=True)
    assert claimed
    return run, claimed


def attempt_of(claimed: Claimed) -> Attempt:
    component = plans.compiled(claimed.execution["version_id"]).definition.by_id[claimed.run.component_id]
    return Attempt(claimed.run, component, {})


def test_a_lease_is_renewed_before_a_component_begins_whose_claim_took_long(
    alice: User, doorbells: Doorbells, long_ago: None
) -> None:
    run, claimed = claim(alice)
    ComponentRun.objects.filter(pk=run.pk).update(lease_until="2000-01-01T00:00:00Z")
    assert isinstance(run_attempt(attempt_of(claimed), {}), Completed)
    run.refresh_from_db()
    assert run.lease_until is not None
    assert run.lease_until.year > 2000
    assert interrupts.asked_at() > time.monotonic() - 60


def test_nothing_begins_of_a_run_that_others_took_over_meanwhile(
    alice: User, doorbells: Doorbells, long_ago: None
) -> None:
    run, claimed = claim(alice)
    waiting.release(claimed.run.key, "The worker process died; trying again", crash=True)
    assert isinstance(run_attempt(attempt_of(claimed), {}), CancelledAttempt)
    assert runner.Session(claimed, Holder("w", 7)).work(claimed.run) is None
    assert state(run) == (RunStatus.QUEUED, 2, 1)


def test_a_limit_that_passed_takes_nothing_from_who_has_the_run_by_now(alice: User, doorbells: Doorbells) -> None:
    _, claimed = claim(alice)
    session = runner.Session(claimed, Holder("w", 7))
    assert waiting.release(claimed.run.key, "The worker process died; trying again", crash=True)
    assert isinstance(session._timed_out(attempt_of(claimed)), CancelledAttempt)


def test_an_outage_at_the_record_is_no_crash_as_long_as_it_may_be_chance(alice: User, doorbells: Doorbells) -> None:
    run = start(alice, linear(log("a"))).runs.get()
    for attempt, crashes in enumerate([0] * 10 + [1], 1):
        with read_only("UPDATE ON executions_componentrun", times=1, when="OLD.status = 'running'"):
            runner.run_component(run.pk, attempt, Holder("w", 7))
        assert state(run) == (RunStatus.QUEUED, attempt + 1, crashes)


@pytest.mark.parametrize(
    ("renewed_ago", "back_ago", "may"),
    [
        (None, None, True),
        (0, None, True),
        (11, None, False),
        (0, 1, False),
        (0, 4, False),
        (0, 6, True),
        (11, 60, False),
    ],
)
def test_others_are_judged_only_where_ones_own_leases_are_renewed_for_a_while(
    board: Board, renewed_ago: float | None, back_ago: float | None, may: bool
) -> None:
    now = time.monotonic()
    if renewed_ago is not None:
        board.leases = now - renewed_ago, 0.0 if back_ago is None else now - back_ago
    assert may_judge_others(15) is may


def test_what_others_held_is_left_to_them_right_after_an_outage(
    alice: User, doorbells: Doorbells, board: Board
) -> None:
    run = start(alice, linear(log("a"))).runs.get()
    assert running.claim(run.pk, 1, Holder("other", _GONE), registry.known_types(), jump=True)
    ComponentRun.objects.update(lease_until="2000-01-01T00:00:00Z")
    warden = ThreadWarden(board, 4)
    board.leases = time.monotonic() - 60, 0.0
    warden.renewed(time.monotonic())
    assert maintenance.sweep_one("rescue_expired") == 0
    board.leases = time.monotonic(), time.monotonic() - settings.ENGINE["LEASE_SECONDS"]
    assert maintenance.sweep_one("rescue_expired") == 1
    assert state(run) == (RunStatus.QUEUED, 2, 1)


@pytest.mark.parametrize(("back_ago", "left"), [(0, 4), (100, 3)])
def test_what_could_not_record_in_an_outage_has_time_to_do_so_after_it(back_ago: float, left: int) -> None:
    board = Board()
    warden = ThreadWarden(board, 4)
    board.leases = time.monotonic(), time.monotonic() - back_ago
    board.write(Doing(0, os.getpid(), 0, time.monotonic() - 100, 0.0, ""))
    # More than a quarter lost would end this process.
    board.write(Doing(1, os.getpid() + 1, 0, time.monotonic(), 0.0, ""))
    warden.replaced = True
    warden.look()
    assert warden.capacity() == left


def test_a_process_that_went_on_is_not_killed_for_what_it_did_before() -> None:
    board = Board()
    with subprocess.Popen(["sleep", "60"]) as process:
        before = Doing(0, process.pid, 1, 1.0, 2.0, "before")
        board.write(before._replace(run_id="next"))
        warden = Warden(board)
        warden._kill(before, Verdict.FAIL, "Timed out, and was killed")
        assert process.poll() is None
        assert warden.verdicts == {}
        warden._kill(before._replace(run_id="next"), Verdict.FAIL, "Timed out, and was killed")
        assert process.wait(10) == -9


class Counting(Warden):
    """Counts how often the keeper was given its time anew."""

    began = 0

    def tick_began(self, wrapper: object) -> None:
        self.began += 1
        super().tick_began(wrapper)


def test_each_sweep_has_its_own_time_for_answers(alice: User, doorbells: Doorbells) -> None:
    warden = Counting(Board())
    Keeper("w", warden._board, warden).tick()
    assert warden.began == len(maintenance.SWEEPS)


@pytest.mark.parametrize("task", [tasks.sweep, tasks.fire_schedules])
def test_beat_s_tasks_are_on_the_board(doorbells: Doorbells, board: Board, task: "object") -> None:
    assert board.shown() == []
    task()  # type: ignore[operator]
    (doing,) = board.shown()
    assert doing.task_since == 0


def test_a_shadow_s_lease_is_as_old_as_the_run_s_and_what_comes_after_is_not(board: Board) -> None:
    with interrupts.in_task():
        asked_at = interrupts.asked_at()
        with interrupts.interruptible(None, "run", 1):
            pass
        between = interrupts.asked_at()
        with interrupts.interruptible(None, "run", 1, asked_at=asked_at):
            assert board.shown()[0].task_since == asked_at
        assert asked_at < between <= board.shown()[0].task_since
