"""The courier and its sweeps beside an event that cannot be told."""

import logging
from collections.abc import Callable

import pytest
from django.db import connection

from accounts.models import User
from events.models import Event
from tests.eventually import eventually
from tests.integration.webhooks.conftest import happen
from webhooks import maintenance, tasks
from webhooks.models import Delivery, Webhook
from webhooks.states import DeliveryStatus
from webhooks.worker import Courier

pytestmark = pytest.mark.django_db(transaction=True)

Hook = Callable[..., Webhook]


@pytest.fixture
def lost(alice: User, hook: Hook) -> Delivery:
    """A delivery whose worker is gone, and after it an event that cannot be told: the ledger lacks what it needs."""
    hook()
    happen(alice)
    maintenance.tell()
    Delivery.objects.update(status=DeliveryStatus.DELIVERING, claims=1, lease_until="2000-01-01T00:00:00Z")
    told = set(Event.objects.values_list("pk", flat=True))
    happen(alice, "broken")
    assert Event.objects.exclude(pk__in=told).update(data={}) == 1
    return Delivery.objects.get()


def test_the_courier_sweeps_though_an_event_cannot_be_told(lost: Delivery) -> None:
    with pytest.raises(KeyError):
        Courier().tick()
    assert Delivery.objects.get().status == DeliveryStatus.PENDING


def test_beat_s_task_sweeps_though_an_event_cannot_be_told(lost: Delivery) -> None:
    with pytest.raises(KeyError):
        tasks.sweep()
    assert Delivery.objects.get().status == DeliveryStatus.PENDING


def test_an_event_that_postgresql_refuses_is_no_postgresql_that_is_away(
    alice: User, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    hook()
    happen(alice)
    courier = Courier()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE webhooks_delivery ADD CONSTRAINT refused CHECK (event <> 'workflow.created')")
    try:
        with caplog.at_level(logging.WARNING):
            courier.start()
            eventually(lambda: [each for each in caplog.records if each.name == "core.connections"])
    finally:
        courier.stopping.set()
        courier.join()
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE webhooks_delivery DROP CONSTRAINT refused")
    first = next(each for each in caplog.records if each.name == "core.connections")
    assert (first.action, first.levelname) == ("courier_failed", "ERROR")  # type: ignore[attr-defined]
    assert first.exc_info is not None
