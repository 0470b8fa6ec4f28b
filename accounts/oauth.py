"""OAuth tokens in use: whose a token is, what it may do, and how a user's tokens end."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.callers import Caller
from accounts.models import User
from accounts.oauth_models import OAuthAccessToken, OAuthApplication, OAuthGrant, OAuthRefreshToken, digest
from accounts.scopes import granted
from core.errors import AuthenticationFailedError
from core.prepared_query import PreparedQuery
from core.types import JSONObject

MAX_CHARS = 255


_OF_ACTIVE = Q(user__is_active=True) | Q(user=None, application__user__is_active=True)


def _good_tokens(checksum: object, now: object) -> QuerySet[OAuthAccessToken]:
    tokens: QuerySet[OAuthAccessToken] = OAuthAccessToken.objects.select_related("user", "application__user")
    return tokens.filter(_OF_ACTIVE, token_checksum=checksum, expires__gt=now)


_GOOD_TOKEN = PreparedQuery(_good_tokens, models.CharField(), models.DateTimeField())


def oauth_caller(token: str) -> Caller:
    """The caller of a good access token; one query. Raises AuthenticationFailedError for any other text.

    A token of client credentials acts as the application's owner. A revoked token is no row; one of a disabled
    user or owner is bad however long it would still live.
    """
    found = _GOOD_TOKEN.one(digest(token), timezone.now()) if 0 < len(token) <= MAX_CHARS else None
    if found is None:
        raise AuthenticationFailedError("Invalid or expired credentials")
    return Caller(_acting_user(found), granted(found.scope.split()), f"oauth:{found.application_id}")


def expiry_of(token: str) -> float:
    """Until when a good access token is one, in Unix seconds; in the past for any other text."""
    expires = OAuthAccessToken.objects.values_list("expires", flat=True).filter(token_checksum=digest(token)).first()
    return expires.timestamp() if expires else 0.0


def good_digests(digests: Collection[str]) -> list[str]:
    """Those digests that are of a good access token; one query."""
    tokens = OAuthAccessToken.objects.filter(_OF_ACTIVE, token_checksum__in=digests, expires__gt=timezone.now())
    return list(tokens.values_list("token_checksum", flat=True))


def _acting_user(token: OAuthAccessToken) -> User:
    user = token.user or token.application.user
    assert isinstance(user, User), "the query asks for one"
    return user


def introspected(*, application: OAuthApplication, token: str) -> JSONObject:
    """RFC 7662 §2.2: what a token says to the application that it was issued to; to any other, that it is not good."""
    now = timezone.now()
    access = _GOOD_TOKEN.one(digest(token), now)
    if access is not None and access.application_id == application.pk:
        user = _acting_user(access)
        return {
            "active": True,
            "token_type": "Bearer",
            "scope": access.scope,
            "client_id": application.client_id,
            "username": user.username,
            "sub": user.pk,
            "iat": int(access.created.timestamp()),
            "exp": int(access.expires.timestamp()),
        }
    refresh = (
        OAuthRefreshToken.objects.select_related("user", "access_token")
        .filter(token_checksum=digest(token), application=application, revoked=None, user__is_active=True)
        .filter(access_token__expires__gt=now - settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"])
        .first()
    )
    if refresh is None:
        return {"active": False}
    return {
        "active": True,
        "token_type": "refresh_token",
        "scope": refresh.access_token.scope,
        "client_id": application.client_id,
        "username": refresh.user.username,
        "sub": refresh.user.pk,
        "iat": int(refresh.created.timestamp()),
        "exp": int((refresh.access_token.expires + settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]).timestamp()),
    }


def end_oauth_access(user: User) -> None:
    """End every code and token of the user, and those with which applications act as the user.

    For a changed password and a disabled user; part of the transaction of either.
    """
    with transaction.atomic():
        # In this order no exchange or refresh that runs meanwhile gets past: it holds the row of its code or
        # refresh token, so it is waited for here, and what it made is among the access tokens deleted last. A
        # refresh token without an access token is bad.
        OAuthGrant.objects.filter(user=user).delete()
        OAuthRefreshToken.objects.filter(user=user, revoked=None).update(revoked=timezone.now())
        OAuthAccessToken.objects.filter(Q(user=user) | Q(user=None, application__user=user)).delete()


def ended_grants(now: datetime) -> QuerySet[OAuthGrant]:
    """Codes that ended longer ago than a refresh token lives. Until then a second use of one is seen."""
    found: QuerySet[OAuthGrant] = OAuthGrant.objects.filter(expires__lt=_long_ago(now))
    return found


def ended_refresh_tokens(now: datetime) -> QuerySet[OAuthRefreshToken]:
    """Refresh tokens that ended longer ago than one lives. Until then a second use of one is seen."""
    unused = Q(revoked=None, access_token__expires__lt=_long_ago(now))
    found: QuerySet[OAuthRefreshToken] = OAuthRefreshToken.objects.filter(Q(revoked__lt=_long_ago(now)) | unused)
    return found


def ended_access_tokens(now: datetime) -> QuerySet[OAuthAccessToken]:
    """Access tokens that ended longer ago than a refresh token, which needs one, lives; applications' own at once."""
    services = Q(user=None, expires__lt=now)
    found: QuerySet[OAuthAccessToken] = OAuthAccessToken.objects.filter(services | Q(expires__lt=_long_ago(now)))
    return found


def _long_ago(now: datetime) -> datetime:
    return now - cast("timedelta", settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"])


def forget_ended_access(now: datetime) -> int:
    """Delete codes and tokens that ended long ago; how many rows. May run at any time, and twice."""
    ended: tuple[QuerySet[Any], ...] = (ended_grants(now), ended_refresh_tokens(now), ended_access_tokens(now))
    return sum(rows.delete()[0] for rows in ended)
