"""The Celery app of the worker that sends webhooks: one process of threads, with a queue of its own.

A slow endpoint holds a thread here, never one of the engine's processes; and what the engine's workers do as parents
of processes (leases, limits, the warden) has no place here.
"""

from celery import Celery
from django.conf import settings

from config import worker_logs as worker_logs  # its signal sets logging up

app = Celery("apg-webhooks")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_default_queue=settings.WEBHOOKS["QUEUE"],
    task_queues=None,
    worker_pool="threads",
    worker_concurrency=settings.WEBHOOKS["THREADS"],
    worker_max_memory_per_child=None,
)
app.autodiscover_tasks(["webhooks"])
