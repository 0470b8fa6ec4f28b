"""The process's one synchronous Redis client."""

import os
from functools import lru_cache

from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

__all__ = ["RedisError", "client"]


def client() -> "Redis":
    """A client with short timeouts; after a fork the child gets its own. Calls raise RedisError."""
    return _client(os.getpid(), settings.REDIS_URL)


@lru_cache(maxsize=2)
def _client(pid: int, url: str) -> "Redis":
    timeout = settings.REDIS_TIMEOUT_SECONDS
    return Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
