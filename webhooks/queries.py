"""Whose webhooks and deliveries: their owner's alone, staff's neither."""

from django.db.models import QuerySet

from accounts.callers import Caller
from core.errors import NotFoundError
from webhooks.models import Delivery, Webhook


def webhooks_of(caller: Caller) -> QuerySet[Webhook]:
    """The caller's webhooks, the newest first."""
    return Webhook.objects.filter(owner=caller.user).order_by("-pk")


def get_own(caller: Caller, webhook_id: str) -> Webhook:
    """One of the caller's webhooks. Raises NotFoundError, the same for absent and others'."""
    webhook = webhooks_of(caller).filter(pk=webhook_id).first()
    if webhook is None:
        raise NotFoundError("Webhook not found")
    return webhook


def deliveries_of(webhook: Webhook) -> QuerySet[Delivery]:
    """A webhook's deliveries, the newest first."""
    return Delivery.objects.filter(webhook=webhook).order_by("-pk")


def get_delivery(webhook: Webhook, delivery_id: str) -> Delivery:
    """One delivery of a webhook. Raises NotFoundError."""
    delivery = deliveries_of(webhook).filter(pk=delivery_id).first()
    if delivery is None:
        raise NotFoundError("Delivery not found")
    return delivery
