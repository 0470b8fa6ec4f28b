"""A Celery worker's parent process: what starts with it, and the keeper, its thread that speaks with PostgreSQL.

It renews leases, gives what dead processes held to others, and sweeps. It lives in the parent because a busy
component must not lose its lease, and a dead one must be noticed. Its sister, the warden, needs no database.
"""

import logging
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from billiard.process import current_process
from celery.concurrency import get_implementation
from celery.concurrency.thread import TaskPool
from celery.signals import (
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)
from celery.worker.consumer import Consumer
from django.conf import settings
from django.db import Error, connection, connections

from core import log_context, tracing
from core.connections import tick_failed
from core.ids import new_id
from core.metrics_sending import sender as metrics
from executions import conclude, failpoints, interrupts, limits, maintenance
from executions.interrupts import Board, Doing
from executions.passes import see_to_each
from executions.threads import ThreadPool, ThreadWarden
from executions.transitions import sweeping, workers
from executions.transitions.statements import Holder, patient_for
from executions.warden import Verdict, Warden
from workflows.components import registry
from workflows.components.base import Kind

logger = logging.getLogger(__name__)

# What the engine's messages were sent to in releases with one queue; what is left there is still served.
_LEGACY_QUEUE = "apg"

# Exit status of a worker that ended because of threads that did not come back (EX_TEMPFAIL).
_REPLACED = 75
# For what is still held when the pool has ended; `stop_threads` waits a little longer.
_LEAVE_SECONDS = 4.0

_name = ""
_queues: tuple[str, ...] = tuple(Kind)


def holder() -> Holder:
    """Who this process is: the name its parent took before it forked, its own pid, and the queues it serves.

    A thread among others gives its own id, unique among those of processes too.
    """
    return Holder(_name or f"{platform.node()}:{os.getpid()}", threading.get_native_id(), _queues)


def _may_work(pid: int, run: sweeping.LostRun, shown: Sequence[Doing]) -> bool:
    """Whether a process that lives may be at a run that it holds, and has not left it behind unrecorded.

    Not if it shows that it is idle, or in another's component. Should it claim the run a moment later, as one that
    waited, the claim brings a lease.
    """
    mine = [doing for doing in shown if doing.pid == pid]
    return not mine or any(doing.task_since and doing.run_id in {"", run.key.run_id} for doing in mine)


def _for_each(
    held: Sequence[tuple[int, sweeping.LostRun]],
    see_to: Callable[[int, sweeping.LostRun], None],
    seconds: float | None = None,
) -> None:
    if held:
        with patient_for(maintenance.LOCK_SECONDS):
            see_to_each(
                "lost", held, lambda pair: see_to(*pair), whose=lambda pair: pair[1].key.execution_id, seconds=seconds
            )


class Keeper(threading.Thread):
    """Ticks until stopped; a tick that fails is logged and the next one tries again."""

    def __init__(self, name: str, board: Board, warden: Warden) -> None:
        super().__init__(name="keeper", daemon=True)
        self.worker_name = name
        self.board = board
        self.warden = warden
        self.stopping = threading.Event()
        self._types = [component.type for component in registry.all_types()]

    def run(self) -> None:
        wrapper = connections["default"]
        while not self.stopping.wait(settings.ENGINE["TICK_SECONDS"]):
            try:
                self.warden.tick_began(wrapper)
                self.tick()
            except Exception as error:
                tick_failed("Keeper", error)
            finally:
                self.warden.tick_ended()
        self._leave()

    def tick(self) -> None:
        """Renew what living processes work on, see to what dead ones held and to what must stop, and sweep."""
        self._renew_if_due()
        before = self.board.working()
        held = sweeping.held_by(self.worker_name)
        mine = {(pid, run.key.run_id, run.key.attempt): run for pid, run in held}
        for doing in before:
            if not doing.run_id or self.board.read(doing.place) != doing:
                continue
            run = mine.get((doing.pid, doing.run_id, doing.attempt))
            if run is None:
                # It was in its component before and after the question, so somebody else holds the run by now.
                self.warden.let_go(doing, settings.ENGINE["KILL_SECONDS"])
            elif run.stop:
                self.warden.let_go(doing, settings.ENGINE["CANCEL_SECONDS"])
        _for_each([(pid, run) for pid, run in held if not self.warden.lives(pid, run.key)], self._see_to_dead)
        self.warden.forget({pid for pid, _ in held})
        for name in maintenance.SWEEPS:
            self.warden.tick_began(connections["default"])
            maintenance.sweep_one(name)
            self._renew_if_due()

    def _renew_if_due(self) -> None:
        """Between sweeps too, however long they take."""
        asked_at = time.monotonic()
        if self.warden.has_renewed and asked_at - self.warden.renewed_at < settings.ENGINE["RENEW_SECONDS"]:
            return
        held, shown = sweeping.held_by(self.worker_name), self.board.shown()
        alive = [run.key.run_id for pid, run in held if self.warden.lives(pid, run.key) and _may_work(pid, run, shown)]
        sweeping.renew(self.worker_name, alive)
        self.warden.renewed(asked_at)
        workers.beat(self.worker_name, self._types, list(_queues), self.warden.capacity())

    def _see_to_dead(self, pid: int, run: sweeping.LostRun) -> None:
        # Asked again: a thread may have come back since, while others were seen to.
        if not self.warden.lives(pid, run.key):
            self._see_to(pid, run)

    def _see_to(self, pid: int, run: sweeping.LostRun) -> None:
        """A process died while it held a run: by itself, or by the warden's hand."""
        killed = self.warden.verdicts.get(pid)
        if killed is None and not self.board.draining:
            conclude.rescue(run, "The worker process died; trying again")
        elif killed is None or killed.verdict is Verdict.RELEASE or killed.run_id != run.key.run_id:
            conclude.let_go(run, killed.message if killed else "The worker stopped; trying again")
        else:
            conclude.fail_lost(run, {"code": str(killed.code), "message": killed.message})

    def _leave(self) -> None:
        """The pool has ended, and whatever it left is given back; what a thread is still at is others' by its lease."""
        try:
            held, shown = sweeping.held_by(self.worker_name), self.board.shown()
            known = {doing.pid for doing in shown}
            left = [
                (pid, run) for pid, run in held
                if pid not in known or not self.warden.lives(pid, run.key) or not _may_work(pid, run, shown)
            ]  # fmt: skip
            _for_each(left, self._give_back, _LEAVE_SECONDS)
            workers.leave(self.worker_name)
        except Error as error:
            logger.warning("Keeper cannot say goodbye: %s", type(error).__name__)
        finally:
            connection.close()

    def _give_back(self, pid: int, run: sweeping.LostRun) -> None:
        if pid in self.warden.verdicts:
            # Ended for its own doing a moment ago, and no tick has come since.
            self._see_to(pid, run)
        else:
            conclude.let_go(run, "The worker stopped; trying again")


