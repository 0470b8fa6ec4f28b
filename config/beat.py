"""Celery's beat without a file of its own: it may be killed, moved, and run twice."""

from datetime import timedelta
from typing import Any

from celery.beat import Scheduler

from core import alive

# More than the longest interval of the schedule.
_LONG_AGO = timedelta(days=1)


class StatelessScheduler(Scheduler):
    """The setting `beat_scheduler`: everything is due at the start, so a restart puts nothing off.

    What beat rings for is found by the workers' own sweeps as well, and done once however often it is rung for.
    """

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for entry in self.schedule.values():
            entry.last_run_at = entry.default_now() - _LONG_AGO

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """One round of beat's loop; seconds until the next."""
        alive.touch()
        return float(super().tick(*args, **kwargs))
