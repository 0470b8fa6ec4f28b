"""A Redis that hangs costs one call its timeout, not every call."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError

from core import redis


@pytest.fixture
def hanging(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Somebody who takes connections and never answers."""
    monkeypatch.setattr(redis, "_hung_until", float("-inf"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        settings.REDIS_URL = f"redis://127.0.0.1:{listener.getsockname()[1]}"
        settings.REDIS_TIMEOUT_SECONDS = 0.05
        yield listener


def ping() -> None:
    with redis.guarded() as client:
        client.ping()


def test_after_a_timeout_calls_are_refused_without_asking(
    hanging: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "_PAUSE_SECONDS", 3600)
    with pytest.raises(RedisTimeoutError):
        ping()
    hanging.close()
    # It no longer listens: whoever asked would be refused the connection, not time out.
    with pytest.raises(RedisTimeoutError):
        ping()


def test_after_the_pause_one_call_tries_again(
    hanging: socket.socket, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RedisTimeoutError):
        ping()
    # For the others, who must come before it is over; the client there is goes on with its own.
    settings.REDIS_TIMEOUT_SECONDS = 30
    asked = []
    with monkeypatch.context() as patched:
        patched.setattr(redis, "_hung_until", 0.001)
        with pytest.raises(RedisTimeoutError), redis.guarded() as client:
            asked.append(redis._hung_until)
            # Meanwhile the others are still refused.
            with pytest.raises(RedisTimeoutError), redis.guarded():
                raise AssertionError
            client.ping()
    assert len(asked) == 1


def test_an_answer_closes_the_breaker(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "_hung_until", 0.001)
    ping()
    assert redis._hung_until == float("-inf")
