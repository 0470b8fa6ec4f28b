"""Names this app's task and sends its messages: doorbells of (run id, attempt), best effort, after commit.

A message that is lost, late or doubled costs nothing: the run's row decides, and a sweep rings again.

With Redis, messages are pushed onto the broker's lists as Celery and kombu would push them (Celery's message protocol 2
in the envelope of kombu's Redis transport), all of one call in one round trip. `send_task` does the same with a
producer, a channel and an exchange, one round trip and 0.4 ms a message. With RabbitMQ they go through `core.amqp`.
"""

import base64
import logging
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import orjson
from django.conf import settings
from django.db import transaction

from core import amqp
from core.amqp import BrokerAwayError, TaskMessage
from core.redis import RedisError, guarded
from core.task_messages import task_body, task_headers
from executions.failpoints import failpoint
from executions.transitions.statements import QueuedRun

logger = logging.getLogger(__name__)

RUN_COMPONENT = "executions.run_component"

_together: ContextVar[list[QueuedRun] | None] = ContextVar("together", default=None)


def broker_priority(priority: int) -> int:
    """The contract's 1–10 (10 the most urgent) as Redis's 0–9 (0 is served first)."""
    return 10 - priority


def ring_on_commit(runs: Sequence[QueuedRun]) -> None:
    """Send the messages once the caller's transaction has committed; at once where there is none."""
    together = _together.get()
    if together is not None:
        together.extend(runs)
    elif runs:
        # No partial: Django names what failed by `__qualname__`.
        transaction.on_commit(lambda: ring(runs), robust=True)


@contextmanager
def gathered() -> Iterator[None]:
    """Let what `ring_on_commit` is given inside go out in one go. Needs the transaction around it."""
    runs: list[QueuedRun] = []
    token = _together.set(runs)
    try:
        yield
    finally:
        _together.reset(token)
    ring_on_commit(runs)


def ring(runs: Sequence[QueuedRun]) -> None:
    """Send one message for each run. A broker that is away is logged and left to the sweep."""
    if not runs:
        return
    failpoint("before_publish")
    try:
        if settings.AMQP_URL:
            # The contract's priorities are RabbitMQ's: 10 is served first.
            amqp.publish(TaskMessage(RUN_COMPONENT, (run.run_id, run.attempt), run.queue, run.priority) for run in runs)
        else:
            _push(runs)
    except (RedisError, BrokerAwayError) as error:
        what = str(error) if isinstance(error, BrokerAwayError) else type(error).__name__
        logger.warning("Messages not sent, the sweep will ring again: %s", what, extra={"action": "ring_failed"})


def _push(runs: Sequence[QueuedRun]) -> None:
    """Raises RedisError."""
    queues: dict[str, list[bytes]] = defaultdict(list)
    for run in runs:
        queues[_list_name(run.queue, broker_priority(run.priority))].append(_message(run))
    with guarded() as redis, redis.pipeline(transaction=False) as pipe:
        for name, messages in queues.items():
            pipe.lpush(name, *messages)
            pipe.ltrim(name, 0, settings.MAX_DOORBELLS - 1)
        pipe.execute()


def _list_name(queue: str, priority: int) -> str:
    """The list of a queue and a priority, as the transport options (`priority_steps`, `sep`) make kombu name it."""
    separator = settings.CELERY_BROKER_TRANSPORT_OPTIONS["sep"]
    return f"{queue}{separator}{priority}" if priority else queue


def _message(run: QueuedRun) -> bytes:
    id_ = str(uuid.uuid4())
    return orjson.dumps(
        {
            "body": base64.b64encode(task_body((run.run_id, run.attempt))).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": task_headers(RUN_COMPONENT, id_),
            "properties": {
                "correlation_id": id_,
                "delivery_mode": 2,
                "delivery_info": {"exchange": run.queue, "routing_key": run.queue},
                "priority": broker_priority(run.priority),
                "body_encoding": "base64",
                "delivery_tag": id_,
            },
        }
    )
