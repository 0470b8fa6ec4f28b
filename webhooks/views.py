"""REST: webhooks, their secrets, tests and deliveries."""

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.scopes import Scope
from core.describing import Answers, PageOf
from core.envelope import reply
from core.pagination import paginate
from core.views import View
from webhooks import queries, services
from webhooks.filters import DELIVERY_FILTERS, filter_deliveries
from webhooks.serializers import (
    RotateSecretSerializer,
    WebhookSerializer,
    delivery_data,
    delivery_item,
    webhook_data,
)
from webhooks.shapes import DELIVERY, DELIVERY_ITEM, EXAMPLE_WEBHOOK, WEBHOOK, WEBHOOK_WITH_SECRET


class WebhookListView(View):
    """`GET webhooks`, `POST webhooks`: the caller's own."""

    scopes = {"GET": Scope.WEBHOOK_MANAGE, "POST": Scope.WEBHOOK_MANAGE}

    @Answers(PageOf(WEBHOOK))
    def get(self, request: Request) -> Response:
        """List webhooks."""
        page = paginate(queries.webhooks_of(caller(request)), request.query_params)
        return reply([webhook_data(webhook) for webhook in page.items], metadata=page.metadata)

    @Answers(WEBHOOK_WITH_SECRET, 201, body=WebhookSerializer, example=EXAMPLE_WEBHOOK, errors=[404, 409])
    def post(self, request: Request) -> Response:
        """Create a webhook.

        Without a `secret` one is made, and shown in this answer and nowhere else.
        """
        body = WebhookSerializer(data=request.data).validated()
        webhook, secret = services.create_webhook(caller=caller(request), **body)
        data = webhook_data(webhook) if secret is None else {**webhook_data(webhook), "secret": secret}
        return reply(data, message="Webhook created successfully", status=201)


class WebhookView(View):
    """`GET`, `PUT`, `PATCH`, `DELETE webhooks/{id}`."""

    scopes = dict.fromkeys(("GET", "PUT", "PATCH", "DELETE"), Scope.WEBHOOK_MANAGE)

    @Answers(WEBHOOK)
    def get(self, request: Request, webhook_id: str) -> Response:
        """Get a webhook."""
        return reply(webhook_data(queries.get_own(caller(request), webhook_id)))

    @Answers(WEBHOOK, body=WebhookSerializer, example=EXAMPLE_WEBHOOK)
    def put(self, request: Request, webhook_id: str) -> Response:
        """Replace a webhook.

        Without a `secret` it keeps the one it has.
        """
        return self._update(request, webhook_id, partial=False)

    @Answers(WEBHOOK, body=WebhookSerializer, partial=True)
    def patch(self, request: Request, webhook_id: str) -> Response:
        """Update a webhook.

        Turned on again it delivers what it has held.
        """
        return self._update(request, webhook_id, partial=True)

    @Answers(None)
    def delete(self, request: Request, webhook_id: str) -> Response:
        """Delete a webhook.

        Its deliveries go with it.
        """
        services.delete_webhook(webhook=queries.get_own(caller(request), webhook_id))
        return reply(message="Webhook deleted successfully")

    def _update(self, request: Request, webhook_id: str, *, partial: bool) -> Response:
        webhook = queries.get_own(caller(request), webhook_id)
        body = WebhookSerializer(data=request.data, partial=partial).validated()
        updated = services.update_webhook(caller=caller(request), webhook=webhook, changes=body)
        return reply(webhook_data(updated), message="Webhook updated successfully")


class RotateSecretView(View):
    """`POST webhooks/{id}/rotate-secret`."""

    scopes = {"POST": Scope.WEBHOOK_MANAGE}
    optional_body = True

    @Answers(WEBHOOK_WITH_SECRET, body=RotateSecretSerializer)
    def post(self, request: Request, webhook_id: str) -> Response:
        """Rotate the secret of a webhook.

        For 24 hours deliveries are signed with the old secret too. Without a `secret` one is made, and shown in this
        answer and nowhere else.
        """
        webhook = queries.get_own(caller(request), webhook_id)
        body = RotateSecretSerializer(data=request.data).validated()
        rotated, secret = services.rotate_secret(webhook=webhook, **body)
        data = webhook_data(rotated) if secret is None else {**webhook_data(rotated), "secret": secret}
        return reply(data, message="Secret rotated successfully")


class WebhookTestView(View):
    """`POST webhooks/{id}/test`."""

    scopes = {"POST": Scope.WEBHOOK_MANAGE}
    optional_body = True

    @Answers(DELIVERY)
    def post(self, request: Request, webhook_id: str) -> Response:
        """Test a webhook.

        Sends a delivery of the event `webhook.test`; read what came of it at its own address.
        """
        webhook = queries.get_own(caller(request), webhook_id)
        delivery = services.test_webhook(webhook=webhook)
        return reply(delivery_data(delivery), message="Test delivery queued")


class DeliveryListView(View):
    """`GET webhooks/{id}/deliveries`."""

    scopes = {"GET": Scope.WEBHOOK_MANAGE}

    @Answers(PageOf(DELIVERY_ITEM), parameters=DELIVERY_FILTERS)
    def get(self, request: Request, webhook_id: str) -> Response:
        """List deliveries of a webhook."""
        webhook = queries.get_own(caller(request), webhook_id)
        deliveries = queries.deliveries_of(webhook).defer("payload", "response_body", "attempts_log")
        page = paginate(filter_deliveries(deliveries, request.query_params), request.query_params)
        return reply([delivery_item(delivery) for delivery in page.items], metadata=page.metadata)


class DeliveryView(View):
    """`GET webhooks/{id}/deliveries/{delivery_id}`."""

    scopes = {"GET": Scope.WEBHOOK_MANAGE}

    @Answers(DELIVERY)
    def get(self, request: Request, webhook_id: str, delivery_id: str) -> Response:
        """Get a delivery of a webhook."""
        webhook = queries.get_own(caller(request), webhook_id)
        return reply(delivery_data(queries.get_delivery(webhook, delivery_id)))


class RedeliverView(View):
    """`POST webhooks/{id}/deliveries/{delivery_id}/redeliver`."""

    scopes = {"POST": Scope.WEBHOOK_MANAGE}
    optional_body = True

    @Answers(DELIVERY, errors=[409])
    def post(self, request: Request, webhook_id: str, delivery_id: str) -> Response:
        """Redeliver a delivery of a webhook.

        The same body goes out under the same id once more. One that has not ended is 409.
        """
        webhook = queries.get_own(caller(request), webhook_id)
        delivery = services.redeliver(delivery=queries.get_delivery(webhook, delivery_id))
        return reply(delivery_data(delivery), message="Delivery queued")
