"""RabbitMQ as the broker by APG_BROKER_URL alone: executions run, and its death loses and doubles nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from django.conf import settings as django_settings
from django.db import connection
from kombu import Connection

from accounts.models import User
from core import amqp
from core.ids import new_id
from core.redis import client
from executions import dispatch
from executions.models import ComponentRun, Execution, Worker
from executions.services import StartRequest, start_execution
from executions.states import FINAL_EXECUTION, ExecutionStatus
from executions.transitions.statements import QueuedRun
from tests import rabbitmq
from tests.api import Api
from tests.eventually import eventually
from tests.faults.harness import Ledger
from tests.integration.executions.conftest import linear, log, make_workflow
from tests.rabbitmq import RabbitMQ
from webhooks import dispatch as webhooks_dispatch

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(rabbitmq.PROGRAM is None, reason=rabbitmq.MISSING),
]


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """One server for all tests of this module."""
    server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def broker(rabbit: RabbitMQ, settings: Any, monkeypatch: pytest.MonkeyPatch, empty_redis: None) -> Iterator[RabbitMQ]:
    """This process sends its messages to it."""
    settings.AMQP_URL = rabbit.url
    publisher = amqp.Publisher()
    monkeypatch.setattr(amqp, "_publisher", (os.getpid(), publisher))
    yield rabbit
    publisher._drop()


@pytest.fixture
def workers(broker: RabbitMQ) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """`workers("-c", "2")` starts one on the test's own database and broker, and waits until it lives."""
    started: list[subprocess.Popen[bytes]] = []
    head, _, query = os.environ["DATABASE_URL"].partition("?")
    url = f"{head.rpartition('/')[0]}/{connection.settings_dict['NAME']}?{query}"
    environment = {**os.environ, "DATABASE_URL": url, "APG_BROKER_URL": broker.url}

    def start(*options: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-l", "ERROR",
                   "--without-gossip", "--without-mingle", *options]  # fmt: skip
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        started.append(process)
        eventually(lambda: Worker.objects.filter(name__contains=f":{process.pid}:").exists(), timeout=60)
        return process

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def test_messages_are_celerys_and_the_most_urgent_is_served_first(broker: RabbitMQ) -> None:
    celery = Celery("test", broker=broker.url, set_as_current=False)
    celery.config_from_object("django.conf:settings", namespace="CELERY")
    celery.conf.update(broker_url=broker.url, broker_transport_options={})
    runs = [QueuedRun(new_id(), priority, priority, "io") for priority in (5, 1, 10, 7, 3)]
    with Connection(broker.url) as far_end:
        for name in ("io", "webhooks"):
            celery.amqp.queues[name](far_end.default_channel).declare()
        io, webhooks = (celery.amqp.queues[name](far_end.default_channel) for name in ("io", "webhooks"))
        dispatch.ring(runs)
        celery.send_task(dispatch.RUN_COMPONENT, (runs[0].run_id, 5), queue="io", priority=5, ignore_result=True)
        webhooks_dispatch.send(["w1"])
        # The most urgent of those that have come.
        channel: Any = far_end.default_channel
        eventually(lambda: channel.queue_declare("io", passive=True).message_count == 6, timeout=30)
        got: list[Any] = [io.get(no_ack=True) for _ in range(6)]
        sent: Any = eventually(lambda: webhooks.get(no_ack=True), timeout=30)
    celery.close()
    assert [message.payload[0] for message in got if message.properties["priority"] != 5] == [
        [runs[2].run_id, 10], [runs[3].run_id, 7], [runs[4].run_id, 3], [runs[1].run_id, 1],
    ]  # fmt: skip
    assert [message.properties["priority"] for message in got] == [10, 7, 5, 5, 3, 1]
    ours, theirs = (got[2], got[3])
    assert ours.payload == theirs.payload
    same = set(ours.headers) - {"id", "root_id"}
    assert {name: ours.headers[name] for name in same} == {name: theirs.headers[name] for name in same}
    for name in ("content_type", "content_encoding", "delivery_mode"):
        assert ours.properties[name] == theirs.properties[name]
    assert (sent.headers["task"], sent.payload[0]) == ("webhooks.serve", ["w1"])


def test_health_asks_it(broker: RabbitMQ, api: Api) -> None:
    def healthy() -> dict[str, Any]:
        part: dict[str, Any] = api.get("/health").data["components"]["broker"]
        return part if part["status"] == "healthy" else {}

    # A broker that takes its time over the probe makes one answer of health a bad one.
    assert sorted(eventually(healthy, timeout=30)) == ["response_time_ms", "status"]


def test_a_killed_broker_loses_and_doubles_nothing(
    alice: User, broker: RabbitMQ, workers: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    User.objects.filter(pk=alice.pk).update(tier="enterprise")
    alice.refresh_from_db()
    ledger = Ledger()
    call = {"type": "http_request", "config": {"url": ledger.url(0.1), "method": "POST"}}
    workflow = make_workflow(alice, linear({"id": "a", **call}, log("b"), {"id": "c", **call}, log("d")))

    def run(count: int) -> list[Execution]:
        accepted = [start_execution(workflow=workflow, user=alice, request=StartRequest()) for _ in range(count)]
        return [each.execution for each in accepted]

    def left() -> int:
        return Execution.objects.exclude(status__in=FINAL_EXECUTION).count()

    prefork = workers("-Q", "default,script", "-c", "2")
    threads = workers("-Q", "io", "--pool", "threads", "-c", "4")
    first = run(3)
    eventually(lambda: left() == 0, timeout=20)
    many = run(25)
    eventually(lambda: left() <= 22, timeout=20, interval=0.01)
    broker.kill()
    assert left() > 0, "killed too late to prove anything"
    away = run(2)
    broker.start()
    eventually(lambda: left() == 0, timeout=60)
    last = run(1)
    eventually(lambda: left() == 0, timeout=20)
    ended = Execution.objects.filter(pk__in=[execution.pk for execution in (*first, *many, *away, *last)])
    assert set(ended.values_list("status", flat=True)) == {ExecutionStatus.COMPLETED}
    runs = ComponentRun.objects.filter(execution__in=ended)
    assert set(runs.values_list("attempt", "crashes")) == {(1, 0)}
    keys = set(runs.filter(component_type="http_request").values_list("pk", flat=True))
    assert dict(ledger.calls) == dict.fromkeys(keys, 1)
    assert (prefork.poll(), threads.poll()) == (None, None)
    # All of it by RabbitMQ: Redis has no list of messages.
    assert [client().llen(name) for name in ("default:5", "io:5")] == [0, 0]
    assert broker.url == django_settings.AMQP_URL
