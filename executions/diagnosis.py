"""Why an execution that has not ended waits, since when, and what happens next by itself (contract §7)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import BooleanField, Case, Q, QuerySet, Value, When
from django.db.models.functions import Now

from accounts.callers import Caller
from accounts.models import User
from core.types import JSONObject
from executions import admission, maintenance_mode, queries
from executions.models import ComponentRun, Execution, MaintenanceMode, Worker
from executions.states import ExecutionStatus, RunStatus, WaitingFor

MAX_RUNS = 100
MAX_HOLDERS = 20
_HEARTBEAT_LATE = timedelta(seconds=15)


class Reason(StrEnum):
    """Stable codes, the one that tells most of an execution first."""

    WORKER_LOST = "worker_lost"
    RUNNING_ON = "running_on"
    QUEUED_BEHIND = "queued_behind"
    NO_WORKER = "no_worker"
    MAINTENANCE = "maintenance"
    CONCURRENCY_LIMIT = "concurrency_limit"
    WAITING_UNTIL = "waiting_until"
    WAITING_FOR_CHILD = "waiting_for_child"
    WAITING_FOR_SIGNAL = "waiting_for_signal"
    SCHEDULED = "scheduled"


_ORDER = {reason: place for place, reason in enumerate(Reason)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason: since when it holds, what happens next by itself, and when, if that is known."""

    reason: Reason
    message: str
    since: datetime | None
    next: str
    next_at: datetime | None = None
    details: JSONObject = field(default_factory=dict)
    run: ComponentRun | None = None


def diagnose(execution: Execution, caller: Caller) -> list[Finding]:
    """Every reason why the execution has not ended, the most telling first; empty for one that has.

    Other executions are named where the caller sees them.
    """
    if execution.completed_at is not None:
        return []
    if execution.status == ExecutionStatus.PENDING:
        message = "It waits for its time"
        then = "It is queued, and starts as soon as a slot is free"
        return [Finding(Reason.SCHEDULED, message, execution.created_at, then, execution.scheduled_at)]
    if execution.admitted_at is None:
        mode = maintenance_mode.current()
        if mode.held and execution.parent_run_id is None:
            return [_held(execution, mode)]
        return [_without_slot(execution, queries.visible_to(caller))]
    found = sorted(_of_runs(execution, queries.visible_to(caller)), key=lambda finding: _ORDER[finding.reason])
    return found or [_between_moves(execution)]


def why_queued(run: ComponentRun) -> Finding:
    """Why a queued component run has not begun; its execution is read with it."""
    return _queued(run.execution, run, _live_workers())


def _live_workers() -> list[Worker]:
    return list(Worker.objects.filter(heartbeat_at__gte=Now() - _HEARTBEAT_LATE))


def _between_moves(execution: Execution) -> Finding:
    message = "Nothing of it runs or waits: a worker is about to record its end, or died before it did"
    return Finding(Reason.WORKER_LOST, message, None, "A sweep of any worker records its end within seconds")


def _held(execution: Execution, mode: MaintenanceMode) -> Finding:
    came = execution.scheduled_at or execution.created_at
    since = max(came, mode.since) if mode.since is not None else came
    message = "New executions are held: maintenance mode is on"
    then = "It starts, in its turn, when maintenance mode is switched off"
    details: JSONObject = {"message": mode.message, "queue_position": queries.queue_position(execution)}
    return Finding(Reason.MAINTENANCE, message, since, then, mode.until, details)


def _without_slot(execution: Execution, visible: QuerySet[Execution]) -> Finding:
    since = execution.scheduled_at or execution.created_at
    own = Execution.objects.none()
    if execution.concurrency_key is not None:
        own = Execution.objects.filter(
            workflow=execution.workflow_id,
            concurrency_key=execution.concurrency_key,
            admitted_at__isnull=False,
            completed_at=None,
        )
    limited = execution.concurrency_limit is not None and own.count() >= execution.concurrency_limit
    if limited or execution.parent_run_id is not None:
        details = _holders(own & visible, "workflow", execution.concurrency_limit)
        message = f"The workflow's own limit of {execution.concurrency_limit} executions at once is reached"
    else:
        user = User.objects.get(pk=execution.created_by_id)
        slots = admission.slots(user)
        admitted = Execution.objects.filter(
            created_by=user, admitted_at__isnull=False, completed_at=None, parent_run=None
        )
        details = _holders(admitted & visible, "account", slots)
        message = f"The account's tier allows {slots} executions at once"
    position = queries.queue_position(execution)
    then = "It starts when one of the holders ends" + (f", after {position - 1} others" if position > 1 else "")
    details["queue_position"] = position
    return Finding(Reason.CONCURRENCY_LIMIT, message, since, then, None, details)


