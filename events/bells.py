"""Bells: after a commit, one small message says whose ledger has grown. Best effort, and never waited for.

A bell says nothing else (but whose workflow's execution it is, where that is at hand): who hears it reads the ledger,
and who does not finds the rows by looking at the ledger's end (`executions.hub`). It is one PUBLISH in the words of
the channel layer's group `bells`, over a connection that answers nothing: some 20 µs, where
`async_to_sync(group_send)` takes some 9 ms.
"""

import logging
import os
import time
from collections.abc import Mapping
from threading import Event, Lock, Thread
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
# One subject's bells are so far apart: the first of a burst rings at once, the last when it is time.
_GAP_SECONDS = 0.02
_MAX_REMEMBERED = 1_000


def channel() -> str:
    """The Redis channel of the group."""
    config: Any = settings.CHANNEL_LAYERS["default"]["CONFIG"]
    return f"{config['prefix']}__group__{GROUP}"


def ring_on_commit(subject_id: str, workflow_id: str = "") -> None:
    """Ring for a subject of the ledger once the caller's transaction has committed; at once where there is none.

    The workflow's id, where it is at hand, saves listeners a question.
    """
    # No partial: Django names what failed by `__qualname__`.
    transaction.on_commit(lambda: ring(subject_id, workflow_id), robust=True)


def ring(subject_id: str, workflow_id: str = "") -> None:
    """Say that there is more about a subject. A Redis that is away costs nothing, and is logged."""
    _line.send(subject_id, workflow_id)


class _Line:
    """The process's connection for bells; after a fork the child makes its own."""

    def __init__(self) -> None:
        self._quiet_until = float("-inf")
        self._begin_anew()
        os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        # The lock too: a thread of the parent may have held it. And threads do not come with a fork.
        self._lock = Lock()
        self._connection: Any = None
        self._rung_at: dict[str, float] = {}
        self._late: dict[str, str] = {}
        self._is_late = Event()
        self._thread: Thread | None = None

    def send(self, subject_id: str, workflow_id: str) -> None:
        """Ring, or see to it that it is rung within the gap."""
        now = time.monotonic()
        if now < self._quiet_until:
            return
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._ring_late, daemon=True, name="bells")
                self._thread.start()
            if now - self._rung_at.get(subject_id, float("-inf")) >= _GAP_SECONDS:
                self._publish({subject_id: workflow_id}, now)
            else:
                self._late[subject_id] = workflow_id or self._late.get(subject_id, "")
                self._is_late.set()

    def _ring_late(self) -> None:
        """Ring what came too soon after its last bell; runs for ever, in a thread."""
        while True:
            self._is_late.wait()
            time.sleep(_GAP_SECONDS)
            with self._lock:
                late, self._late = self._late, {}
                self._is_late.clear()
                self._publish(late, time.monotonic())

    def _publish(self, subjects: Mapping[str, str], now: float) -> None:
        layer = get_channel_layer()
        assert layer is not None
        if len(self._rung_at) > _MAX_REMEMBERED:
            self._rung_at.clear()
        try:
            for subject_id, workflow_id in subjects.items():
                self._rung_at[subject_id] = now
                message = layer.serialize({"type": "bell", "subject_id": subject_id, "workflow_id": workflow_id})
                self._connected().send_command("PUBLISH", channel(), message)
        except (RedisError, OSError) as error:
            self._quiet_until = time.monotonic() + _PAUSE_SECONDS
            self._hang_up()
            logger.warning("Bells are silent: %s", type(error).__name__, extra={"action": "bells_silent"})

    def _connected(self) -> Any:
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
