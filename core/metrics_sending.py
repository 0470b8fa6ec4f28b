"""From every process to Valkey, where counters of the whole platform are added up, and back.

A batch that may or may not have arrived is sent again under its own id and counted once. While Valkey is away, a
process goes on counting. Processes that stay (web, a worker's parent, the sender of webhooks) have a thread for it;
pool processes send between two tasks, so that no thread of ours is beside a component.
"""

import logging
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock, Thread

import orjson

from core import metrics
from core.ids import new_id
from core.metrics import Series
from core.redis import RedisError, guarded

logger = logging.getLogger(__name__)

SEND_SECONDS = 2.0
# A process that has said nothing for so long is gone.
FORGET_SECONDS = 15
_COUNTERS, _GAUGES, _BATCH = "apg:metrics:counters", "apg:metrics:gauges", "apg:metrics:batch:"
_SEPARATOR = "\x1f"
# How long the id of a batch is known: as long as a lost answer may keep its sender from asking again.
_KNOWN_SECONDS = 300

_ADD = """
if redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[1]) then
    for place = 2, #ARGV, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[place], ARGV[place + 1]) end
end
return 1
"""
# Valkey's clock, one for all.
_TELL = "return redis.call('HSET', KEYS[1], ARGV[1], redis.call('TIME')[1] .. ' ' .. ARGV[2])"


class Sender:
    """What this process has counted, on its way; one batch at a time."""

    def __init__(self) -> None:
        self._begin_anew()
        os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        self._lock = Lock()
        self._batch: tuple[str, dict[Series, float]] | None = None
        self._sent_at = time.monotonic()
        self._thread: Thread | None = None
        self._failing = False
        self.name = f"{platform.node()}:{os.getpid()}:{new_id()[-8:]}"

    @property
    def has_more(self) -> bool:
        """Whether there is anything to send."""
        return self._batch is not None or bool(metrics.totals)

    def send_if_due(self) -> None:
        """Send what was counted, unless that was a moment ago."""
        if self.has_more and time.monotonic() - self._sent_at >= SEND_SECONDS:
            self.send()

    def send(self) -> bool:
        """Send what was counted, and what this process is asked for; whether Valkey has it all."""
        with self._lock:
            self._sent_at = time.monotonic()
            try:
                self._send()
            except RedisError as error:
                if not self._failing:
                    logger.warning("Metrics wait for Redis: %s", type(error).__name__, extra={"action": "metrics_wait"})
                self._failing = True
                return False
            self._failing = False
            return True

    def _send(self) -> None:
        if metrics.asked:
            told = {name: ask() for name, ask in list(metrics.asked.items())}
            with guarded() as redis:
                redis.eval(_TELL, 1, _GAUGES, self.name, orjson.dumps(told))
        # A batch that waits, then what came since.
        if self._batch is not None:
            _add(*self._batch)
        sums = metrics.totals.take()
        self._batch = (new_id(), sums) if sums else None
        if self._batch is not None:
            _add(*self._batch)
            self._batch = None

    def keep_sending(self) -> None:
        """Send every SEND_SECONDS from now on, from a thread; once in a process, however often it is asked for."""
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="metrics", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(SEND_SECONDS)
            try:
                self.send()
            except Exception:
                # A gauge that cannot be asked: the counters must go on.
                logger.exception("Metrics not sent", extra={"action": "metrics_failed"})


def _add(batch_id: str, sums: Mapping[Series, float]) -> None:
    flat = [text for series, amount in sums.items() for text in (_SEPARATOR.join(series), repr(amount))]
    with guarded() as redis:
        redis.eval(_ADD, 2, _COUNTERS, _BATCH + batch_id, _KNOWN_SECONDS, *flat)


sender = Sender()


@dataclass(frozen=True, slots=True)
class Counted:
    """What all processes together have counted, by series, and the gauges of each that lives."""

    sums: Mapping[Series, float]
    gauges: Mapping[str, Mapping[str, float]]


def read() -> Counted:
    """Ask Valkey. Raises RedisError."""
    with guarded() as redis, redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(_COUNTERS)
        pipe.hgetall(_GAUGES)
        pipe.time()
        counters, told, (now, _) = pipe.execute()
        gauges, gone = {}, []
        for name, text in told.items():
            at, _, values = text.partition(b" ")
            if int(at) < now - FORGET_SECONDS:
                gone.append(name)
            else:
                gauges[name.decode()] = orjson.loads(values)
        if gone:
            redis.hdel(_GAUGES, *gone)
    sums = {tuple(name.decode().split(_SEPARATOR)): float(amount) for name, amount in counters.items()}
    return Counted(sums, gauges)
