"""What an execution's pictures show: the graph as it may be shown, states, counts of loops' items, times."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Count
from django.utils import timezone

from core.types import JSONObject
from events.event_types import EventType
from events.models import Event
from executions.drawing import Part, Row, Span, draw_graph, draw_timeline, duration_text
from executions.graph_layout import Edge, Graph, Node
from executions.models import ComponentRun, Execution, LoopItem
from executions.states import ExecutionStatus, RunStatus, WaitingFor

MAX_ROWS = 200
MAX_EVENTS = 5_000
# What tells most of a component that ran for many items.
_TELLING = (
    RunStatus.FAILED,
    RunStatus.RUNNING,
    RunStatus.WAITING,
    RunStatus.QUEUED,
    RunStatus.BLOCKED,
    RunStatus.CANCELLED,
    RunStatus.COMPLETED,
    RunStatus.SKIPPED,
)
_WAITS = {
    WaitingFor.TIME: "for a time",
    WaitingFor.RETRY: "for the next attempt",
    WaitingFor.SIGNAL: "for a signal",
    WaitingFor.CHILD: "for a child",
    WaitingFor.ITEMS: "for its items",
}
_TOLD = (
    EventType.COMPONENT_STARTED,
    EventType.COMPONENT_WAITING,
    EventType.COMPONENT_COMPLETED,
    EventType.COMPONENT_FAILED,
)


def graph_svg(execution: Execution, runs: Sequence[ComponentRun]) -> str:
    """The execution's graph. `runs`: those outside of loops. Of the definition, only what may be shown is read."""
    raw = execution.version.definition
    graph = _graph(raw)
    known = {run.component_id: run for run in runs}
    parts = dict(_parts(execution, _components(raw), known))
    taken = {
        edge.index: edge.index in (known[edge.source].taken_out or ())
        for edge in graph.edges
        if edge.source in known and known[edge.source].taken_out is not None
    }
    return draw_graph(graph, parts, taken, label=f"Graph of {len(parts)} components")


def word_of(status: str) -> str:
    """A run's status as the API tells it."""
    return str(ExecutionStatus.PENDING) if status == RunStatus.BLOCKED else str(status)


def _graph(raw: JSONObject) -> Graph:
    nodes = tuple(
        Node(component["id"], body=_graph(component["config"]) if _loops(component) else None)
        for component in raw["components"]
    )
    edges = tuple(
        Edge(each["source"], each["target"], each.get("type", "success"), index)
        for index, each in enumerate(raw.get("connections", []))
    )
    return Graph(nodes, edges)


def _loops(component: JSONObject) -> bool:
    body = component.get("config", {}).get("components")
    return isinstance(body, list) and all(isinstance(each, dict) and "id" in each for each in body)


def _components(raw: JSONObject) -> Iterator[JSONObject]:
    for component in raw["components"]:
        yield component
        if _loops(component):
            yield from _components(component["config"])


def _parts(
    execution: Execution, components: Iterable[JSONObject], known: Mapping[str, ComponentRun]
) -> Iterator[tuple[str, Part]]:
    items = _counts(LoopItem.objects.filter(run__execution=execution), "run__component_id")
    in_bodies = _counts(execution.runs.filter(item__isnull=False), "component_id")
    for component in components:
        id_ = component["id"]
        href = f"?tab=components&component={id_}"
        if id_ in known:
            run = known[id_]
            note = " · ".join([*_items_note(items.get(id_, {})), *_notes(run)])
            yield id_, Part(component["type"], word_of(run.status), note, href)
        else:
            counts = in_bodies.get(id_, {})
            state = next((status for status in _TELLING if counts.get(status)), RunStatus.BLOCKED)
            yield id_, Part(component["type"], word_of(state), _times(counts), href if counts else "")


def _counts(rows: Any, by: str) -> Mapping[str, Mapping[str, int]]:
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for id_, status, count in rows.order_by().values_list(by, "status").annotate(Count("pk")):
        counts[id_][status] = count
    return counts


def _each(counts: Mapping[str, int]) -> list[str]:
    return [f"{counts[status]} {word_of(status)}" for status in _TELLING if counts.get(status)]


