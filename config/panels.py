"""What the panels of the admin's first page hold, and how they say it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse

from config.charts import Chart, Hour
from executions.diagnosis import Finding
from executions.models import Execution
from executions.transitions import overview
from webhooks.models import Webhook


@dataclass(frozen=True, slots=True)
class Number:
    """A count, up to a cap, and the list that it counts."""

    label: str
    text: str
    url: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Depth:
    """How much of a queue a priority has; `share` of the longest, 0–100."""

    queue: str
    priority: int
    count: int
    share: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """An execution that has waited longest, and why."""

    execution: Execution
    finding: Finding
    reason: str
    since: datetime
    age: str
    url: str


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits and what runs."""

    numbers: tuple[Number, ...]
    depths: tuple[Depth, ...]
    depth_text: str
    oldest: tuple[Waiting, ...]


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A worker: how many of its processes are busy (`load` 0–100), and how long ago its heart has beaten."""

    name: str
    alive: bool
    heartbeat: str
    busy: int
    processes: int
    load: int
    serves: str


@dataclass(frozen=True, slots=True)
class FailureLine:
    """Executions that failed alike."""

    component: str
    code: str
    message: str
    count: int
    where: str
    list_url: str
    last_url: str


@dataclass(frozen=True, slots=True)
class History:
    """The hours up to now, as numbers and as drawings."""

    hours: tuple[Hour, ...]
    throughput: Chart
    success: Chart
    total: str
    completed: int
    failed: int
    cancelled: int
    success_text: str


@dataclass(frozen=True, slots=True)
class WebhookLine:
    """A webhook that the platform has switched off."""

    webhook: Webhook
    url: str


@dataclass(frozen=True, slots=True)
class FailingWebhook:
    """A webhook with deliveries that failed for good."""

    webhook: Webhook
    count: int
    url: str


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Deliveries that go wrong."""

    numbers: tuple[Number, ...]
    off: tuple[WebhookLine, ...]
    failing: tuple[FailingWebhook, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table's size, and its rows as PostgreSQL estimates them; `share` of the largest, 0–100."""

    name: str
    rows: str
    size: str
    share: int


@dataclass(frozen=True, slots=True)
class State:
    """One thing that the platform needs: whether it is there."""

    name: str
    good: bool
    text: str


def capped(count: int) -> str:
    """A count as it is said: beyond the cap it was not counted on."""
    return f"{overview.CAP:,}+" if count > overview.CAP else f"{count:,}"


def percent(count: int, of: int) -> int:
    """A share that can be seen where there is anything at all."""
    return max(round(100 * count / of), 1) if count else 0


def age_text(age: timedelta) -> str:
    """How long ago, in the largest unit of which there are two."""
    seconds = max(int(age.total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size * 2:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def bytes_text(size: float) -> str:
    """A size in binary units."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def list_url(name: str, **filters: object) -> str:
    """The address of a list in the admin, filtered."""
    address = reverse(f"admin:{name}_changelist")
    return f"{address}?{urlencode(filters)}" if filters else address


def page_url(name: str, key: str) -> str:
    """The address of an object's page in the admin."""
    return reverse(f"admin:{name}_change", args=[key])
