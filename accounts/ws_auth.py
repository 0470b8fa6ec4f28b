"""Sockets: whose credential one carries and for how long it is good, and from which pages it may be opened."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.http.request import validate_host
from django.utils import timezone
from django.utils.http import is_same_domain

from accounts import api_keys, tokens
from accounts.authentication import token_caller
from accounts.callers import Caller
from accounts.models import ApiKey, User
from accounts.oauth import expiry_of, good_digests
from accounts.oauth_models import digest
from core.errors import AuthenticationFailedError
from core.ids import from_uuid, to_uuid
from core.proxies import caller_address, is_trusted

Scope = Mapping[str, Any]


class Kind(StrEnum):
    """What a credential is."""

    SESSION = "session"
    API_KEY = "api_key"
    OAUTH = "oauth"


@dataclass(frozen=True, slots=True)
class Credential:
    """What is left of a token once it has been read: nothing that could be used as one.

    `id` is the session's, the key's prefix, or the token's digest; `expires_at` Unix seconds, or never.
    """

    kind: Kind
    id: str
    user_id: str
    expires_at: float | None

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= time.time()


def admit(token: str) -> tuple[Caller, Credential]:
    """The caller of a token (JWT, API key or OAuth) and how to ask later if it still is one.

    Raises AuthenticationFailedError.
    """
    caller = token_caller(token)
    user_id = caller.user.pk
    if token.startswith(api_keys.START):
        prefix = caller.credential.partition(":")[2]
        expires = ApiKey.objects.values_list("expires_at", flat=True).filter(prefix=prefix).first()
        return caller, Credential(Kind.API_KEY, prefix, user_id, expires.timestamp() if expires else None)
    if token.count(".") == 2:
        claims, expires_at = tokens.read_with_expiry("access", token)
        return caller, Credential(Kind.SESSION, claims.session_id, user_id, expires_at)
    return caller, Credential(Kind.OAUTH, digest(token), user_id, expiry_of(token))


# Asked for every page of a live view; written by the ORM it costs three times as much.
_GOOD_SESSIONS = """
SELECT session.id FROM accounts_session AS session
JOIN accounts_user AS account ON account.id = session.user_id AND account.is_active
WHERE session.id = ANY(%s::uuid[]) AND session.revoked_at IS NULL AND session.expires_at > %s
"""


def still_good(credentials: Collection[Credential]) -> set[Credential]:
    """Those of them that would be accepted now; at most one query for each kind."""
    now = timezone.now()
    by_kind: dict[Kind, dict[str, list[Credential]]] = {kind: {} for kind in Kind}
    for credential in credentials:
        if not credential.has_expired:
            by_kind[credential.kind].setdefault(credential.id, []).append(credential)
    good: list[Credential] = []
    if sessions := by_kind[Kind.SESSION]:
        with connection.cursor() as cursor:
            cursor.execute(_GOOD_SESSIONS, [[to_uuid(id_) for id_ in sessions], now])
            good += [credential for (id_,) in cursor.fetchall() for credential in sessions[from_uuid(id_)]]
    if keys := by_kind[Kind.API_KEY]:
        known = ApiKey.objects.filter(
            Q(expires_at=None) | Q(expires_at__gt=now), prefix__in=list(keys), owner__is_active=True
        ).values_list("prefix", flat=True)
        good += [credential for prefix in known for credential in keys[prefix]]
    if oauth := by_kind[Kind.OAUTH]:
        good += [credential for found in good_digests(list(oauth)) for credential in oauth[found]]
    return set(good)


def is_staff(user_id: str) -> bool:
    """Whether the user is staff now."""
    return User.objects.filter(pk=user_id, is_active=True, is_staff=True).exists()


def token_of(scope: Scope) -> str | None:
    """The token that a handshake carries: `?token=`, `Authorization: Bearer`, or `X-API-Key`; None without one.

    Raises AuthenticationFailedError for two at once, which may be two people's, and for another scheme.
    """
    headers = _headers(scope)
    try:
        query = parse_qs(scope["query_string"].decode("ascii", "replace"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise AuthenticationFailedError from None
    found = [*query.get("token", []), *headers.get("x-api-key", [])]
    for header in headers.get("authorization", []):
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise AuthenticationFailedError
        found.append(token.strip())
    if len(found) > 1:
        raise AuthenticationFailedError
    return found[0] if found else None


def origin_allowed(scope: Scope) -> bool:
    """Whether the page that opens the socket may: one of the same origin, or of `APG_TRUSTED_ORIGINS`.

    A program sends no Origin, and a browser always does (RFC 6455 §10.2). The Host must be one of ours, too.
    """
    headers = _headers(scope)
    host = headers.get("host", [""])[0]
    if not validate_host(_without_port(host), settings.ALLOWED_HOSTS):
        return False
    origins = headers.get("origin", [])
    if not origins:
        return True
    if len(origins) > 1 or "://" not in origins[0]:
        return False
    scheme, _, name = origins[0].lower().partition("://")
    if name == host.lower() and scheme == ("https" if _is_secure(scope) else "http"):
        return True
    return any(_matches(scheme, name, allowed.lower()) for allowed in settings.CSRF_TRUSTED_ORIGINS)


def address_of(scope: Scope) -> str:
    """The address of the client, by the word of trusted proxies only; "" without one."""
    peer = (scope.get("client") or ("", 0))[0]
    return caller_address(peer, ",".join(_headers(scope).get("x-forwarded-for", [])))


def _is_secure(scope: Scope) -> bool:
    if scope["scheme"] == "wss":
        return True
    peer = (scope.get("client") or ("", 0))[0]
    forwarded = ",".join(_headers(scope).get("x-forwarded-proto", []))
    return settings.HTTPS and is_trusted(peer) and forwarded.rpartition(",")[2].strip() == "https"


def _matches(scheme: str, name: str, allowed: str) -> bool:
    """Whether an origin is the allowed one, which may begin with `*.`, as Django takes it for forms."""
    wanted = urlsplit(allowed)
    return scheme == wanted.scheme and is_same_domain(name, wanted.netloc.removeprefix("*"))


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if port.isdigit() and name and not host.endswith("]") else host


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found
