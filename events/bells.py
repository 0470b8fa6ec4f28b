"""Bells: after a commit, one small message says whose ledger has grown. Best effort, and never waited for.

A bell says nothing else: who hears it reads the ledger, and who does not finds the rows by looking at the ledger's
end (`executions.hub`). It is one PUBLISH in the words of the channel layer's group `bells`, over a connection that
answers nothing: some 20 µs, where `async_to_sync(group_send)` takes some 9 ms.
"""

import logging
import os
import time
from threading import Lock
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

GROUP = "bells"
_TIMEOUT_SECONDS = 0.2
_PAUSE_SECONDS = 5.0


def channel() -> str:
    """The Redis channel of the group."""
    config: Any = settings.CHANNEL_LAYERS["default"]["CONFIG"]
    return f"{config['prefix']}__group__{GROUP}"


def ring_on_commit(subject_id: str) -> None:
    """Ring for a subject of the ledger once the caller's transaction has committed; at once where there is none."""
    # No partial: Django names what failed by `__qualname__`.
    transaction.on_commit(lambda: ring(subject_id), robust=True)


def ring(subject_id: str) -> None:
    """Say that there is more about a subject. A Redis that is away costs nothing, and is logged."""
    _line.send(subject_id)


class _Line:
    """The process's connection for bells; after a fork the child makes its own."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pid = 0
        self._connection: Any = None
        self._quiet_until = float("-inf")

    def send(self, subject_id: str) -> None:
        if time.monotonic() < self._quiet_until:
            return
        layer = get_channel_layer()
        assert layer is not None
        message = layer.serialize({"type": "bell", "subject_id": subject_id})
        with self._lock:
            try:
                self._connected().send_command("PUBLISH", channel(), message)
            except (RedisError, OSError) as error:
                self._quiet_until = time.monotonic() + _PAUSE_SECONDS
                self._hang_up()
                logger.warning("Bells are silent: %s", type(error).__name__, extra={"action": "bells_silent"})

    def _connected(self) -> Any:
        if self._pid != os.getpid():
            # The parent's, if there is one, is the parent's to close.
            self._pid, self._connection = os.getpid(), None
        if self._connection is None:
            pool = Redis.from_url(
                settings.REDIS_URL,
                socket_timeout=_TIMEOUT_SECONDS,
                socket_connect_timeout=_TIMEOUT_SECONDS,
                # By default redis-py would try three times more, and sleep in between: under the caller's feet.
                retry=Retry(NoBackoff(), 0),
            ).connection_pool
            connection: Any = pool.make_connection()
            connection.connect()
            connection.send_command("CLIENT", "REPLY", "OFF")
            self._connection = connection
        return self._connection

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()


_line = _Line()
