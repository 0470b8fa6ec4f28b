"""Celery's entry points."""

from celery import shared_task
from django.utils import timezone

from accounts.access_end import forget_ended_sessions
from accounts.oauth import forget_ended_access
from core.connections import drop_dead_connections


@shared_task(name="accounts.forget_ended_access")
def forget() -> None:
    """Once an hour, by beat."""
    drop_dead_connections()
    forget_ended_access(timezone.now())
    forget_ended_sessions(timezone.now())