def _times(counts: Mapping[str, int]) -> str:
    return f"{sum(counts.values())} items" if len(counts) == 1 else ", ".join(_each(counts))


def _items_note(counts: Mapping[str, int]) -> list[str]:
    return [f"{sum(counts.values())} items: {', '.join(_each(counts))}"] if counts else []


def _notes(run: ComponentRun) -> Iterator[str]:
    if run.status == RunStatus.WAITING:
        yield _WAITS[WaitingFor(run.waiting_for)] if run.waiting_for else "for a time"
    elif run.held:
        yield "held: max_parallel"
    if run.attempt > 1:
        yield f"attempt {run.attempt}"
    if run.started_at is not None and run.completed_at is not None:
        yield duration_text((run.completed_at - run.started_at).total_seconds())


def timeline_svg(execution: Execution, runs: Sequence[ComponentRun]) -> tuple[str, int]:
    """The times of the components outside of loops that have begun, and how many there are; the first MAX_ROWS."""
    began = sorted((run for run in runs if _became_ready(run, {}) or run.started_at), key=_order)
    shown = began[:MAX_ROWS]
    now = execution.completed_at or timezone.now()
    events = _events(execution, {run.component_id for run in shown})
    ends = {run.component_id: run.completed_at for run in runs if run.completed_at is not None}
    sources = _sources(execution, runs)
    rows = []
    for run in shown:
        ready = _became_ready(run, {id_: ends[id_] for id_ in sources.get(run.component_id, ()) if id_ in ends})
        rows.append(
            Row(
                run.component_id,
                word_of(run.status),
                tuple(spans(run, events[run.component_id], ready or execution.admitted_at, now)),
            )
        )
    start = min((span.start for row in rows for span in row.spans), default=execution.created_at)
    end = max((span.end for row in rows for span in row.spans), default=start)
    return draw_timeline(rows, start, end, label=f"Times of {len(rows)} components"), len(began)


def _order(run: ComponentRun) -> tuple[datetime, int]:
    return run.started_at or run.changed_at, run.position


def _sources(execution: Execution, runs: Sequence[ComponentRun]) -> Mapping[str, list[str]]:
    """By component, those whose connections to it were taken."""
    connections = execution.version.definition.get("connections", [])
    sources: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        for index in run.taken_out or ():
            sources[connections[index]["target"]].append(run.component_id)
    return sources


def _became_ready(run: ComponentRun, ends: Mapping[str, datetime]) -> datetime | None:
    """When it could first be taken, as far as that is known: when the last that it waited for had ended."""
    before = [end for end in ends.values() if run.started_at is None or end <= run.started_at]
    if before:
        return min(before) if run.join_any else max(before)
    return run.changed_at if run.status == RunStatus.QUEUED else None


def _events(execution: Execution, ids: set[str]) -> Mapping[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    # Of an execution with many items, whose events would all be looked at, the runs themselves tell enough.
    if execution.sequence <= 4 * MAX_EVENTS:
        told = Event.objects.filter(subject_id=execution.pk, type__in=_TOLD).exclude(data__has_key="item_index")
        for event in told.order_by("sequence")[:MAX_EVENTS]:
            if event.data.get("component_id") in ids:
                found[event.data["component_id"]].append(event)
    return found


def spans(run: ComponentRun, events: Sequence[Event], ready: datetime | None, now: datetime) -> Iterator[Span]:
    """A run's times, from when it could begin to its end, or now. Without events: from its row alone."""
    began = [event for event in events if event.type == EventType.COMPONENT_STARTED]
    first = began[0].timestamp if began else run.started_at
    until = run.completed_at or now
    if ready is not None and (first is None or ready < first):
        yield Span("queued", ready, first or until)
    if first is None:
        return
    if not began:
        yield Span(_state_of(run), first, until, run.attempt)
        return
    for event, next_ in zip(events, [*events[1:], None], strict=True):
        end = next_.timestamp if next_ is not None else until
        if event.type == EventType.COMPONENT_STARTED:
            yield Span("running", event.timestamp, end, event.data.get("attempt", 1))
        elif event.type == EventType.COMPONENT_WAITING:
            yield Span("waiting", event.timestamp, end)


def _state_of(run: ComponentRun) -> str:
    return "waiting" if run.status == RunStatus.WAITING else "running"
