"""The query parameters of the list of deliveries; a bad one is 400 and named (contract §3)."""

from django.db.models import QuerySet
from django.http import QueryDict

from core.describing import choice_parameter
from core.query import choice
from webhooks.models import Delivery
from webhooks.payloads import TEST_EVENT
from webhooks.shapes import EVENTS
from webhooks.states import DeliveryStatus

_STATUSES = [str(status) for status in DeliveryStatus]
_EVENTS = [*EVENTS, TEST_EVENT]
DELIVERY_FILTERS = (
    choice_parameter("status", _STATUSES, "Filter by status"),
    choice_parameter("event", _EVENTS, "Filter by event"),
)


def filter_deliveries(deliveries: QuerySet[Delivery], query: QueryDict) -> QuerySet[Delivery]:
    """Apply status and event. Raises BadRequestError."""
    if (status := choice(query, "status", _STATUSES)) is not None:
        deliveries = deliveries.filter(status=status)
    if (event := choice(query, "event", _EVENTS)) is not None:
        deliveries = deliveries.filter(event=event)
    return deliveries
