"""What commands print: tables for people, JSON for programs, errors in a line; and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apg_workflow.errors import (
    APGError,
    AuthenticationError,
    AuthorizationError,
    ConflictError,
    ConnectionFailedError,
    DefinitionError,
    NotFoundError,
    RateLimitError,
    ServerError,
    ValidationError,
    WaitTimeoutError,
    WorkflowInvalidError,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

FAILED, INVALID, DENIED, MISSING, UNREACHABLE, TIMED_OUT = 1, 3, 4, 5, 6, 7
_CODES: Sequence[tuple[tuple[type[Exception], ...], int]] = (
    ((ValidationError, WorkflowInvalidError, ConflictError, DefinitionError, ValueError), INVALID),
    ((AuthenticationError, AuthorizationError), DENIED),
    ((NotFoundError, FileNotFoundError), MISSING),
    ((WaitTimeoutError,), TIMED_OUT),
    ((ConnectionFailedError, RateLimitError, ServerError), UNREACHABLE),
)
_COLOURS = {
    "completed": "green", "active": "green", "running": "cyan", "waiting": "yellow", "failed": "red",
    "cancelled": "magenta", "error": "red", "warning": "yellow",
}  # fmt: skip


def exit_code(error: Exception) -> int:
    """As README.md lists them."""
    return next((code for kinds, code in _CODES if isinstance(error, kinds)), FAILED)


def console(*, errors: bool = False) -> Console:
    """Made when it is used, so that it writes to where output goes then."""
    return Console(stderr=errors, highlight=False, soft_wrap=True)


def complain(error: Exception) -> None:
    """Tell what went wrong."""
    told = str(error)
    if isinstance(error, OSError) and not isinstance(error, APGError) and error.filename:
        told = f"{error.filename}: {error.strerror}"
    if isinstance(error, AuthenticationError):
        told += "\nLog in with: apg login"
    console(errors=True).print(Text.assemble(("Error: ", "bold red"), told))


def plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def print_json(value: Any) -> None:
    """One JSON value."""
    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))


def print_line(value: Any) -> None:
    """One JSON value on one line, of several."""
    typer.echo(json.dumps(plain(value), ensure_ascii=False))


def shown(value: Any) -> Text:
    """A cell: nothing of it is taken for markup, and nothing of it moves the cursor."""
    if value is None:
        return Text("")
    if isinstance(value, datetime):
        return Text(value.astimezone().strftime("%Y-%m-%d %H:%M:%S"))
    if isinstance(value, float):
        return Text(f"{value:g}")
    if not isinstance(value, str):
        value = json.dumps(plain(value), ensure_ascii=False)
    text = "".join(each if each.isprintable() or each == "\n" else "�" for each in value)
    return Text(text, style=_COLOURS.get(text, ""))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Rows under headings."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(shown, row))
    console().print(table)


def print_fields(fields: Mapping[str, Any]) -> None:
    """One thing: what it has, without what it has not."""
    table = Table.grid(padding=(0, 2))
    for name, value in fields.items():
        if value is not None:
            table.add_row(Text(name.replace("_", " "), style="bold"), shown(value))
    console().print(table)


def print_one(value: BaseModel, fields: Sequence[str], *, as_json: bool) -> None:
    """A thing as JSON, or these fields of it."""
    if as_json:
        print_json(value)
    else:
        print_fields({name: getattr(value, name) for name in fields})


def print_many(values: Sequence[BaseModel], fields: Sequence[str], *, as_json: bool) -> None:
    """Things as JSON, or these fields of them."""
    if as_json:
        print_json(values)
    else:
        print_table(
            [name.replace("_", " ") for name in fields], [[getattr(value, name) for name in fields] for value in values]
        )
