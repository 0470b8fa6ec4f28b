"""A file whose age says whether this process still goes round; for health checks that must not ask a server."""

import logging
import time
from pathlib import Path

from django.conf import settings

logger = logging.getLogger(__name__)

_EVERY_SECONDS = 2.0
_touched_at = float("-inf")


def touch() -> None:
    """Called by what must not stand still, as often as it likes; without APG_ALIVE_FILE nothing is written.

    It says nothing about PostgreSQL or the broker: to end a worker because one of them is away would mend nothing.
    """
    global _touched_at  # noqa: PLW0603 - one file a process
    if settings.ALIVE_FILE is None or time.monotonic() - _touched_at < _EVERY_SECONDS:
        return
    _touched_at = time.monotonic()
    try:
        Path(settings.ALIVE_FILE).touch()
    except OSError as error:
        # The check fails by itself; here is why.
        logger.error("APG_ALIVE_FILE cannot be written: %s", error.strerror, extra={"action": "alive_failed"})
