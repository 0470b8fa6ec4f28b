"""JWTs of sessions, by simplejwt: one algorithm, one issuer, one audience, nothing odd in the header (RFC 8725)."""

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import jwt
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from core.errors import AuthenticationFailedError
from core.ids import parse_id

MAX_CHARS = 8192
_HEADER_KEYS = frozenset({"alg", "typ"})
_CLASSES: dict[str, type[Token]] = {"access": AccessToken, "refresh": RefreshToken}

Kind = Literal["access", "refresh"]


@dataclass(frozen=True, slots=True)
class Claims:
    """Whose token it is, of which session, and its own id."""

    user_id: str
    session_id: str
    token_id: str


def make(kind: Kind, claims: Claims) -> str:
    """A signed token that lives as long as the settings say."""
    token = _CLASSES[kind]()
    token["sub"] = claims.user_id
    token["sid"] = claims.session_id
    token["jti"] = claims.token_id
    return str(token)


def lifetime_seconds(kind: Kind) -> int:
    """How long a new token is good."""
    lifetime = _CLASSES[kind].lifetime
    assert lifetime is not None, "both kinds have one in the settings"
    return int(lifetime.total_seconds())


def read(kind: Kind, text: str) -> Claims:
    """The claims of a good token. Raises AuthenticationFailedError, always the same, for any other text."""
    return read_with_expiry(kind, text)[0]


def read_with_expiry(kind: Kind, text: str) -> tuple[Claims, float]:
    """The claims of a good token, and until when it is one (Unix seconds). Raises as `read` does."""
    try:
        if len(text) > MAX_CHARS:
            raise ValueError
        claims, expires_at = _verified(kind, text)
        if expires_at <= time.time():
            raise ValueError
    except (TokenError, jwt.InvalidTokenError, KeyError, ValueError, AttributeError, TypeError):
        raise AuthenticationFailedError("Invalid or expired credentials") from None
    return claims, expires_at


@lru_cache(maxsize=4096)
def _verified(kind: Kind, text: str) -> tuple[Claims, float]:
    """What a token says and until when (Unix seconds); errors are not kept.

    A client sends the same token again and again, and its signature does not change.
    """
    # No header of ours holds anything else: `kid`, `jku`, `crit` and the like are somebody's try.
    if not _HEADER_KEYS.issuperset(jwt.get_unverified_header(text)):
        raise ValueError
    token = _CLASSES[kind](text)  # type: ignore[arg-type]  # text is what it takes
    return Claims(parse_id(token["sub"]), parse_id(token["sid"]), parse_id(token["jti"])), float(token["exp"])
