"""What Celery's workers write: lines as all others, by the logging of the settings, and no banner."""

import logging
import logging.config
from typing import Any

from celery.signals import celeryd_init, setup_logging
from django.conf import settings


@setup_logging.connect
def configure(loglevel: int | None = None, **_: Any) -> None:
    """Instead of Celery's own handlers and formats, at the level of its own command line."""
    logging.config.dictConfig(settings.LOGGING)
    if loglevel is not None:
        logging.getLogger().setLevel(loglevel)


@celeryd_init.connect
def without_banner(instance: Any, **_: Any) -> None:
    """Its lines are none of a log's, and to name the machine it runs `uname`, given all the secrets of the environment.

    `instance` is the worker that is being made; the stubs lack what its command line sets.
    """
    instance.quiet = True
