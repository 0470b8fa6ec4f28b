"""The process's one synchronous Redis client, and a breaker in front of it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

__all__ = ["RedisError", "client", "guarded"]

_PAUSE_SECONDS = 5.0

_hung_until = float("-inf")


def client() -> "Redis":
    """A client with short timeouts; after a fork the child gets its own. Calls raise RedisError.

    A broken connection is tried once more, for Redis may have been restarted; a timeout is not, for it has cost
    its time already. (By default redis-py tries three times more, and sleeps in between.)
    """
    return _client(os.getpid(), settings.REDIS_URL)


@contextmanager
def guarded() -> Iterator["Redis"]:
    """The client, for calls that have another way: raises RedisError at once for a while after one timed out.

    A Redis that hangs would otherwise cost every request its timeout, and several where it is asked several times.
    After the pause one call tries again, and the others wait for what it finds.
    """
    global _hung_until  # noqa: PLW0603 - one Redis a process
    now = time.monotonic()
    if now < _hung_until:
        raise RedisTimeoutError("Redis did not answer a moment ago")
    if _hung_until > 0:
        _hung_until = now + settings.REDIS_TIMEOUT_SECONDS
    try:
        yield client()
    except RedisTimeoutError:
        _hung_until = time.monotonic() + _PAUSE_SECONDS
        raise
    _hung_until = float("-inf")


@lru_cache(maxsize=2)
def _client(pid: int, url: str) -> "Redis":
    timeout = settings.REDIS_TIMEOUT_SECONDS
    retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    return Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=retry)
