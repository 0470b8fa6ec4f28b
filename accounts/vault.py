"""Sealed values: AES-256-GCM bound to the row they belong to, under a ring of keys (contract §4, "Secrets")."""

import base64
import binascii
import hashlib
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from core.errors import APGError, ErrorCode, Problem

_VERSION = b"\x01"
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12

HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES
"""How many bytes at the beginning of something sealed say under which key it is."""


class SealBrokenError(APGError):
    """The sealed bytes do not open: another key, another row, or altered data.

    Met after a restore with other keys: put the old key back at the end of APG_ENCRYPTION_KEYS.
    """

    code = ErrorCode.RESOURCE_CONFLICT
    status = 409

    def __init__(self, reason: str) -> None:
        message = "What is stored does not open"
        problem = Problem(f"{message}: {reason}", details={"expected": "the old key in APG_ENCRYPTION_KEYS"})
        super().__init__(message, problems=[problem])
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


def seal(plain: bytes, *, bound_to: str) -> bytes:
    """Encrypt for one place; `bound_to` (a row's id and column) must be given again to open."""
    key_id, cipher = next(iter(_ring().items()))
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + key_id + nonce + cipher.encrypt(nonce, plain, bound_to.encode())


def unseal(sealed: bytes, *, bound_to: str) -> bytes:
    """The plain bytes. Raises SealBrokenError."""
    key_id = sealed[1 : 1 + _KEY_ID_BYTES]
    nonce = sealed[1 + _KEY_ID_BYTES : 1 + _KEY_ID_BYTES + _NONCE_BYTES]
    cipher = _ring().get(key_id)
    if sealed[:1] != _VERSION or cipher is None:
        raise SealBrokenError("sealed with a key that is not in the ring")
    try:
        return cipher.decrypt(nonce, sealed[1 + _KEY_ID_BYTES + _NONCE_BYTES :], bound_to.encode())
    except InvalidTag:
        raise SealBrokenError("sealed for another place, or altered") from None


def key_of(sealed: bytes) -> str:
    """The id of the key that it is sealed under, of its first HEADER_BYTES at least."""
    return sealed[len(_VERSION) : HEADER_BYTES].hex()


def key_ids() -> list[str]:
    """The ids of the keys in the ring, the one that seals first. They tell nothing of the keys."""
    return [key_id.hex() for key_id in _ring()]


def sealing_header() -> bytes:
    """What everything that is sealed now begins with."""
    return _VERSION + next(iter(_ring()))


@lru_cache(maxsize=1)
def _ring() -> dict[bytes, AESGCM]:
    """Key id -> cipher, the sealing key first.

    The last is derived from the secret key: an installation that began without keys of its own still opens what it
    has when it is given some.
    """
    keys = [*map(_decoded, settings.ENCRYPTION_KEYS), _derived()]
    return {hashlib.sha256(key).digest()[:_KEY_ID_BYTES]: AESGCM(key) for key in keys}


def _decoded(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 32:
        raise ImproperlyConfigured("APG_ENCRYPTION_KEYS must hold base64 of 32 random bytes each, comma-separated")
    return key


def _derived() -> bytes:
    derivation = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"apg vault")
    return derivation.derive(settings.SECRET_KEY.encode())
