"""Celery's entry points: ids and numbers in, one call, no result. All on the board, so that none waits for ever."""

from celery import shared_task

from core.connections import drop_dead_connections
from executions import maintenance, runner, triggers
from executions.interrupts import draining, in_task
from executions.worker import holder


@shared_task(name="executions.run_component")
def run_component(run_id: str, attempt: int) -> None:
    """A doorbell: somebody claim this attempt of this run. Stale and doubled ones end at once."""
    if draining():
        return
    with in_task():
        drop_dead_connections()
        runner.run_component(run_id, attempt, holder())


@shared_task(name="executions.sweep")
def sweep() -> None:
    """Beat's tick. Every worker sweeps by itself too, so a dead beat stops nothing."""
    with in_task():
        drop_dead_connections()
        maintenance.sweep()


@shared_task(name="executions.fire_schedules")
def fire_schedules() -> None:
    """Beat's tick for schedules, one of many: any number of beats fires each slot once."""
    with in_task():
        drop_dead_connections()
        triggers.fire_due()
