"""Signatures as receivers check them: by the API reference's own function, and by Standard Webhooks' package (G14)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from webhooks import signing

ROOT = Path(__file__).parents[2]
PLAIN, WHSEC = "your-webhook-secret", signing.secret_of(bytes(range(32)))
BODY = '{"event":"execution.completed","name":"é"}'.encode()


def _printed_verifier() -> Callable[[str, str, str], bool]:
    """`verify_webhook_signature` as docs/api-reference.md prints it."""
    page = (ROOT / "docs" / "api-reference.md").read_text()
    (code,) = re.findall(r"```python\n(import hmac\n.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    found: Callable[[str, str, str], bool] = names["verify_webhook_signature"]
    return found


printed = _printed_verifier()


def _now() -> int:
    return int(datetime.now(UTC).timestamp())


def _headers(*secrets: str, body: bytes = BODY, age: int = 0) -> dict[str, str]:
    return signing.headers(
        secrets=secrets, body=body, event="execution.completed", webhook_id="W", delivery_id="D", timestamp=_now() - age
    )


def _standard(secret: str) -> Webhook:
    return Webhook(secret if secret.startswith("whsec_") else secret.encode())


def test_the_headers_of_a_delivery() -> None:
    headers = signing.headers(secrets=[PLAIN], body=BODY, event="execution.completed", webhook_id="W", delivery_id="D",
                              timestamp=1_700_000_000)  # fmt: skip
    assert {name: headers[name] for name in headers if "ignature" not in name} == {
        "X-Webhook-Event": "execution.completed",
        "X-Webhook-Id": "W",
        "X-Webhook-Delivery": "D",
        "X-Webhook-Timestamp": "1700000000",
        "webhook-id": "D",
        "webhook-timestamp": "1700000000",
    }
    assert re.fullmatch(r"sha256=[0-9a-f]{64}", headers["X-Webhook-Signature"])


@pytest.mark.parametrize("secret", [PLAIN, WHSEC, "sécret-of-sixteen"])
def test_h6_both_kinds_of_receivers_accept(secret: str) -> None:
    headers = _headers(secret)
    assert printed(BODY.decode(), headers["X-Webhook-Signature"], secret)
    assert _standard(secret).verify(BODY, headers)["name"] == "é"


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.characters(codec="ascii", min_codepoint=33), min_size=16),
)
def test_h6_any_body_and_secret_are_accepted(body: str, secret: str) -> None:
    headers = _headers("s" + secret, body=body.encode())
    assert printed(body, headers["X-Webhook-Signature"], "s" + secret)
    assert _standard("s" + secret).verify(body, headers, json_parse=False) is None


@pytest.mark.parametrize("place", [0, len(BODY) // 2, len(BODY) - 1])
def test_h6_one_flipped_bit_is_refused(place: int) -> None:
    edited = bytearray(BODY)
    edited[place] ^= 1
    headers = _headers(PLAIN)
    assert not printed(edited.decode("utf-8", "replace"), headers["X-Webhook-Signature"], PLAIN)
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        _standard(PLAIN).verify(edited.decode("utf-8", "replace"), headers)


def test_h6_another_secret_another_id_and_an_old_time_are_refused() -> None:
    headers = _headers(PLAIN)
    assert not printed(BODY.decode(), headers["X-Webhook-Signature"], PLAIN + "x")
    for changed in ({"webhook-id": "E"}, {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 2)}):
        with pytest.raises(WebhookVerificationError, match="No matching signature"):
            _standard(PLAIN).verify(BODY, {**headers, **changed})
    old = _headers(PLAIN, age=360)
    with pytest.raises(WebhookVerificationError, match="too old"):
        _standard(PLAIN).verify(BODY, old)


@pytest.mark.parametrize(("new", "old"), [(PLAIN, WHSEC), (WHSEC, PLAIN)])
def test_h6_after_a_rotation_receivers_with_either_secret_accept(new: str, old: str) -> None:
    headers = _headers(new, old)
    assert printed(BODY.decode(), headers["X-Webhook-Signature"], new)
    assert printed(BODY.decode(), headers["X-Webhook-Signature-Previous"], old)
    for secret in (new, old):
        assert _standard(secret).verify(BODY, headers)
    assert "X-Webhook-Signature-Previous" not in _headers(new)


def test_h6_samples_of_the_docs_compare_in_constant_time() -> None:
    page = (ROOT / "docs" / "webhooks.md").read_text()
    assert "hmac.compare_digest" in page
    assert "timingSafeEqual" in page


@pytest.mark.parametrize("secret", ["x" * 16, "x" * 256, WHSEC, "whsec_" + "QUFB" * 8, "sixteen letters!"])
def test_h4_a_sound_secret_passes(secret: str) -> None:
    signing.check_secret(secret)


BAD_SECRETS = ["", "x", "x" * 15, "x" * 257, "x" * 10_000, "whsec_" + "!" * 24, "whsec_QUFBQUFBQUFB",
               "sixteen\nletters!", "whsec_" + "é" * 24]  # fmt: skip


@pytest.mark.parametrize("secret", BAD_SECRETS)
def test_h4_a_bad_secret_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(signing.SecretError) as caught:
        signing.check_secret(secret)
    assert len(secret) < 2 or secret not in str(caught.value)
