"""Who is calling: a token or a key becomes (user, caller). The one place where credentials are read."""

from django.db import models
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import api_keys, audit, tokens
from accounts.callers import Caller
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


class CredentialAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>` or `X-API-Key: <key>`; sets request.user and, as request.auth, the Caller."""

    def authenticate(self, request: Request) -> tuple[User, Caller] | None:
        """None without credentials. Raises AuthenticationFailed for bad ones, and for two at once."""
        header, key = request.headers.get("Authorization"), request.headers.get("X-API-Key")
        if header is None and key is None:
            return None
        try:
            found = _caller(header, key)
        except AuthenticationFailedError:
            # DRF's own: only after it does a request count as anonymous, as the throttle needs.
            raise AuthenticationFailed from None
        audit.identify(found)
        return found.user, found

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


def _caller(header: str | None, key: str | None) -> Caller:
    if header is None:
        return api_keys.key_caller((key or "").strip())
    scheme, _, token = header.partition(" ")
    # Of two credentials neither is preferred: they may be two people's.
    if key is not None or scheme.lower() != "bearer":
        raise AuthenticationFailedError
    return token_caller(token.strip())


def token_caller(token: str) -> Caller:
    """The caller of a bearer token, which is told by its shape; one query. Raises AuthenticationFailedError."""
    if token.startswith(api_keys.START):
        return api_keys.key_caller(token)
    if token.count(".") == 2:
        return _session_caller(token)
    return oauth_caller(token)


def _session_caller(access_token: str) -> Caller:
    """A token of an ended session, or of a disabled user, is bad however long it would still live."""
    claims = tokens.read("access", access_token)
    session = _GOOD_SESSION.one(claims.session_id, claims.user_id, timezone.now())
    if session is None:
        raise AuthenticationFailedError("Invalid or expired credentials")
    return Caller(session.user, ALL)


def caller(request: Request) -> Caller:
    """The caller of a request that permissions have let through."""
    assert isinstance(request.auth, Caller), "only for views that are not public"
    return request.auth
