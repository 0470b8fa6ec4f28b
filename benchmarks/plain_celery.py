"""The yardstick: a plain Celery chain on the same Valkey, nothing durable, no result backend."""

import os

import redis
from celery import Celery, chain

from config.env import redis_urls

REDIS_URL, BROKER_URL = redis_urls("REDIS_URL")
DONE = "plain-celery-done"

app = Celery("plain", broker=BROKER_URL)
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


@app.task
def last() -> None:
    """Tell the benchmark that the chain has run."""
    redis.Redis.from_url(REDIS_URL).lpush(DONE, os.getpid())


def run_chain(length: int) -> None:
    """Send a chain and wait for its end."""
    client = redis.Redis.from_url(REDIS_URL, socket_timeout=60)
    chain(*(step.si() for _ in range(length - 1)), last.si()).apply_async()
    client.blpop([DONE], timeout=60)
