"""What the engine's tables say of its work at this moment, for metrics; each is a look into small partial indexes."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Max, Min, Sum
from django.db.models.functions import Now

from core import measures
from core.metrics import Sample
from executions.models import ComponentRun, Execution, Worker
from executions.states import ExecutionStatus, RunStatus
from workflows.components.base import Kind
from workflows.models import Trigger

HEARTBEAT_LATE = timedelta(seconds=15)
_OPEN = (ExecutionStatus.PENDING, ExecutionStatus.QUEUED, ExecutionStatus.RUNNING)


def executions() -> Iterator[Sample]:
    """Those that have not ended, by status."""
    rows = Execution.objects.filter(status__in=_OPEN).order_by().values_list("status")
    found = dict(rows.annotate(count=Count("*")))
    for status in _OPEN:
        yield measures.EXECUTIONS.sample(found.get(status, 0), status)


def queue() -> Iterator[Sample]:
    """How many runs want a worker, by queue and priority, and how long the longest of each queue has."""
    rows = ComponentRun.objects.in_queue().order_by().values_list("queue", "priority")
    oldest = dict.fromkeys(map(str, Kind), 0.0)
    for name, priority, count, since, now in rows.annotate(count=Count("*"), since=Min("changed_at"), now=Max(Now())):
        yield measures.QUEUE_DEPTH.sample(count, name, str(priority))
        oldest[name] = max(oldest.get(name, 0.0), (now - since).total_seconds())
    for name, seconds in oldest.items():
        yield measures.QUEUE_OLDEST_SECONDS.sample(seconds, name)


def runs() -> Iterator[Sample]:
    """Runs that run, wait for something, or are held."""
    running = ComponentRun.objects.filter(status=RunStatus.RUNNING).count()
    yield measures.RUNS.sample(running, "running")
    yield measures.RUNS.sample(ComponentRun.objects.filter(status=RunStatus.WAITING).count(), "waiting")
    yield measures.RUNS.sample(ComponentRun.objects.filter(status=RunStatus.QUEUED, held=True).count(), "held")
    # A process holds one run at a time.
    yield measures.BUSY_PROCESSES.sample(running)


def workers() -> Iterator[Sample]:
    """Those that live, and their processes."""
    alive = Worker.objects.filter(heartbeat_at__gte=Now() - HEARTBEAT_LATE)
    found = alive.aggregate(count=Count("*"), processes=Sum("processes", default=0))
    yield measures.WORKERS.sample(found["count"])
    yield measures.WORKER_PROCESSES.sample(found["processes"])


def schedules() -> Iterator[Sample]:
    """Those with a slot that is due: many for long means that nobody fires them."""
    due = Trigger.objects.filter(live=True, paused_at__isnull=True, next_at__isnull=False, next_at__lte=Now())
    found = due.aggregate(count=Count("*"), since=Min("next_at"), now=Max(Now()))
    yield measures.SCHEDULES_DUE.sample(found["count"])
    late = (found["now"] - found["since"]).total_seconds() if found["count"] else 0.0
    yield measures.SCHEDULE_DUE_SECONDS.sample(late)
