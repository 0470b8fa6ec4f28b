"""What ends when a user is disabled or gets another password: every token, at once (contract §4)."""

from django.utils import timezone

from accounts.models import Session, User


def end_access(user: User) -> None:
    """End every session of the user, and with them their tokens. API keys stay: they are no tokens of a login."""
    Session.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())
