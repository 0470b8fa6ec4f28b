"""A worker of threads, for components that wait for others: its pool, and the warden that looks after it.

A thread cannot be killed. What does not let go at a checkpoint is abandoned: its run is given to others or fails, its
late result is refused by its attempt, and its thread is lost until it returns. A worker that has lost too many drains
and ends, and whoever supervises it starts another.
"""

import logging
import os
import signal
import time
from typing import Any

from celery.concurrency.thread import TaskPool
from django.conf import settings

from executions.interrupts import Board, Doing
from executions.transitions.statements import RunKey
from executions.warden import Warden, die

logger = logging.getLogger(__name__)

# Of all threads: with more of them abandoned the worker is replaced.
_LOST_SHARE = 4


class ThreadPool(TaskPool):
    """Celery's pool of threads, taught to stop without those that never return."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.warden: ThreadWarden | None = None

    def terminate_job(self, pid: int, signal: Any = None) -> None:
        """Nothing: on SIGQUIT the process ends, and its threads with it."""

    def on_stop(self) -> None:
        """After SIGTERM: until the last thread that can end has ended; the warden sees to it that they do."""
        self.executor.shutdown(wait=False, cancel_futures=True)  # type: ignore[attr-defined]  # unknown to the stubs
        while self.warden is not None and self.warden.is_busy():
            time.sleep(0.05)


class ThreadWarden(Warden):
    """Tells threads to let go, and abandons those that do not."""

    def __init__(self, board: Board, threads: int) -> None:
        super().__init__(board)
        self.replaced = False
        self._threads = threads
        self._abandoned: dict[int, Doing] = {}

    def is_busy(self) -> bool:
        """Whether a thread works on a task that is not given up."""
        return any(doing.pid not in self._abandoned for doing in self._board.working())

    def has_threads_left(self) -> bool:
        """Whether a thread works at all, so that the process could not end by itself."""
        return bool(self._board.working())

    def capacity(self) -> int:
        """Threads that come back."""
        return self._threads - len(self._abandoned)

    def lives(self, pid: int, key: RunKey) -> bool:
        """Whether a thread that holds a run may still end it."""
        given_up = self._abandoned.get(pid)
        if given_up is None:
            return True
        return bool(given_up.run_id) and (given_up.run_id, given_up.attempt) != (key.run_id, key.attempt)

    def forget(self, holding: set[int]) -> None:
        """Nothing: a verdict goes when its thread comes back."""

    def look(self) -> None:
        """See to every thread once."""
        for thread, doing in list(self._abandoned.items()):
            now = self._board.read(doing.place)
            if (now.run_id, now.attempt, now.task_since) != (doing.run_id, doing.attempt, doing.task_since):
                logger.info("Abandoned thread %s came back", thread, extra={"action": "thread_returned"})
                del self._abandoned[thread]
                self.verdicts.pop(thread, None)
        super().look()
        if len(self._abandoned) >= max(1, self._threads // _LOST_SHARE) and not self.replaced:
            self.replaced = True
            logger.error(
                "%s of %s threads do not come back: this worker drains and ends",
                len(self._abandoned),
                self._threads,
                extra={"action": "worker_replaced"},
            )
            os.kill(os.getpid(), signal.SIGTERM)

    def _working(self) -> list[Doing]:
        return [doing for doing in self._board.working() if doing.pid not in self._abandoned]

    def _tell(self, doing: Doing) -> None:
        self._board.mark(doing)

    def _lease_lost(self, doing: Doing) -> None:
        """Others may take it over before long, and only the end of the process stops what does not let go."""
        if not doing.run_id:
            return
        self.let_go(doing, settings.ENGINE["KILL_SECONDS"])
        if time.monotonic() > self._told[doing.pid, doing.run_id, doing.attempt]:
            die("Leases could not be renewed, and a component did not let go")

    def _end(self, doing: Doing) -> None:
        self._abandoned[doing.pid] = doing

    def _look_below(self, doing: Doing) -> None:
        """Which thread started a process is not known."""

    def _end_strays(self) -> None:
        """As above."""
