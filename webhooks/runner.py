"""A sender's turn with one webhook: claim a delivery, send it, record what came of it, go on with the next."""

import logging
import random
import time
from contextlib import suppress

from django.conf import settings
from django.db import transaction

from accounts.vault import SealBrokenError
from core import measures, tracing
from core.json_text import storable
from core.log_context import NOTHING, bind_facts
from core.outbound import OutboundError, OutboundPolicy, OutboundResponse, send
from core.times import iso
from events.models import Event
from webhooks import dispatch, mail, sealing, services, signing, transitions
from webhooks.backoff import RetryPolicy, delay_before_retry, parse_retry_after
from webhooks.models import Delivery
from webhooks.states import DeliveryStatus, OffReason
from webhooks.transitions import Claimed, Result
from workflows.models import Workflow

logger = logging.getLogger(__name__)

USER_AGENT = "APG-Workflow-Webhooks/1.0"
MAX_RESPONSE_BYTES = 64 * 1024
KEPT_RESPONSE_BYTES = 1024
_GONE = 410
_OUTCOMES = {
    DeliveryStatus.SUCCEEDED: "succeeded",
    DeliveryStatus.FAILED: "failed",
    # It waits for its next attempt.
    DeliveryStatus.PENDING: "retried",
}


def serve(webhook_id: str) -> int:
    """Deliver what is due of a webhook, in turn, until nothing is, one fails, or others want their turn; how many.

    Forbids a transaction: none is open while it waits for the receiver.
    """
    taken = transitions.claim(webhook_id)
    if taken.more:
        dispatch.send([webhook_id])
    delivery, sent = taken.delivery, 0
    turn_ends = time.monotonic() + settings.WEBHOOKS["TURN_SECONDS"]
    while delivery is not None:
        result = _watched_attempt(delivery)
        keep = result.status == DeliveryStatus.SUCCEEDED and time.monotonic() < turn_ends
        following = _record(delivery, result, keep=keep)
        sent += 1
        if not keep:
            # Whether there is more to do, and a place for it, is found by whoever takes the message.
            dispatch.ring([webhook_id])
            break
        delivery = following
    return sent


def _watched_attempt(delivery: Claimed) -> Result:
    bind_facts({"webhook_id": delivery.webhook_id, "delivery_id": delivery.delivery_id, "attempt": delivery.number})
    try:
        return _measured_attempt(delivery)
    finally:
        # What this thread says next is about something else.
        bind_facts(NOTHING)


def _measured_attempt(delivery: Claimed) -> Result:
    began = time.perf_counter()
    with tracing.span("webhook delivery", kind="producer", parent=_cause(delivery)) as span:
        result = attempt(delivery)
        outcome = _OUTCOMES[result.status]
        span.set("apg.webhook_id", delivery.webhook_id)
        span.set("apg.delivery_id", delivery.delivery_id)
        span.set("apg.event", delivery.event)
        span.set("apg.attempt", delivery.number)
        span.set("apg.outcome", outcome)
        if result.status != DeliveryStatus.SUCCEEDED:
            span.fail(outcome)
    measures.WEBHOOK_ATTEMPTS.count(outcome)
    measures.WEBHOOK_SECONDS.observe(time.perf_counter() - began)
    return result


def _cause(delivery: Claimed) -> str:
    """The traceparent of the execution that a delivery tells of; "" where it tells of none, or nobody asks."""
    if not tracing.enabled():
        return ""
    event = Event.objects.filter(pk__in=Delivery.objects.filter(pk=delivery.delivery_id).values("event_id"))
    execution_id = event.values_list("subject_id", flat=True).first()
    if execution_id is None:
        return ""
    accepted_in = Workflow.objects.filter(executions=execution_id).values_list("executions__traceparent", flat=True)
    found: str | None = accepted_in.first()
    return "" if found is None else tracing.of_execution(execution_id, found)


