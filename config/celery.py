"""The Celery app: JSON only, no results, no ETA; waiting is rows in PostgreSQL, messages are doorbells."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("apg")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["executions"])
