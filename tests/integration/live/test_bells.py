"""Bells ring after the commit, and cost next to nothing, whatever Redis does."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction

from accounts.models import User
from core.ids import new_id
from core.redis import client
from events import bells
from tests.eventually import eventually
from tests.integration.executions.conftest import Doorbells, linear, log, start
from tests.integration.live.conftest import Dial, is_silent, told_until_end

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def heard() -> Iterator[Callable[[], list[str]]]:
    """What has rung so far."""
    found: list[str] = []
    layer: Any = get_channel_layer()
    listening: Any = client().pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    with listening:
        listening.subscribe(bells.channel())
        listening.get_message(timeout=1)

        def so_far() -> list[str]:
            while message := listening.get_message(timeout=0.05):
                found.append(layer.deserialize(message["data"])["subject_id"])
            return found

        yield so_far


def test_a_bell_rings_once_its_transaction_has_committed(heard: Callable[[], list[str]]) -> None:
    subject = new_id()
    with transaction.atomic():
        bells.ring_on_commit(subject)
        assert heard() == []
    eventually(lambda: heard() == [subject])


def test_what_is_rolled_back_rings_not(heard: Callable[[], list[str]]) -> None:
    with transaction.atomic():
        bells.ring_on_commit(new_id())
        transaction.set_rollback(True)
    last = new_id()
    bells.ring(last)
    eventually(lambda: heard() == [last])


def test_a_process_that_is_forked_while_a_thread_rings_rings_too(heard: Callable[[], list[str]]) -> None:
    subject = new_id()
    with bells._line._lock:
        child = os.fork()
        if child == 0:
            bells.ring(subject)
            os._exit(0)
    try:
        eventually(lambda: heard() == [subject], timeout=30)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def ring_a_thousand(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A thousand bells of a new process with this Redis."""
    monkeypatch.setattr(bells, "settings", SimpleNamespace(REDIS_URL=url, CHANNEL_LAYERS=settings.CHANNEL_LAYERS))
    monkeypatch.setattr(bells, "_line", bells._Line())
    monkeypatch.setattr(bells, "_PAUSE_SECONDS", 3600.0)
    for _ in range(1000):
        bells.ring(new_id())


def test_a_redis_that_is_away_is_logged_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    ring_a_thousand(monkeypatch, "redis://127.0.0.1:9")
    assert [record.getMessage() for record in caplog.records] == ["Bells are silent: ConnectionError"]


def test_a_redis_that_hangs_is_waited_for_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        ring_a_thousand(monkeypatch, f"redis://127.0.0.1:{hanging.getsockname()[1]}")
        hanging.setblocking(False)
        hanging.accept()[0].close()
        with pytest.raises(BlockingIOError):
            hanging.accept()
    assert [record.getMessage() for record in caplog.records] == ["Bells are silent: TimeoutError"]


def test_whose_execution_it_is_a_bell_says_but_does_not_prove(
    dial: Dial, alice: User, bob: User, doorbells: Doorbells
) -> None:
    ours, theirs = start(alice, linear(log("a"))), start(bob, linear(log("b")))
    of_workflow, of_execution = dial(alice), dial(bob)
    of_workflow.subscribe("workflow", ours.workflow_id)
    of_execution.subscribe("execution", theirs.pk)
    bells.ring(theirs.pk, ours.workflow_id)
    doorbells.work()
    told_until_end(of_execution)
    told = [message["data"]["execution_id"] for message in told_until_end(of_workflow)]
    assert set(told) == {ours.pk}
    assert is_silent(of_workflow)
