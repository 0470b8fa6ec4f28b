"""The secrets of webhooks: stored sealed, opened to sign with alone."""

from accounts import vault


def secret_place(webhook_id: str) -> str:
    """What a webhook's sealed secrets are bound to, the current one and the one before it alike."""
    return f"{webhook_id}/webhook"


def seal_secret(secret: str, *, webhook_id: str) -> bytes:
    """The secret, sealed for its webhook."""
    return vault.seal(secret.encode(), bound_to=secret_place(webhook_id))


def open_secret(sealed: bytes, *, webhook_id: str) -> str:
    """The secret. Raises accounts.vault.SealBrokenError."""
    return vault.unseal(sealed, bound_to=secret_place(webhook_id)).decode()
