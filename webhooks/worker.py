"""The courier, a thread of the worker that sends webhooks: reads the ledger on, and sweeps."""

import os
import platform
import threading
import time
from typing import Any

from celery.signals import worker_ready, worker_shutdown
from django.conf import settings
from django.db import connection

from core import alive, log_context, tracing
from core.connections import tick_failed
from core.metrics_sending import sender
from webhooks import maintenance

_BEHIND_SECONDS = 0.03


class Courier(threading.Thread):
    """Ticks until stopped; a tick that fails is logged and the next one tries again."""

    def __init__(self) -> None:
        super().__init__(name="courier", daemon=True)
        self.stopping = threading.Event()
        self._swept_at = float("-inf")

    def run(self) -> None:
        pause = 0.0
        while not self.stopping.wait(pause):
            pause = settings.WEBHOOKS["TICK_SECONDS"]
            alive.touch()
            try:
                if self.tick():
                    # What is being written just now can be read in a moment.
                    pause = _BEHIND_SECONDS
            except Exception as error:
                tick_failed("Courier", error)
        connection.close()

    def tick(self) -> bool:
        """Sweep if it is time, and tell what has happened; whether there is more to tell soon.

        An event that cannot be told fails every tick, and what has been told already does not wait for it.
        """
        if time.monotonic() - self._swept_at >= settings.WEBHOOKS["SWEEP_SECONDS"]:
            self._swept_at = time.monotonic()
            maintenance.sweep()
        return maintenance.tell()


_courier: Courier | None = None


@worker_ready.connect
def start_courier(**_: Any) -> None:
    """Once the worker consumes; again after each reconnection to the broker, when it runs already."""
    global _courier  # noqa: PLW0603 - one worker a process
    if _courier is None:
        log_context.worker = f"{platform.node()}:{os.getpid()}:webhooks"
        _courier = Courier()
        _courier.start()
        sender.keep_sending()


@worker_shutdown.connect
def stop_courier(**_: Any) -> None:
    """With the worker."""
    if _courier is not None:
        _courier.stopping.set()
        _courier.join(timeout=5)
        sender.send()
        tracing.close()
