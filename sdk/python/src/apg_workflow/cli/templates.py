"""`apg templates`."""

from __future__ import annotations

from typing import Annotated

import typer

from apg_workflow.bodies import TemplateFilters
from apg_workflow.cli.output import Json, print_many, print_one, print_table
from apg_workflow.cli.parameters import Param, parameters_of
from apg_workflow.cli.session import session_of

app = typer.Typer(no_args_is_help=True, help="Templates.")


@app.command("list")
def list_(
    context: typer.Context,
    search: Annotated[str | None, typer.Option(help="Text in the name or description.")] = None,
    category: Annotated[str | None, typer.Option()] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    offset: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Json = False,
) -> None:
    """The templates that you see."""
    filters: TemplateFilters = {}
    if search is not None:
        filters["search"] = search
    if category is not None:
        filters["category"] = category
    with session_of(context).client() as client:
        page = client.templates.list(limit=limit, offset=offset, **filters)
    print_many(page.items, ("id", "name", "category", "complexity_level", "usage_count"), as_json=as_json)


@app.command()
def get(context: typer.Context, template_id: str, as_json: Json = False) -> None:
    """One template with its parameters."""
    with session_of(context).client() as client:
        found = client.templates.get(template_id)
    fields = ("id", "name", "description", "category", "tags", "author", "version", "required_secrets")
    print_one(found, fields, as_json=as_json)
    if not as_json and found.parameters:
        rows = [(each.name, each.parameter_type, each.required, each.description) for each in found.parameters]
        print_table(["parameter", "type", "required", "description"], rows)


@app.command("create-workflow")
def create_workflow(
    context: typer.Context,
    template_id: str,
    name: Annotated[str, typer.Option(help="Of the new workflow.")],
    param: Param = None,
    as_json: Json = False,
) -> None:
    """A workflow of a template."""
    parameters = parameters_of(param)
    with session_of(context).client() as client:
        found = client.templates.create_workflow(template_id, name=name, parameters=parameters)
    print_one(found, ("id", "name", "status", "version"), as_json=as_json)
