"""Log in, refresh, log out; passwords; the end of a user's tokens; the first administrator."""

import logging
import unicodedata
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts import audit, tokens
from accounts.audit import Action
from accounts.models import Session, User
from accounts.throttling import LOGIN_ACCOUNT, LOGIN_ACCOUNT_ANYWHERE, LOGIN_ADDRESS, counted_address, take
from core.errors import AuthenticationFailedError, Problem, RateLimitedError, ValidationFailedError
from core.ids import new_id

logger = logging.getLogger(__name__)

MAX_PASSWORD_CHARS = 1024
_REFUSED = "Invalid username or password"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login or a refresh gives; `expires_in` seconds for the access token."""

    access_token: str
    refresh_token: str
    expires_in: int


def check_credentials(*, login: str, password: str, address: str) -> User:
    """The active user of an e-mail or username and its password, whoever asks: the API, a page or the admin.

    Throttled by address, by account and address, and by account. Raises RateLimitedError, and
    AuthenticationFailedError, in the same words and after the same work whether the user exists or not.
    """
    place, account = counted_address(address), counted_login(login)
    for limit, who in (
        (LOGIN_ADDRESS, place),
        (LOGIN_ACCOUNT, f"{account} {place}"),
        (LOGIN_ACCOUNT_ANYWHERE, account),
    ):
        taken = take(limit, who)
        if not taken.allowed:
            raise RateLimitedError(taken.retry_after)
    user = User.objects.by_login(login.strip()) if len(password) <= MAX_PASSWORD_CHARS else None
    if user is None:
        # The same cost as a wrong password, so that the time tells nothing.
        make_password(password[:MAX_PASSWORD_CHARS])
    if user is None or not user.check_password(password) or not user.is_active:
        logger.info("Login refused", extra={"action": "login_refused"})
        audit.record(Action.LOGIN_REFUSED, user)
        raise AuthenticationFailedError(_REFUSED)
    return user


def counted_login(login: str) -> str:
    """What a login is counted as: one text for all spellings that the database may take for one name.

    PostgreSQL lowers letters in a way of its own, by which `İ` is an `i`. So names that differ in accents alone are
    counted together, too.
    """
    plain = unicodedata.normalize("NFKD", login.strip()).casefold()
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def log_in(*, login: str, password: str, address: str, user_agent: str) -> TokenPair:
    """Tokens of a new session. Raises what `check_credentials` does."""
    user = check_credentials(login=login, password=password, address=address)
    now = timezone.now()
    session = Session(
        user=user,
        refresh_id=new_id(),
        address=address or None,
        user_agent=user_agent[:200],
        expires_at=now + timedelta(seconds=tokens.lifetime_seconds("refresh")),
    )
    with transaction.atomic():
        # The race: the password is changed, or the user disabled, while the given one is checked. What ends the
        # user's sessions then has either ended, and is seen here, or waits for this row and ends this session too.
        unchanged = User.objects.filter(pk=user.pk, password=user.password, is_active=True)
        if not unchanged.update(last_login=now):
            raise AuthenticationFailedError(_REFUSED)
        session.save(force_insert=True)
        audit.record(Action.LOGIN_SUCCEEDED, user, actor=user, session=session.pk)
    return _pair(session.user_id, session.pk, session.refresh_id)


def refresh(*, refresh_token: str) -> TokenPair:
    """New tokens for a refresh token, which is used up by this (rotation, RFC 9700 §4.14.2).

    One that was used before revokes its session: somebody has a copy. Raises AuthenticationFailedError.
    """
    claims = tokens.read("refresh", refresh_token)
    now, renewal_id = timezone.now(), new_id()
    # The race: two refreshes with one token. One UPDATE finds it current; the other is a reuse. No join: Django would
    # write it as a subquery, which the UPDATE that waited does not look at again.
    active = Exists(User.objects.filter(pk=OuterRef("user_id"), is_active=True))
    moved = Session.objects.filter(
        active,
        pk=claims.session_id,
        user_id=claims.user_id,
        refresh_id=claims.token_id,
        revoked_at=None,
        expires_at__gt=now,
    ).update(
        refresh_id=renewal_id,
        last_used_at=now,
        expires_at=now + timedelta(seconds=tokens.lifetime_seconds("refresh")),
    )
    if not moved:
        # Also of a user who is disabled: nothing of the family lives again when the account does.
        family = Session.objects.filter(pk=claims.session_id, user_id=claims.user_id, revoked_at=None)
        if family.update(revoked_at=now):
            logger.warning("Refresh token refused; its session is revoked", extra={"action": "refresh_reused"})
            owner = User.objects.get(pk=claims.user_id)
            audit.record(Action.REFRESH_REUSED, owner, actor=owner, session=claims.session_id)
        raise AuthenticationFailedError("Invalid or expired credentials")
    return _pair(claims.user_id, claims.session_id, renewal_id)


def log_out(*, refresh_token: str) -> None:
    """End the token's session with every token of it. Raises AuthenticationFailedError for a bad token."""
    claims = tokens.read("refresh", refresh_token)
    session = Session.objects.select_related("user").filter(pk=claims.session_id, revoked_at=None).first()
    if session is None:
        return
    with transaction.atomic():
        Session.objects.filter(pk=session.pk).update(revoked_at=timezone.now())
        audit.record(Action.SESSION_ENDED, session.user, actor=session.user, session=session.pk)


