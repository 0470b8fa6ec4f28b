"""Reads that REST, GraphQL and sockets share: visible executions, progress, places in the queue, estimates."""

import time
from statistics import median

from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from accounts.authentication import Caller
from core.errors import NotFoundError
from core.ids import ULIDField
from core.prepared_query import PreparedQuery
from core.types import JSONValue
from events.event_types import EventType
from events.models import Event
from executions.models import ComponentRun, Execution
from executions.states import ExecutionStatus
from workflows import access

_ESTIMATE_FROM = 20
_ESTIMATE_SECONDS = 10.0
_ESTIMATES_KEPT = 10_000


def visible_to(caller: Caller) -> QuerySet[Execution]:
    """The executions of the workflows that the caller sees."""
    return _visible_to_user(caller.user.pk, staff=caller.user.is_staff)


def _visible_to_user(user_id: object, *, staff: bool) -> QuerySet[Execution]:
    if staff:
        return Execution.objects.all()
    return Execution.objects.filter(workflow__in=access.visible_to_user(user_id, staff=False))


def get_visible(caller: Caller, execution_id: str) -> Execution:
    """One execution with its workflow, version number and `current_component`.

    Raises NotFoundError if absent or hidden.
    """
    execution = _VISIBLE_BY_ID[caller.user.is_staff].one(caller.user.pk, execution_id)
    if execution is None:
        raise NotFoundError("Execution not found")
    return execution


def with_progress(executions: QuerySet[Execution]) -> QuerySet[Execution]:
    """Adds `current_component`: the last started of those not ended, else the last that ended."""
    runs = ComponentRun.objects.filter(execution=OuterRef("pk"), item_index=None, started_at__isnull=False)
    latest = runs.order_by(F("completed_at").desc(nulls_first=True), "-started_at")
    return executions.annotate(current_component=Subquery(latest.values("component_id")[:1]))


_VISIBLE_BY_ID = {
    staff: PreparedQuery(
        lambda user, execution, staff=staff: (
            with_progress(_visible_to_user(user, staff=staff))
            .select_related("workflow", "version")
            .defer("version__definition")
            .filter(pk=execution)
        ),
        ULIDField(),
        ULIDField(),
    )
    for staff in (False, True)
}


def log_events(execution: Execution, *, level: str | None = None, component_id: str | None = None) -> QuerySet[Event]:
    """The execution's log lines, in order."""
    lines = Event.objects.filter(subject_id=execution.pk, type=EventType.LOG)
    if level is not None:
        lines = lines.filter(data__level=level)
    if component_id is not None:
        lines = lines.filter(data__component_id=component_id)
    return lines.order_by("sequence")


def queue_position(execution: Execution) -> int:
    """0 if the execution holds a slot or waits for its time; else its place, from 1, among its account's waiting."""
    if execution.status != ExecutionStatus.QUEUED or execution.admitted_at is not None:
        return 0
    waiting = Execution.objects.filter(
        created_by=execution.created_by_id, status=ExecutionStatus.QUEUED, admitted_at__isnull=True
    )
    ahead = Q(priority__gt=execution.priority) | Q(priority=execution.priority, pk__lt=execution.pk)
    return waiting.filter(ahead).count() + 1


_LAST_SUCCESSFUL = PreparedQuery(
    lambda workflow: (
        Execution.objects.filter(workflow=workflow, status=ExecutionStatus.COMPLETED)
        .order_by("-pk")
        .only("started_at", "completed_at")[:_ESTIMATE_FROM]
    ),
    ULIDField(),
)
_estimates: dict[str, tuple[float, int]] = {}


def estimated_duration(workflow_id: str) -> int | None:
    """Whole seconds: the median of the last successful executions; None without history.

    With a full history behind it, one more execution hardly moves the median: it is then kept for some seconds.
    """
    until, kept = _estimates.get(workflow_id, (0.0, 0))
    if time.monotonic() < until:
        return kept
    last = _LAST_SUCCESSFUL.all(workflow_id)
    seconds = [
        (run.completed_at - run.started_at).total_seconds() for run in last if run.started_at and run.completed_at
    ]
    if not seconds:
        return None
    estimate = round(median(seconds))
    if len(last) == _ESTIMATE_FROM:
        if len(_estimates) >= _ESTIMATES_KEPT:
            _estimates.clear()
        _estimates[workflow_id] = (time.monotonic() + _ESTIMATE_SECONDS, estimate)
    return estimate


def component_runs(execution: Execution) -> list[tuple[ComponentRun, JSONValue]]:
    """The execution's runs in definition order, each with its input: what its taken predecessors handed on."""
    connections = execution.version.definition.get("connections", [])
    runs = list(execution.runs.order_by("position", "item_index"))
    by_id = {run.component_id: run for run in runs if run.item_index is None}
    inputs: dict[str, dict[str, JSONValue]] = {}
    for index, connection in enumerate(connections):
        source = by_id[connection["source"]]
        if index in (source.taken_out or ()):
            inputs.setdefault(connection["target"], {})[source.component_id] = source.output
    targets = {connection["target"] for connection in connections}
    first = execution.trigger.get("input", execution.parameters)
    return [(run, _handed_on(inputs.get(run.component_id)) if run.component_id in targets else first) for run in runs]


def _handed_on(outputs: dict[str, JSONValue] | None) -> JSONValue:
    return next(iter(outputs.values())) if outputs is not None and len(outputs) == 1 else outputs
