"""Stopping a component in the middle, and the board on which a worker's processes show what they are doing.

An interrupt is a signal to the pool process's main thread. It raises only inside `interruptible`, so never in the
engine's own statements, and only for the attempt that it was meant for. Code that swallows it, or holds the
interpreter in C, is not reached this way: the worker's parent reads the board and kills the process.

The board is memory shared by a parent and the processes that it forks: no query and no clock of another machine
stands between a deadline and its kill. Each process writes its own slot; the parent writes whom an interrupt is for.

In a worker of threads each thread has a slot. No signal reaches a thread: a component that waits for others calls
`checkpoint`, which raises in its stead.
"""

import itertools
import mmap
import os
import signal
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

INTERRUPT_SIGNAL = signal.SIGUSR2
SLOTS = 1024

# pid, attempt, since when in a task outside of components, deadline (both monotonic, 0: none), the run's id as text.
_SLOT = struct.Struct("=iidd32s")
# What the parent wants interrupted: attempt, run.
_TARGET = struct.Struct("=i32s")
# Of the worker's leases, both monotonic: when they were renewed, and since when that goes well.
_LEASES = struct.Struct("=dd")
_LEASES_AT = 8
_SIZE = 128
_HEADER = 64
assert _SLOT.size + _TARGET.size <= _SIZE


class DeadlineReached(BaseException):
    """The component's `timeout_seconds` passed."""


class Interrupted(BaseException):
    """The worker wants the component to let go: its execution is over, the worker stops, or lost the run."""


class Doing(NamedTuple):
    """What a pool process does: with a `run_id`, that attempt's component; else, since `task_since`, what goes with it.

    `pid` is the thread's own id in a worker of threads. Times are of the monotonic clock, 0 where there is none.
    What it holds in a component it asked for after `task_since`; while it records one, that is when this ended.
    """

    place: int
    pid: int
    attempt: int
    task_since: float
    deadline: float
    run_id: str


class Board:
    """The shared memory of one worker; made before its processes are forked."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _HEADER + SLOTS * _SIZE)

    @property
    def draining(self) -> bool:
        """Whether the worker was told to stop: nothing new is claimed."""
        return self._memory[0] == 1

    @draining.setter
    def draining(self, value: bool) -> None:
        self._memory[0] = int(value)

    @property
    def leases(self) -> tuple[float, float]:
        """(when they were renewed, since when that goes well), both 0 in what is no worker."""
        renewed_at, back_at = _LEASES.unpack_from(self._memory, _LEASES_AT)
        return renewed_at, back_at

    @leases.setter
    def leases(self, value: tuple[float, float]) -> None:
        _LEASES.pack_into(self._memory, _LEASES_AT, *value)

    def write(self, doing: Doing) -> None:
        """What the process in this slot does from now on."""
        facts = (doing.pid, doing.attempt, doing.task_since, doing.deadline, doing.run_id.encode())
        _SLOT.pack_into(self._memory, _offset(doing.place), *facts)

    def read(self, place: int) -> Doing:
        """What the process in a slot does; never half of what it wrote."""
        while True:
            first = _SLOT.unpack_from(self._memory, _offset(place))
            if first == _SLOT.unpack_from(self._memory, _offset(place)):
                break
        pid, attempt, task_since, deadline, run_id = first
        return Doing(place, pid, attempt, task_since, deadline, run_id.rstrip(b"\0").decode())

    def shown(self) -> list[Doing]:
        """What every process does that has taken its slot, in a task or not."""
        found = []
        for place in range(SLOTS):
            doing = self.read(place)
            if not doing.pid:
                # Slots are taken from the first on.
                break
            found.append(doing)
        return found

    def working(self) -> list[Doing]:
        """What the processes in a task do; one that died in it stays here until its place is taken."""
        return [doing for doing in self.shown() if doing.task_since]

    def mark(self, doing: Doing) -> None:
        """Tell this attempt to let go at its next checkpoint."""
        _TARGET.pack_into(self._memory, _offset(doing.place) + _SLOT.size, doing.attempt, doing.run_id.encode())

    def interrupt(self, doing: Doing) -> None:
        """Interrupt this attempt, if the process is still in it; nothing happens otherwise."""
        self.mark(doing)
        try:
            os.kill(doing.pid, INTERRUPT_SIGNAL)
        except ProcessLookupError:
            return

    def is_target(self, doing: Doing) -> bool:
        """Whether the last interrupt of the slot was meant for this attempt."""
        attempt, run_id = _TARGET.unpack_from(self._memory, _offset(doing.place) + _SLOT.size)
        return bool(doing.run_id and attempt == doing.attempt and run_id.rstrip(b"\0").decode() == doing.run_id)


def _offset(place: int) -> int:
    return _HEADER + place * _SIZE


class _Here(threading.local):
    """What this thread does, and whether it is inside `interruptible`; signal handlers run in the main thread."""

    doing = Doing(0, 0, 0, 0.0, 0.0, "")
    inside = False


_board: Board | None = None
_here = _Here()
# The slots of a worker of threads; None in one of processes.
_places: "itertools.count[int] | None" = None


def open_board(*, threads: bool = False) -> Board:
    """Make the board; in the parent, before it forks. With `threads`, each thread takes a slot with its first task."""
    global _board, _places  # noqa: PLW0603 - one worker a process
    _board = Board()
    _places = itertools.count() if threads else None
    return _board


def install(place: int) -> None:
    """Set the handlers and take the slot; once in each pool process, from its main thread."""
    signal.signal(signal.SIGALRM, _on_deadline)
    signal.signal(INTERRUPT_SIGNAL, _on_interrupt)
    _show(Doing(place, os.getpid(), 0, 0.0, 0.0, ""))


def draining() -> bool:
    """Whether this process's worker was told to stop."""
    return _board is not None and _board.draining


