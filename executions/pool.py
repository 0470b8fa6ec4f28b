"""Celery's process pool, taught three things: to know its own processes from adopted ones, to replace one that asks
for it between two tasks, and to look after dead ones every second instead of every five.
"""

import os
import sys
import threading
from typing import Any

from billiard.pool import EX_RECYCLE
from celery.concurrency.asynpool import AsynPool
from celery.concurrency.asynpool import Worker as AsynWorker
from celery.concurrency.prefork import TaskPool

from core.metrics_sending import sender
from executions import limits

_IDLE_SECONDS = 0.5

_lock = threading.Lock()
_pids: set[int] = set()


class PoolWorker(AsynWorker):
    """A pool process; asked before each task whether it should be replaced."""

    def _make_child_methods(self, *args: Any) -> None:
        super()._make_child_methods(*args)  # type: ignore[misc]  # billiard's stubs do not have it
        reader: Any = self.inq._reader  # type: ignore[attr-defined]  # as above
        wait: Any = self.wait_for_job  # type: ignore[has-type]

        def wait_or_leave(*args: Any) -> Any:
            if limits.must_be_replaced():
                # Not a bare SystemExit: the pool's own `sys.exit` keeps the code that its parent looks for.
                sys.exit(EX_RECYCLE)
            sender.send_if_due()
            if sender.has_more and not reader.poll(_IDLE_SECONDS):
                # Nothing to do: what was counted need not wait for the next task.
                sender.send()
            return wait(*args)

        self.wait_for_job = wait_or_leave


class Pool(AsynPool):
    """Records each process before anybody can take it for a stray."""

    Worker = PoolWorker

    def _create_worker_process(self, i: int) -> Any:
        with _lock:
            process = super()._create_worker_process(i)  # type: ignore[misc]  # as above
            _pids.intersection_update({other.pid for other in self._pool})  # type: ignore[attr-defined]
            _pids.add(process.pid)
        return process

    @property
    def timers(self) -> dict[Any, float]:
        """What Celery's event loop calls, and how often."""
        return {self.maintain_pool: 1.0}


class ComponentPool(TaskPool):
    """The setting `worker_pool`."""

    Pool = Pool


def pids() -> set[int]:
    """The pool's processes, in its parent; one that died stays in it until it is replaced."""
    with _lock:
        return set(_pids)


def strays() -> list[int]:
    """Children of this process that the pool did not make."""
    with _lock:
        return [pid for pid in limits.children(os.getpid()) if pid not in _pids]
