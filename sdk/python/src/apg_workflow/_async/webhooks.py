"""Webhooks: addresses that are told of events, and what was delivered to them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from typing_extensions import Unpack

from apg_workflow import bodies, models
from apg_workflow._async.resource import Resource
from apg_workflow.calls import Call, get, given, nothing, one, operation, page_of, path, post


class Webhooks(Resource):
    """Webhooks of the caller. At the receiving end: `apg_workflow.webhooks`."""

    @operation("list_webhooks")
    async def list(self, *, limit: int | None = None, offset: int | None = None) -> models.Page[models.Webhook]:
        """The caller's webhooks."""
        return await self._send(get(path("webhooks"), page_of(models.Webhook), limit=limit, offset=offset))

    def iterate(self, *, page_size: int = 100) -> AsyncIterator[models.Webhook]:
        """All of `list`, page after page."""
        return self._walk(
            lambda limit, offset: get(path("webhooks"), page_of(models.Webhook), limit=limit, offset=offset),
            page_size,
        )

    @operation("create_webhook")
    async def create(self, body: bodies.WebhookBody) -> models.WebhookWithSecret:
        """A secret that the server has made is told in this answer alone."""
        return await self._send(post(path("webhooks"), one(models.WebhookWithSecret), body))

    @operation("get_webhook")
    async def get(self, webhook_id: str) -> models.Webhook:
        """Raises NotFoundError."""
        return await self._send(get(path("webhooks", webhook_id), one(models.Webhook)))

    @operation("replace_webhook")
    async def replace(self, webhook_id: str, body: bodies.WebhookBody) -> models.Webhook:
        """Set all fields; those left out get their defaults, and the secret stays."""
        return await self._send(Call("PUT", path("webhooks", webhook_id), one(models.Webhook), body=body))

    @operation("update_webhook")
    async def update(self, webhook_id: str, changes: bodies.WebhookChanges) -> models.Webhook:
        """Change the fields given."""
        return await self._send(Call("PATCH", path("webhooks", webhook_id), one(models.Webhook), body=changes))

    @operation("delete_webhook")
    async def delete(self, webhook_id: str) -> None:
        """With all its deliveries."""
        await self._send(Call("DELETE", path("webhooks", webhook_id), nothing))

    @operation("test_webhook")
    async def test(self, webhook_id: str) -> models.Delivery:
        """Send a `webhook.test`."""
        return await self._send(post(path("webhooks", webhook_id, "test"), one(models.Delivery)))

    @operation("rotate_secret_of_webhook")
    async def rotate_secret(self, webhook_id: str, *, secret: str | None = None) -> models.WebhookWithSecret:
        """A new secret; the old one signs for 24 hours more."""
        return await self._send(
            post(path("webhooks", webhook_id, "rotate-secret"), one(models.WebhookWithSecret), given(secret=secret))
        )

    @operation("list_deliveries_of_webhook")
    async def list_deliveries(
        self,
        webhook_id: str,
        *,
        limit: int | None = None,
        offset: int | None = None,
        **filters: Unpack[bodies.DeliveryFilters],
    ) -> models.Page[models.DeliverySummary]:
        """What was sent, the newest first."""
        return await self._send(
            get(
                path("webhooks", webhook_id, "deliveries"),
                page_of(models.DeliverySummary),
                limit=limit,
                offset=offset,
                **filters,
            )
        )

    def iterate_deliveries(
        self, webhook_id: str, *, page_size: int = 100, **filters: Unpack[bodies.DeliveryFilters]
    ) -> AsyncIterator[models.DeliverySummary]:
        """All of `list_deliveries`, page after page."""
        return self._walk(
            lambda limit, offset: get(
                path("webhooks", webhook_id, "deliveries"),
                page_of(models.DeliverySummary),
                limit=limit,
                offset=offset,
                **filters,
            ),
            page_size,
        )

    @operation("get_delivery_of_webhook")
    async def get_delivery(self, webhook_id: str, delivery_id: str) -> models.Delivery:
        """One delivery with its body and attempts."""
        return await self._send(get(path("webhooks", webhook_id, "deliveries", delivery_id), one(models.Delivery)))

    @operation("redeliver_delivery_of_webhook")
    async def redeliver(self, webhook_id: str, delivery_id: str) -> models.Delivery:
        """Send one that has ended once more."""
        return await self._send(
            post(path("webhooks", webhook_id, "deliveries", delivery_id, "redeliver"), one(models.Delivery))
        )
