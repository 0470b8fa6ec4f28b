"""A platform that has worked for a day: people, workflows, executions of 24 hours, workers, webhooks; for pages.

The same every time, but for its ids and its clock.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db import connection
from django.utils import timezone

from accounts.models import Tier, User
from core.ids import first_id, new_id, parse_id
from core.types import JSONObject
from executions.models import ComponentRun, Execution, Worker
from webhooks.models import Delivery, Webhook
from webhooks.states import OffReason
from workflows.models import Slot, Trigger, Workflow, WorkflowVersion
from workflows.services import create_workflow, update_workflow

SEED = 7
DAY_HOURS = 24
_PEOPLE = ("priya.raman", "tom.okafor", "ines.carvalho", "lukas.brandt")


@dataclass(frozen=True)
class _Kind:
    """A workflow: who owns it, its components, how often it runs in an hour and how it fails."""

    name: str
    owner: int
    category: str
    components: tuple[tuple[str, str], ...]
    hourly: int
    failing: float
    fails_in: str = ""
    code: str = "COMPONENT_ERROR"
    message: str = ""
    cron: str = ""


_KINDS = (
    _Kind(
        "Nightly invoice reconciliation", 0, "finance",
        (("start", "start"), ("fetch_invoices", "http_request"), ("match", "transform"), ("post_ledger", "postgres")),
        14, 0.05, "fetch_invoices", message="503 Service Unavailable from erp.northwind.example", cron="0 2 * * *",
    ),
    _Kind(
        "Order intake", 1, "automation",
        (("start", "start"), ("validate", "condition"), ("reserve_stock", "http_request"), ("confirm", "email")),
        46, 0.02, "reserve_stock", "TIMEOUT", "No answer within 30 s from stock.northwind.example",
    ),
    _Kind(
        "Customer 360 export", 2, "data_processing",
        (("start", "start"), ("extract", "postgres"), ("enrich", "for_each"), ("upload", "http_request")),
        9, 0.11, "upload", message="413 Payload Too Large from lake.northwind.example", cron="*/20 * * * *",
    ),
    _Kind(
        "Fraud score refresh", 3, "data_processing",
        (("start", "start"), ("features", "postgres"), ("score", "script"), ("publish", "http_request")),
        22, 0.03, "score", "SCRIPT_ERROR", "KeyError: 'merchant_country' on line 14", cron="*/5 * * * *",
    ),
    _Kind(
        "Weekly board report", 0, "reporting",
        (("start", "start"), ("collect", "sub_workflow"), ("approve", "approval"), ("send", "email")),
        1, 0.0, cron="0 7 * * MON",
    ),
    _Kind(
        "Sensor gateway import", 1, "integration",
        (("start", "start"), ("pull", "http_request"), ("shape", "transform"), ("store", "postgres")),
        58, 0.015, "store", message="connection to server at \"tsdb\" failed: too many clients already",
        cron="* * * * *",
    ),
)  # fmt: skip


@dataclass
class Seeded:
    """What a test names of it."""

    people: list[User]
    workflows: list[Workflow]
    webhooks: list[Webhook]


def seed(now: datetime | None = None) -> Seeded:
    """Fill an empty database, migrated, as it would be after a day of work."""
    now, chance = now or timezone.now(), random.Random(SEED)
    people = [
        User.objects.create_user(f"{name}@northwind.example", None, username=name, tier=tier)
        for name, tier in zip(_PEOPLE, (Tier.ENTERPRISE, Tier.PRO, Tier.PRO, Tier.ENTERPRISE), strict=True)
    ]
    workflows = [_workflow(kind, people[kind.owner]) for kind in _KINDS]
    _executions(workflows, chance, now)
    _slots(now)
    Worker.objects.bulk_create(
        Worker(
            name=name, queues=queues, processes=processes, started_at=now - timedelta(hours=hours),
            heartbeat_at=now - seen,
        )
        for name, queues, processes, hours, seen in (
            ("celery@worker-1", ["default", "script"], 8, 31, timedelta(seconds=1)),
            ("celery@worker-2", ["default", "script"], 8, 31, timedelta(seconds=2)),
            ("celery@worker-io-1", ["io"], 4, 6, timedelta(seconds=1)),
            ("celery@worker-3", ["default"], 8, 29, timedelta(minutes=47)),
        )
    )  # fmt: skip
    webhooks = _webhooks(people, chance, now)
    with connection.cursor() as cursor:
        # As PostgreSQL does by itself within minutes: the estimates of rows.
        cursor.execute("ANALYZE")
    return Seeded(people, workflows, webhooks)


def beat() -> None:
    """The hearts of all workers but the one that is gone beat now."""
    Worker.objects.exclude(name="celery@worker-3").update(heartbeat_at=timezone.now())


def _workflow(kind: _Kind, owner: User) -> Workflow:
    workflow = create_workflow(
        user=owner, name=kind.name, definition=_plain(kind), category=kind.category, tags=["production"]
    )
    if kind.cron:
        update_workflow(workflow=workflow, user=owner, changes={"status": "active"})
        workflow.refresh_from_db()
    return workflow


def _plain(kind: _Kind) -> JSONObject:
    """A definition with the same components; all but the start only log, as nothing here is ever run."""
    start: JSONObject = {"trigger_type": "schedule", "cron": kind.cron} if kind.cron else {"trigger_type": "manual"}
    components = [
        {"id": id_, "type": "start" if id_ == "start" else "log", "config": start if id_ == "start" else _LOG}
        for id_, _ in kind.components
    ]
    ids = [id_ for id_, _ in kind.components]
    return {
        "components": components,
        "connections": [{"source": a, "target": b, "type": "success"} for a, b in pairwise(ids)],
    }


_QUEUES = {"http_request": "io", "postgres": "io", "script": "script"}
_LOG = {"message": "done"}
# Older ones that completed have none: nobody looks at so many, and rows take time.
_WITH_RUNS = timedelta(hours=1)


def _executions(workflows: Sequence[Workflow], chance: random.Random, now: datetime) -> None:
    versions = dict(WorkflowVersion.objects.values_list("workflow", "pk"))
    executions: list[Execution] = []
    runs: list[ComponentRun] = []
    minutes = DAY_HOURS * 60
    for workflow, kind in zip(workflows, _KINDS, strict=True):
        for minute in range(minutes):
            made_at = now - timedelta(minutes=minutes - minute, seconds=-chance.random() * 59)
            # More by day than by night, and an hour in which a far end was down.
            daily = 0.65 + 0.35 * math.sin((made_at.hour - 8) / 24 * 2 * math.pi)
            down = 9 if kind.code == "TIMEOUT" and 420 <= minutes - minute < 480 else 1
            if chance.random() > kind.hourly / 60 * daily:
                continue
            status = "failed" if chance.random() < kind.failing * down else "completed"
            if status == "completed" and chance.random() < 0.01:
                status = "cancelled"
            age = minutes - minute
            if age <= 3:
                status = "running" if chance.random() < 0.6 else "queued"
            _one(executions, runs, workflow, kind, versions[workflow.pk], made_at, status, chance)

    def add(place: int, made_at: datetime, status: str, **more: int) -> None:
        version = versions[workflows[place].pk]
        _one(executions, runs, workflows[place], _KINDS[place], version, made_at, status, chance, **more)

    for number in range(37):
        made_at, priority = now - timedelta(minutes=6, seconds=-number), 5 + number % 2 * 3
        status, queued_at = ("running", 2) if number % 3 else ("queued", 0)
        add((1, 3, 5, 5)[number % 4], made_at, status, priority=priority, queued_at=queued_at)
    for number in range(7):
        add(number % 6, now - timedelta(seconds=40 - number), "running")
    Execution.objects.bulk_create(executions, batch_size=500)
    ComponentRun.objects.bulk_create(runs, batch_size=500)


def _one(
    executions: list[Execution],
    runs: list[ComponentRun],
    workflow: Workflow,
    kind: _Kind,
    version_id: str,
    made_at: datetime,
    status: str,
    chance: random.Random,
    priority: int = 5,
    queued_at: int | None = None,
) -> None:
    """One execution; `queued_at` is which of its components wants a worker."""
    took = timedelta(seconds=chance.expovariate(1 / 9) + 0.4)
    final = status in {"completed", "failed", "cancelled"}
    error = {"code": kind.code, "message": kind.message, "component_id": kind.fails_in} if status == "failed" else None
    started = None if status == "queued" else made_at + timedelta(seconds=chance.random())
    at = {"completed": len(kind.components), "cancelled": 1, "running": 1, "queued": 0}.get(status)
    at = at if queued_at is None else queued_at
    done = next(i for i, (id_, _) in enumerate(kind.components) if id_ == kind.fails_in) if at is None else at
    execution = Execution(
        pk=_id_at(made_at),
        workflow=workflow,
        workflow_owner_id=workflow.created_by_id,
        version_id=version_id,
        created_by_id=workflow.created_by_id,
        status=status,
        priority=priority,
        trigger={"type": "schedule" if kind.cron else "manual"},
        results={"rows": chance.randrange(20, 4000)} if status == "completed" else None,
        error=error,
        total_components=len(kind.components),
        ended_components=len(kind.components) if final else done,
        remaining=0 if final else len(kind.components) - done,
        created_at=made_at,
        admitted_at=made_at,
        started_at=started,
        completed_at=made_at + took if final else None,
    )
    executions.append(execution)
    if status == "completed" and made_at < timezone.now() - _WITH_RUNS:
        return
    for place, (id_, type_) in enumerate(kind.components):
        state = "completed" if place < done else "skipped" if final else "blocked"
        if place == done and not final:
            state = status if queued_at is None else "queued"
        if place == done and status in {"failed", "cancelled"}:
            state = status
        over = state in {"completed", "failed", "skipped", "cancelled"}
        began = made_at + took * place / 4
        runs.append(
            ComponentRun(
                pk=new_id(), execution=execution, component_id=id_, component_type=type_, position=place,
                owner_id=workflow.created_by_id, priority=priority, status=state, queue=_QUEUES.get(type_, "default"),
                error=error if state == "failed" else None, changed_at=began,
                worker=f"celery@worker-{chance.choice(['1', '1', '2', 'io-1'])}" if state == "running" else "",
                lease_until=timezone.now() + timedelta(seconds=15) if state == "running" else None,
                started_at=None if state in {"blocked", "queued", "skipped"} else began,
                completed_at=made_at + took * (place + 1) / 4 if over else None,
            )
        )  # fmt: skip


def _id_at(moment: datetime) -> str:
    """An id as one made then."""
    return first_id(moment)[:10] + parse_id(new_id())[10:]


def _slots(now: datetime) -> None:
    slots = [
        Slot(trigger=trigger, slot_at=now.replace(second=0, microsecond=0) - timedelta(minutes=5 * number),
             execution_id=new_id())
        for trigger in Trigger.objects.filter(type="schedule").order_by("pk")
        for number in range(1, 4)
    ]  # fmt: skip
    Slot.objects.bulk_create(slots)


def _webhooks(people: Sequence[User], chance: random.Random, now: datetime) -> list[Webhook]:
    policy = {"max_attempts": 5, "initial_delay_seconds": 10, "max_delay_seconds": 3600, "backoff_multiplier": 2}
    common: dict[str, Any] = {"retry_policy": policy, "sealed_secret": b"\x00"}
    told = ["execution.completed", "execution.failed"]
    hosts = (
        ("hooks.northwind.example", True, "", 0),
        ("chatops.northwind.example", True, "", 3),
        ("legacy-crm.northwind.example", False, OffReason.FAILURES, 20),
        ("partner.fabrikam.example", False, OffReason.GONE, 1),
    )
    webhooks = Webhook.objects.bulk_create(
        Webhook(
            owner=people[place % len(people)], url=f"https://{host}/in/orders", events=told, active=active,
            off_reason=reason, failures_in_a_row=failures, **common,
        )
        for place, (host, active, reason, failures) in enumerate(hosts)
    )  # fmt: skip
    deliveries = []
    for webhook, failing in zip(webhooks, (0.004, 0.06, 0.5, 0.1), strict=True):
        for number in range(240):
            made_at = now - timedelta(minutes=6 * number + 2)
            failed = chance.random() < failing
            deliveries.append(
                Delivery(
                    pk=_id_at(made_at), webhook=webhook, event=told[failed], payload="{}",
                    status="failed" if failed else "succeeded", claims=1, attempts=5 if failed else 1,
                    response_status=500 if failed else 204, error="500 Internal Server Error" if failed else None,
                    created_at=made_at, completed_at=made_at + timedelta(seconds=2),
                )
            )  # fmt: skip
    Delivery.objects.bulk_create(deliveries, batch_size=500)
    return webhooks
