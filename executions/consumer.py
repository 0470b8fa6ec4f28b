"""Celery's consumer, taught to stay: whatever a broker or a message does, the worker reconnects and goes on.

Three things would otherwise end or silence it: an acknowledgement that failed is logged and forgotten, and its place
among the prefetched messages is never free again (unless the message came over an earlier connection, whose places are
gone with it); an error that the broker answers (read-only, out of memory) is taken for a bug; and so is what a
malformed message raises. RabbitMQ's errors of a channel are taken for the first kind too: a new connection has new
channels.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from amqp.exceptions import AMQPError
from celery.worker.consumer import Consumer
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

_BROKER_ERRORS = (RedisError, AMQPError, OSError)


class DoorbellConsumer(Consumer):
    """The setting `worker_consumer`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connection_errors = (*self.conninfo.connection_errors, *_BROKER_ERRORS)  # type: ignore[attr-defined]
        self.loop = partial(_reconnect_on_error, self.loop)  # type: ignore[has-type]

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """What is called with each message."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_message(message: Any) -> None:
            message.ack_log_error = partial(self._acknowledge, message, self.connection)
            try:
                handle(message)
            except _BROKER_ERRORS:
                raise
            except Exception as error:
                logger.warning("Message dropped: %s", type(error).__name__, extra={"action": "message_dropped"})
                self._acknowledge(message, self.connection)

        return on_message

    def _acknowledge(self, message: Any, came_over: Any, *_: Any, **__: Any) -> None:
        """Raises ConnectionResetError, on which the consumer connects anew, with all places free."""
        if message.acknowledged or came_over is not self.connection:
            return
        try:
            message.ack()
        except _BROKER_ERRORS as error:
            raise ConnectionResetError(f"A message could not be acknowledged: {type(error).__name__}") from error


def _reconnect_on_error(loop: Callable[..., None], *args: Any) -> None:
    """The consumer's event loop; raises what the consumer reconnects on, where it would let the worker end."""
    try:
        loop(*args)
    except _BROKER_ERRORS:
        raise
    except Exception as error:
        logger.exception("The event loop failed; reconnecting", extra={"action": "consumer_failed"})
        raise ConnectionResetError(f"The event loop failed: {type(error).__name__}") from error
