"""What ends when a user is disabled or gets another password: every token, at once (contract §4)."""

from django.utils import timezone

from accounts.models import Session, User
from accounts.oauth import end_oauth_access


def end_access(user: User) -> None:
    """End every session and OAuth token of the user. API keys stay: they are no tokens of a login."""
    Session.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())
    end_oauth_access(user)