def change_password(*, user: User, current: str, password: str) -> None:
    """A new password for somebody who knows the current one; every session of the user ends, this one too.

    Throttled like a login. Raises RateLimitedError, ValidationFailedError naming the field.
    """
    if not knows_password(user, current):
        raise ValidationFailedError(problems=[Problem("This is not the current password", field="current_password")])
    check_password_rules(password, user, field="new_password")
    set_password(user, password)


def knows_password(user: User, current: str) -> bool:
    """Whether this is the password of a user who is logged in. Throttled like a login. Raises RateLimitedError."""
    taken = take(LOGIN_ACCOUNT, user.pk)
    if not taken.allowed:
        raise RateLimitedError(taken.retry_after)
    known = len(current) <= MAX_PASSWORD_CHARS and user.check_password(current)
    if not known:
        audit.record(Action.PASSWORD_REFUSED, user, actor=user)
    return known


def set_password(user: User, password: str, *, by: User | None = None) -> None:
    """Store a checked password; `by` whom, where it is not the caller of the API.

    Every session of the user ends by `accounts.passwords`, wherever it is changed.
    """
    with transaction.atomic():
        user.set_password(password)
        user.save(update_fields=["password"])
        audit.record(Action.PASSWORD_CHANGED, user, actor=by)


def check_password_rules(password: str, user: User, *, field: str) -> None:
    """Raises ValidationFailedError with one problem for each rule that the password breaks."""
    if len(password) > MAX_PASSWORD_CHARS:
        raise ValidationFailedError(problems=[Problem(f"At most {MAX_PASSWORD_CHARS} characters", field=field)])
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise ValidationFailedError(problems=[Problem(message, field=field) for message in error.messages]) from None


def ensure_administrator(*, email: str, password: str) -> bool:
    """Make the first administrator where no user has that e-mail; whether one was made."""
    if User.objects.by_login(email) is not None:
        return False
    User.objects.create_superuser(email, password, tier="enterprise")
    return True


def _pair(user_id: str, session_id: str, renewal_id: str) -> TokenPair:
    access = tokens.Claims(user_id, session_id, new_id())
    renewal = tokens.Claims(user_id, session_id, renewal_id)
    return TokenPair(
        access_token=tokens.make("access", access),
        refresh_token=tokens.make("refresh", renewal),
        expires_in=tokens.lifetime_seconds("access"),
    )
