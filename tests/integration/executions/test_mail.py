"""The email component's sender against a real mail server: what arrives, and which refusals may be tried again."""

import socket
from collections.abc import Iterator
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env
from executions import mail
from tests.stand_ins import Mailbox, mail_server
from tests.stopwatch import Stopwatch
from workflows.components.base import Email, EmailRefusedError


@pytest.fixture
def mailbox(settings: Any) -> Iterator[Mailbox]:
    """The configured mail server."""
    with mail_server() as found:
        settings.EMAIL_HOST, settings.EMAIL_PORT = found.host, found.port
        settings.DEFAULT_FROM_EMAIL = "APG <apg@mail.example.com>"
        yield found


EMAIL = Email(to=("a@example.com",), subject="Grüße", body="Text")


def refused(email: Email = EMAIL) -> EmailRefusedError:
    with pytest.raises(EmailRefusedError) as raised:
        mail.send(email, key="K")
    return raised.value


def test_a_message_arrives_with_all_its_parts(mailbox: Mailbox) -> None:
    email = Email(
        to=('"Lovelace, Ada" <ada@example.com>', "b@example.com"), subject="Grüße", body="Text ü", html="<p>ü</p>",
        cc=("c@example.com",), bcc=("d@example.com",),
    )  # fmt: skip
    assert mail.send(email, key="01RUN") == "<01RUN@mail.example.com>"
    (envelope,) = mailbox.messages
    assert envelope.mail_from == "apg@mail.example.com"
    assert envelope.rcpt_tos == ["ada@example.com", "b@example.com", "c@example.com", "d@example.com"]
    message = message_from_bytes(envelope.content, policy=policy.default)
    assert (message["Subject"], message["Message-ID"]) == ("Grüße", "<01RUN@mail.example.com>")
    assert (message["To"], message["Cc"]) == ('"Lovelace, Ada" <ada@example.com>, b@example.com', "c@example.com")
    assert message["From"] == "APG <apg@mail.example.com>"
    assert b"d@example.com" not in envelope.content
    assert [part.get_content().strip() for part in message.walk() if not part.is_multipart()] == ["Text ü", "<p>ü</p>"]


@pytest.mark.parametrize(("answer", "permanent"), [("550 no such user", True), ("451 try later", False)])
def test_a_refused_address_is_named_and_4xx_may_be_tried_again(mailbox: Mailbox, answer: str, permanent: bool) -> None:
    mailbox.recipient_answers["a@example.com"] = answer
    found = refused()
    assert (str(found), found.permanent) == (
        f"The mail server refused every address: a@example.com: {answer}", permanent
    )  # fmt: skip
    assert mailbox.messages == []


@pytest.mark.parametrize(("answer", "permanent"), [("554 looks like spam", True), ("452 disk full", False)])
def test_a_refused_message_is_told_in_the_servers_words(mailbox: Mailbox, answer: str, permanent: bool) -> None:
    mailbox.data_answer = answer
    found = refused()
    assert (str(found), found.permanent) == (f"The mail server answered {answer}", permanent)


def test_a_message_taken_for_some_is_not_sent_again(mailbox: Mailbox) -> None:
    mailbox.recipient_answers["b@example.com"] = "450 busy"
    found = refused(Email(to=("a@example.com", "b@example.com"), subject="s", body=""))
    assert (str(found), found.permanent) == ("The mail server took the message, but not for b@example.com", True)
    assert len(mailbox.messages) == 1


@pytest.mark.parametrize("field", ["subject", "to", "cc", "bcc"])
def test_a_line_break_never_reaches_a_header(mailbox: Mailbox, field: str) -> None:
    fields: dict[str, Any] = {"to": ("a@example.com",), "subject": "s", "body": ""}
    injected = "x@example.com\r\nBcc: evil@example.com"
    fields[field] = injected if field == "subject" else (injected,)
    with pytest.raises((EmailRefusedError, ValueError)):
        mail.send(Email(**fields), key="K")
    assert mailbox.messages == []


def test_without_a_mail_server_the_failure_is_permanent_and_says_what_to_set(settings: Any) -> None:
    settings.EMAIL_HOST = ""
    found = refused()
    assert (str(found), found.permanent) == (
        "No mail server is configured; the operator sets APG_EMAIL_URL", True
    )  # fmt: skip


def test_a_mail_server_that_is_away_or_silent_may_be_tried_again(settings: Any) -> None:
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 9, 1
    found = refused()
    assert (str(found), found.permanent) == ("The mail server could not be reached", False)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.EMAIL_PORT = silent.getsockname()[1]
        with Stopwatch() as watch:
            found = refused()
        assert (str(found), found.permanent) == (
            "The mail server ended the connection, or did not answer in time",
            False,
        )
        assert watch.seconds < 3


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("", env.MailServer()),
        ("smtp://mail.example.com", env.MailServer("mail.example.com", 25)),
        ("smtp+tls://u:p%40ss@h", env.MailServer("h", 587, "u", "p@ss", starttls=True)),
        ("smtps://u:p@h:4650", env.MailServer("h", 4650, "u", "p", tls=True)),
    ],
)
def test_the_address_of_the_mail_server(monkeypatch: pytest.MonkeyPatch, url: str, server: env.MailServer) -> None:
    monkeypatch.setenv("APG_EMAIL_URL", url)
    assert env.mail_server("APG_EMAIL_URL") == server


@pytest.mark.parametrize("url", ["mail.example.com", "http://h", "smtp://", "smtp://h/x", "smtp://h:x", "smtp://h?a=1"])
def test_a_bad_address_of_the_mail_server_stops_the_start(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("APG_EMAIL_URL", url)
    with pytest.raises(ImproperlyConfigured, match="APG_EMAIL_URL"):
        env.mail_server("APG_EMAIL_URL")


@pytest.mark.parametrize(
    ("value", "good"), [("a@b.c", True), ("APG <a@b.c>", True), ("nobody", False), ("a@b\n", True)]
)
def test_the_sender_must_be_an_address(monkeypatch: pytest.MonkeyPatch, value: str, good: bool) -> None:
    monkeypatch.setenv("APG_EMAIL_FROM", value)
    if good:
        assert env.sender("APG_EMAIL_FROM", "x", required=True) == value.strip()
    else:
        with pytest.raises(ImproperlyConfigured, match="APG_EMAIL_FROM"):
            env.sender("APG_EMAIL_FROM", "x", required=True)


def test_a_mail_server_needs_a_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APG_EMAIL_FROM", raising=False)
    assert env.sender("APG_EMAIL_FROM", "apg@localhost", required=False) == "apg@localhost"
    with pytest.raises(ImproperlyConfigured):
        env.sender("APG_EMAIL_FROM", "apg@localhost", required=True)
