"""The e-mail that tells an owner that a webhook was turned off, where the operator has named a mail server."""

import logging

from django.conf import settings
from django.core.mail import EmailMessage

from webhooks.models import Webhook
from webhooks.states import OffReason

logger = logging.getLogger(__name__)

_WHY = {
    OffReason.GONE: "its receiver answered 410 Gone",
    OffReason.FAILURES: "too many of its deliveries in a row failed",
}


def tell_owner(webhook: Webhook, reason: OffReason) -> None:
    """Best effort: the audit log has it, and the webhook itself. Forbids a transaction. Needs the webhook's owner."""
    if not settings.EMAIL_HOST:
        return
    message = EmailMessage(
        subject="A webhook was turned off",
        body=(
            f"Your webhook {webhook.pk} was turned off, because {_WHY[reason]}.\n\n"
            "What it has not delivered is kept. Turn it on again with "
            f'PATCH webhooks/{webhook.pk} {{"active": true}} once its receiver is well.\n'
        ),
        to=[webhook.owner.email],
    )
    try:
        message.send()
    except OSError as error:
        # smtplib's errors are OSErrors too.
        logger.warning("Owner not told by e-mail: %s", type(error).__name__, extra={"action": "mail_failed"})
