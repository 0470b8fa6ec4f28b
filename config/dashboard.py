"""What the admin's first page shows: each panel is a few reads through an index, and one that fails leaves the others.

A panel is there for who has the permission to view what it tells of. Times are UTC, as everywhere in the admin.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from redis.exceptions import RedisError

from accounts.callers import Caller
from accounts.models import User
from config import charts, machine, probes
from config.charts import Hour
from config.panels import (
    Depth,
    FailingWebhook,
    FailureLine,
    History,
    Number,
    Queue,
    State,
    Table,
    Waiting,
    WebhookLine,
    Webhooks,
    WorkerLine,
    age_text,
    bytes_text,
    capped,
    list_url,
    page_url,
    percent,
)
from core.amqp import BrokerAwayError
from core.ids import first_id
from core.table_facts import database_size_bytes, largest_tables
from executions import diagnosis, maintenance_mode
from executions.diagnosis import Finding
from executions.facts import HEARTBEAT_LATE
from executions.models import ComponentRun, Execution, Worker
from executions.states import ExecutionStatus
from executions.transitions import overview
from webhooks.models import Delivery, Webhook
from webhooks.states import DeliveryStatus, OffReason
from workflows.models import Workflow

logger = logging.getLogger(__name__)

HOURS = 24
REFRESH_SECONDS = 15
T = TypeVar("T")

_PANEL_MS = 1_000
_ANSWER_SECONDS = 0.5
_MAX_FAILURES, _MAX_WORKERS, _MAX_WEBHOOKS, _MAX_TABLES = 8, 50, 5, 12


def panels(caller: Caller) -> dict[str, Any]:
    """All that the caller may see, by panel; a panel that could not be read is None and its name in `unread`."""
    user, now = caller.user, timezone.now()
    # Asked now, waited for last.
    redis, broker = probes.redis.ask(), probes.ask_broker()
    wanted: dict[str, Callable[[], Any]] = {}
    if user.has_perm("executions.view_execution"):
        wanted |= {
            "queue": lambda: _queue(caller),
            "history": lambda: _history(now),
            "failures": lambda: _failures(now),
            "maintenance": maintenance_mode.current,
        }
    if user.has_perm("executions.view_worker"):
        wanted["workers"] = lambda: _workers(now)
    if _sees_webhooks(user):
        wanted["webhooks"] = lambda: _webhooks(now)
    if user.is_superuser:
        wanted["tables"] = _tables
    found: dict[str, Any] = {}
    unread: list[str] = []
    with transaction.atomic():
        with connection.cursor() as cursor:
            # A page that looks after the database must not be what keeps it busy.
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(_PANEL_MS)])
        for name, read in wanted.items():
            found[name] = _read(name, read)
            if found[name] is None:
                unread.append(name)
        alive = probes.live_workers()
    return {
        **found,
        "states": _states(redis, broker, alive),
        "unread": unread,
        "now": now,
        "hours": HOURS,
        "refresh_seconds": REFRESH_SECONDS,
        "version": settings.APG_VERSION,
    }


def _read(name: str, read: Callable[[], T]) -> T | None:
    try:
        with transaction.atomic():
            return read()
    except OperationalError as error:
        # It took too long, or the server is about to go; a mistake of ours is no such thing.
        logger.warning(
            "A panel of the dashboard could not be read: %s",
            name,
            extra={"action": "panel_failed", "error": str(error)},
        )
        return None


def _state(name: str, asked: Future[float], otherwise: str) -> State:
    try:
        return State(name, True, f"answers in {asked.result(_ANSWER_SECONDS)} ms")
    except (RedisError, BrokerAwayError, NotInTime):
        return State(name, False, f"does not answer: {otherwise}")


def _states(redis: Future[float], broker: Future[float] | None, alive: int) -> tuple[State, ...]:
    workers = State("Workers", alive > 0, f"{alive} alive" if alive else "none is alive: executions wait")
    disk = machine.disk_usage()
    return (
        State("PostgreSQL", True, "answers"),
        _state("Redis", redis, "executions start later than they could, live views lag"),
        *([_state("RabbitMQ", broker, "components start later than they could")] if broker else []),
        workers,
        State(
            "This machine",
            disk < _DISK_FULL,
            f"CPU {machine.cpu_usage():.0%}, memory {machine.memory_usage():.0%}, disk {disk:.0%}",
        ),
    )


_DISK_FULL = 0.95


def _queue(caller: Caller) -> Queue:
    counts = overview.live_counts()
    depths = overview.queue_depths()
    depth = sum(each.count for each in depths)
    longest = max((each.count for each in depths), default=1)
    depth_text = f"{overview.QUEUE_CAP:,} or more" if depth >= overview.QUEUE_CAP else f"{depth:,}"
    executions = "executions_execution"
    return Queue(
        (
            Number("executions run", capped(counts.running), list_url(executions, status="running"), "running"),
            Number(
                "wait for a slot",
                capped(counts.without_slot),
                list_url(executions, status="queued"),
                "waiting" if counts.without_slot else "",
            ),
            Number("wait for their time", capped(counts.scheduled), list_url(executions, status="pending")),
            Number("components run", capped(counts.running_components), "", "running"),
            Number("components queued", depth_text, "", "waiting" if depth else ""),
            Number("components wait for something", capped(counts.waiting_components), ""),
            Number("held by max_parallel", capped(counts.held_components), ""),
        ),
        tuple(Depth(each.queue, each.priority, each.count, percent(each.count, longest)) for each in depths),
        depth_text,
        tuple(_oldest(caller)),
    )


def _oldest(caller: Caller) -> Sequence[Waiting]:
    """The execution that has waited longest for a slot, and that with the component longest in the queue."""
    found: list[Waiting] = []
    queued = Execution.objects.filter(status=ExecutionStatus.QUEUED).select_related("workflow", "created_by")
    execution = queued.filter(admitted_at__isnull=True).order_by("pk").first()
    if execution is not None:
        for finding in diagnosis.diagnose(execution, caller)[:1]:
            found.append(_waiting(execution, finding, execution.created_at))
    run_id = overview.oldest_queued_run()
    runs = ComponentRun.objects.select_related("execution__workflow")
    run = runs.filter(pk=run_id).first() if run_id is not None else None
    if run is not None:
        found.append(_waiting(run.execution, diagnosis.why_queued(run), run.changed_at))
    return sorted(found, key=lambda each: each.since)


def _waiting(execution: Execution, finding: Finding, since: datetime) -> Waiting:
    begun = finding.since or since
    reason, url = finding.reason.replace("_", " "), page_url("executions_execution", execution.pk)
    return Waiting(execution, finding, reason, begun, age_text(timezone.now() - begun), url)


def _history(now: datetime) -> History:
    first = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    counts: list[dict[str, int]] = [{} for _ in range(HOURS)]
    for ended in overview.ended_by_hour(first, HOURS):
        counts[ended.hour][ended.status] = ended.count
    hours = tuple(Hour(f"{first + timedelta(hours=place):%H:%M}", **each) for place, each in enumerate(counts))
    whole = Hour("", *(sum(getattr(hour, kind) for hour in hours) for kind in ("completed", "failed", "cancelled")))
    return History(
        hours,
        charts.throughput(hours),
        charts.success_rates(hours),
        f"{whole.total:,}",
        whole.completed,
        whole.failed,
        whole.cancelled,
        whole.success_text,
    )


def _failures(now: datetime) -> tuple[FailureLine, ...]:
    failures = overview.failures_since(now - timedelta(hours=HOURS), _MAX_FAILURES)
    names = dict(Workflow.with_deleted.filter(pk__in=[each.workflow_id for each in failures]).values_list("pk", "name"))
    return tuple(
        FailureLine(
            each.component_id or "",
            each.code,
            each.message or each.code,
            each.count,
            names.get(each.workflow_id, "") if each.workflow_count == 1 else f"{each.workflow_count:,} workflows",
            list_url(
                "executions_execution",
                status="failed",
                made="24",
                **({"workflow": each.workflow_id} if each.workflow_count == 1 else {}),
            ),
            page_url("executions_execution", each.last_execution_id),
        )
        for each in failures
    )


def _workers(now: datetime) -> tuple[WorkerLine, ...]:
    busy = overview.busy_workers()
    known = Worker.objects.filter(heartbeat_at__gte=now - timedelta(hours=HOURS)).order_by("-heartbeat_at")
    lines = [
        WorkerLine(
            worker.name,
            worker.heartbeat_at >= now - HEARTBEAT_LATE,
            f"{age_text(now - worker.heartbeat_at)} ago",
            busy.get(worker.name, 0),
            worker.processes,
            min(percent(busy.get(worker.name, 0), max(worker.processes, 1)), 100),
            ", ".join(worker.queues),
        )
        for worker in known[:_MAX_WORKERS]
    ]
    return tuple(sorted(lines, key=lambda line: (not line.alive, line.name)))


def _sees_webhooks(user: User) -> bool:
    return user.has_perm("webhooks.view_webhook") and user.has_perm("webhooks.view_delivery")


def _webhooks(now: datetime) -> Webhooks:
    off = Webhook.objects.filter(active=False, off_reason__in=[OffReason.GONE, OffReason.FAILURES])
    since = first_id(now - timedelta(hours=HOURS))
    failed = Delivery.objects.filter(status=DeliveryStatus.FAILED, pk__gte=since)
    pending = Delivery.objects.filter(status=DeliveryStatus.PENDING)
    of = Counter(failed.order_by("-pk").values_list("webhook", flat=True)[: overview.FAILURES_CAP])
    known = Webhook.objects.select_related("owner").in_bulk([key for key, _ in of.most_common(_MAX_WEBHOOKS)])
    switched_off, failures = off.count(), _count_up_to(failed, overview.CAP)
    webhooks, deliveries = "webhooks_webhook", "webhooks_delivery"
    return Webhooks(
        (
            Number(
                "webhooks switched off",
                f"{switched_off:,}",
                list_url(webhooks, active__exact=0),
                "failed" if switched_off else "",
            ),
            Number(
                "deliveries failed",
                capped(failures),
                list_url(deliveries, status="failed", made="24"),
                "failed" if failures else "",
            ),
            Number(
                "deliveries pending",
                capped(_count_up_to(pending, overview.CAP)),
                list_url(deliveries, status="pending"),
            ),
        ),
        tuple(
            WebhookLine(each, page_url(webhooks, each.pk))
            for each in off.select_related("owner").order_by("-updated_at")[:_MAX_WEBHOOKS]
        ),
        tuple(
            FailingWebhook(known[key], count, list_url(deliveries, status="failed", webhook=key))
            for key, count in of.most_common(_MAX_WEBHOOKS)
            if key in known
        ),
    )


def _tables() -> dict[str, Any]:
    tables = largest_tables(_MAX_TABLES)
    largest = max((table.size_bytes for table in tables), default=1)
    return {
        "size": bytes_text(database_size_bytes()),
        "lines": tuple(
            Table(
                table.name,
                "not counted yet" if table.rows < 0 else f"{table.rows:,}",
                bytes_text(table.size_bytes),
                percent(table.size_bytes, largest),
            )
            for table in tables
        ),
    }


def _count_up_to(rows: Any, cap: int) -> int:
    return int(rows.order_by()[: cap + 1].count())
