"""An interrupt reaches the attempt that it was meant for, and no other."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from executions import interrupts
from executions.interrupts import Board, DeadlineReached, Doing, Interrupted, in_task, interruptible
from tests.eventually import eventually


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """This process in the first slot of a board."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGALRM, interrupts.INTERRUPT_SIGNAL)}
    monkeypatch.setattr(interrupts, "_board", None)
    monkeypatch.setattr(interrupts, "_places", None)
    monkeypatch.setattr(interrupts, "_here", interrupts._Here())
    made = interrupts.open_board()
    interrupts.install(0)
    yield made
    for number, handler in handlers.items():
        signal.signal(number, handler)


def wait_for_signals() -> None:
    eventually(lambda: False, timeout=5, interval=0.001)


def test_the_board_shows_what_a_process_does(board: Board) -> None:
    assert board.working() == []
    with in_task():
        (doing,) = board.working()
        assert (doing.pid, doing.run_id, doing.deadline) == (os.getpid(), "", 0)
        with interruptible(60, "run", 3):
            (doing,) = board.working()
            assert (doing.run_id, doing.attempt) == ("run", 3)
            assert doing.deadline > time.monotonic()
        (doing,) = board.working()
        assert (doing.run_id, doing.deadline) == ("", 0)
    assert board.working() == []


def test_an_interrupt_raises_in_its_attempt(board: Board) -> None:
    with in_task(), pytest.raises(Interrupted), interruptible(None, "run", 1):
        board.interrupt(board.working()[0])
        wait_for_signals()


@pytest.mark.parametrize(("run_id", "attempt"), [("run", 2), ("other", 1)])
def test_an_interrupt_for_another_attempt_raises_nothing(board: Board, run_id: str, attempt: int) -> None:
    with in_task(), interruptible(None, run_id, attempt):
        meant = board.working()[0]
    with in_task(), interruptible(None, "run", 1):
        board.interrupt(meant)


def test_an_interrupt_outside_of_a_component_raises_nothing(board: Board) -> None:
    with in_task(), interruptible(None, "run", 1):
        meant = board.working()[0]
    board.interrupt(meant)


def test_a_deadline_raises_inside_and_not_after(board: Board) -> None:
    with pytest.raises(DeadlineReached), interruptible(0.01):
        wait_for_signals()
    with interruptible(60):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_draining_is_seen_by_all_who_share_the_board(board: Board) -> None:
    assert not interrupts.draining()
    board.draining = True
    assert interrupts.draining()


def test_an_interrupt_to_a_process_that_is_gone_is_nothing(board: Board) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    board.interrupt(Doing(0, pid, 1, 1.0, 0.0, "run"))