def attempt(delivery: Claimed) -> Result:
    """Send a delivery once; whatever happens is the result."""
    started, began = delivery.now, time.monotonic()
    response: OutboundResponse | None = None
    status_code: int | None = None
    error: str | None = None
    try:
        response = _post(delivery)
        status_code = response.status_code
    except OutboundError as failure:
        # A receiver that said 2xx has the delivery, however long its answer is.
        status_code = failure.status_code
        if not (failure.kind == "too_large" and _is_success(status_code)):
            error = str(failure)
    except SealBrokenError:
        error = "The secret does not open: it is sealed with a key that is not in the ring"
        logger.exception(
            "Webhook secret does not open", extra={"action": "webhook_failed", "webhook_id": delivery.webhook_id}
        )
    if error is None and not _is_success(status_code):
        error = f"The receiver answered {status_code}"
    entry = {
        "attempt": delivery.number,
        "started_at": iso(started),
        "duration_ms": round((time.monotonic() - began) * 1000),
        "response_status": status_code,
        "error": error,
    }
    body = None if response is None else storable(response.text[:KEPT_RESPONSE_BYTES])
    if body is not None:
        body = body.encode()[:KEPT_RESPONSE_BYTES].decode(errors="ignore")
    if error is None:
        return Result(DeliveryStatus.SUCCEEDED, status_code, body, None, entry)
    delay = None
    if status_code != _GONE:
        asked = parse_retry_after(response.headers.get("retry-after"), delivery.now) if response else None
        delay = delay_before_retry(
            RetryPolicy(**delivery.retry_policy),
            attempt=delivery.attempt,
            jitter=random.random(),  # noqa: S311 - spreads load
            retry_after=asked,
        )
    status = DeliveryStatus.FAILED if delay is None else DeliveryStatus.PENDING
    return Result(status, status_code, body, error, entry, delay)


def _post(delivery: Claimed) -> OutboundResponse:
    """Raises OutboundError, and SealBrokenError for the current secret."""
    secrets = [sealing.open_secret(delivery.sealed_secret, webhook_id=delivery.webhook_id)]
    if delivery.sealed_previous_secret is not None:
        # Without it, a receiver that has not changed over refuses the delivery; with an error, nobody would get it.
        with suppress(SealBrokenError):
            secrets.append(sealing.open_secret(delivery.sealed_previous_secret, webhook_id=delivery.webhook_id))
    headers = signing.headers(
        secrets=secrets,
        body=delivery.payload,
        event=delivery.event,
        webhook_id=delivery.webhook_id,
        delivery_id=delivery.delivery_id,
        # The database's clock, one for all workers.
        timestamp=int(delivery.now.timestamp()),
    )
    return send(
        "POST",
        delivery.url,
        headers={**headers, "Content-Type": "application/json", "User-Agent": USER_AGENT},
        body=delivery.payload,
        timeout_seconds=settings.WEBHOOKS["TIMEOUT_SECONDS"],
        follow_redirects=False,
        max_response_bytes=MAX_RESPONSE_BYTES,
        policy=OutboundPolicy(allow=settings.OUTBOUND_ALLOW),
    )


def _is_success(status_code: int | None) -> bool:
    return status_code is not None and 200 <= status_code < 300


def _record(delivery: Claimed, result: Result, *, keep: bool) -> Claimed | None:
    """The next delivery, where one was to be kept and is due. Turns the webhook off where that is called for."""
    off = None
    with transaction.atomic(durable=True):
        recorded = transitions.record(delivery, result, keep=keep)
        reason = None
        if recorded.counted and result.response_status == _GONE:
            reason = OffReason.GONE
        elif recorded.failures_in_a_row >= services.MAX_FAILURES_IN_A_ROW:
            reason = OffReason.FAILURES
        if reason is not None:
            off = services.turn_off(delivery.webhook_id, reason)
    extra = {"delivery_id": delivery.delivery_id, "webhook_id": delivery.webhook_id, "attempt": delivery.number}
    if not recorded.counted:
        logger.warning("Late result of a delivery discarded", extra={**extra, "action": "webhook_late"})
    elif result.status == DeliveryStatus.FAILED:
        logger.warning(
            "Delivery %s failed: %s", delivery.delivery_id, result.error, extra={**extra, "action": "webhook_failed"}
        )
    if off is not None and reason is not None:
        measures.WEBHOOKS_OFF.count(str(reason))
        logger.warning("Webhook %s turned off: %s", off.pk, reason, extra={**extra, "action": "webhook_off"})
        mail.tell_owner(off, reason)
    return recorded.next
