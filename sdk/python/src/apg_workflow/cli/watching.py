"""An execution on the screen while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from apg_workflow import SyncWorkflowClient
from apg_workflow.cli.output import FAILED, console, print_fields, print_line, shown
from apg_workflow.models import ComponentRun, Execution, Message

_STATUSES = {
    "component_started": "running",
    "component_waiting": "waiting",
    "component_completed": "completed",
    "error": "failed",
}


@dataclass
class Row:
    """A component, with all its items if it is in a loop."""

    type: str = ""
    status: str = "pending"
    began: datetime | None = None
    seconds: float | None = None
    items: int = 0

    def tell(self, message: Message) -> None:
        """Take in what a message says."""
        status = _STATUSES[message.type]
        if message.type == "component_started":
            self.began, self.seconds = self.began or message.timestamp, None
            self.items += message.data.get("item_index") is not None
        elif status in {"completed", "failed"} and self.began is not None:
            self.seconds = (message.timestamp - self.began).total_seconds()
        elif message.type == "component_completed" and message.data.get("duration") is None:
            status = "skipped"
        self.status = status


@dataclass
class Board:
    """What the table shows."""

    execution: Execution
    rows: dict[str, Row] = field(default_factory=dict)
    status: str = ""
    percentage: float = 0.0

    def __post_init__(self) -> None:
        self.status, self.percentage = self.execution.status, self.execution.progress.percentage

    def start(self, runs: list[ComponentRun]) -> None:
        """The components that there are, in their order."""
        for run in runs:
            self.rows.setdefault(run.component_id, Row(run.component_type))

    def tell(self, message: Message) -> None:
        """Take in what a message says."""
        if message.type == "execution_update":
            self.status = str(message.data["status"])
            self.percentage = float(message.data["progress"]["percentage"])
        elif message.type in _STATUSES and "component_id" in message.data:
            self.rows.setdefault(str(message.data["component_id"]), Row()).tell(message)

    def __rich__(self) -> Group:
        title = Text.assemble(
            (self.execution.workflow_name, "bold"),
            f"  {self.execution.id}  ",
            shown(self.status),
            f"  {self.percentage:g} %",
        )
        table = Table("component", "type", "status", "seconds", box=None, pad_edge=False, header_style="bold")
        now = datetime.now(timezone.utc)
        for name, row in self.rows.items():
            seconds = row.seconds
            if seconds is None and row.began is not None and row.status in {"running", "waiting"}:
                seconds = max(0.0, (now - row.began).total_seconds())
            items = f" × {row.items}" if row.items else ""
            table.add_row(
                shown(name + items), shown(row.type), shown(row.status), "" if seconds is None else f"{seconds:.1f}"
            )
        return Group(title, table)


def watch(client: SyncWorkflowClient, execution_id: str, *, as_json: bool) -> int:
    """Show an execution up to its end, and how it ended; the exit code.

    As JSON: each message on a line, and the execution on the last one.
    """
    if as_json:
        with client.executions.stream(execution_id, since=0) as stream:
            for message in stream:
                print_line(message)
        execution = client.executions.get(execution_id)
        print_line(execution)
        return ended(execution)
    board = Board(client.executions.get(execution_id))
    board.start(list(client.executions.iterate_components(execution_id, page_size=1000)))
    with (
        Live(board, console=console(), refresh_per_second=4) as live,
        client.executions.stream(execution_id, since=0) as stream,
    ):
        for message in stream:
            board.tell(message)
        live.refresh()
    return report(client.executions.get(execution_id))


def report(execution: Execution) -> int:
    """Print how an execution ended; the exit code."""
    fields: dict[str, Any] = {
        "id": execution.id,
        "status": execution.status,
        "seconds": execution.duration_seconds,
        "error": execution.error_message,
        "results": execution.results,
    }
    print_fields(fields)
    return ended(execution)


def ended(execution: Execution) -> int:
    """The exit code of an execution's end."""
    return 0 if execution.status == "completed" else FAILED