def _holders(executions: QuerySet[Execution], scope: str, limit: int | None) -> JSONObject:
    ids = list(executions.order_by("admitted_at", "pk").values_list("pk", flat=True)[:MAX_HOLDERS])
    return {"scope": scope, "limit": limit, "holders": ids}


def _of_runs(execution: Execution, visible: QuerySet[Execution]) -> Iterator[Finding]:
    lost = Case(When(lease_until__lt=Now(), then=Value(True)), default=Value(False), output_field=BooleanField())
    active = [RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING]
    runs = (
        execution.runs.filter(status__in=active)
        .exclude(waiting_for=WaitingFor.ITEMS, status=RunStatus.WAITING)
        .annotate(lost=lost)
        .order_by("changed_at", "pk")[:MAX_RUNS]
    )
    workers: list[Worker] | None = None
    for run in runs:
        if run.status == RunStatus.RUNNING:
            yield _running(execution, run)
        elif run.status == RunStatus.WAITING:
            yield _waiting(run, visible)
        else:
            if workers is None:
                workers = _live_workers()
            yield _queued(execution, run, workers)


def _running(execution: Execution, run: ComponentRun) -> Finding:
    details: JSONObject = {"worker": run.worker, "process": run.pid}
    if run.lost:  # type: ignore[attr-defined]  # annotated
        then = "A sweep gives it another attempt, or fails it after its third lost worker"
        message = "The worker that ran it stopped renewing its lease"
        return Finding(Reason.WORKER_LOST, message, run.lease_until, then, None, details, run)
    if execution.stop_as is not None:
        then = f"The execution ends as {execution.stop_as} when it stops; it is told, and killed if it does not"
    elif run.deadline_at is not None:
        then = "It ends, or times out"
    else:
        then = "It ends; it has no timeout_seconds"
    return Finding(Reason.RUNNING_ON, "It runs", run.changed_at, then, run.deadline_at, details, run)


def _waiting(run: ComponentRun, visible: QuerySet[Execution]) -> Finding:
    if run.waiting_for == WaitingFor.SIGNAL:
        then = "It goes on when the signal comes" + (", or fails when its time is over" if run.wake_at else "")
        details: JSONObject = {"signal": run.signal, "approvers": run.approvers or []}
        message = f"It waits for the signal {run.signal}"
        return Finding(Reason.WAITING_FOR_SIGNAL, message, run.changed_at, then, run.wake_at, details, run)
    if run.waiting_for == WaitingFor.CHILD:
        child = visible.filter(parent_run=run).order_by("-pk").first()
        details = {"execution_id": child.pk, "status": child.status} if child else {}
        message = "It waits for the execution of its sub-workflow"
        return Finding(
            Reason.WAITING_FOR_CHILD, message, run.changed_at, "It goes on when that ends", None, details, run
        )
    if run.waiting_for == WaitingFor.RETRY:
        message, then = "It failed and waits for its next attempt", f"Attempt {run.attempt} begins"
        return Finding(Reason.WAITING_UNTIL, message, run.changed_at, then, run.wake_at, {"error": run.error}, run)
    return Finding(Reason.WAITING_UNTIL, "It waits for a time", run.changed_at, "It goes on", run.wake_at, {}, run)


def _queued(execution: Execution, run: ComponentRun, workers: Sequence[Worker]) -> Finding:
    serving = [worker for worker in workers if not worker.queues or run.queue in worker.queues]
    able = [worker for worker in serving if not worker.component_types or run.component_type in worker.component_types]
    if not able:
        message = "No worker is alive"
        if serving:
            message = f"No worker alive knows the type {run.component_type}"
        elif workers:
            message = f"No worker alive serves the queue {run.queue}"
        then = "It starts when such a worker does"
        return Finding(Reason.NO_WORKER, message, run.changed_at, then, None, {"queue": run.queue}, run)
    if run.held:
        running = execution.runs.filter(status=RunStatus.RUNNING).values_list("component_id", flat=True)
        details = {"scope": "execution", "limit": execution.max_parallel, "holders": list(running[:MAX_HOLDERS])}
        message = f"The workflow lets {execution.max_parallel} of its components run at once"
        then = "It starts when one of them ends or waits"
        return Finding(Reason.CONCURRENCY_LIMIT, message, run.changed_at, then, None, details, run)
    before = Q(priority__gt=run.priority) | Q(priority=run.priority, pk__lt=run.pk)
    ahead = ComponentRun.objects.filter(before, queue=run.queue, status=RunStatus.QUEUED, held=False).count()
    details = {"ahead": ahead, "priority": run.priority, "queue": run.queue}
    message = f"{ahead} components are queued before it" if ahead else "It is next for a free worker"
    return Finding(Reason.QUEUED_BEHIND, message, run.changed_at, "A worker takes it in turn", None, details, run)
