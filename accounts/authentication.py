"""Who is calling: a bearer token becomes (user, caller). The one place where credentials are read."""

from django.db import models
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import tokens
from accounts.callers import Caller as Caller
from accounts.models import Session, User
from accounts.oauth import oauth_caller
from accounts.scopes import ALL
from core.errors import AuthenticationFailedError
from core.ids import ULIDField
from core.prepared_query import PreparedQuery

_GOOD_SESSION = PreparedQuery(
    lambda session, user, now: Session.objects.select_related("user").filter(
        pk=session, user=user, revoked_at=None, user__is_active=True, expires_at__gt=now
    ),
    ULIDField(),
    ULIDField(),
    models.DateTimeField(),
)


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`; sets request.user and, as request.auth, the Caller."""

    def authenticate(self, request: Request) -> tuple[User, Caller] | None:
        """None without credentials. Raises AuthenticationFailed for bad ones."""
        header = request.headers.get("Authorization")
        if header is None:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise AuthenticationFailed
        try:
            found = token_caller(token.strip())
        except AuthenticationFailedError:
            # DRF's own: only after it does a request count as anonymous, as the throttle needs.
            raise AuthenticationFailed from None
        return found.user, found

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


def token_caller(access_token: str) -> Caller:
    """The caller of a good access token; one query. Raises AuthenticationFailedError.

    Two dots make it a JWT; an OAuth token has none. A token of an ended session, or of a disabled user, is bad
    however long it would still live.
    """
    if access_token.count(".") != 2:
        return oauth_caller(access_token)
    claims = tokens.read("access", access_token)
    session = _GOOD_SESSION.one(claims.session_id, claims.user_id, timezone.now())
    if session is None:
        raise AuthenticationFailedError("Invalid or expired credentials")
    return Caller(session.user, ALL)


def caller(request: Request) -> Caller:
    """The caller of a request that permissions have let through."""
    assert isinstance(request.auth, Caller), "only for views that are not public"
    return request.auth
