"""The janitor, a thread of a worker's parent process that prunes what is old; of many workers, one at a time."""

import random
import threading
import time
from typing import Any

from celery.signals import worker_ready, worker_shutdown
from django.conf import settings
from django.db import connection

from config import retention
from core.connections import tick_failed


class Janitor(threading.Thread):
    """Takes turns until stopped; a turn that fails is logged and the next one tries again."""

    def __init__(self) -> None:
        super().__init__(name="janitor", daemon=True)
        self.stopping = threading.Event()

    def run(self) -> None:
        # Workers that start together do not all look at once.
        pause = random.uniform(0.1, 1) * settings.RETENTION["TICK_SECONDS"]  # noqa: S311 - spreads load
        while not self.stopping.wait(pause):
            pause = settings.RETENTION["TICK_SECONDS"]
            began = time.monotonic()
            try:
                if self.tick().more:
                    # As long as it worked: pruning has half of one connection's time at the most.
                    pause = time.monotonic() - began
            except Exception as error:
                tick_failed("Janitor", error)
        connection.close()

    def tick(self) -> retention.Turn:
        """One turn, cut short by the worker's end."""
        return retention.take_turn(seconds=settings.RETENTION["TURN_SECONDS"], pause=self.stopping.wait)


_janitor: Janitor | None = None


@worker_ready.connect
def start_janitor(**_: Any) -> None:
    """Once the worker consumes; again after each reconnection to the broker, when it runs already."""
    global _janitor  # noqa: PLW0603 - one worker a process
    if _janitor is None:
        _janitor = Janitor()
        _janitor.start()


@worker_shutdown.connect
def stop_janitor(**_: Any) -> None:
    """With the worker."""
    if _janitor is not None:
        _janitor.stopping.set()
        _janitor.join(timeout=5)
