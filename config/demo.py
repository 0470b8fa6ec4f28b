"""The demo: an ordinary workflow over the platform's own component catalogue, run and shown over the API."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from core.types import JSONObject

NAME = "Demo: component catalogue"
_TIMEOUT_SECONDS = 60
_MARKS = {"completed": "[green]✔[/]", "failed": "[red]✘[/]", "skipped": "[dim]–[/]", "running": "[yellow]▶[/]"}

DEFINITION: JSONObject = {
    "parameters": [
        {"name": "base_url", "type": "string", "required": True, "description": "Where the API answers"},
        {"name": "token", "type": "secret", "required": True, "description": "An access token"},
        {
            "name": "many",
            "type": "integer",
            "default_value": 5,
            "description": "From how many on it is a rich catalogue",
        },
    ],
    "components": [
        {"id": "start", "type": "start", "config": {"trigger_type": "manual"}, "position": {"x": 0, "y": 100}},
        {
            "id": "fetch",
            "type": "http_request",
            "name": "Fetch the catalogue",
            "config": {
                "url": "{{ base_url }}/components",
                "method": "GET",
                "auth": {"type": "bearer", "token": "{{ token }}"},
                "timeout": 10,
            },
            "retry_policy": {"max_attempts": 3, "initial_delay_seconds": 1},
            "position": {"x": 200, "y": 100},
        },
        {
            "id": "check",
            "type": "validate",
            "name": "Check its shape",
            "config": {
                "value": "{{ fetch.output.body.data }}",
                "schema": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["type", "name", "category", "config_schema"],
                        "properties": {"type": {"type": "string"}, "category": {"type": "string"}},
                    },
                },
            },
            "position": {"x": 400, "y": 100},
        },
        {
            "id": "group",
            "type": "transform",
            "name": "Count by category",
            "config": {"output": "{{ input | groupby('category') }}"},
            "position": {"x": 600, "y": 100},
        },
        {
            "id": "rich",
            "type": "condition",
            "name": "Many components?",
            "config": {"condition": "check.output | length >= many"},
            "position": {"x": 800, "y": 100},
        },
        {
            "id": "praise",
            "type": "log",
            "config": {"message": "A rich catalogue: {{ check.output | length }} components"},
            "position": {"x": 1000, "y": 0},
        },
        {
            "id": "warn",
            "type": "log",
            "config": {"message": "Only {{ check.output | length }} components", "level": "warning"},
            "position": {"x": 1000, "y": 200},
        },
        {
            "id": "end",
            "type": "end",
            "config": {"output": {"total": "{{ check.output | length }}", "categories": "{{ group.output }}"}},
            "position": {"x": 1200, "y": 100},
        },
    ],
    "connections": [
        {"source": "start", "target": "fetch", "type": "success"},
        {"source": "fetch", "target": "check", "type": "success"},
        {"source": "check", "target": "group", "type": "success"},
        {"source": "group", "target": "rich", "type": "success"},
        {"source": "rich", "target": "praise", "type": "conditional", "condition": "rich.output.result"},
        {"source": "rich", "target": "warn", "type": "conditional", "condition": "not rich.output.result"},
        {"source": "praise", "target": "end", "type": "success"},
        {"source": "warn", "target": "end", "type": "success"},
    ],
}


class DemoError(Exception):
    """The demo did not end as it should; the message says how it ended."""


class Client:
    """The few calls that the demo needs of the platform's own API."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.token = ""

    def call(self, method: str, path: str, body: JSONObject | None = None) -> Any:
        """`data` of the answer. Raises DemoError with the API's message, OSError without an answer."""
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(  # noqa: S310 - our own server
            self.base + path,
            method=method,
            headers=headers,
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise DemoError(f"{method} {path} answered {error.code}: {json.load(error)['message']}") from None

    def is_up(self) -> bool:
        """Whether the platform answers and has a worker."""
        try:
            return bool(self.call("GET", "/health")["status"] == "healthy")
        except (OSError, DemoError, ValueError):
            return False


def run(client: Client, email: str, password: str, console: Console) -> None:
    """Execute the demo workflow, show each component as it moves, then the result. Raises DemoError, OSError."""
    client.token = client.call("POST", "/auth/login", {"username": email, "password": password})["access_token"]
    found = client.call("GET", "/workflows?search=Demo%3A%20component&sort=created_at&order=asc&limit=1")
    if not found:
        raise DemoError(f"there is no workflow called {NAME!r} (any more)")
    parameters = {"base_url": client.base, "token": client.token}
    workflow_id = found[0]["id"]
    execution_id = client.call("POST", f"/workflows/{workflow_id}/execute", {"parameters": parameters})["execution_id"]
    execution = _follow(client, execution_id, console)
    if execution["status"] != "completed":
        raise DemoError(f"it ended {execution['status']}: {execution['error_message']}")
    console.print(_result_table(execution["results"]))


def _follow(client: Client, execution_id: str, console: Console) -> Any:
    rows: dict[str, tuple[str, str]] = {}
    since = 0
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    with Live(_progress_table(rows), console=console, refresh_per_second=20, transient=False) as live:
        while time.monotonic() < deadline:
            for event in client.call("GET", f"/executions/{execution_id}/events?since={since}&limit=1000"):
                since = event["sequence"]
                if event["type"].startswith("component."):
                    data = event["data"]
                    seconds = data.get("duration_seconds")
                    rows[data["component_id"]] = (data["status"], "" if seconds is None else f"{seconds * 1000:.0f} ms")
            live.update(_progress_table(rows))
            execution = client.call("GET", f"/executions/{execution_id}")
            if execution["completed_at"] is not None and since >= _last(client, execution_id, since):
                return execution
            time.sleep(0.05)
    raise DemoError(f"it had not ended after {_TIMEOUT_SECONDS} s")


def _last(client: Client, execution_id: str, since: int) -> int:
    more = client.call("GET", f"/executions/{execution_id}/events?since={since}&limit=1000")
    return int(more[-1]["sequence"]) if more else since


def _progress_table(rows: dict[str, tuple[str, str]]) -> Table:
    table = Table("", "component", "state", "took", title=NAME, title_justify="left")
    for component_id, (status, took) in rows.items():
        table.add_row(_MARKS.get(status, ""), component_id, status, took)
    return table


def _result_table(results: JSONObject) -> Table:
    table = Table("category", "components", "types", title=f"{results['total']} components", title_justify="left")
    for group in results["categories"]:
        table.add_row(group["key"], str(len(group["items"])), ", ".join(item["type"] for item in group["items"]))
    return table
