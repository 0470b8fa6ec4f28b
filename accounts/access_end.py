"""What ends when a user is disabled or gets another password: every token, at once (contract §4)."""

from datetime import datetime

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import Session, User
from accounts.oauth import end_oauth_access


def ended_sessions(now: datetime) -> QuerySet[Session]:
    """Sessions that ended longer ago than a refresh token lives.

    Until then a used refresh token is told from one that never was.
    """
    long_ago = now - settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]
    return Session.objects.filter(Q(expires_at__lt=long_ago) | Q(revoked_at__lt=long_ago))


def forget_ended_sessions(now: datetime) -> int:
    """Delete `ended_sessions`; how many. May run at any time, and twice."""
    return ended_sessions(now).delete()[0]


def end_access(user: User) -> None:
    """End every session and OAuth token of the user. API keys stay: they are no tokens of a login."""
    Session.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())
    end_oauth_access(user)
