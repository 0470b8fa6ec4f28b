"""Reads that REST, GraphQL and sockets share: visible executions, progress, places in the queue, estimates."""

from collections.abc import Sequence
from statistics import median

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from accounts.authentication import Caller
from core.errors import NotFoundError
from core.types import JSONValue
from events.event_types import EventType
from events.models import Event
from executions import plans
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
    runs = ComponentRun.objects.filter(execution=OuterRef("pk"), item=None, started_at__isnull=False)
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


def component_runs(execution: Execution) -> QuerySet[ComponentRun]:
    """The execution's runs in definition order; those of a loop's items after the loop, item by item."""
    return (
        execution.runs.select_related("item")
        .annotate(place=Coalesce("item__run__position", "position"))
        .order_by("place", F("item_index").asc(nulls_first=True), "position", "pk")
    )


def inputs_of(execution: Execution, runs: Sequence[ComponentRun]) -> list[JSONValue]:
    """What each run was handed: the outputs of its taken predecessors, an item's value, or what started all.

    As it may be shown; two queries however many runs there are.
    """
    homes = plans.compiled(execution.version_id).homes
    scopes = {run.scope_id for run in runs}
    sources = ComponentRun.objects.filter(scope_id__in=scopes).exclude(taken_out=[]).exclude(taken_out=None)
    handed: dict[tuple[str, str], dict[str, JSONValue]] = {}
    for source in sources.only("component_id", "scope_id", "output", "taken_out"):
        connections = homes[source.component_id].definition.connections
        for index in source.taken_out or ():
            key = (source.scope_id, connections[index].target)
            handed.setdefault(key, {})[source.component_id] = source.output
    first = execution.trigger.get("input", execution.parameters)
    found: list[JSONValue] = []
    for run in runs:
        if homes[run.component_id].definition.incoming[run.component_id]:
            outputs = handed.get((run.scope_id, run.component_id))
            found.append(next(iter(outputs.values())) if outputs is not None and len(outputs) == 1 else outputs)
        else:
            found.append(first if run.item is None else run.item.value)
    return found
