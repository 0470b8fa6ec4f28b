"""`apg executions`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from apg_workflow.bodies import ExecutionFilters
from apg_workflow.cli.output import (
    Json,
    console,
    print_fields,
    print_json,
    print_line,
    print_many,
    print_one,
    print_table,
    shown,
)
from apg_workflow.cli.parameters import Param, parameters_of
from apg_workflow.cli.session import session_of
from apg_workflow.models import LogLine

app = typer.Typer(no_args_is_help=True, help="Executions.")

_LEVELS = ("debug", "info", "warning", "error")
_SHOWN = ("id", "workflow_name", "status", "started_at", "duration_seconds")
_DETAILS = ("id", "workflow_id", "workflow_name", "version", "status", "priority", "parameters", "results",
            "error_message", "created_at", "started_at", "completed_at", "duration_seconds")  # fmt: skip
_LOG = ("timestamp", "level", "component_id", "message", "metadata")


@app.command("list")
def list_(
    context: typer.Context,
    workflow: Annotated[str | None, typer.Option(help="Only those of this workflow.")] = None,
    status: Annotated[str | None, typer.Option(help="Only those of this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    offset: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Json = False,
) -> None:
    """The executions that you see, the newest first."""
    filters: ExecutionFilters = {}
    if workflow is not None:
        filters["workflow_id"] = workflow
    if status is not None:
        filters["status"] = status
    with session_of(context).client() as client:
        page = client.executions.list(limit=limit, offset=offset, **filters)
    print_many(page.items, _SHOWN, as_json=as_json)


@app.command()
def get(context: typer.Context, execution_id: str, as_json: Json = False) -> None:
    """One execution with its components."""
    with session_of(context).client() as client:
        found = client.executions.get(execution_id)
        runs = list(client.executions.iterate_components(execution_id, page_size=1000))
    if as_json:
        print_json({**found.model_dump(mode="json"), "components": [run.model_dump(mode="json") for run in runs]})
        return
    print_one(found, _DETAILS, as_json=False)
    rows = [(run.component_id, run.component_type, run.status, run.attempt, run.duration_seconds) for run in runs]
    print_table(["component", "type", "status", "attempt", "seconds"], rows)


@app.command()
def logs(
    context: typer.Context,
    execution_id: str,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the execution ends.")] = False,
    level: Annotated[str, typer.Option(help="The lowest level: debug, info, warning or error.")] = "debug",
    component: Annotated[str | None, typer.Option(help="Only those of this component.")] = None,
    as_json: Json = False,
) -> None:
    """The lines that it has written; as JSON one object on each line."""
    if level not in _LEVELS:
        raise ValueError(f"--level is one of {', '.join(_LEVELS)}")
    wanted = _LEVELS[_LEVELS.index(level) :]

    def tell(line: LogLine) -> None:
        if line.level in wanted and component in {None, line.component_id}:
            _print_log(line, as_json=as_json)

    with session_of(context).client() as client:
        if not follow:
            for line in client.executions.iterate_logs(execution_id, page_size=1000):
                tell(line)
            return
        with client.executions.stream(execution_id, since=0) as stream:
            for message in stream:
                if message.type == "log":
                    tell(LogLine.model_validate({"timestamp": message.timestamp} | _log_fields(message.data)))


@app.command()
def cancel(context: typer.Context, execution_id: str, as_json: Json = False) -> None:
    """End an execution."""
    with session_of(context).client() as client:
        found = client.executions.cancel(execution_id)
    print_one(found, ("id", "workflow_id", "status"), as_json=as_json)


@app.command()
def retry(
    context: typer.Context,
    execution_id: str,
    from_component: Annotated[str | None, typer.Option(help="Run it and all that follows it again.")] = None,
    param: Param = None,
    latest: Annotated[bool, typer.Option("--latest", help="With the workflow's latest version.")] = False,
    as_json: Json = False,
) -> None:
    """A new execution that keeps what was done."""
    parameters = parameters_of(param) or None
    with session_of(context).client() as client:
        found = client.executions.retry(
            execution_id,
            from_component=from_component,
            parameters=parameters,
            version="latest" if latest else None,
        )
    print_one(found, ("id", "workflow_id", "status"), as_json=as_json)


@app.command()
def diagnose(context: typer.Context, execution_id: str, as_json: Json = False) -> None:
    """Why an execution has not ended, and what happens next by itself."""
    with session_of(context).client() as client:
        found = client.executions.diagnose(execution_id)
    if as_json:
        print_json(found)
        return
    fields = ("execution_id", "status", "reason", "message", "since", "next", "next_at")
    print_fields({name: getattr(found, name) for name in fields})
    if found.components:
        rows = [(each.component_id, each.status, each.reason, each.message, each.next) for each in found.components]
        print_table(["component", "status", "reason", "message", "next"], rows)


def _log_fields(data: dict[str, object]) -> dict[str, object]:
    return {name: data[name] for name in _LOG if name in data}


def _print_log(line: LogLine, *, as_json: bool) -> None:
    if as_json:
        print_line(line)
        return
    where = f" {line.component_id}:" if line.component_id else ""
    console().print(Text.assemble(shown(line.timestamp), " ", shown(line.level), where, " ", shown(line.message)))
