"""Webhooks at the receiving end: whether a request is the platform's."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping

from apg_workflow.errors import SignatureError

_PREFIX = "whsec_"
_TOLERANCE_SECONDS = 300


def signature_of(payload: bytes | str, secret: str) -> str:
    """The X-Webhook-Signature of a raw body: what `verify` expects, and what a hook with an `hmac_secret` does."""
    return "sha256=" + hmac.new(secret.encode(), _bytes(payload), hashlib.sha256).hexdigest()


def verify(payload: bytes | str, signature: str, secret: str) -> None:
    """Whether `signature`, the header X-Webhook-Signature, is that of the raw body. Raises SignatureError if not.

    It does not sign the time, so an old request can be sent again: `verify_headers` does better.
    """
    if not hmac.compare_digest(signature_of(payload, secret).encode(), signature.encode("utf-8", "replace")):
        raise SignatureError("X-Webhook-Signature is not that of this payload and secret")


def verify_headers(
    payload: bytes | str,
    headers: Mapping[str, str],
    secret: str,
    *,
    tolerance: float = _TOLERANCE_SECONDS,
    now: float | None = None,
) -> str:
    """The delivery's id, if the headers are those of Standard Webhooks for the raw body. Raises SignatureError if not.

    Also for a `webhook-timestamp` that is more than `tolerance` seconds away from `now`, Unix seconds. Remember the
    ids that you have dealt with: a delivery may come twice.
    """
    found = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, timestamp, signatures = (found[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
        seconds = int(timestamp)
    except KeyError as error:
        raise SignatureError(f"The header {error.args[0]} is missing") from None
    except ValueError:
        raise SignatureError("webhook-timestamp is no time") from None
    if abs((time.time() if now is None else now) - seconds) > tolerance:
        raise SignatureError("webhook-timestamp is too old or too new")
    signed = f"{message_id}.{timestamp}.".encode() + _bytes(payload)
    expected = "v1," + base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()
    given = [each.encode("utf-8", "replace") for each in signatures.split(" ")]
    if not any(hmac.compare_digest(expected.encode(), each) for each in given):
        raise SignatureError("webhook-signature is not that of this payload and secret")
    return message_id


def _key(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        return secret.encode()
    encoded = secret[len(_PREFIX) :]
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        raise SignatureError(f"The secret is no base64 after {_PREFIX}") from None


def _bytes(payload: bytes | str) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload
