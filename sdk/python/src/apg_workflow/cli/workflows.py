"""`apg workflows`."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.text import Text

from apg_workflow.bodies import WorkflowFilters, WorkflowStatus
from apg_workflow.cli.output import FAILED, Json, console, print_json, print_many, print_one, shown
from apg_workflow.cli.parameters import Param, parameters_of
from apg_workflow.cli.session import session_of
from apg_workflow.cli.watching import watch as watch_execution
from apg_workflow.documents import dump_document, read_document, workflow_fields

app = typer.Typer(no_args_is_help=True, help="Workflows.")

File = Annotated[Path, typer.Argument(help="A definition, or an export: JSON or YAML.")]
_LISTED = ("id", "name", "status", "version", "updated_at")
_CREATED = ("id", "name", "status", "version")


@app.command("list")
def list_(
    context: typer.Context,
    search: Annotated[str | None, typer.Option(help="Text in the name or description.")] = None,
    status: Annotated[str | None, typer.Option(help="draft, active, inactive or archived.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    offset: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Json = False,
) -> None:
    """The workflows that you see."""
    filters: WorkflowFilters = {}
    if search is not None:
        filters["search"] = search
    if status is not None:
        known: WorkflowStatus = status  # type: ignore[assignment]  # the server judges it
        filters["status"] = known
    with session_of(context).client() as client:
        page = client.workflows.list(limit=limit, offset=offset, **filters)
    print_many(page.items, _LISTED, as_json=as_json)


@app.command()
def get(context: typer.Context, workflow_id: str, as_json: Json = False) -> None:
    """One workflow with its definition."""
    with session_of(context).client() as client:
        found = client.workflows.get(workflow_id, include_definition=True, include_stats=True)
    fields = (*_CREATED, "description", "category", "tags", "priority", "execution_count", "success_rate", "updated_at")
    print_one(found, fields, as_json=as_json)
    if not as_json:
        console().print(Text(_text(found.definition)))


@app.command()
def create(
    context: typer.Context,
    file: File,
    name: Annotated[str | None, typer.Option(help="Another name than the file's.")] = None,
    as_json: Json = False,
) -> None:
    """A new workflow of a file."""
    fields = workflow_fields(read_document(file), name=file.stem)
    if name is not None:
        fields["name"] = name
    with session_of(context).client() as client:
        found = client.workflows.create(fields)  # type: ignore[arg-type]  # the server judges a file
    print_one(found, _CREATED, as_json=as_json)


@app.command()
def validate(context: typer.Context, file: File, as_json: Json = False) -> int:
    """Let the server judge a file; nothing is stored. Exit code 1 if it cannot run."""
    fields = workflow_fields(read_document(file), name=file.stem)
    with session_of(context).client() as client:
        report = client.workflows.validate_definition(fields["definition"])
    if as_json:
        print_json(report)
    else:
        for finding in (*report.errors, *report.warnings, *report.info):
            where = finding.field or finding.component_id or ""
            console().print(
                Text.assemble(shown(finding.severity), f" {where}: " if where else " ", shown(finding.message))
            )
        if report.is_valid:
            console().print("Valid")
    return 0 if report.is_valid else FAILED


@app.command()
def execute(
    context: typer.Context,
    workflow_id: str,
    param: Param = None,
    priority: Annotated[int | None, typer.Option(min=1, max=10)] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show its components while it runs.")] = False,
    as_json: Json = False,
) -> int:
    """Start an execution. With --watch: exit code 1 if it failed or was cancelled."""
    parameters = parameters_of(param)
    with session_of(context).client() as client:
        started = client.workflows.execute(workflow_id, parameters=parameters, priority=priority)
        if watch:
            return watch_execution(client, started.id, as_json=as_json)
    print_one(started, ("execution_id", "status", "priority", "queue_position"), as_json=as_json)
    return 0


@app.command()
def export(
    context: typer.Context,
    workflow_id: str,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A .json, .yaml or .yml file.")] = None,
    as_json: Json = False,
) -> None:
    """A workflow as a file, which import takes; on the screen as YAML."""
    with session_of(context).client() as client:
        found = client.workflows.export(workflow_id).model_dump(mode="json")
    if output is not None:
        dump_document(found, output)
    elif as_json:
        print_json(found)
    else:
        sys.stdout.write(_text(found))


@app.command("import")
def import_(context: typer.Context, file: File, as_json: Json = False) -> None:
    """A new workflow of an exported file."""
    with session_of(context).client() as client:
        found = client.workflows.import_(read_document(file))
    print_one(found, _CREATED, as_json=as_json)


@app.command()
def diff(context: typer.Context, workflow_id: str, file: File, as_json: Json = False) -> int:
    """How a file differs from the stored workflow. Exit code 1 if it does."""
    document = read_document(file)
    bare, fields = "components" in document, workflow_fields(document, name=file.stem)
    with session_of(context).client() as client:
        stored = client.workflows.export(workflow_id).model_dump(mode="json")
    # A definition alone says nothing about the rest; its name is only the file's.
    compared = [name for name in stored if name in fields and (name != "name" or not bare)]
    before, after = ({name: each[name] for name in compared} for each in (stored, fields))
    lines = list(
        difflib.unified_diff(
            _text(before).splitlines(), _text(after).splitlines(), f"stored {workflow_id}", str(file), lineterm=""
        )
    )
    if as_json:
        print_json({"differs": bool(lines), "diff": lines})
    for line in () if as_json else lines:
        colour = "green" if line.startswith("+") else "red" if line.startswith("-") else ""
        console().print(Text(line, style=colour))
    return FAILED if lines else 0


def _text(document: Any) -> str:
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
