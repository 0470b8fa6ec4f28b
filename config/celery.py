"""The Celery app: JSON only, no results, no ETA; waiting is rows in PostgreSQL, messages are doorbells."""

import gc
import os
from typing import Any

from celery import Celery
from celery.signals import worker_init

from config import worker_logs as worker_logs  # its signal sets logging up

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("apg")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["accounts", "executions", "config"])


@worker_init.connect
def freeze_garbage(**_: Any) -> None:
    """Before the pool forks: what is loaded now is walked by no full collection, and stays shared with the children."""
    gc.collect()
    gc.freeze()
