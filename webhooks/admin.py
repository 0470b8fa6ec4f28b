"""Webhooks and deliveries in the admin, to look at, to switch on again, and to send again."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from accounts.audited_admin import ReadOnlyAdmin, admin_caller, badge
from accounts.big_lists import BigListAdmin, MadeFilter
from core.errors import APGError
from webhooks import services
from webhooks.models import Delivery, Webhook


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    """List, search, look, switch on. Not the address's path, which may be a password, and no secret."""

    list_display = ("id", "owner", "host", "state", "failures_in_a_row", "created_at")
    list_filter = ("active", "off_reason")
    list_select_related = ("owner",)
    search_fields = ("owner__email",)
    fields = (*list_display, "events", "workflow_ids", "retry_policy", "previous_secret_until", "updated_at")
    actions = ("switch_on",)

    @admin.display(description="host")
    def host(self, webhook: Webhook) -> str:
        """Whom it tells."""
        return webhook.host

    @admin.display(description="state", ordering="active")
    def state(self, webhook: Webhook) -> SafeString:
        """On, or why it is off."""
        return badge("active") if webhook.active else badge(f"off {webhook.off_reason}")

    @admin.action(description="Switch the chosen webhooks on again", permissions=["operate"])
    def switch_on(self, request: HttpRequest, webhooks: QuerySet[Webhook]) -> None:
        """What they have not been told meanwhile is delivered."""
        done, failed = 0, []
        for webhook in webhooks.filter(active=False):
            try:
                services.update_webhook(caller=admin_caller(request), webhook=webhook, changes={"active": True})
                done += 1
            except APGError as error:
                failed.append(f"{webhook.pk}: {error.message}")
        self.tell(request, done=f"Webhooks switched on: {done}", failed=failed)


@admin.register(Delivery)
class DeliveryAdmin(BigListAdmin):
    """List, filter, look, send again. Not what it says: that is its owner's."""

    list_display = ("id", "receiver", "event", "state", "attempts", "response_status", "next_attempt_at", "created_at")
    list_filter = (MadeFilter, "status")
    list_select_related = ("webhook",)
    search_fields = ("pk", "webhook")
    link_lookups = ("webhook",)
    fields = ("webhook", *list_display, "error", "attempts_log", "completed_at")
    actions = ("redeliver",)

    @admin.display(description="receiver")
    def receiver(self, delivery: Delivery) -> str:
        """Whom it tells."""
        return delivery.webhook.host

    @admin.display(description="status")
    def state(self, delivery: Delivery) -> SafeString:
        """In its colour."""
        return badge(delivery.status)

    @admin.action(description="Redeliver the chosen deliveries", permissions=["operate"])
    def redeliver(self, request: HttpRequest, deliveries: QuerySet[Delivery]) -> None:
        """Those that have ended."""
        done, failed = 0, []
        for delivery in deliveries:
            try:
                services.redeliver(delivery=delivery)
                done += 1
            except APGError as error:
                failed.append(f"{delivery.pk}: {error.message}")
        self.tell(request, done=f"{done} queued", failed=failed)
