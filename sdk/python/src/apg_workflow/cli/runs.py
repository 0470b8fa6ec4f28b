"""`apg run`: a file as an execution, in one step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from apg_workflow import SyncWorkflowClient
from apg_workflow.cli.output import Json, console, print_json
from apg_workflow.cli.parameters import Param, parameters_of
from apg_workflow.cli.session import session_of
from apg_workflow.cli.watching import ended, report, watch
from apg_workflow.documents import read_document, workflow_fields

_DEFINED = ("description", "category", "tags", "priority", "definition")


def run(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A definition, or an export: JSON or YAML.")],
    param: Param = None,
    watch_it: Annotated[bool, typer.Option("--watch", "-w", help="Show its components while it runs.")] = False,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait for its end, without --watch.")] = None,
    as_json: Json = False,
) -> int:
    """Store a workflow under its name, execute it, and wait: 0 if it completed, 1 if it failed or was cancelled.

    A workflow of yours that has the name is given the file's definition.
    """
    parameters = parameters_of(param)
    fields = workflow_fields(read_document(file), name=file.stem)
    with session_of(context).client() as client:
        workflow_id = _stored(client, fields)
        started = client.workflows.execute(workflow_id, parameters=parameters)
        if watch_it:
            return watch(client, started.id, as_json=as_json)
        if not as_json:
            console(errors=True).print(f"Execution {started.id}", markup=False)
        execution = client.executions.wait_for_completion(started.id, timeout=timeout)
    if as_json:
        print_json(execution)
        return ended(execution)
    return report(execution)


def _stored(client: SyncWorkflowClient, fields: dict[str, Any]) -> str:
    """The id of the caller's workflow of that name, which has the file's definition then."""
    caller = client.auth.get_caller()
    name = str(fields["name"])
    found = [each for each in client.workflows.iterate(search=name, created_by=caller.id) if each.name == name]
    if not found:
        return client.workflows.create(fields).id  # type: ignore[arg-type]  # the server judges a file
    changes: Any = {field: fields[field] for field in _DEFINED if field in fields}
    current = client.workflows.get(found[0].id, include_definition=True)
    if any(_plain(getattr(current, field)) != _plain(value) for field, value in changes.items()):
        changes["expected_version"] = current.version
        client.workflows.update(current.id, changes)
    return current.id


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
