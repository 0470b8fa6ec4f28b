"""What PostgreSQL is asked: exact numbers of what is there, with little work."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from config import metrics_facts
from core.metrics import Sample
from events import following
from executions.models import ComponentRun, Execution, MaintenanceMode, Worker
from tests.eventually import eventually
from tests.integration.executions.conftest import linear, log, start
from tests.integration.triggers.conftest import move_back, schedule
from webhooks.models import Delivery, Webhook

pytestmark = pytest.mark.django_db


def facts() -> dict[tuple[str, ...], float]:
    return {(sample.name, *sample.values): sample.value for sample in metrics_facts.ask_database()}


def test_executions_that_have_not_ended_by_status(alice: User) -> None:
    definition = linear(log("a"))
    ids = [start(alice, definition).pk for _ in range(5)]
    Execution.objects.filter(pk__in=ids[:2]).update(status="running")
    Execution.objects.filter(pk=ids[2]).update(status="completed", completed_at=timezone.now())
    found = facts()
    assert [found["apg_executions", status] for status in ("pending", "queued", "running")] == [0, 2, 2]
    assert len([series for series in found if series[0] == "apg_executions"]) == 3


def test_the_queue_by_priority_and_how_long_the_oldest_waits(alice: User) -> None:
    for priority in (1, 5, 5):
        start(alice, linear(log("a")), priority=priority)
    oldest = ComponentRun.objects.order_by("pk")[0]
    ComponentRun.objects.filter(pk=oldest.pk).update(changed_at=timezone.now() - timedelta(minutes=7))
    found = facts()
    depth = {series[1:]: value for series, value in found.items() if series[0] == "apg_queue_depth"}
    assert depth == {("default", "1"): 1, ("default", "5"): 2}
    assert 420 <= found["apg_queue_oldest_seconds", "default"] < 425
    assert found["apg_component_runs", "running"] == 0


def test_each_queue_is_measured_by_itself(alice: User) -> None:
    start(alice, linear(log("a")))
    start(alice, linear({"id": "a", "type": "http_request", "config": {"url": "http://127.0.0.1:9", "method": "GET"}}))
    start(alice, linear({"id": "a", "type": "script", "config": {"code": "result = 1"}}))
    ComponentRun.objects.filter(queue="io").update(changed_at=timezone.now() - timedelta(minutes=7))
    found = facts()
    depth = {series[1:]: value for series, value in found.items() if series[0] == "apg_queue_depth"}
    assert depth == {("default", "5"): 1, ("io", "5"): 1, ("script", "5"): 1}
    oldest = {series[1]: value for series, value in found.items() if series[0] == "apg_queue_oldest_seconds"}
    assert [round(oldest[queue], -1) for queue in ("default", "io", "script")] == [0, 420, 0]


def test_an_empty_queue_says_that_nobody_waits(db: None) -> None:
    found = facts()
    assert found["apg_queue_oldest_seconds", "default"] == 0
    assert found["apg_webhook_oldest_due_seconds",] == 0
    assert found["apg_schedule_oldest_due_seconds",] == 0


def test_workers_that_live_and_their_processes(db: None) -> None:
    late = timezone.now() - timedelta(seconds=20)
    Worker.objects.create(name="a", processes=4, queues=["default", "io"])
    Worker.objects.create(name="b", processes=2, queues=["io"])
    Worker.objects.create(name="gone", processes=8, queues=["script"], heartbeat_at=late)
    found = facts()
    assert (found["apg_workers",], found["apg_worker_processes",]) == (2, 6)
    assert found["apg_worker_processes_busy",] == 0
    assert [found["apg_queue_workers", queue] for queue in ("default", "io", "script")] == [1, 2, 0]


def test_how_far_a_follower_is_behind(alice: User) -> None:
    following.begin("webhooks")
    assert (facts()["apg_ledger_lag_events", "webhooks"], facts()["apg_ledger_lag_seconds", "webhooks"]) == (0, 0)
    start(alice, linear(log("a")))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE events_event SET timestamp = timestamp - interval '30 seconds'")
        cursor.execute("SELECT count(*) FROM events_event")
        (behind,) = cursor.fetchone()
    assert behind
    found = facts()
    assert found["apg_ledger_lag_events", "webhooks"] == behind
    assert 30 <= found["apg_ledger_lag_seconds", "webhooks"] < 35


def test_deliveries_by_what_they_wait_for(alice: User) -> None:
    webhook = Webhook.objects.create(
        owner=alice, url="https://example.com", events=[], sealed_secret=b"", retry_policy={}
    )
    now = timezone.now()
    for minutes, more in ((-3, {}), (-1, {}), (5, {}), (None, {})):
        at = None if minutes is None else now + timedelta(minutes=minutes)
        Delivery.objects.create(webhook=webhook, event="x", payload="{}", next_attempt_at=at, **more)
    Delivery.objects.create(webhook=webhook, event="x", payload="{}", status="delivering", lease_until=now)
    Delivery.objects.create(webhook=webhook, event="x", payload="{}", status="succeeded", completed_at=now)
    found = facts()
    states = {series[1]: value for series, value in found.items() if series[0] == "apg_webhook_deliveries"}
    assert states == {"due": 2, "later": 1, "held": 1, "delivering": 1}
    assert 180 <= found["apg_webhook_oldest_due_seconds",] < 185


def test_schedules_that_are_due(alice: User) -> None:
    move_back(schedule(alice), 90)
    schedule(alice)
    found = facts()
    assert found["apg_schedules_due",] == 1
    assert 29 <= found["apg_schedule_oldest_due_seconds",] < 35


def test_the_server_s_size_and_connections(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('max_connections')::int")
        (most,) = cursor.fetchone()

        def difference() -> float:
            cursor.execute("SELECT pg_database_size(current_database())")
            return abs(facts()["apg_database_size_bytes",] - float(cursor.fetchone()[0]))

        # Again where PostgreSQL has given back the end of a table in between.
        eventually(lambda: difference() < 2**20)
    found = facts()
    assert found["apg_database_connections_max",] == most
    assert 1 <= found["apg_database_connections",] <= most


def test_maintenance_mode(db: None) -> None:
    assert facts()["apg_maintenance",] == 0
    MaintenanceMode.objects.create(held=True, since=timezone.now())
    assert facts()["apg_maintenance",] == 1


def test_few_questions_whatever_there_is(alice: User) -> None:
    for _ in range(3):
        start(alice, linear(log("a")))
    with CaptureQueriesContext(connection) as queries:
        metrics_facts.ask_database()
    asked = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    # One of them says how long each may take.
    assert len([sql for sql in asked if "statement_timeout" in sql]) == len(metrics_facts.QUESTIONS)
    assert len(asked) - len(metrics_facts.QUESTIONS) == 13


def test_a_question_that_takes_too_long_is_left_out_and_the_others_are_answered(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow() -> list[Sample]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60)")
        return []

    questions: Any = {"workers": metrics_facts.QUESTIONS["workers"], "slow": slow}
    monkeypatch.setattr(metrics_facts, "QUESTIONS", questions)
    monkeypatch.setattr(metrics_facts, "_QUERIES_SECONDS", 2)
    assert set(facts()) == {
        ("apg_workers",), ("apg_worker_processes",),
        *(("apg_queue_workers", queue) for queue in ("default", "io", "script")),
    }  # fmt: skip
