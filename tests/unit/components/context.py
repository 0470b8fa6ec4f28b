"""Running one component by itself: its context, and the call."""

from datetime import UTC, datetime
from typing import Any

from core.outbound_policy import OutboundPolicy
from core.types import JSONObject
from workflows.components import registry
from workflows.components.base import Context, Email, EmailRefusedError, Outcome, Resumption, SecretMissingError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOCAL = OutboundPolicy(allow=("127.0.0.1/32",))


def _no_secret(name: str) -> str:
    raise SecretMissingError(name)


def _no_mail(email: Email) -> str:
    raise EmailRefusedError("no mail server", permanent=True)


def context(*, resumed: Resumption | None = None, policy: OutboundPolicy = LOCAL, **scope: Any) -> Context:
    """A first attempt at NOW that may reach this machine; `scope` adds names."""
    return Context(
        component_id="c", idempotency_key="key-1", attempt=1, started_at=NOW, resumed=resumed, outbound=policy,
        max_output_bytes=10_000, scope={"parameters": {}, "components": {}, "input": {}, **scope}, now=lambda: NOW,
        secret=_no_secret, send_email=_no_mail,
    )  # fmt: skip


def run(type_: str, config: JSONObject, given: Context | None = None) -> Outcome:
    """One attempt of a component with a rendered config."""
    component = registry.get(type_)
    assert component is not None
    return component.run(config, given or context())
