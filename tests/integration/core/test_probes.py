"""Health's questions: bounded in time, one at a time, and gone when answered."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.db import InterfaceError, connection
from django.utils import timezone

from config import probes, system
from config.probes import Probe
from executions.models import Worker
from tests.api import Api
from tests.eventually import eventually
from tests.stopwatch import Stopwatch

pytestmark = pytest.mark.django_db(transaction=True)

PROBE_SECONDS = system._PROBE_SECONDS


@contextmanager
def frozen(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """Nobody answers the probe until the block is left."""
    thaw = Event()

    def ask() -> Any:
        thaw.wait(30)
        raise InterfaceError

    monkeypatch.setattr(probes, name, Probe(ask))
    monkeypatch.setattr(system, "_PROBE_SECONDS", PROBE_SECONDS)
    yield
    thaw.set()


def test_workers_and_all_parts_healthy(api: Api) -> None:
    Worker.objects.create(name="w1")
    answer = api.get("/health")
    parts = answer.data["components"]
    assert (answer.status, answer.data["status"]) == (200, "healthy")
    assert {name: sorted(part) for name, part in parts.items()} == {
        "database": ["response_time_ms", "status"],
        "redis": ["response_time_ms", "status"],
        "workflow_engine": ["status", "workers"],
        "scheduler": ["queue_depth", "status"],
    }
    assert parts["workflow_engine"] == {"status": "healthy", "workers": 1}
    assert parts["scheduler"] == {"status": "healthy", "queue_depth": 0}


def test_a_queue_that_no_worker_serves_is_named(api: Api) -> None:
    Worker.objects.create(name="w1", queues=["default"])
    Worker.objects.create(name="w2", queues=["script"])
    answer = api.get("/health")
    assert (answer.status, answer.data["status"]) == (200, "degraded")
    assert answer.data["components"]["workflow_engine"] == {
        "status": "degraded", "workers": 2, "message": "No worker serves the queue io",
    }  # fmt: skip
    assert answer.data["components"]["scheduler"]["status"] == "healthy"
    Worker.objects.create(name="w3", queues=["io"])
    assert api.get("/health").data["components"]["workflow_engine"] == {"status": "healthy", "workers": 3}


def test_workers_whose_heart_stopped_do_not_count(api: Api) -> None:
    Worker.objects.create(name="w1")
    Worker.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    answer = api.get("/health")
    assert (answer.status, answer.data["status"]) == (200, "degraded")
    assert answer.data["components"]["workflow_engine"] == {"status": "degraded", "workers": 0}


def test_a_frozen_database_is_unhealthy_within_seconds(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with frozen(monkeypatch, "database"), Stopwatch() as watch:
        answer = api.get("/health")
    assert watch.seconds < 4
    assert (answer.status, answer.data["status"], answer.body["success"]) == (503, "unhealthy", False)
    assert answer.data["components"]["database"] == {"status": "unhealthy"}
    assert answer.data["components"]["redis"]["status"] == "healthy"
    assert answer.data["components"]["scheduler"] == {"status": "unhealthy"}


def test_a_frozen_redis_degrades_within_seconds(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    Worker.objects.create(name="w1")
    with frozen(monkeypatch, "redis"):
        answer = api.get("/health")
    assert (answer.status, answer.data["status"]) == (200, "degraded")
    assert answer.data["components"]["redis"] == {"status": "unhealthy"}


def test_rabbitmq_is_a_part_where_it_is_the_broker(api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Worker.objects.create(name="w1")
    settings.AMQP_URL = "amqp://guest:guest@127.0.0.1:1//"
    answer = api.get("/health")
    assert (answer.status, answer.data["status"]) == (200, "degraded")
    assert answer.data["components"]["broker"] == {"status": "unhealthy"}
    assert answer.data["components"]["redis"]["status"] == "healthy"
    monkeypatch.setattr(system, "_PROBE_SECONDS", PROBE_SECONDS)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.AMQP_URL = f"amqp://guest:guest@127.0.0.1:{silent.getsockname()[1]}//"
        assert api.get("/health").data["components"]["broker"] == {"status": "unhealthy"}


def test_who_asks_meanwhile_waits_for_the_same_answer() -> None:
    asked, go = [], Event()

    def ask() -> int:
        asked.append(1)
        go.wait(10)
        return len(asked)

    probe = Probe(ask)
    first, second = probe.ask(), probe.ask()
    go.set()
    assert (first.result(10), second.result(10)) == (1, 1)
    assert probe.ask().result(10) == 2


def test_a_probe_leaves_no_connection_behind(api: Api) -> None:
    with closing(connection.copy()) as other, other.cursor() as cursor:

        def connections() -> int:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND backend_type = 'client backend'"
            )
            return int(cursor.fetchone()[0])

        before = connections()
        for _ in range(3):
            api.get("/health")
        # PostgreSQL lets go of a closed connection's process a moment later.
        eventually(lambda: connections() <= before)
