"""Celery's entry points: ids in, one call, no result."""

from celery import shared_task

from core.connections import drop_dead_connections
from webhooks import maintenance, runner
from webhooks import worker as worker  # its signals start the courier


@shared_task(name="webhooks.serve")
def serve(webhook_id: str) -> None:
    """A doorbell: somebody deliver what is due of this webhook. Stale and doubled ones end at once."""
    drop_dead_connections()
    runner.serve(webhook_id)


@shared_task(name="webhooks.sweep")
def sweep() -> None:
    """Beat's tick. Every worker's courier does the same by itself, so a dead beat stops nothing."""
    drop_dead_connections()
    maintenance.sweep()
    maintenance.tell()
