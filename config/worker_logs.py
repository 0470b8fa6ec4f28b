"""Celery's lines as all others: by the logging of the settings, at the level of its own command line."""

import logging
import logging.config
from typing import Any

from celery.signals import setup_logging
from django.conf import settings


@setup_logging.connect
def configure(loglevel: int | None = None, **_: Any) -> None:
    """Instead of Celery's own handlers and formats."""
    logging.config.dictConfig(settings.LOGGING)
    if loglevel is not None:
        logging.getLogger().setLevel(loglevel)
