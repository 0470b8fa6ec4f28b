"""A Celery worker's keeper: a thread of the parent process that renews leases, sees dead children, and sweeps.

It lives in the parent because a busy component must not lose its lease, and a dead one must be noticed. Leases
run on PostgreSQL's clock; the only clock used here is the monotonic one of this process.
"""

import logging
import os
import platform
import signal
import threading
import time
from typing import Any

import psutil
from celery.signals import worker_init, worker_process_init, worker_ready, worker_shutdown
from django.conf import settings
from django.db import DatabaseError, connection

from core.ids import new_id
from executions import conclude, maintenance
from executions.interrupts import install, interrupt
from executions.models import Worker
from executions.transitions import sweeping
from executions.transitions.statements import Holder

logger = logging.getLogger(__name__)

_name = ""


def holder() -> Holder:
    """Who this process is: the name its parent took before it forked, and its own pid."""
    return Holder(_name or f"{platform.node()}:{os.getpid()}", os.getpid())


class Keeper(threading.Thread):
    """Ticks until stopped; a tick that fails is logged and the next one tries again."""

    def __init__(self, name: str) -> None:
        super().__init__(name="keeper", daemon=True)
        self.worker_name = name
        self.stopping = threading.Event()
        self._renewed_at = float("-inf")
        self._busy: list[int] = []

    def run(self) -> None:
        while not self.stopping.wait(settings.ENGINE["TICK_SECONDS"]):
            try:
                self.tick()
            except DatabaseError as error:
                # Whatever state the connection is in, the next tick opens a new one.
                connection.close()
                logger.warning("Keeper cannot reach PostgreSQL: %s", type(error).__name__)
                self._stop_before_lease_ends()
            except Exception:
                logger.exception("Keeper tick failed", extra={"action": "keeper_failed"})
        Worker.objects.filter(name=self.worker_name).delete()
        connection.close()

    def tick(self) -> None:
        """Renew what living children hold, rescue what dead ones held, then run every sweep once."""
        held = sweeping.held_by(self.worker_name)
        alive = {pid for pid, _ in held if _is_alive(pid)}
        if time.monotonic() - self._renewed_at >= settings.ENGINE["RENEW_SECONDS"]:
            over = sweeping.renew(self.worker_name, sorted(alive))
            self._renewed_at = time.monotonic()
            self._beat()
            for pid in over:
                interrupt(pid)
        self._busy = sorted(alive)
        for pid, run in held:
            if pid not in alive:
                conclude.rescue(run, "The worker process died; trying again")
        maintenance.sweep()

    def _beat(self) -> None:
        Worker.objects.bulk_create(
            [Worker(name=self.worker_name)],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["heartbeat_at"],
        )

    def _stop_before_lease_ends(self) -> None:
        """Without renewals for two thirds of a lease another worker may soon take over: stop the components."""
        if time.monotonic() - self._renewed_at < settings.ENGINE["LEASE_SECONDS"] * 2 / 3:
            return
        for pid in self._busy:
            logger.error("Stopping process %s: its lease cannot be renewed", pid, extra={"action": "lease_lost"})
            os.kill(pid, signal.SIGKILL)
        self._busy = []


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


_keeper: Keeper | None = None


@worker_init.connect
def take_name(**_: Any) -> None:
    """Before the pool forks, so that its processes know whose children they are."""
    global _name  # noqa: PLW0603 - one worker a process
    _name = f"{platform.node()}:{os.getpid()}:{new_id()[-8:]}"


@worker_process_init.connect
def prepare_child(**_: Any) -> None:
    """In each pool process: signals that stop a component."""
    install()


@worker_ready.connect
def start_keeper(**_: Any) -> None:
    """Once the worker consumes."""
    global _keeper  # noqa: PLW0603
    _keeper = Keeper(_name)
    _keeper.start()


@worker_shutdown.connect
def stop_keeper(**_: Any) -> None:
    """After the pool has drained: running components needed their leases until then."""
    if _keeper is not None:
        _keeper.stopping.set()
        _keeper.join(timeout=5)
