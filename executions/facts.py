"""What the engine's tables say of its work at this moment, for metrics; each is a look into small partial indexes."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count
from django.db.models.functions import Now

from core import measures
from core.ages import age_of_oldest, in_seconds
from core.metrics import Sample
from executions.models import ComponentRun, Execution, MaintenanceMode, Worker
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
        yield measures.EXECUTIONS.sample(found.get(status, 0), str(status))


def queue() -> Iterator[Sample]:
    """How many runs want a worker, by queue and priority; within the index of the queue."""
    rows = ComponentRun.objects.in_queue().order_by().values_list("queue", "priority")
    for name, priority, count in rows.annotate(count=Count("*")):
        yield measures.QUEUE_DEPTH.sample(count, name, str(priority))


def oldest_queued() -> Iterator[Sample]:
    """How long the longest of each queue has; a look at each run."""
    rows = ComponentRun.objects.in_queue().order_by().values_list("queue")
    found = dict(rows.annotate(age=age_of_oldest("changed_at")))
    for name in Kind:
        yield measures.QUEUE_OLDEST_SECONDS.sample(in_seconds(found.get(name)), str(name))


def runs() -> Iterator[Sample]:
    """Runs that run, wait for something, or are held."""
    running = ComponentRun.objects.filter(status=RunStatus.RUNNING).count()
    yield measures.RUNS.sample(running, "running")
    yield measures.RUNS.sample(ComponentRun.objects.filter(status=RunStatus.WAITING).count(), "waiting")
    yield measures.RUNS.sample(ComponentRun.objects.filter(status=RunStatus.QUEUED, held=True).count(), "held")
    # A process holds one run at a time.
    yield measures.BUSY_PROCESSES.sample(running)


def workers() -> Iterator[Sample]:
    """Those that live, their processes, and how many serve each queue."""
    alive = list(Worker.objects.filter(heartbeat_at__gte=Now() - HEARTBEAT_LATE).values_list("processes", "queues"))
    yield measures.WORKERS.sample(len(alive))
    yield measures.WORKER_PROCESSES.sample(sum(processes for processes, _ in alive))
    for name in Kind:
        yield measures.QUEUE_WORKERS.sample(sum(name in queues for _, queues in alive), str(name))


def maintenance() -> Iterator[Sample]:
    """Whether new executions are held back."""
    yield measures.MAINTENANCE.sample(MaintenanceMode.objects.filter(held=True).count())


def schedules() -> Iterator[Sample]:
    """Those with a slot that is due: many for long means that nobody fires them."""
    due = Trigger.objects.filter(live=True, paused_at__isnull=True, next_at__isnull=False, next_at__lte=Now())
    found = due.aggregate(count=Count("*"), age=age_of_oldest("next_at"))
    yield measures.SCHEDULES_DUE.sample(found["count"])
    yield measures.SCHEDULE_DUE_SECONDS.sample(in_seconds(found["age"]))
