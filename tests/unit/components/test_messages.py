"""email and notification: what leaves, and what becomes of a refusal."""

from dataclasses import replace
from typing import Any

import pytest

from core.errors import ErrorCode
from core.outbound_policy import OutboundPolicy
from core.types import JSONObject
from tests import cpu
from tests.stand_ins import http_receiver
from tests.unit.components.context import context, run
from workflows.components.base import Completed, Email, EmailRefusedError, Failed


def mailed(config: JSONObject) -> tuple[Any, list[Email]]:
    sent: list[Email] = []

    def send(email: Email) -> str:
        sent.append(email)
        return "<id@example.com>"

    outcome = run("email", {"subject": "s", **config}, replace(context(), send_email=send))
    return outcome, sent


@pytest.mark.parametrize(
    ("to", "addresses"),
    [
        ("a@example.com", ("a@example.com",)),
        (" a@example.com , b@example.com ", ("a@example.com", "b@example.com")),
        (["a@example.com", "b@example.com, c@example.com"], ("a@example.com", "b@example.com", "c@example.com")),
        ("Ada Lovelace <ada@example.com>", ('"Ada Lovelace" <ada@example.com>',)),
        ('"Lovelace, Ada" <ada@example.com>, b@example.com', ('"Lovelace, Ada" <ada@example.com>', "b@example.com")),
        ("<a@example.com>", ("a@example.com",)),
        ("Åse Ødegård <ase@example.com>", ('"Åse Ødegård" <ase@example.com>',)),
        ("first.last+tag@sub.example.co.uk", ("first.last+tag@sub.example.co.uk",)),
        ("root@localhost", ("root@localhost",)),
    ],
)
def test_addresses_come_as_text_with_commas_or_as_a_list(to: Any, addresses: tuple[str, ...]) -> None:
    outcome, sent = mailed({"to": to})
    assert outcome == Completed({"message_id": "<id@example.com>"})
    assert sent == [Email(to=addresses, subject="s", body="")]


def test_every_field_is_handed_on() -> None:
    _, sent = mailed({"to": "a@x.org", "cc": "b@x.org", "bcc": ["c@x.org"], "body": "text", "html": "<p>"})
    assert sent == [Email(to=("a@x.org",), subject="s", body="text", html="<p>", cc=("b@x.org",), bcc=("c@x.org",))]


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"to": "a@example.com\r\nBcc: evil@example.com"}, "to"),
        ({"to": "Ada\nBcc: evil@example.com <a@example.com>"}, "to"),
        ({"to": ["a@example.com", "b@example.com\n"]}, "to[1]"),
        ({"to": "a@example.com", "cc": "x\u2028@example.com"}, "cc"),
        ({"to": "a@example.com", "subject": "s\r\nBcc: evil@example.com"}, "subject"),
        ({"to": "a@example.com", "subject": "s\0"}, "subject"),
        ({"to": "nobody"}, "to"),
        ({"to": "a@b@c"}, "to"),
        ({"to": "a b@example.com"}, "to"),
        ({"to": ".a@example.com"}, "to"),
        ({"to": "a@-example.com"}, "to"),
        ({"to": "a@example.com;b@example.com"}, "to"),
        ({"to": "a@example.com,"}, "to"),
        ({"to": 'x" <a@example.com>'}, "to"),
        ({"to": "x" * 65 + "@example.com"}, "to"),
        ({"to": "a@" + "x" * 260 + ".com"}, "to"),
        ({"to": ", ".join(f"a{n}@example.com" for n in range(101))}, "to, cc and bcc"),
    ],
)
def test_what_is_no_address_or_no_line_is_refused_and_nothing_sent(config: JSONObject, field: str) -> None:
    outcome, sent = mailed(config)
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith(f"{field}: ")
    assert (outcome.permanent, sent) == (True, [])
    assert "evil" not in outcome.message


@pytest.mark.parametrize("to", ["a" + " " * 100_000 + "b", '"a"' + " " * 100_000 + "b", "a." * 50_000, "<" * 100_000])
def test_a_long_text_that_is_no_address_is_refused_at_once(to: str) -> None:
    def refuse() -> None:
        assert isinstance(run("email", {"to": to, "subject": "s"}), Failed)

    cpu.assert_within(0.5, refuse)


@pytest.mark.parametrize("permanent", [True, False])
def test_a_refusal_of_the_mail_server_is_the_failure(permanent: bool) -> None:
    def refuse(email: Email) -> str:
        raise EmailRefusedError("no", permanent=permanent)

    outcome = run("email", {"to": "a@x.org", "subject": "s"}, replace(context(), send_email=refuse))
    assert outcome == Failed("no", permanent=permanent)


SCOPE: dict[str, Any] = {"execution": {"id": "E"}, "workflow": {"id": "W"}}


@pytest.mark.parametrize(
    ("config", "body"),
    [
        ({"message": "Hello"}, {"text": "Hello"}),
        ({"message": {"n": 1}, "format": "slack"}, {"text": '{"n":1}'}),
        (
            {"message": "Hello", "format": "json"},
            {"message": "Hello", "execution_id": "E", "workflow_id": "W", "component_id": "c"},
        ),
    ],
)
def test_a_notification_is_posted_in_its_format(config: JSONObject, body: JSONObject) -> None:
    with http_receiver() as receiver:
        given = context(**SCOPE)
        assert run("notification", {"url": receiver.url, **config}, given) == Completed({"status_code": 200})
    ((path, headers, got),) = receiver.seen
    assert (path, got) == ("/hook/s3cr3t", body)
    assert (headers["content-type"], headers["idempotency-key"]) == ("application/json", "key-1")
    assert given.network_bytes > 0
    # The path of a hook is its password.
    assert "s3cr3t" not in " ".join(line.message for line in given.lines)


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(302, True), (400, True), (404, True), (408, False), (425, False), (429, False), (500, False), (503, False)],
)
def test_another_status_fails_by_the_rules_of_http_request(status: int, permanent: bool) -> None:
    with http_receiver() as receiver:
        receiver.status = status
        outcome = run("notification", {"url": receiver.url, "message": "m"})
        assert len(receiver.seen) == 1
    expected = Failed(f"The server answered {status}", permanent=permanent, details={"status_code": status})
    assert outcome == expected


def test_private_addresses_are_refused() -> None:
    given = context(policy=OutboundPolicy())
    outcome = run("notification", {"url": "http://127.0.0.1/hook/s3cr3t", "message": "m"}, given)
    assert outcome == Failed("address is not allowed: 127.0.0.1", code=ErrorCode.COMPONENT_ERROR, permanent=True)
