"""All that `/metrics` tells: asked of PostgreSQL, Valkey and this process within two seconds, and kept for a moment."""

import logging
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import OperationalError, connection, transaction
from redis.exceptions import RedisError

from config import machine
from config.probes import Probe
from core import measures, metrics_sending
from core.metrics import Sample
from core.metrics_sending import Counted
from events import following
from executions import facts as engine
from webhooks import facts as webhooks

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Whoever asks sooner gets the same answer, so that nobody can make the database work by asking often.
KEEP_SECONDS = 2.0
WAIT_SECONDS = 1.7
# Of PostgreSQL, for all questions; what does not come in time is left out.
_QUERIES_SECONDS = 1.2


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that could be told: facts, what processes counted (None without Valkey)."""

    samples: tuple[Sample, ...]
    counted: Counted | None


def _lags() -> Iterator[Sample]:
    for lag in following.lags():
        yield measures.LEDGER_LAG.sample(lag.events, lag.follower)
        yield measures.LEDGER_LAG_SECONDS.sample(lag.seconds, lag.follower)


def _server() -> Iterator[Sample]:
    with connection.cursor() as cursor:
        cursor.execute(
            # Of `pg_stat_activity` a user who is no superuser sees little of others.
            "SELECT pg_database_size(current_database()), (SELECT sum(numbackends) FROM pg_stat_database),"
            " current_setting('max_connections')::int"
        )
        size, used, most = cursor.fetchone()
    yield measures.DATABASE_BYTES.sample(size)
    yield measures.CONNECTIONS.sample(used)
    yield measures.CONNECTIONS_MAX.sample(most)


# In the order of what one wants to know first.
QUESTIONS: Mapping[str, Callable[[], Iterator[Sample]]] = {
    "workers": engine.workers,
    "queue": engine.queue,
    "component_runs": engine.runs,
    "executions": engine.executions,
    "maintenance": engine.maintenance,
    "ledger": _lags,
    "deliveries": webhooks.deliveries,
    "schedules": engine.schedules,
    "server": _server,
    # Last, as it is the one that takes long where the queue is.
    "oldest_queued": engine.oldest_queued,
}


def ask_database() -> list[Sample]:
    """What PostgreSQL knows; each question has what is left of the time, and is left out if that is too little.

    Raises DatabaseError where PostgreSQL cannot be asked at all.
    """
    began = time.monotonic()
    samples: list[Sample] = []
    for name, ask in QUESTIONS.items():
        left_ms = int((_QUERIES_SECONDS - (time.monotonic() - began)) * 1000)
        if left_ms <= 0:
            logger.warning("No time for metrics: %s", name, extra={"action": "metrics_slow"})
            break
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{left_ms}ms"])
                samples += ask()
        except OperationalError as error:
            if not connection.is_usable():
                raise
            logger.warning("Metrics left out: %s: %s", name, type(error).__name__, extra={"action": "metrics_slow"})
    return samples


def _ask_database() -> list[Sample]:
    try:
        return ask_database()
    finally:
        # The thread ends, and nobody else would close its connection.
        connection.close()


def _ask_valkey() -> Counted:
    # What this process has counted just now included.
    metrics_sending.sender.send()
    return metrics_sending.read()


class _Part(Generic[T]):
    """Somebody who is asked, whose good answer is kept for a moment."""

    def __init__(self, name: str, ask: Callable[[], T]) -> None:
        self.name = name
        self._ask = ask
        self._probe = Probe(self._timed)
        self._asked: Future[tuple[T, float]] | None = None
        self._kept_until = float("-inf")

    def _timed(self) -> tuple[T, float]:
        began = time.monotonic()
        return self._ask(), time.monotonic() - began

    def begin(self) -> None:
        """Ask, unless there is an answer that is new enough."""
        if self._asked is None or time.monotonic() >= self._kept_until:
            self._asked = self._probe.ask()

    def answer(self, deadline: float) -> tuple[T | None, list[Sample]]:
        """What it told, None if it did not in time, and what is told of it. `deadline` is of the monotonic clock."""
        asked = self._asked
        assert asked is not None, "begun"
        new = time.monotonic() >= self._kept_until
        try:
            answer, took = asked.result(max(deadline - time.monotonic(), 0))
        except (DatabaseError, RedisError, TimeoutError) as error:
            logger.warning("Metrics miss %s: %s", self.name, type(error).__name__, extra={"action": "metrics_miss"})
            return None, [measures.UP.sample(0, self.name)]
        if new:
            self._kept_until = time.monotonic() + KEEP_SECONDS
        return answer, [measures.UP.sample(1, self.name), measures.ANSWER_SECONDS.sample(took, self.name)]

    def forget(self) -> None:
        """Ask again next time."""
        self._kept_until = float("-inf")


_postgresql = _Part("postgresql", _ask_database)
_valkey = _Part("valkey", _ask_valkey)


def forget() -> None:
    """Keep nothing of what was told last."""
    _postgresql.forget()
    _valkey.forget()


def tell() -> Told:
    """Ask everybody at once; takes two seconds at most, whoever is away or frozen."""
    deadline = time.monotonic() + WAIT_SECONDS
    _postgresql.begin()
    _valkey.begin()
    counted, of_valkey = _valkey.answer(deadline)
    facts, of_postgresql = _postgresql.answer(deadline)
    samples = [*(facts or ()), *of_postgresql, *of_valkey]
    samples.append(measures.BUILD.sample(1, settings.APG_VERSION, platform.python_version()))
    samples.append(measures.DISK_USED.sample(machine.disk_usage()))
    return Told(tuple(samples), counted)
