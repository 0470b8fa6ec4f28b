"""Webhooks and deliveries in the admin, to look at, and to send deliveries again."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.audited_admin import ReadOnlyAdmin
from accounts.models import User
from core.errors import ConflictError
from webhooks import services
from webhooks.models import Delivery, Webhook


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    """List, search, look. Not the address's path, which may be a password, and no secret."""

    list_display = ("id", "owner", "host", "active", "off_reason", "failures_in_a_row", "created_at")
    list_filter = ("active", "off_reason")
    list_select_related = ("owner",)
    search_fields = ("owner__email",)
    fields = (*list_display, "events", "workflow_ids", "retry_policy", "previous_secret_until", "updated_at")

    @admin.display(description="host")
    def host(self, webhook: Webhook) -> str:
        """Whom it tells."""
        return webhook.host


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """List, filter, look, send again. Not what it says: that is its owner's."""

    list_display = ("id", "webhook", "event", "status", "attempts", "response_status", "next_attempt_at", "created_at")
    list_filter = ("status", "event")
    search_fields = ("webhook__owner__email",)
    list_select_related = ("webhook",)
    fields = (*list_display, "error", "attempts_log", "completed_at")
    actions = ("redeliver",)

    @admin.action(description="Redeliver the chosen deliveries", permissions=["view"])
    def redeliver(self, request: HttpRequest, deliveries: QuerySet[Delivery]) -> None:
        """Those that have ended."""
        actor = request.user
        assert isinstance(actor, User), "the admin is for who logged in"
        sent = 0
        for delivery in deliveries:
            try:
                services.redeliver(delivery=delivery, actor=actor)
                sent += 1
            except ConflictError as error:
                self.message_user(request, f"{delivery.pk}: {error.message}", messages.WARNING)
        self.message_user(request, f"{sent} queued")
