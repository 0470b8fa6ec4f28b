"""Reads that REST, GraphQL and sockets share: visible executions, progress, places in the queue, estimates."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import QueryDict

from accounts.callers import Caller
from core.errors import NotFoundError
from core.ids import ULIDField
from core.pagination import Page, paginate, require_page_bytes
from core.prepared_query import PreparedQuery
from core.types import JSONValue
from events.event_types import EventType
from events.models import Event
from executions import outputs, plans
from executions.models import ComponentRun, Execution, LoopItem
from executions.outputs import OutputUnavailableError
from executions.states import ExecutionStatus
from executions.transitions import reading
from workflows import access
from workflows.definition import Connection
from workflows.models import Workflow

_ESTIMATE_FROM = 20
_ESTIMATE_SECONDS = 10.0
_ESTIMATES_KEPT = 10_000


def visible_to(caller: Caller) -> QuerySet[Execution]:
    """The executions of the workflows that the caller sees, and what is left of those of the caller's deleted ones."""
    return _visible_to_user(caller.user.pk, staff=caller.user.is_staff)


def _visible_to_user(user_id: object, *, staff: bool) -> QuerySet[Execution]:
    if staff:
        return Execution.objects.all()
    return Execution.objects.filter(workflow__in=access.ids_visible_to(user_id, workflows=Workflow.with_deleted))


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
    runs = ComponentRun.objects.filter(execution=OuterRef("pk"), item=None, started_at__isnull=False)
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
    return log_events_of(execution.pk, level=level, component_id=component_id)


def log_events_of(execution_id: object, *, level: str | None, component_id: str | None) -> QuerySet[Event]:
    """The same by the execution's id, which may be an OuterRef."""
    lines = Event.objects.filter(subject_id=execution_id, type=EventType.LOG)
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


def component_runs(execution: Execution) -> QuerySet[ComponentRun]:
    """The execution's runs in definition order; those of a loop's items after the loop, item by item."""
    return in_definition_order(execution.runs.select_related("item"))


def page_of_runs(execution: Execution, query: QueryDict) -> Page:
    """A page of `component_runs`. Raises BadRequestError, also if several have over MAX_PAGE_BYTES of values."""
    large = ("output", "sealed_output", "item__value", "item__sealed_value")
    page = paginate(component_runs(execution).defer(*large), query)
    runs: Sequence[ComponentRun] = page.items
    if len(runs) > 1:
        require_page_bytes(_bytes_of(execution, runs))
    items = {run.item.pk for run in runs if run.item is not None}
    values = dict(LoopItem.objects.filter(pk__in=items).values_list("pk", "value"))
    made = dict(ComponentRun.objects.filter(pk__in=[run.pk for run in runs]).values_list("pk", "output"))
    for run in runs:
        run.output = made.get(run.pk)
        if run.item is not None:
            run.item.value = values.get(run.item.pk)
    return page


def _bytes_of(execution: Execution, runs: Sequence[ComponentRun]) -> int:
    """Of what the runs made and were handed: each value as often as it is shown."""
    shown = Counter((run.scope_id, run.component_id) for run in runs)
    items: Counter[str] = Counter()
    starts = 0
    for run, incoming in _started(runs, _homes_of(runs)):
        shown.update((run.scope_id, connection.source) for connection in incoming)
        if not incoming and run.item is not None:
            items[run.item.pk] += 1
        elif not incoming:
            starts += 1
    return reading.values_bytes(execution.pk, shown, items, starts)


def in_definition_order(runs: QuerySet[ComponentRun]) -> QuerySet[ComponentRun]:
    """The runs of an execution as `component_runs` has them."""
    return runs.annotate(place=Coalesce("item__run__position", "position")).order_by(
        "place", F("item_index").asc(nulls_first=True), "position", "pk"
    )


def inputs_of(runs: Sequence[ComponentRun]) -> list[JSONValue | OutputUnavailableError]:
    """What each run was handed: the outputs of its taken predecessors, an item's value, or what started all.

    As it may be shown; one query however many runs there are, and one for each version that this process has not
    read before. The runs have their executions with them. None where a run that others lead to has not started, and
    where the stored definition can no longer be read: a rule has become stricter since, or the plug-in that has a
    loop's body is gone. The error where what is stored cannot be had.
    """
    homes_of = _homes_of(runs)
    # Values may have a mebibyte each: only those are read that lead to one of these runs.
    started = _started(runs, homes_of)
    before = {connection.source for _, incoming in started for connection in incoming}
    sources = ComponentRun.objects.filter(scope_id__in=list(homes_of), component_id__in=before)
    sources = sources.exclude(taken_out=[]).exclude(taken_out=None)
    handed: dict[tuple[str, str], dict[str, JSONValue | OutputUnavailableError]] = {}
    found = list(sources.only("component_id", "scope_id", "output", "output_ref", "taken_out").order_by("completed_at"))
    outputs.prefetch([*found, *(run.item for run, incoming in started if run.item is not None and not incoming)])
    for source in found:
        home = homes_of[source.scope_id].get(source.component_id)
        if home is None:
            continue
        for index in source.taken_out or ():
            key = (source.scope_id, home.definition.connections[index].target)
            handed.setdefault(key, {})[source.component_id] = outputs.unless_away(outputs.output_of, source)
    return [_handed_to(run, homes_of[run.scope_id].get(run.component_id), handed) for run in runs]


def _homes_of(runs: Sequence[ComponentRun]) -> Mapping[str, Mapping[str, plans.Home]]:
    homes = {version_id: _homes(version_id) for version_id in {run.execution.version_id for run in runs}}
    return {run.scope_id: homes[run.execution.version_id] for run in runs}


def _started(
    runs: Sequence[ComponentRun], homes_of: Mapping[str, Mapping[str, plans.Home]]
) -> list[tuple[ComponentRun, tuple[Connection, ...]]]:
    """Those that were handed something, with what leads to them."""
    return [
        (run, home.definition.incoming[run.component_id])
        for run in runs
        if run.started_at is not None and (home := homes_of[run.scope_id].get(run.component_id)) is not None
    ]


def _homes(version_id: str) -> Mapping[str, plans.Home]:
    try:
        return plans.compiled(version_id).homes
    except plans.UnrunnableError:
        return {}


def _handed_to(
    run: ComponentRun,
    home: plans.Home | None,
    handed: Mapping[tuple[str, str], dict[str, JSONValue | OutputUnavailableError]],
) -> JSONValue | OutputUnavailableError:
    if home is None:
        return None
    if not home.definition.incoming[run.component_id]:
        if run.item is not None:
            return outputs.unless_away(outputs.value_of, run.item)
        return run.execution.trigger.get("input", run.execution.parameters)
    sources = handed.get((run.scope_id, run.component_id))
    if sources is None:
        return None
    if len(sources) > 1 and not run.join_any:
        return next((each for each in sources.values() if isinstance(each, OutputUnavailableError)), sources)
    return next(iter(sources.values()))
