"""What the table of deliveries says of the work at this moment, for metrics; within its partial indexes."""

from collections.abc import Iterator

from django.db.models import Count, Q
from django.db.models.functions import Now

from core import measures
from core.ages import age_of_oldest, in_seconds
from core.metrics import Sample
from webhooks.models import Delivery
from webhooks.states import DeliveryStatus


def deliveries() -> Iterator[Sample]:
    """Those that have not ended, and how long the longest of those due has been due."""
    due, held = Q(next_attempt_at__lte=Now()), Q(next_attempt_at=None)
    found = Delivery.objects.filter(status=DeliveryStatus.PENDING).aggregate(
        due=Count("pk", filter=due),
        held=Count("pk", filter=held),
        all=Count("*"),
        age=age_of_oldest("next_attempt_at", due),
    )
    state = measures.DELIVERIES_OPEN
    yield state.sample(found["due"], "due")
    yield state.sample(found["all"] - found["due"] - found["held"], "later")
    yield state.sample(found["held"], "held")
    yield state.sample(Delivery.objects.filter(status=DeliveryStatus.DELIVERING).count(), "delivering")
    yield measures.DELIVERY_DUE_SECONDS.sample(in_seconds(found["age"]))
