"""What happens to webhooks: create, update, rotate, delete, turn off; test and redeliver."""

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from accounts.callers import Caller
from accounts.models import User
from accounts.vault import SealBrokenError
from core.errors import ConflictError, NotFoundError, Problem
from core.ids import new_id
from core.types import JSONObject
from events import following
from webhooks import dispatch, payloads, sealing, signing
from webhooks.fanout import FOLLOWER
from webhooks.models import Delivery, Webhook
from webhooks.states import FINAL, DeliveryStatus, OffReason
from workflows.access import visible_to

MAX_FAILURES_IN_A_ROW = 20
_SECRET_BYTES = 32
_DELETED_AT_ONCE = 5_000
_MAX_LOG = 20


def create_webhook(
    *,
    caller: Caller,
    url: str,
    events: Sequence[str],
    retry_policy: JSONObject,
    secret: str | None = None,
    active: bool = True,
    workflow_ids: Sequence[str] | None = None,
) -> tuple[Webhook, str | None]:
    """A webhook, and its secret if it was made here: it is shown this once.

    Opens its own transaction. Raises NotFoundError for a workflow that the caller does not see, and ConflictError for
    one webhook too many.
    """
    _require_visible(caller, workflow_ids)
    given, secret = secret is not None, secret or new_secret()
    webhook = Webhook(
        id=new_id(),
        owner=caller.user,
        url=url,
        events=list(events),
        workflow_ids=None if workflow_ids is None else list(workflow_ids),
        retry_policy=retry_policy,
        active=active,
        off_reason="" if active else OffReason.OWNER,
    )
    webhook.sealed_secret = sealing.seal_secret(secret, webhook_id=webhook.pk)
    with audit.recording(Action.WEBHOOK_CREATED, webhook, events=webhook.events, active=active):
        # The owner's row makes those who create at once take turns.
        User.objects.select_for_update(of=("self",), no_key=True).get(pk=caller.user.pk)
        if Webhook.objects.filter(owner=caller.user).count() >= settings.WEBHOOKS["MAX_PER_USER"]:
            raise ConflictError(f"You have {settings.WEBHOOKS['MAX_PER_USER']} webhooks, more are not allowed")
        following.begin(FOLLOWER)
        webhook.save(force_insert=True)
    webhook.refresh_from_db()
    return webhook, None if given else secret


def update_webhook(*, caller: Caller, webhook: Webhook, changes: Mapping[str, Any]) -> Webhook:
    """Set the given fields. A new `secret` is a rotation; turned on again, what was held is delivered.

    Opens its own transaction. Raises as `create_webhook` does, and NotFoundError if it has been deleted meanwhile.
    """
    fields = dict(changes)
    secret = fields.pop("secret", None)
    if "workflow_ids" in fields:
        _require_visible(caller, fields["workflow_ids"])
    with transaction.atomic():
        current = _locked(webhook)
        changed = {name: value for name, value in fields.items() if getattr(current, name) != value}
        if secret is not None and not _is_secret(current, secret):
            changed |= _rotated(current, secret)
        if not changed:
            return current
        if "active" in changed:
            on = changed["active"]
            changed |= {"off_reason": "" if on else OffReason.OWNER, "failures_in_a_row": 0, "failing": False}
            changed |= {"active_since": Now()} if on else {}
        Webhook.objects.filter(pk=current.pk).update(**changed, updated_at=Now())
        if "active" in changed:
            _let_go(current) if changed["active"] else _hold(current)
        names = {"secret" if name.startswith(("sealed_", "previous_")) else name for name in changed}
        told = names & {"url", "events", "workflow_ids", "retry_policy", "active", "secret"}
        audit.record(Action.WEBHOOK_UPDATED, current, fields=sorted(told))
    if changed.get("active"):
        dispatch.ring([current.pk])
    current.refresh_from_db()
    return current


def rotate_secret(*, webhook: Webhook, secret: str | None = None) -> tuple[Webhook, str | None]:
    """A new secret, made here unless it is given; the old one signs as well for a day.

    The secret that was made here comes with the webhook, this once. Opens its own transaction. Raises NotFoundError
    if the webhook has been deleted meanwhile.
    """
    made = None if secret is not None else new_secret()
    with transaction.atomic():
        current = _locked(webhook)
        changed = _rotated(current, secret or made or "")
        Webhook.objects.filter(pk=current.pk).update(**changed, updated_at=Now())
        audit.record(Action.WEBHOOK_SECRET_ROTATED, current)
    current.refresh_from_db()
    return current, made


def delete_webhook(*, webhook: Webhook) -> None:
    """Delete it with its deliveries; one under way may still arrive. Raises NotFoundError if that has been done.

    Those that have ended go first, a batch at a time: whoever interrupts this has a webhook with fewer deliveries.
    """
    ended = Delivery.objects.filter(webhook=webhook, completed_at__isnull=False).order_by("pk")
    while len(ids := list(ended.values_list("pk", flat=True)[:_DELETED_AT_ONCE])) == _DELETED_AT_ONCE:
        Delivery.objects.filter(pk__in=ids).delete()
    with transaction.atomic():
        # Deliveries first, as those who record a result have it.
        Delivery.objects.filter(webhook=webhook).delete()
        current = Webhook.objects.select_for_update(of=("self",)).filter(pk=webhook.pk).first()
        if current is None:
            raise NotFoundError("Webhook not found")
        audit.record(Action.WEBHOOK_DELETED, current)
        current.delete()


