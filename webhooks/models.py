"""Webhooks, and their deliveries with every attempt that was made."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from core.ids import ULIDField, id_field
from webhooks.states import FINAL, DeliveryStatus, OffReason

MAX_URL_CHARS = 2048
_FINAL = sorted(FINAL)


class Webhook(models.Model):
    """Whom its owner wants told of what.

    `events` happen to workflows that the owner sees; `workflow_ids` narrows them, null is all. What happened before
    `active_since` is not told. `sealed_previous_secret` signs as well until `previous_secret_until`. `failing` says
    that the last attempt failed: such an endpoint gets one attempt at a time. `rung_at`: a message to serve it is
    under way since then.
    """

    id = id_field()
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="webhooks")
    url = models.CharField(max_length=MAX_URL_CHARS)
    events = ArrayField(models.CharField(max_length=40))
    workflow_ids = ArrayField(ULIDField(), null=True)
    sealed_secret = models.BinaryField()
    sealed_previous_secret = models.BinaryField(null=True)
    previous_secret_until = models.DateTimeField(null=True)
    retry_policy: Any = models.JSONField()
    active = models.BooleanField(default=True)
    active_since = models.DateTimeField(db_default=Now())
    off_reason = models.CharField(max_length=8, blank=True, choices=[(each, each) for each in OffReason])
    failing = models.BooleanField(default=False, db_default=False)
    failures_in_a_row = models.IntegerField(default=0, db_default=0)
    rung_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(active=True) ^ ~models.Q(off_reason=""), name="webhook_off_why"),
            models.CheckConstraint(
                condition=models.Q(sealed_previous_secret__isnull=True) ^ models.Q(previous_secret_until__isnull=False),
                name="webhook_previous_secret_ends",
            ),
        ]
        indexes = [models.Index(fields=["owner", "-id"], name="webhook_of_owner")]

    def __str__(self) -> str:
        # Not the address: its path may be a password.
        return str(self.id)

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


class Delivery(models.Model):
    """One event on its way to one webhook; `payload` is the body as it is signed and sent, the same for all attempts.

    `claims` numbers the claims, and is the fence: a result counts only while its claim is the last. `attempts` counts
    those that have a result, `attempts_before` those of earlier rounds, before it was redelivered. A pending delivery
    without `next_attempt_at` is held until its webhook is on again. `attempts_log` has an entry for each attempt:
    when, how long, what came of it; the response is the last one's.
    """

    id = id_field()
    # No index by the webhook alone: those below start with it.
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, db_index=False, related_name="deliveries")
    event = models.CharField(max_length=40)
    event_id = models.BigIntegerField(null=True)
    payload = models.TextField()
    status = models.CharField(
        max_length=10,
        choices=[(each, each) for each in DeliveryStatus],
        default=DeliveryStatus.PENDING,
    )
    claims = models.IntegerField(default=0, db_default=0)
    attempts = models.IntegerField(default=0, db_default=0)
    attempts_before = models.IntegerField(default=0, db_default=0)
    next_attempt_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    response_status = models.SmallIntegerField(null=True)
    response_body = models.TextField(null=True)  # noqa: DJ001 - null: there was no response
    error = models.TextField(null=True)  # noqa: DJ001 - null: the last attempt had none
    attempts_log: Any = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    completed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["webhook", "event_id"], name="delivery_once_per_event"),
            models.CheckConstraint(
                condition=models.Q(status__in=_FINAL) ^ models.Q(completed_at__isnull=True),
                name="delivery_final_iff_completed_at",
            ),
            models.CheckConstraint(
                condition=models.Q(status=DeliveryStatus.DELIVERING) ^ models.Q(lease_until__isnull=True),
                name="delivery_lease_iff_delivering",
            ),
        ]
        indexes = [
            models.Index(fields=["webhook", "-id"], name="delivery_of_webhook"),
            # Few of many: for the admin, which looks for what went wrong.
            models.Index(
                fields=["-id"],
                include=["webhook"],
                condition=models.Q(status=DeliveryStatus.FAILED),
                name="delivery_failed",
            ),
            models.Index(
                fields=["webhook", "next_attempt_at", "id"],
                condition=models.Q(status=DeliveryStatus.PENDING),
                name="delivery_due",
            ),
            models.Index(
                fields=["webhook", "lease_until"],
                condition=models.Q(status=DeliveryStatus.DELIVERING),
                name="delivery_in_flight",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.event}"
