"""The yardstick: plain Celery on the same Valkey, nothing durable. Results are stored only where a chord needs them."""

import os
import time

import redis
from celery import Celery, chain, chord

from config.env import redis_urls

REDIS_URL, BROKER_URL = redis_urls("REDIS_URL")
DONE = "plain-celery-done"

app = Celery("plain", broker=BROKER_URL, backend=BROKER_URL)
app.conf.update(
    task_default_queue="plain",
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
)


@app.task
def step() -> None:
    """What a light component does here: nothing."""


@app.task(ignore_result=False)
def counted_step() -> None:
    """The same with a stored result, from which a chord learns that it has ended."""


@app.task
def last() -> None:
    """Tell the benchmark that the chain has run."""
    redis.Redis.from_url(REDIS_URL).lpush(DONE, os.getpid())


def run_chains(length: int, count: int = 1) -> float:
    """Send chains and wait for the end of all; the seconds it took."""
    client = redis.Redis.from_url(REDIS_URL, socket_timeout=60)
    started = time.perf_counter()
    for _ in range(count):
        chain(*(step.si() for _ in range(length - 1)), last.si()).apply_async()
    for _ in range(count):
        client.blpop([DONE], timeout=60)
    return time.perf_counter() - started


def run_chord(width: int) -> float:
    """Send a chord of `width` and wait for its end; the seconds it took."""
    client = redis.Redis.from_url(REDIS_URL, socket_timeout=60)
    started = time.perf_counter()
    chord((counted_step.si() for _ in range(width)), last.si()).apply_async()
    client.blpop([DONE], timeout=60)
    return time.perf_counter() - started
