"""What the admin's page of an execution shows, a tab at a time; nothing is opened for it that is sealed."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from accounts.callers import Caller
from core.errors import BadRequestError
from core.types import JSONValue
from events import ledger
from events.event_types import LOG_LEVELS
from executions import outputs, picture, queries
from executions.diagnosis import diagnose
from executions.models import ComponentRun, Execution
from executions.outputs import OutputUnavailableError
from executions.serializers import (
    component_run_summary,
    diagnosis_data,
    event_data,
    execution_summary,
    log_data,
)
from executions.states import FINAL_EXECUTION, RunStatus, WaitingFor

RUNS, LINES = 25, 200
MAX_JSON_CHARS = 20_000
MAX_RELATED = 50


def page(execution: Execution, caller: Caller, query: Mapping[str, str]) -> dict[str, Any]:
    """What the template needs for the tab that `query` names. Raises BadRequestError for a place that is none."""
    tab = query.get("tab", "overview")
    read = _TABS.get(tab)
    if read is None:
        raise BadRequestError("There is no such tab")
    data = execution_summary(execution, current_component=getattr(execution, "current_component", None))
    return {
        "tab": tab,
        "tabs": list(_TABS),
        "execution": execution,
        "data": data,
        "ended": execution.status in FINAL_EXECUTION,
        **read(execution, caller, query),
    }


def pretty(value: JSONValue) -> str:
    """JSON to read; of very much the beginning."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    more = len(text) - MAX_JSON_CHARS
    return text if more <= 0 else f"{text[:MAX_JSON_CHARS]}\n… {more} more characters: read them over the API"


def _overview(execution: Execution, caller: Caller, query: Mapping[str, str]) -> dict[str, Any]:
    # What components made may be megabytes, and is not drawn.
    large = ("output", "output_ref", "sealed_output", "sealed_output_ref")
    runs = list(execution.runs.filter(item=None).defer(*large).order_by("position"))
    timeline, count = picture.timeline_svg(execution, runs)
    parent = execution.parent_run
    children = Execution.objects.filter(parent_run__execution=execution).select_related("workflow", "parent_run")
    return {
        "findings": diagnosis_data(execution, diagnose(execution, caller)),
        "graph": picture.graph_svg(execution, runs),
        "timeline": timeline,
        "timed": count,
        "max_timed": picture.MAX_ROWS,
        "failed": [run for run in runs if run.status == RunStatus.FAILED][:MAX_RELATED],
        "parent": None if parent is None else parent.execution,
        "children": list(children.order_by("pk")[:MAX_RELATED]),
        "retries": list(execution.retries.order_by("pk")[:MAX_RELATED]),
        "parameters": pretty(execution.parameters),
        "results": _pretty(outputs.unless_away(outputs.results_of, execution)),
        "error": None if execution.error is None else pretty(execution.error),
        "trigger": pretty(execution.trigger),
    }


def _components(execution: Execution, caller: Caller, query: Mapping[str, str]) -> dict[str, Any]:
    offset = _whole(query, "from")
    runs = queries.component_runs(execution)
    component = _component_id(query)
    if component:
        runs = runs.filter(component_id=component)
    found = list(runs[offset : offset + RUNS + 1])
    shown = found[:RUNS]
    outputs.prefetch(shown)
    inputs = queries.inputs_of(shown)
    made = [outputs.unless_away(outputs.output_of, run) for run in shown]
    # At three in the morning the rest of the page is needed all the more.
    unread = next((each.message for each in (*inputs, *made) if isinstance(each, OutputUnavailableError)), "")
    rows = [_component(run, *values) for run, *values in zip(shown, inputs, made, strict=True)]
    return {
        "rows": rows,
        "unread": unread,
        "component": component,
        "first": offset + 1,
        "earlier": max(offset - RUNS, 0) if offset else None,
        "later": offset + RUNS if len(found) > RUNS else None,
    }


def _component(
    run: ComponentRun, handed: JSONValue | OutputUnavailableError, made: JSONValue | OutputUnavailableError
) -> dict[str, Any]:
    return {
        "run": run,
        "data": component_run_summary(run),
        "input": None if run.started_at is None else _pretty(handed),
        "output": None if made is None else _pretty(made),
        "error": None if run.error is None else pretty(run.error),
        "requeue": run.status == RunStatus.RUNNING or (run.status == RunStatus.QUEUED and not run.held),
        "release": _may_release(run),
    }


def _pretty(value: JSONValue | OutputUnavailableError) -> str:
    return value.message if isinstance(value, OutputUnavailableError) else pretty(value)


def _may_release(run: ComponentRun) -> bool:
    if run.status == RunStatus.QUEUED:
        return run.held
    return run.status == RunStatus.WAITING and run.waiting_for in {WaitingFor.TIME, WaitingFor.RETRY}


def _logs(execution: Execution, caller: Caller, query: Mapping[str, str]) -> dict[str, Any]:
    level, component = query.get("level", ""), _component_id(query)
    if level and level not in LOG_LEVELS:
        raise BadRequestError("There is no such level")
    lines = queries.log_events(execution, level=level or None, component_id=component or None)
    found = list(lines.filter(sequence__gt=_whole(query, "after"))[: LINES + 1])
    shown: Sequence[Any] = [{**log_data(line), "text": _metadata(line.data.get("metadata"))} for line in found[:LINES]]
    return {
        "lines": shown,
        "levels": LOG_LEVELS,
        "level": level,
        "component": component,
        "after": query.get("after"),
        "later": found[LINES - 1].sequence if len(found) > LINES else None,
    }


def _metadata(metadata: JSONValue) -> str:
    return json.dumps(metadata, ensure_ascii=False)[:MAX_JSON_CHARS] if metadata else ""


def _events(execution: Execution, caller: Caller, query: Mapping[str, str]) -> dict[str, Any]:
    found = list(ledger.since(execution.pk, _whole(query, "after"))[: LINES + 1])
    return {
        "events": [{**event_data(event), "text": _metadata(event.data)} for event in found[:LINES]],
        "after": query.get("after"),
        "later": found[LINES - 1].sequence if len(found) > LINES else None,
    }


def _component_id(query: Mapping[str, str]) -> str:
    component_id = query.get("component", "")
    if "\0" in component_id:
        raise BadRequestError("There is no such component")
    return component_id


def _whole(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadRequestError(f"{name} must be a whole number")
    return int(text)


_TABS: Mapping[str, Callable[[Execution, Caller, Mapping[str, str]], dict[str, Any]]] = {
    "overview": _overview,
    "components": _components,
    "logs": _logs,
    "events": _events,
}