_board: Board | None = None
_keeper: Keeper | None = None
_warden: Warden | None = None


@worker_init.connect
def prepare_parent(sender: Any, **_: Any) -> None:
    """Before the pool forks, so that its processes know whose children they are, and which queues they serve.

    `sender` is Celery's WorkController, whose stubs lack most of it.
    """
    global _name, _board, _queues  # noqa: PLW0603 - one worker a process
    consumed = sender.app.amqp.queues
    _queues = tuple(kind for kind in Kind if kind in consumed.consume_from)
    if not _queues:
        sys.exit(f"-Q names none of the queues {', '.join(Kind)}")
    if Kind.DEFAULT in _queues and not settings.AMQP_URL:
        consumed.select_add(_LEGACY_QUEUE)
    sizes = [sender.concurrency, *(sender.options.get("autoscale") or ())]
    most = max((size for size in sizes if isinstance(size, int)), default=0)
    if most > interrupts.SLOTS:
        sys.exit(f"A worker has {interrupts.SLOTS} processes or threads at most, not {most}: start several workers")
    threads = issubclass(get_implementation(sender.pool_cls), TaskPool)
    if threads:
        if _queues != (Kind.IO,):
            sys.exit(f"A worker of threads serves the queue io alone, not {', '.join(_queues)}: start it with -Q io")
        sender.pool_cls = ThreadPool
        failpoints.reload()
    _name = log_context.worker = f"{platform.node()}:{os.getpid()}:{new_id()[-8:]}"
    _board = interrupts.open_board(threads=threads)
    limits.adopt_orphans()


@worker_process_init.connect
def prepare_child(**_: Any) -> None:
    """In each pool process: its place on the board, signals that stop a component, limits."""
    # Celery numbers the places of its pool; the stubs do not know.
    interrupts.install(current_process().index)  # type: ignore[attr-defined]
    limits.install()
    failpoints.reload()


@worker_process_shutdown.connect
def leave_child(**_: Any) -> None:
    """A pool process ends: what it has to tell is sent."""
    metrics.send()
    tracing.close()


@worker_ready.connect
def start_threads(sender: Consumer, **_: Any) -> None:
    """Once the worker consumes; again after each reconnection to the broker, when they run already."""
    global _keeper, _warden  # noqa: PLW0603
    if _keeper is not None or _board is None:
        return
    if isinstance(sender.pool, ThreadPool):
        _warden = sender.pool.warden = ThreadWarden(_board, sender.pool.limit)
    else:
        _warden = Warden(_board)
    _keeper = Keeper(_name, _board, _warden)
    _keeper.start()
    _warden.watch(_keeper)
    _warden.start()
    metrics.keep_sending()
    # On SIGQUIT Celery kills its pool before it says that it shuts down.
    quit_at_once = signal.getsignal(signal.SIGQUIT)

    def drain_and_quit(number: int, frame: FrameType | None) -> None:
        drain()
        if callable(quit_at_once):
            quit_at_once(number, frame)

    signal.signal(signal.SIGQUIT, drain_and_quit)


@worker_shutting_down.connect
def drain(**_: Any) -> None:
    """SIGTERM and its like; runs in the signal's handler, so it only leaves word."""
    if _board is not None:
        _board.draining = True
    if _warden is not None:
        _warden.drain()


@worker_shutdown.connect
def stop_threads(**_: Any) -> None:
    """After the pool has drained: running components needed their leases until then."""
    if _keeper is not None and _warden is not None:
        _warden.stopping.set()
        _keeper.stopping.set()
        _keeper.join(timeout=5)
        _warden.join(timeout=5)
    metrics.send()
    tracing.close()
    if isinstance(_warden, ThreadWarden) and (_warden.has_threads_left() or _warden.replaced):
        # The interpreter would wait for threads that do not come back.
        logging.shutdown()
        os._exit(_REPLACED if _warden.replaced else 0)
