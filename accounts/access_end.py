"""What ends when a user is disabled or gets another password: every token, at once (contract §4)."""

from datetime import datetime

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts.models import Session, User
from accounts.oauth import end_oauth_access


def forget_ended_sessions(now: datetime) -> int:
    """Delete sessions that ended longer ago than a refresh token lives; how many. May run at any time, and twice.

    Until then a used refresh token is told from one that never was.
    """
    long_ago = now - settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]
    deleted, _ = Session.objects.filter(Q(expires_at__lt=long_ago) | Q(revoked_at__lt=long_ago)).delete()
    return deleted


def end_access(user: User) -> None:
    """End every session and OAuth token of the user. API keys stay: they are no tokens of a login."""
    Session.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())
    end_oauth_access(user)
