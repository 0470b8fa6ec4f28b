"""The dashboard: panels by permission, what each tells, and what it does where something is away."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client, override_settings
from django.utils import timezone

from accounts.audited_admin import CREDENTIAL
from accounts.callers import Caller
from accounts.models import User
from config import dashboard
from core.ids import first_id, new_id
from executions import maintenance_mode
from executions.diagnosis import Reason
from executions.models import ComponentRun, Execution, Worker
from executions.transitions import overview
from tests.integration.executions.conftest import log, make_workflow, start
from tests.seeds import beat, seed
from webhooks.models import Delivery
from workflows.models import Workflow, WorkflowVersion

pytestmark = pytest.mark.django_db(transaction=True)
PANEL_MS = dashboard._PANEL_MS
ALWAYS = {"states", "unread", "now", "hours", "refresh_seconds", "version"}


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Panels have the time that they take on a busy machine; of what hangs there is a test that sets its own."""
    monkeypatch.setattr(dashboard, "_PANEL_MS", 60_000)
    monkeypatch.setattr(dashboard, "_ANSWER_SECONDS", 60)


def panels(user: User) -> dict[str, Any]:
    return dashboard.panels(Caller(user, frozenset(), CREDENTIAL))


@pytest.mark.parametrize(
    ("permissions", "expected"),
    [
        ([], set()),
        (["view_execution"], {"queue", "history", "failures", "maintenance"}),
        (["view_worker"], {"workers"}),
        (["view_webhook"], set()),
        (["view_webhook", "view_delivery"], {"webhooks"}),
    ],
)
def test_staff_see_the_panels_of_what_they_may_view(bob: User, permissions: list[str], expected: set[str]) -> None:
    bob.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert set(panels(User.objects.get(pk=bob.pk))) - ALWAYS == expected


def test_a_superuser_sees_all_panels_and_the_tables(admin: User) -> None:
    found = panels(admin)
    assert set(found) - ALWAYS == {*("queue", "history", "failures", "maintenance", "workers", "webhooks", "tables")}
    assert found["unread"] == []
    names = [table.name for table in found["tables"]["lines"]]
    assert "executions_execution" in names


def test_the_page_and_its_fragment_are_for_staff(viewer: Client, browser: Client, alice: User) -> None:
    assert 'id="failures-title"' in browser.get("/admin/").content.decode()
    fragment = viewer.get("/admin/dashboard/").content.decode()
    assert 'id="failures-title"' in fragment and "<html" not in fragment and 'id="tables-title"' not in fragment
    customer = Client()
    for path in ("/admin/", "/admin/dashboard/"):
        assert customer.get(path).headers["Location"] == f"/admin/login/?next={path}"
    customer.force_login(alice)
    for path in ("/admin/", "/admin/dashboard/"):
        assert customer.get(path).headers["Location"] == f"/admin/login/?next={path}"


def test_who_may_view_nothing_is_told_so(bob: User, empty_redis: None) -> None:
    User.objects.filter(pk=bob.pk).update(is_staff=True)
    client = Client()
    client.force_login(User.objects.get(pk=bob.pk))
    page = client.get("/admin/").content.decode()
    assert "Your account may not view executions, workers or webhooks" in page
    assert '<svg class="chart"' not in page


def test_the_panels_agree_with_the_tables(admin: User) -> None:
    seeded = seed()
    beat()
    found = panels(admin)
    executions = Execution.objects
    now = found["now"]
    since = first_id(now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=23))
    ended = {
        status: executions.filter(status=status, pk__gte=since).count()
        for status in ("completed", "failed", "cancelled")
    }
    history = found["history"]
    assert {"completed": history.completed, "failed": history.failed, "cancelled": history.cancelled} == ended
    assert sum(hour.total for hour in history.hours) == sum(ended.values())
    queued = ComponentRun.objects.in_queue()
    assert {(depth.queue, depth.priority): depth.count for depth in found["queue"].depths} == Counter(
        queued.values_list("queue", "priority")
    )
    running = f"{executions.filter(status='running').count():,}"
    assert next((each.text, each.label) for each in found["queue"].numbers) == (running, "executions run")
    day = first_id(now - timedelta(hours=24))
    assert sum(line.count for line in found["failures"]) == executions.filter(status="failed", pk__gte=day).count()
    assert {line.component for line in found["failures"]} == {
        "fetch_invoices", "reserve_stock", "upload", "score", "store",
    }  # fmt: skip
    busy = {line.name: line.busy for line in found["workers"]}
    assert sum(busy.values()) == ComponentRun.objects.filter(status="running").count()
    assert [line.alive for line in found["workers"]] == [True, True, True, False]
    failing = {each.webhook.pk: each.count for each in found["webhooks"].failing}
    assert failing == {
        webhook.pk: count
        for webhook in seeded.webhooks
        if (count := Delivery.objects.filter(webhook=webhook, status="failed", pk__gte=day).count())
    }
    assert {line.webhook.off_reason for line in found["webhooks"].off} == {"failures", "gone"}


def rows(workflow: Workflow, *wanted: tuple[datetime, str, dict[str, Any]]) -> list[Execution]:
    """Executions made at these times that have ended so."""
    version = WorkflowVersion.objects.get(workflow=workflow)
    return Execution.objects.bulk_create(
        Execution(
            pk=first_id(made_at)[:10] + new_id()[10:], workflow=workflow, version=version, remaining=0,
            created_by_id=workflow.created_by_id, status=status, total_components=1, completed_at=made_at, **more,
        )
        for made_at, status, more in wanted
    )  # fmt: skip


