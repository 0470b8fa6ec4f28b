"""Webhooks end to end: a receiver that fails, workers that are killed, and all that was committed arrives (G13)."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from django.db import connection, transaction

from accounts.models import User
from core.redis import client
from events import following
from events.event_types import EventType
from events.models import Event
from tests.api import Api
from tests.eventually import START_SECONDS, eventually
from tests.integration.webhooks.conftest import LONE, SECRET
from tests.webhook_receiver import Got, Reply, receiving
from webhooks.fanout import FOLLOWER
from webhooks.models import Delivery, Webhook
from workflows.events import tell
from workflows.models import Workflow
from workflows.services import create_workflow

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

# `APG_WEBHOOK_EVENTS=5000 pytest tests/acceptance/test_webhooks.py` takes some minutes.
EVENTS = int(os.environ.get("APG_WEBHOOK_EVENTS", "500"))
FAILING = 0.2
POLICY = {"max_attempts": 20, "initial_delay_seconds": 1, "max_delay_seconds": 2, "backoff_multiplier": 1}

Start = Callable[[], "subprocess.Popen[bytes]"]


class _RolledBackError(Exception):
    """Takes back what a transaction has told."""


@pytest.fixture
def worker(empty_redis: None) -> Iterator[Start]:
    """`worker()` starts a worker that sends webhooks, on the test's own database."""
    started: list[subprocess.Popen[bytes]] = []
    head, _, query = os.environ["DATABASE_URL"].partition("?")
    url = f"{head.rpartition('/')[0]}/{connection.settings_dict['NAME']}?{query}"

    def start() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "celery", "-A", "config.webhooks_worker", "worker", "-l", "ERROR",
                   "--without-gossip", "--without-mingle", "--without-heartbeat"]  # fmt: skip
        started.append(subprocess.Popen(command, env={**os.environ, "DATABASE_URL": url}, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_g13_with_a_failing_receiver_and_killed_workers_all_that_was_committed_arrives(
    alice: User, alice_api: Api, worker: Start
) -> None:
    chance = random.Random(20261125)
    following.begin(FOLLOWER)
    workflow = create_workflow(user=alice, name="w", definition=LONE)

    def answer(number: int, got: Got) -> Reply:
        if chance.random() >= FAILING:
            return Reply()
        return Reply(reset=True) if chance.random() < 0.3 else Reply(chance.choice([500, 429, 302, 404]))

    def happen(count: int) -> None:
        for _ in range(count):
            with contextlib.suppress(_RolledBackError), transaction.atomic():
                locked = Workflow.objects.select_for_update().get(pk=workflow.pk)
                tell(EventType.WORKFLOW_UPDATED, locked)
                if chance.random() < 0.05:
                    raise _RolledBackError

    with receiving() as receiver:
        receiver.answer = answer
        body = {"url": receiver.url, "events": ["workflow.updated"], "secret": SECRET, "retry_policy": POLICY}
        assert alice_api.post("/webhooks", body).status == 201
        first = worker()
        happen(EVENTS // 3)
        eventually(lambda: len(receiver.got) > EVENTS // 10, timeout=START_SECONDS)
        _kill(first)
        happen(EVENTS // 3)
        # What the dead one was told of is forgotten, too.
        client().flushdb()
        second = worker()
        seen = len(receiver.got)
        eventually(lambda: len(receiver.got) > seen + EVENTS // 10, timeout=START_SECONDS)
        _kill(second)
        happen(EVENTS - 2 * (EVENTS // 3))
        worker()
        ended = Delivery.objects.filter(status__in=["succeeded", "failed"])
        committed = set(Event.objects.filter(type="workflow.updated").values_list("pk", flat=True))
        eventually(lambda: ended.count() == len(committed), timeout=300 + EVENTS // 10, interval=0.2)
        received = receiver.ids
    events = dict(Delivery.objects.values_list("pk", "event_id"))
    assert len(committed) > EVENTS * 0.9
    assert {events[delivery_id] for delivery_id in received} == committed
    assert Counter(events.values()) == Counter(committed), "one delivery for each event"
    assert set(Delivery.objects.values_list("status", flat=True)) == {"succeeded"}
    assert Webhook.objects.get().active
    # A receiver that remembers ids sees each event once, and each time with the same body.
    assert len({(got.delivery_id, got.body) for got in receiver.got}) == len(committed)


def test_an_execution_is_told_of_from_its_start_to_its_results(alice_api: Api, worker: Start) -> None:
    """With the engine's own worker: what components made is in what webhooks tell."""
    engine = [sys.executable, "-m", "celery", "-A", "config", "worker", "-c", "1", "-l", "ERROR"]
    head, _, query = os.environ["DATABASE_URL"].partition("?")
    url = f"{head.rpartition('/')[0]}/{connection.settings_dict['NAME']}?{query}"
    process = subprocess.Popen(engine, env={**os.environ, "DATABASE_URL": url}, start_new_session=True)
    try:
        with receiving() as receiver:
            events = ["execution.started", "execution.completed", "component.completed"]
            alice_api.post("/webhooks", {"url": receiver.url, "events": events, "secret": SECRET})
            worker()
            definition = {
                "components": [
                    {"id": "a", "type": "transform", "config": {"output": {"n": 1}}},
                    {"id": "b", "type": "end", "config": {"output": {"doubled": "{{ a.output.n * 2 }}"}}},
                ],
                "connections": [{"source": "a", "target": "b", "type": "success"}],
            }
            workflow_id = alice_api.post("/workflows", {"name": "w", "definition": definition}).data["id"]
            execution_id = alice_api.post(f"/workflows/{workflow_id}/execute", {}).data["execution_id"]
            eventually(lambda: len(receiver.got) == 4, timeout=START_SECONDS)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    told = {(got.json["event"], got.json["data"].get("component", {}).get("component_id")): got for got in receiver.got}
    completed = told["execution.completed", None].json["data"]
    assert completed["execution"]["results"] == {"doubled": 2}
    assert completed["execution"]["id"] == execution_id
    assert completed["workflow"] == {"id": workflow_id, "name": "w"}
    assert told["component.completed", "a"].json["data"]["component"] == {
        "component_id": "a", "status": "completed", "output_data": {"n": 1}, "error": None,
    }  # fmt: skip
    assert told["execution.started", None].json["data"]["execution"]["status"] == "running"


def test_f40_an_endpoint_that_hangs_delays_no_other(alice: User, alice_api: Api, worker: Start) -> None:
    following.begin(FOLLOWER)
    released = threading.Event()
    with receiving() as hanging, receiving() as well:
        hanging.answer = lambda number, got: Reply(before=lambda: released.wait(60))
        body = {"events": ["workflow.created"], "secret": SECRET, "retry_policy": {"max_attempts": 1}}
        for url in (hanging.url, *(f"{well.url}/{number}" for number in range(9))):
            assert alice_api.post("/webhooks", {**body, "url": url}).status == 201
        worker()
        for number in range(20):
            create_workflow(user=alice, name=f"w{number}", definition=LONE)
        eventually(lambda: len(well.got) == 20 * 9, timeout=60)
        of_hanging = Delivery.objects.filter(webhook__url=hanging.url)
        statuses = Counter(of_hanging.values_list("status", flat=True))
        assert statuses["delivering"] <= 4
        assert statuses["succeeded"] == 0
        assert len(hanging.got) < 20
        released.set()
