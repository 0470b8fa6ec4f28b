"""API keys: make, list, delete; and who a key's caller is (contract §4)."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from hmac import compare_digest

from django.db import models
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from accounts.callers import Caller
from accounts.models import ApiKey, User
from accounts.scopes import granted
from core.errors import AuthenticationFailedError, ConflictError, NotFoundError
from core.prepared_query import PreparedQuery

START = "apg_"
MAX_KEYS = 100
MAX_LIFETIME = timedelta(days=3660)
_PREFIX_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_PREFIX_CHARS = 12
_SECRET_BYTES = 32
_KEY = re.compile(rf"({START}[a-z0-9]{{{_PREFIX_CHARS - len(START)}}})[A-Za-z0-9_-]{{43}}", re.ASCII)
# `last_used_at` is a help to see which keys are dead, and not worth a write at every request.
_LAST_USED_EVERY = timedelta(minutes=1)

_GOOD_KEY = PreparedQuery(
    lambda prefix, now: ApiKey.objects.select_related("owner").filter(
        Q(expires_at=None) | Q(expires_at__gt=now), prefix=prefix, owner__is_active=True
    ),
    models.CharField(),
    models.DateTimeField(),
)


def create_api_key(
    *,
    owner: User,
    name: str,
    permissions: Sequence[str],
    description: str = "",
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its text, which is told this once and not kept. Raises ConflictError over MAX_KEYS."""
    if owner.api_keys.count() >= MAX_KEYS:
        raise ConflictError(f"An account has at most {MAX_KEYS} API keys; delete one that is not used any more")
    prefix = START + "".join(secrets.choice(_PREFIX_ALPHABET) for _ in range(_PREFIX_CHARS - len(START)))
    text = prefix + secrets.token_urlsafe(_SECRET_BYTES)
    key = ApiKey(
        owner=owner,
        name=name,
        description=description,
        prefix=prefix,
        key_hash=_hash(text),
        permissions=list(permissions),
        expires_at=expires_at,
    )
    with audit.recording(Action.API_KEY_CREATED, key, permissions=key.permissions, prefix=prefix):
        key.save(force_insert=True)
    return key, text


def api_keys_of(owner: User) -> QuerySet[ApiKey]:
    """The owner's keys, the newest first."""
    return owner.api_keys.defer("key_hash").order_by("-pk")


def get_api_key(*, owner: User, key_id: str) -> ApiKey:
    """One key of the owner. Raises NotFoundError."""
    key = api_keys_of(owner).filter(pk=key_id).first()
    if key is None:
        raise NotFoundError("API key not found")
    return key


def delete_api_key(*, owner: User, key_id: str) -> None:
    """Revoke a key: no request with it passes after this returns. Raises NotFoundError."""
    key = get_api_key(owner=owner, key_id=key_id)
    with audit.recording(Action.API_KEY_DELETED, key, prefix=key.prefix):
        deleted, _ = ApiKey.objects.filter(pk=key.pk).delete()
        if not deleted:
            raise NotFoundError("API key not found")


def key_caller(text: str) -> Caller:
    """The caller of a good key; one query. Raises AuthenticationFailedError in the same words for any other text."""
    match = _KEY.fullmatch(text)
    now = timezone.now()
    key = _GOOD_KEY.one(match[1], now) if match else None
    if key is None or not compare_digest(bytes(key.key_hash), _hash(text)):
        raise AuthenticationFailedError("Invalid or expired credentials")
    if key.last_used_at is None or key.last_used_at < now - _LAST_USED_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return Caller(key.owner, granted(key.permissions), f"api_key:{key.prefix}")


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
