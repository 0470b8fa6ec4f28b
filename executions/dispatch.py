"""Names this app's task and sends its messages: doorbells of (run id, attempt), best effort, after commit.

A message that is lost, late or doubled costs nothing: the run's row decides, and a sweep rings again.
"""

import logging
from collections.abc import Sequence
from functools import partial

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from executions.failpoints import failpoint
from executions.transitions.statements import QueuedRun

logger = logging.getLogger(__name__)

RUN_COMPONENT = "executions.run_component"


def broker_priority(priority: int) -> int:
    """The contract's 1–10 (10 the most urgent) as Redis's 0–9 (0 is served first)."""
    return 10 - priority


def ring_on_commit(runs: Sequence[QueuedRun]) -> None:
    """Send the messages once the caller's transaction has committed; at once where there is none."""
    if runs:
        transaction.on_commit(partial(ring, runs), robust=True)


def ring(runs: Sequence[QueuedRun]) -> None:
    """Send one message for each run. A broker that is away is logged and left to the sweep."""
    try:
        with current_app.producer_pool.acquire(block=True, timeout=2) as producer:
            for run in runs:
                current_app.send_task(
                    RUN_COMPONENT,
                    args=(run.run_id, run.attempt),
                    priority=broker_priority(run.priority),
                    producer=producer,
                )
                failpoint("mid_fan_out")
    except (OperationalError, OSError, TimeoutError) as error:
        logger.warning(
            "Messages not sent, the sweep will ring again: %s",
            type(error).__name__,
            extra={"action": "ring_failed"},
        )
