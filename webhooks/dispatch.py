"""Names this app's task and sends its messages: doorbells with a webhook's id, best effort, after commit.

At most one message is under way for a webhook: whoever takes it and finds more to do than one sender may rings again.
A message that is lost costs time only: the sweep rings again.
"""

import logging
from collections.abc import Iterable

from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from core import amqp
from core.amqp import BrokerAwayError, TaskMessage
from webhooks import transitions

logger = logging.getLogger(__name__)

SERVE = "webhooks.serve"


def ring(webhook_ids: Iterable[str]) -> int:
    """Send a message for each of the webhooks for which none is under way; how many. Forbids a transaction.

    A broker that is away is logged and left to the sweep.
    """
    wanted = transitions.mark_rung(webhook_ids)
    if wanted:
        send(wanted)
    return len(wanted)


def send(webhook_ids: Iterable[str]) -> None:
    """The messages of `ring`, for webhooks that are marked already."""
    queue = settings.WEBHOOKS["QUEUE"]
    try:
        if settings.AMQP_URL:
            amqp.publish(TaskMessage(SERVE, (webhook_id,), queue, priority=5) for webhook_id in webhook_ids)
            return
        with current_app.producer_or_acquire() as producer:
            for webhook_id in webhook_ids:
                current_app.send_task(SERVE, [webhook_id], queue=queue, producer=producer, ignore_result=True)
    except (RedisError, OperationalError, OSError, BrokerAwayError) as error:
        logger.warning(
            "Messages not sent, the sweep will ring again: %s",
            type(error).__name__,
            extra={"action": "webhook_ring_failed"},
        )
