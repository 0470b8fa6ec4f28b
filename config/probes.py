"""Asks PostgreSQL, Valkey and RabbitMQ how they are, within a time however frozen they are."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Generic, TypeVar

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from core import amqp
from core.redis import client
from executions.facts import HEARTBEAT_LATE
from executions.models import ComponentRun, Worker
from workflows.components.base import Kind

T = TypeVar("T")


class Probe(Generic[T]):
    """One question that may never be answered: whoever asks meanwhile waits for the same answer.

    A client library waits for ever for a server that is frozen, not gone. The question therefore has a thread, of
    which there is at most one, and the one who asks waits only so long.
    """

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._lock = Lock()
        self._asked: Future[T] | None = None

    def ask(self) -> "Future[T]":
        """The answer to come; its `result(seconds)` raises TimeoutError, or what the question raised."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                # A daemon: a frozen server must not keep the process from ending.
                Thread(target=self._run, args=(self._asked,), daemon=True, name="probe").start()
            return self._asked

    def _run(self, asked: "Future[T]") -> None:
        try:
            answer = self._ask()
        except Exception as error:
            asked.set_exception(error)
        else:
            asked.set_result(answer)


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """PostgreSQL's answer: how long it took, live workers, queues that none of them serves, runs that want one."""

    response_time_ms: float
    workers: int
    unserved: list[str]
    queue_depth: int


def live_workers() -> int:
    """Workers whose heart has beaten a moment ago."""
    return _alive().count()


def _alive() -> QuerySet[Worker]:
    return Worker.objects.filter(heartbeat_at__gte=timezone.now() - HEARTBEAT_LATE)


def unserved(workers: Sequence[Worker]) -> list[str]:
    """Queues that none of these workers serves; one that names none serves all."""
    served = {queue for worker in workers for queue in worker.queues or Kind}
    return [str(kind) for kind in Kind if kind not in served]


def _ask_database() -> EngineFacts:
    try:
        connection.ensure_connection()
        started = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        took = _milliseconds(started)
        workers = list(_alive())
        return EngineFacts(took, len(workers), unserved(workers), ComponentRun.objects.in_queue().count())
    finally:
        # The thread ends, and nobody else would close its connection.
        connection.close()


def _ask_redis() -> float:
    started = time.perf_counter()
    client().ping()
    return _milliseconds(started)


def _ask_broker() -> float:
    started = time.perf_counter()
    amqp.knock()
    return _milliseconds(started)


def ask_broker() -> "Future[float] | None":
    """RabbitMQ's answer to come, in milliseconds; None where there is none."""
    return broker.ask() if settings.AMQP_URL else None


def _milliseconds(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)


database = Probe(_ask_database)
redis = Probe(_ask_redis)
broker = Probe(_ask_broker)
