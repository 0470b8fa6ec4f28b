"""A RabbitMQ that is away or hangs costs little, is told without its password, and is tried again."""

import logging
import os
import socket
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env
from core import amqp
from core.ids import new_id
from executions import dispatch
from executions.transitions.statements import QueuedRun
from tests.stopwatch import Stopwatch

RUNS = [QueuedRun(new_id(), 1, 5)]
PASSWORD = "not-to-be-told"


@pytest.fixture
def listener() -> Any:
    """Takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture(autouse=True)
def own_publisher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this test alone."""
    monkeypatch.setattr(amqp, "_publisher", (os.getpid(), amqp.Publisher()))


def test_one_that_is_away_is_logged_without_its_password_and_left_to_the_sweep(settings: Any, caplog: Any) -> None:
    settings.AMQP_URL = f"amqp://apg:{PASSWORD}@127.0.0.1:9//"
    with caplog.at_level(logging.DEBUG):
        dispatch.ring(RUNS)
    assert [record.action for record in caplog.records if hasattr(record, "action")] == ["ring_failed"]
    assert "ConnectionRefusedError" in caplog.text
    assert PASSWORD not in caplog.text


def test_one_that_hangs_is_waited_for_once(settings: Any, listener: socket.socket, caplog: Any) -> None:
    settings.AMQP_URL = f"amqp://apg:{PASSWORD}@127.0.0.1:{listener.getsockname()[1]}//"
    with Stopwatch() as watch:
        dispatch.ring(RUNS)
    assert watch.total > 0.5
    assert watch.seconds < 2.5
    for _ in range(10):
        dispatch.ring(RUNS)
    listener.setblocking(False)
    listener.accept()[0].close()
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert [record.action for record in caplog.records if record.name == dispatch.__name__] == ["ring_failed"] * 11


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://apg:{}@host", "must start with amqp:// or amqps://"),
        ("amqp://apg:{}@host:port/", "cannot be read"),
        ("amqp://apg:{}@/", "must name one host"),
        ("amqp://apg:{}@a//;amqp://b", "must name one host"),
        ("amqp://apg:{}@a//?x=1", "no options"),
    ],
)
def test_a_bad_url_is_refused_without_its_text(url: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APG_BROKER_URL", url.format(PASSWORD))
    with pytest.raises(ImproperlyConfigured, match=says) as refused:
        env.amqp_url("APG_BROKER_URL")
    assert PASSWORD not in str(refused.value)


def test_good_urls_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("", "amqp://apg:secret@rabbit:5672/apg", "amqps://apg:secret@rabbit//"):
        monkeypatch.setenv("APG_BROKER_URL", url)
        assert env.amqp_url("APG_BROKER_URL") == url