def may_judge_others(lease_seconds: float) -> bool:
    """Whether leases that have passed say that those who held them are gone; true in what is no worker.

    Not while this worker cannot renew its own, and not for a third of a lease afterwards: the others were cut off as
    well, and each knows by itself why what it held ended.
    """
    if _board is None:
        return True
    now = time.monotonic()
    renewed_at, back_at = _board.leases
    return not renewed_at or (now < renewed_at + lease_seconds * 2 / 3 and now > back_at + lease_seconds / 3)


@contextmanager
def in_task() -> Iterator[None]:
    """Show that this process, or this thread, works on a task."""
    if _places is not None and not _here.doing.pid:
        _show(Doing(next(_places), threading.get_native_id(), 0, 0.0, 0.0, ""))
    _show(_here.doing._replace(task_since=time.monotonic()))
    try:
        yield
    finally:
        _show(_here.doing._replace(task_since=0.0))


def asked_at() -> float:
    """The monotonic time after which this process asked for the run that it has not begun; 0 outside of a task."""
    return _here.doing.task_since


def asked_again(at: float) -> None:
    """What this process does counts from this monotonic time on, as if it had asked then; nothing outside of a task."""
    if _here.doing.task_since:
        _show(_here.doing._replace(task_since=at))


@contextmanager
def interruptible(
    timeout_seconds: float | None, run_id: str = "", attempt: int = 0, *, asked_at: float = 0.0
) -> Iterator[None]:
    """Let a deadline and an interrupt end the block. Raises DeadlineReached or Interrupted out of it.

    `asked_at` is when the run was asked for, if something else of it ran here before.
    """
    timed = timeout_seconds is not None and threading.current_thread() is threading.main_thread()
    process = os.getpid()
    deadline = time.monotonic() + timeout_seconds if timeout_seconds is not None else 0.0
    task_since = asked_at or _here.doing.task_since
    _show(_here.doing._replace(run_id=run_id, attempt=attempt, deadline=deadline, task_since=task_since))
    _here.inside = True
    try:
        if timed and timeout_seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, timeout_seconds)
        yield
    finally:
        # First of all: a signal from here on must not raise in the engine's code.
        _here.inside = False
        if os.getpid() != process:
            # The component forked, and its copy must not go on as this process: it shares the connections.
            os._exit(0)
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
        task_since = time.monotonic() if _here.doing.task_since else 0.0
        _show(_here.doing._replace(run_id="", attempt=0, deadline=0.0, task_since=task_since))


def checkpoint() -> None:
    """Raise DeadlineReached or Interrupted where the attempt's time is up or it was told to let go."""
    here = _here
    if not here.inside:
        return
    if here.doing.deadline and time.monotonic() > here.doing.deadline:
        raise DeadlineReached
    if _board is not None and _board.is_target(here.doing):
        raise Interrupted


def _show(doing: Doing) -> None:
    _here.doing = doing
    if _board is not None and doing.pid:
        _board.write(doing)


def _on_deadline(signal_number: int, frame: FrameType | None) -> None:
    if _here.inside:
        raise DeadlineReached


def _on_interrupt(signal_number: int, frame: FrameType | None) -> None:
    if _here.inside and _board is not None and _board.is_target(_here.doing):
        raise Interrupted
