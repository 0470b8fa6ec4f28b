"""E-mail of components, through the mail server that the operator names (APG_EMAIL_URL)."""

import contextlib
import logging
import smtplib
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import BadHeaderError, EmailMultiAlternatives
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import sanitize_address

from workflows.components.base import Email, EmailRefusedError

logger = logging.getLogger(__name__)


def send(email: Email, *, key: str) -> str:
    """Hand the message to the mail server; its Message-ID, which is the same for every attempt with `key`.

    Raises EmailRefusedError: permanent without a mail server, and where the server said no for good (5xx, RFC 5321
    §4.2.1); not permanent where it could not be reached, or asks to try again (4xx).
    """
    if not settings.EMAIL_HOST:
        raise EmailRefusedError("No mail server is configured; the operator sets APG_EMAIL_URL", permanent=True)
    message_id = f"<{key}@{parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition('@')[2]}>"
    message = EmailMultiAlternatives(
        subject=email.subject,
        body=email.body,
        to=list(email.to),
        cc=list(email.cc),
        bcc=list(email.bcc),
        headers={"Message-ID": message_id},
    )
    if email.html is not None:
        message.attach_alternative(email.html, "text/html")
    try:
        refused = _hand_over(message)
    except BadHeaderError:
        raise EmailRefusedError("An address or the subject holds a line break", permanent=True) from None
    except smtplib.SMTPException as error:
        raise _refusal(error) from None
    except TimeoutError:
        raise EmailRefusedError(
            f"The mail server did not answer within {settings.EMAIL_TIMEOUT} s", permanent=False
        ) from None
    except OSError as error:
        logger.warning("Mail server not reached: %s", error, extra={"action": "mail_failed"})
        raise EmailRefusedError("The mail server could not be reached", permanent=False) from None
    if refused:
        # Another attempt would send it to the others a second time.
        names = ", ".join(sorted(refused))
        raise EmailRefusedError(f"The mail server took the message, but not for {names}", permanent=True)
    return message_id


def _hand_over(message: EmailMultiAlternatives) -> dict[str, tuple[int, bytes]]:
    """Those of the recipients that the server refused; Django's own way of sending does not tell.

    Raises smtplib.SMTPException, OSError, BadHeaderError.
    """
    backend = EmailBackend()
    try:
        backend.open()
        assert backend.connection is not None, "open raises where it does not connect"
        return backend.connection.sendmail(
            sanitize_address(message.from_email, "utf-8"),
            [sanitize_address(address, "utf-8") for address in message.recipients()],
            message.message().as_bytes(linesep="\r\n"),  # type: ignore[call-arg]  # Django's own message takes it
        )
    finally:
        # The server has taken the message or refused it; how it says good-bye changes neither.
        with contextlib.suppress(OSError):
            backend.close()


def _refusal(error: smtplib.SMTPException) -> EmailRefusedError:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
        answers = "; ".join(f"{address}: {_answer(*answer)}" for address, answer in sorted(error.recipients.items()))
        return EmailRefusedError(f"The mail server refused every address: {answers}", permanent=min(codes) >= 500)
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return EmailRefusedError("The mail server refused the platform's own login", permanent=error.smtp_code >= 500)
    if isinstance(error, smtplib.SMTPResponseException):
        answer = _answer(error.smtp_code, error.smtp_error)
        return EmailRefusedError(f"The mail server answered {answer}", permanent=error.smtp_code >= 500)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return EmailRefusedError(f"The mail server lacks what is needed: {error}", permanent=True)
    return EmailRefusedError("The mail server ended the connection, or did not answer in time", permanent=False)


def _answer(code: int, text: bytes | str) -> str:
    """The server's words, which say what is wrong with an address or a message."""
    words = text if isinstance(text, str) else text.decode("utf-8", errors="replace")
    return f"{code} {' '.join(words.split())}"[:300].strip()