def test_webhook(*, webhook: Webhook) -> Delivery:
    """A delivery that tells of nothing, to see whether it arrives; to a webhook that is off, too."""
    id_ = new_id()
    now = timezone.now()
    payload = payloads.text_of(
        event=payloads.TEST_EVENT,
        timestamp=now,
        webhook_id=webhook.pk,
        delivery_id=id_,
        data=payloads.data_of_test(),
    )
    delivery = Delivery(id=id_, webhook=webhook, event=payloads.TEST_EVENT, payload=payload, next_attempt_at=Now())
    with audit.recording(Action.WEBHOOK_TESTED, webhook, delivery_id=id_):
        delivery.save(force_insert=True)
    dispatch.ring([webhook.pk])
    delivery.refresh_from_db()
    return delivery


def redeliver(*, delivery: Delivery) -> Delivery:
    """Send a delivery that has ended once more: the same body under the same id, at once, by the policy as it is now.

    To a webhook that is off, too. Opens its own transaction. Raises ConflictError for one that has not ended, and
    NotFoundError if it has been deleted meanwhile.
    """
    with transaction.atomic():
        current = Delivery.objects.select_for_update(of=("self",), no_key=True).filter(pk=delivery.pk).first()
        if current is None:
            raise NotFoundError("Delivery not found")
        if current.status not in FINAL:
            raise ConflictError(f"The delivery is {current.status}; only one that has ended can be sent again")
        Delivery.objects.filter(pk=current.pk).update(
            status=DeliveryStatus.PENDING,
            completed_at=None,
            next_attempt_at=Now(),
            attempts_before=current.attempts,
            attempts_log=current.attempts_log[-_MAX_LOG:],
        )
        audit.record(Action.WEBHOOK_REDELIVERED, current, webhook_id=current.webhook_id)
    dispatch.ring([current.webhook_id])
    current.refresh_from_db()
    return current


def turn_off(webhook_id: str, reason: OffReason) -> Webhook | None:
    """Turn a webhook off for its receiver's sake, hold what it has not delivered, and tell; None if it is off already.

    Needs a transaction. The caller tells the owner once it has committed.
    """
    # Locked as by `_locked`.
    if not Webhook.objects.select_for_update(of=("self",)).filter(pk=webhook_id, active=True):
        return None
    Webhook.objects.filter(pk=webhook_id).update(active=False, off_reason=reason, updated_at=Now())
    current = Webhook.objects.select_related("owner").get(pk=webhook_id)
    _hold(current)
    audit.record(Action.WEBHOOK_TURNED_OFF, current, reason=str(reason), owner=current.owner_id)
    return current


def new_secret() -> str:
    """A secret made at random."""
    return signing.secret_of(os.urandom(_SECRET_BYTES))


def _is_secret(webhook: Webhook, secret: str) -> bool:
    try:
        return secret == sealing.open_secret(bytes(webhook.sealed_secret), webhook_id=webhook.pk)
    except SealBrokenError:
        # Whoever has lost the key that it is sealed with gives it anew.
        return False


def _rotated(webhook: Webhook, secret: str) -> dict[str, Any]:
    return {
        "sealed_previous_secret": webhook.sealed_secret,
        "previous_secret_until": timezone.now() + timedelta(hours=settings.WEBHOOKS["OLD_SECRET_HOURS"]),
        "sealed_secret": sealing.seal_secret(secret, webhook_id=webhook.pk),
    }


def _hold(webhook: Webhook) -> None:
    Delivery.objects.filter(pk__in=_free(webhook)).update(next_attempt_at=None)


def _let_go(webhook: Webhook) -> None:
    # What somebody else holds just now is left to the sweep `let_go_held`.
    Delivery.objects.filter(pk__in=_free(webhook).filter(next_attempt_at=None)).update(next_attempt_at=Now())


def _free(webhook: Webhook) -> QuerySet[Delivery]:
    # Whoever holds one just now may be waiting for the webhook's row, which is held here.
    free = Delivery.objects.select_for_update(skip_locked=True, no_key=True)
    return free.filter(webhook=webhook, status=DeliveryStatus.PENDING)


def _locked(webhook: Webhook) -> Webhook:
    # Not `no_key`: under FOR KEY SHARE a webhook stays on or off (`transitions`).
    current = Webhook.objects.select_for_update(of=("self",)).filter(pk=webhook.pk).first()
    if current is None:
        raise NotFoundError("Webhook not found")
    return current


def _require_visible(caller: Caller, workflow_ids: Sequence[str] | None) -> None:
    """Raises NotFoundError naming the ids of workflows that are absent or hidden."""
    if workflow_ids is None:
        return
    seen = set(visible_to(caller).filter(pk__in=workflow_ids).values_list("pk", flat=True))
    problems = [
        Problem("Workflow not found", field=f"workflow_ids[{place}]")
        for place, workflow_id in enumerate(workflow_ids)
        if workflow_id not in seen
    ]
    if problems:
        raise NotFoundError("Workflow not found", problems=problems)
