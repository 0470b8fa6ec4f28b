"""The process's one connection to RabbitMQ, for messages that are hints, and a breaker in front of it.

Needed only where APG_BROKER_URL names one. Messages are Celery's (protocol 2), published as kombu's own transport
would, without a confirmation: what is lost is rung again by a sweep.
"""

import os
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import AMQPError
from django.conf import settings
from kombu import Connection
from kombu.exceptions import KombuError

from core.task_messages import task_body, task_headers

PAUSE_SECONDS = 5.0
TIMEOUT_SECONDS = 1.0

# What its client and its transport raise; a connection that was lost is found out by AttributeError too (kombu says).
_ERRORS = (AMQPError, KombuError, OSError, AttributeError)


class BrokerAwayError(Exception):
    """RabbitMQ did not take the messages; the message is the name of what happened and holds no address."""


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """A call of a task: where it is sent, how urgent it is (RabbitMQ's 0–10, 10 the most urgent), its arguments."""

    task: str
    arguments: tuple[str | int, ...]
    queue: str
    priority: int


class Publisher:
    """One connection, used by one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Any = None
        self._paused_until = float("-inf")

    def publish(self, messages: Iterable[TaskMessage]) -> None:
        """Send messages, over a new connection if the one at hand is broken; within some two seconds.

        Raises BrokerAwayError, and at once for a while after RabbitMQ did not answer in time.
        """
        if time.monotonic() < self._paused_until:
            raise BrokerAwayError("Paused")
        if not self._lock.acquire(timeout=TIMEOUT_SECONDS):
            raise BrokerAwayError("Busy")
        try:
            waiting = list(messages)
            if self._connection is None or not self._send(waiting, again=True):
                self._send(waiting, again=False)
        finally:
            self._lock.release()

    def _send(self, waiting: list[TaskMessage], *, again: bool) -> bool:
        """Take each message off the list as it is sent. False if there may be an `again`, over a new connection."""
        began = time.monotonic()
        try:
            if self._connection is None:
                self._open()
            while waiting:
                message = _on_the_wire(self._channel, waiting[0])
                self._channel.basic_publish(message, exchange="", routing_key=waiting[0].queue)
                waiting.pop(0)
        except _ERRORS as error:
            self._drop()
            slow = time.monotonic() - began > TIMEOUT_SECONDS / 2
            if slow:
                self._paused_until = time.monotonic() + PAUSE_SECONDS
            if slow or not again:
                raise BrokerAwayError(type(error).__name__) from None
            return False
        return True

    def _open(self) -> None:
        self._connection = _connection().transport.establish_connection()
        with self._connection.transport.having_timeout(TIMEOUT_SECONDS):
            self._channel = self._connection.channel()

    def _drop(self) -> None:
        broken, self._connection = self._connection, None
        if broken is not None:
            # Without a goodbye, for whose answer it would wait.
            broken.collect()


def publish(messages: Iterable[TaskMessage]) -> None:
    """Send messages over this process's connection; after a fork the child makes its own. Raises BrokerAwayError."""
    global _publisher  # noqa: PLW0603 - one a process
    pid, publisher = _publisher
    if pid != os.getpid():
        publisher = Publisher()
        _publisher = os.getpid(), publisher
    publisher.publish(messages)


_publisher = (os.getpid(), Publisher())


def knock() -> None:
    """Open a connection and say goodbye on it; within some two seconds. Raises BrokerAwayError."""
    try:
        _connection().transport.establish_connection().close()
    except _ERRORS as error:
        raise BrokerAwayError(type(error).__name__) from None


def _connection() -> "Connection":
    return Connection(
        settings.AMQP_URL,
        ssl=settings.CELERY_BROKER_USE_SSL or False,
        connect_timeout=TIMEOUT_SECONDS,
        heartbeat=0,
        transport_options={"read_timeout": TIMEOUT_SECONDS, "write_timeout": TIMEOUT_SECONDS},
    )


def _on_the_wire(channel: Any, message: TaskMessage) -> Any:
    id_ = str(uuid.uuid4())
    headers = task_headers(message.task, id_)
    return channel.prepare_message(
        task_body(message.arguments),
        priority=message.priority,
        content_type="application/json",
        content_encoding="utf-8",
        headers=headers,
        properties={"correlation_id": id_, "delivery_mode": 2},
    )
