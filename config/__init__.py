"""Composition root; importing it makes the Celery app current, as `send_task` needs."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
