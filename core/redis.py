"""The process's one synchronous Redis client."""

import os
from functools import lru_cache

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

__all__ = ["RedisError", "client"]


def client() -> "Redis":
    """A client with short timeouts; after a fork the child gets its own. Calls raise RedisError.

    A broken connection is tried once more, for Redis may have been restarted; a timeout is not, for it has cost
    its time already. (By default redis-py tries three times more, and sleeps in between.)
    """
    return _client(os.getpid(), settings.REDIS_URL)


@lru_cache(maxsize=2)
def _client(pid: int, url: str) -> "Redis":
    timeout = settings.REDIS_TIMEOUT_SECONDS
    retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    return Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=retry)
