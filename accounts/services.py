"""Log in, refresh, log out; passwords; the first administrator."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from accounts import tokens
from accounts.models import Session, User
from accounts.throttling import LOGIN_ACCOUNT, LOGIN_ADDRESS, take
from core.errors import AuthenticationFailedError, RateLimitedError
from core.ids import new_id

logger = logging.getLogger(__name__)

MAX_PASSWORD_CHARS = 1024


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login or a refresh gives; `expires_in` seconds for the access token."""

    access_token: str
    refresh_token: str
    expires_in: int


def check_credentials(*, login: str, password: str, address: str) -> User:
    """The active user of an e-mail or username and its password, whoever asks: the API, a page or the admin.

    Throttled by address and by account. Raises RateLimitedError, and AuthenticationFailedError, in the same
    words and after the same work whether the user exists or not.
    """
    for limit, who in ((LOGIN_ADDRESS, address), (LOGIN_ACCOUNT, login.strip().lower())):
        taken = take(limit, who)
        if not taken.allowed:
            raise RateLimitedError(taken.retry_after)
    user = User.objects.by_login(login.strip()) if len(password) <= MAX_PASSWORD_CHARS else None
    if user is None:
        # The same cost as a wrong password, so that the time tells nothing.
        make_password(password[:MAX_PASSWORD_CHARS])
    if user is None or not user.check_password(password) or not user.is_active:
        logger.info("Login refused", extra={"action": "login_refused"})
        raise AuthenticationFailedError("Invalid username or password")
    return user


def log_in(*, login: str, password: str, address: str, user_agent: str) -> TokenPair:
    """Tokens of a new session. Raises what `check_credentials` does."""
    user = check_credentials(login=login, password=password, address=address)
    now = timezone.now()
    User.objects.filter(pk=user.pk).update(last_login=now)
    session = Session.objects.create(
        user=user,
        refresh_id=new_id(),
        address=address or None,
        user_agent=user_agent[:200],
        expires_at=now + timedelta(seconds=tokens.lifetime_seconds("refresh")),
    )
    return _pair(session)


def refresh(*, refresh_token: str) -> TokenPair:
    """New tokens for a refresh token, which is used up by this (rotation, RFC 9700 §4.14.2).

    One that was used before revokes its session: somebody has a copy. Raises AuthenticationFailedError.
    """
    claims = tokens.read("refresh", refresh_token)
    now = timezone.now()
    good = Session.objects.filter(
        pk=claims.session_id, user_id=claims.user_id, user__is_active=True, revoked_at=None, expires_at__gt=now
    )
    # The race: two refreshes with one token. One UPDATE finds it current; the other is a reuse.
    moved = good.filter(refresh_id=claims.token_id).update(
        refresh_id=new_id(),
        last_used_at=now,
        expires_at=now + timedelta(seconds=tokens.lifetime_seconds("refresh")),
    )
    if not moved:
        if good.update(revoked_at=now):
            logger.warning("Refresh token reused; its session is revoked", extra={"action": "refresh_reused"})
        raise AuthenticationFailedError("Invalid or expired credentials")
    return _pair(Session.objects.get(pk=claims.session_id))


def log_out(*, refresh_token: str) -> None:
    """End the token's session with every token of it. Raises AuthenticationFailedError for a bad token."""
    claims = tokens.read("refresh", refresh_token)
    Session.objects.filter(pk=claims.session_id, revoked_at=None).update(revoked_at=timezone.now())


def change_password(*, user: User, password: str) -> None:
    """Set the password and end every session of the user."""
    with transaction.atomic():
        user.set_password(password)
        user.save(update_fields=["password"])
        Session.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())


def ensure_administrator(*, email: str, password: str) -> bool:
    """Make the first administrator where no user has that e-mail; whether one was made."""
    if User.objects.by_login(email) is not None:
        return False
    User.objects.create_superuser(email, password, tier="enterprise")
    return True


def _pair(session: Session) -> TokenPair:
    access = tokens.Claims(session.user_id, session.pk, new_id())
    renewal = tokens.Claims(session.user_id, session.pk, session.refresh_id)
    return TokenPair(
        access_token=tokens.make("access", access),
        refresh_token=tokens.make("refresh", renewal),
        expires_in=tokens.lifetime_seconds("access"),
    )