def test_an_execution_counts_for_the_hour_in_which_it_was_made(alice: User) -> None:
    workflow = make_workflow(alice, {"components": [log("a")], "connections": []})
    first = datetime(2026, 3, 1, 7, tzinfo=UTC)
    edge = timedelta(milliseconds=1)
    rows(
        workflow,
        (first - edge, "completed", {}),
        (first, "completed", {}),
        (first + timedelta(hours=1) - edge, "failed", {}),
        (first + timedelta(hours=1), "failed", {}),
        (first + timedelta(hours=2, minutes=30), "cancelled", {}),
    )
    found = {(each.hour, each.status): each.count for each in overview.ended_by_hour(first, 3)}
    assert found == {(0, "completed"): 1, (0, "failed"): 1, (1, "failed"): 1, (2, "cancelled"): 1}


def _error(component_id: str, message: str) -> dict[str, str]:
    return {"component_id": component_id, "code": "X", "message": message}


def test_failures_that_differ_in_numbers_alone_are_one_line(alice: User) -> None:
    workflow = make_workflow(alice, {"components": [log("a")], "connections": []})
    now = timezone.now()
    errors = [("a", "row 17 is bad"), ("a", "row 4 is bad"), ("b", "row 5 is bad"), ("a", "no rows")]
    made = rows(
        workflow,
        *(
            (
                now - timedelta(minutes=9 - place),
                "failed",
                {"error": {"component_id": who, "code": "X", "message": what}},
            )
            for place, (who, what) in enumerate(errors)
        ),
        (now - timedelta(hours=30), "failed", {"error": {"component_id": "a", "code": "X", "message": "row 1 is bad"}}),
        (now, "failed", {"error": None}),
    )
    found = overview.failures_since(now - timedelta(hours=24), 8)
    assert [(each.component_id, each.message, each.count) for each in found] == [
        ("a", "row 4 is bad", 2), (None, "", 1), ("a", "no rows", 1), ("b", "row 5 is bad", 1),
    ]  # fmt: skip
    assert (found[0].last_execution_id, found[0].workflow_id, found[0].workflow_count) == (made[1].pk, workflow.pk, 1)


def test_what_waits_longest_is_named_with_its_reason(alice: User, admin: User, only_legal_moves: None) -> None:
    assert panels(admin)["queue"].oldest == ()
    execution = start(alice, {"components": [log("a")], "connections": []})
    (oldest,) = panels(admin)["queue"].oldest
    assert (oldest.execution.pk, oldest.finding.reason) == (execution.pk, Reason.NO_WORKER)
    Worker.objects.create(name="celery@here", processes=2)
    (oldest,) = panels(admin)["queue"].oldest
    assert oldest.finding.reason == Reason.QUEUED_BEHIND
    for _ in range(5):
        last = start(alice, {"components": [log("a")], "connections": []})
    reasons = {each.finding.reason: each.execution.pk for each in panels(admin)["queue"].oldest}
    assert reasons == {Reason.QUEUED_BEHIND: execution.pk, Reason.CONCURRENCY_LIMIT: last.pk}


def test_a_panel_that_takes_too_long_is_left_out_and_said(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "_PANEL_MS", PANEL_MS)
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE webhooks_delivery IN ACCESS EXCLUSIVE MODE")
        page = browser.get("/admin/").content.decode()
    finally:
        other.close()
    assert "The panel “webhooks” could not be read in time" in page
    assert 'id="failures-title"' in page and 'id="webhooks-title"' not in page


def test_without_redis_and_workers_the_page_says_so(browser: Client) -> None:
    with override_settings(REDIS_URL="unix:///nowhere/valkey.sock"):
        page = browser.get("/admin/").content.decode()
    assert '<li class="bad"><b>Redis</b> does not answer' in page
    assert '<li class="bad"><b>Workers</b> none is alive' in page
    assert "No worker has been seen in the last 24 h" in page
    assert '<li class="good"><b>Redis</b>' in browser.get("/admin/").content.decode()


def test_rabbitmq_is_shown_where_it_is_the_broker(browser: Client) -> None:
    assert "RabbitMQ" not in browser.get("/admin/").content.decode()
    with override_settings(AMQP_URL="amqp://guest:guest@127.0.0.1:1//"):
        page = browser.get("/admin/").content.decode()
    assert '<li class="bad"><b>RabbitMQ</b> does not answer: components start later than they could' in page


def test_maintenance_mode_is_announced_on_the_page(browser: Client, admin: User) -> None:
    assert "Maintenance mode is on" not in browser.get("/admin/").content.decode()
    maintenance_mode.switch_on(actor=admin)
    assert "<b>Maintenance mode is on</b>" in browser.get("/admin/").content.decode()


def test_the_links_of_the_page_lead_to_what_they_count(browser: Client) -> None:
    seed()
    page = browser.get("/admin/").content.decode()
    links = {unescape(link) for link in re.findall(r'href="(/admin/[^"]*[?/]\w[^"]*)"', page) if "?" in link}
    assert len(links) > 10
    for link in links:
        assert browser.get(link).status_code == 200, link
    failed = next(link for link in links if "status=failed" in link)
    shown = browser.get(failed).content.decode()
    assert "status-failed" in shown and "status-completed" not in shown


def test_messages_of_users_are_text(browser: Client, alice: User) -> None:
    workflow = make_workflow(alice, {"components": [log("a")], "connections": []})
    error = {"component_id": "<b>", "code": "<i>", "message": "<script>alert(1)</script>"}
    rows(workflow, (timezone.now(), "failed", {"error": error}))
    page = browser.get("/admin/").content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page and "<b></" not in page


def test_hours_follow_one_another_up_to_now(admin: User) -> None:
    found = panels(admin)
    labels = [int(hour.label[:2]) for hour in found["history"].hours]
    assert len(labels) == 24 and labels[-1] == found["now"].hour
    assert all((a + 1) % 24 == b for a, b in pairwise(labels))
