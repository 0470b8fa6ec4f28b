"""The sweeps of webhooks: events not yet told, lost workers and messages, what is held, due again, or old."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from core import measures
from core.connections import is_away
from core.ids import first_id
from core.pruning import rule_of_rows
from webhooks import dispatch, fanout, transitions
from webhooks.models import Delivery
from webhooks.states import FINAL, DeliveryStatus

logger = logging.getLogger(__name__)

BATCH = 200
_MAX_BATCHES = 50


def tell() -> bool:
    """Make deliveries of what has happened; whether there is more that could not be read yet. Forbids a transaction."""
    for _ in range(_MAX_BATCHES):
        advance = fanout.advance()
        if not (advance.more and advance.handled):
            return advance.more
    return True


def sweep() -> int:
    """Run every sweep once; how many things they moved. Forbids a transaction.

    One that fails is logged and keeps none of the others from its work. Raises DatabaseError where PostgreSQL cannot
    be reached.
    """
    return sum(map(_sweep_one, SWEEPS))


def _sweep_one(name: str) -> int:
    try:
        found = SWEEPS[name]()
    except Exception as error:
        if is_away(error):
            raise
        logger.exception("Sweep of webhooks failed: %s", name, extra={"action": "sweep_failed"})
        return 0
    if found:
        measures.SWEEP_FINDS.count(f"webhooks_{name}", amount=found)
    return found


def rescue_lost() -> int:
    """Deliveries whose lease has passed: their worker is gone, and whether it sent them nobody knows."""
    webhook_ids = transitions.rescue(BATCH)
    dispatch.ring(webhook_ids)
    return len(webhook_ids)


def let_go_held() -> int:
    """Deliveries that were held while their webhook was being turned on: it is on, and they are due."""
    webhook_ids = transitions.let_go(BATCH)
    dispatch.ring(webhook_ids)
    return len(webhook_ids)


def ring_due() -> int:
    """Webhooks with a delivery whose time has come, a retry most likely, or whose message was lost."""
    return dispatch.ring(transitions.webhooks_with_due(BATCH))


def old_deliveries(now: datetime) -> QuerySet[Delivery]:
    """Deliveries older than KEEP_DAYS that have ended, or that a webhook which is off holds.

    Ids are in the order of time, so the table itself is in order of age.
    """
    oldest_kept = first_id(now - timedelta(days=settings.WEBHOOKS["KEEP_DAYS"]))
    over = Q(status__in=sorted(FINAL)) | Q(status=DeliveryStatus.PENDING, next_attempt_at=None)
    return Delivery.objects.filter(over, pk__lt=oldest_kept)


def prune() -> int:
    """A batch of the deliveries that are old."""
    old = old_deliveries(timezone.now()).order_by("pk").select_for_update(skip_locked=True)
    with transaction.atomic():
        ids = list(old.values_list("pk", flat=True)[:BATCH])
        return Delivery.objects.filter(pk__in=ids).delete()[0] if ids else 0


SWEEPS: dict[str, Callable[[], int]] = {
    "rescue_lost": rescue_lost,
    "let_go_held": let_go_held,
    "ring_due": ring_due,
    "prune": prune,
}

RULES = (rule_of_rows("deliveries", Delivery, "APG_WEBHOOK_DELIVERY_DAYS", old_deliveries),)
