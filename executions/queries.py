"""Reads that REST, GraphQL and sockets share: visible executions, progress, places in the queue, estimates."""

from statistics import median

from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from accounts.authentication import Caller
from core.errors import NotFoundError
from core.types import JSONValue
from events.event_types import EventType
from events.models import Event
from executions.models import ComponentRun, Execution
from executions.states import ExecutionStatus
from workflows import access

_ESTIMATE_FROM = 20


def visible_to(caller: Caller) -> QuerySet[Execution]:
    """The executions of the workflows that the caller sees."""
    return Execution.objects.filter(workflow__in=access.visible_to(caller))


def get_visible(caller: Caller, execution_id: str) -> Execution:
    """One execution with its workflow and `current_component`. Raises NotFoundError if absent or hidden."""
    execution = with_progress(visible_to(caller)).select_related("workflow").filter(pk=execution_id).first()
    if execution is None:
        raise NotFoundError("Execution not found")
    return execution


def with_progress(executions: QuerySet[Execution]) -> QuerySet[Execution]:
    """Adds `current_component`: the last started of those not ended, else the last that ended."""
    runs = ComponentRun.objects.filter(execution=OuterRef("pk"), item_index=None, started_at__isnull=False)
    latest = runs.order_by(F("completed_at").desc(nulls_first=True), "-started_at")
    return executions.annotate(current_component=Subquery(latest.values("component_id")[:1]))


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


def estimated_duration(workflow_id: str) -> int | None:
    """Whole seconds: the median of the last successful executions; None without history."""
    last = Execution.objects.filter(workflow=workflow_id, status=ExecutionStatus.COMPLETED).order_by("-pk")
    times = last.values_list("started_at", "completed_at")[:_ESTIMATE_FROM]
    durations = [(ended - started).total_seconds() for started, ended in times if started and ended]
    return round(median(durations)) if durations else None


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
