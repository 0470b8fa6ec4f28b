"""PURE: the headers by which a receiver knows a delivery for ours: the API reference's, and Standard Webhooks'.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
MIN_SECRET_CHARS = 16
MAX_SECRET_CHARS = 256
MIN_KEY_BYTES = 16


class SecretError(ValueError):
    """A secret that cannot sign; the message says what it must be."""


def check_secret(secret: str) -> None:
    """Raises SecretError for one that is too short or too long, or begins as Standard Webhooks' do and is no base64."""
    if not MIN_SECRET_CHARS <= len(secret) <= MAX_SECRET_CHARS:
        raise SecretError(f"Must have {MIN_SECRET_CHARS} to {MAX_SECRET_CHARS} characters")
    if not secret.isprintable():
        raise SecretError("Must not hold line breaks or other control characters")
    if len(standard_key(secret)) < MIN_KEY_BYTES:
        raise SecretError(f"After {PREFIX} must stand base64 of at least {MIN_KEY_BYTES} bytes")


def secret_of(random_bytes: bytes) -> str:
    """The random bytes as a secret that both kinds of receivers can check with."""
    return PREFIX + base64.b64encode(random_bytes).decode()


def standard_key(secret: str) -> bytes:
    """The key of Standard Webhooks: what stands after `whsec_`, decoded; of another secret its own bytes.

    Raises SecretError for what is not base64 after `whsec_`.
    """
    if not secret.startswith(PREFIX):
        return secret.encode()
    encoded = secret.removeprefix(PREFIX)
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise SecretError(f"After {PREFIX} must stand base64 of at least {MIN_KEY_BYTES} bytes") from None


def hex_signature(secret: str, body: bytes) -> str:
    """The value of X-Webhook-Signature (API reference, "Signature Verification"): over the raw body, whole secret."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def standard_signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """One signature of Standard Webhooks, over id, time (Unix seconds) and body."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(standard_key(secret), signed, hashlib.sha256).digest()).decode()


def headers(
    *, secrets: Sequence[str], body: bytes, event: str, webhook_id: str, delivery_id: str, timestamp: int
) -> dict[str, str]:
    """The headers of one attempt at `timestamp` (Unix seconds).

    `secrets` has the current one first and, for a day after a rotation, the one before it. `webhook-signature` lists
    the signatures of both, as its standard has it; X-Webhook-Signature holds one, so the older secret's has its own.
    """
    made = {
        "X-Webhook-Event": event,
        "X-Webhook-Id": webhook_id,
        "X-Webhook-Delivery": delivery_id,
        "X-Webhook-Timestamp": str(timestamp),
        "X-Webhook-Signature": hex_signature(secrets[0], body),
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(standard_signature(secret, delivery_id, timestamp, body) for secret in secrets),
    }
    if len(secrets) > 1:
        made["X-Webhook-Signature-Previous"] = hex_signature(secrets[1], body)
    return made
