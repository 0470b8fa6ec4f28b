"""The tokens of inbound hooks: 256 random bits, found by their digest, kept sealed for those who may see them."""

import hashlib
import secrets

from accounts import vault
from workflows.models import Trigger

_BYTES = 32


def digest(token: str) -> bytes:
    """What a token is looked up by."""
    return hashlib.sha256(token.encode()).digest()


def renew(trigger: Trigger) -> None:
    """Give the hook a new token; it is for the caller to save. The one before is unknown from then on."""
    token = secrets.token_urlsafe(_BYTES)
    trigger.token_digest = digest(token)
    trigger.sealed_token = vault.seal(token.encode(), bound_to=place(trigger.pk))


def reveal(trigger: Trigger) -> str:
    """The hook's token. Raises accounts.vault.SealBrokenError."""
    assert trigger.sealed_token is not None, "every hook has one"
    return vault.unseal(bytes(trigger.sealed_token), bound_to=place(trigger.pk)).decode()


def place(trigger_id: str) -> str:
    """What a hook's sealed token is bound to."""
    return f"{trigger_id}/token"
