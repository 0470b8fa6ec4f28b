"""Stopping a component in the middle: its own deadline, and its worker's word that the execution is over.

Both are signals to the pool process's main thread, raised only inside `interruptible`, so never in the engine's
own statements. Code that holds the interpreter in C is not reached this way; its lease is.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPT_SIGNAL = signal.SIGUSR2


class DeadlineReached(BaseException):
    """The component's `timeout_seconds` passed."""


class Interrupted(BaseException):
    """The execution was cancelled, or ran into its own timeout."""


_inside = False


def install() -> None:
    """Set the handlers; once in each pool process, from its main thread."""
    signal.signal(signal.SIGALRM, _on_deadline)
    signal.signal(INTERRUPT_SIGNAL, _on_interrupt)


@contextmanager
def interruptible(timeout_seconds: float | None) -> Iterator[None]:
    """Let a deadline and an interrupt end the block. Raises DeadlineReached or Interrupted out of it."""
    global _inside  # noqa: PLW0603 - a signal handler knows only its process
    timed = timeout_seconds is not None and threading.current_thread() is threading.main_thread()
    _inside = True
    try:
        if timed and timeout_seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, timeout_seconds)
        yield
    finally:
        # First of all: a signal from here on must not raise in the engine's code.
        _inside = False
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)


def interrupt(pid: int) -> None:
    """Interrupt the component that a pool process runs; nothing happens if it runs none, or is gone."""
    try:
        os.kill(pid, INTERRUPT_SIGNAL)
    except ProcessLookupError:
        return


def _on_deadline(signal_number: int, frame: FrameType | None) -> None:
    if _inside:
        raise DeadlineReached


def _on_interrupt(signal_number: int, frame: FrameType | None) -> None:
    if _inside:
        raise Interrupted
