"""The moves of deliveries, one statement each: claim, record, rescue, let go. Rows are locked delivery first, then
webhook; a claim, and whoever turns a webhook on or off, start with the webhook and take only deliveries that nobody
holds.

A webhook is turned on or off under FOR UPDATE. That alone conflicts with FOR KEY SHARE, under which it stays as it is
while claims of it go on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.db import connection, transaction

from core.ids import from_uuid, to_uuid
from core.json_text import storable_dumps
from core.prepared_statement import fetch_all
from core.types import JSONObject
from webhooks.states import DeliveryStatus

MAX_LOST = 5
"""So many times may a delivery be lost with its worker before it fails: it may be what kills them."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery to attempt, with what its attempt needs of the webhook. `attempt` counts within its round, from 1."""

    delivery_id: str
    webhook_id: str
    claim: int
    attempt: int
    number: int
    event: str
    payload: bytes
    url: str
    sealed_secret: bytes
    sealed_previous_secret: bytes | None
    retry_policy: JSONObject
    now: datetime


class Claim(NamedTuple):
    """What a doorbell got: a delivery or none, and whether there is work for one more sender."""

    delivery: Claimed | None
    more: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an attempt; `delay_seconds` until the next one where it is to be made again."""

    status: DeliveryStatus
    response_status: int | None
    response_body: str | None
    error: str | None
    entry: JSONObject
    delay_seconds: float | None = None


class Recorded(NamedTuple):
    """After a result was recorded: what to go on with, and the webhook's failed deliveries in a row.

    `counted` is false for the late result of a delivery that somebody else has claimed since.
    """

    counted: bool
    failures_in_a_row: int
    next: Claimed | None


_LOCK = """
UPDATE webhooks_webhook SET rung_at = NULL WHERE id = %(webhook)s RETURNING failing
"""

_TAKE = """
    status = 'delivering', claims = delivery.claims + 1, next_attempt_at = NULL,
    lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
"""

_FIRST_DUE = """
    SELECT id FROM webhooks_delivery
    WHERE webhook_id = %(webhook)s AND status = 'pending' AND next_attempt_at <= clock_timestamp()
    ORDER BY next_attempt_at, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
"""

_CLAIMED_COLUMNS = """
    delivery.id, delivery.webhook_id, delivery.claims, delivery.attempts, delivery.attempts_before, delivery.event,
    delivery.payload, webhook.url, webhook.sealed_secret, webhook.retry_policy, clock_timestamp() AS now,
    CASE WHEN webhook.previous_secret_until > clock_timestamp() THEN webhook.sealed_previous_secret END AS previous
"""

_CLAIM = f"""
WITH in_flight AS MATERIALIZED (
    SELECT count(*) AS count FROM webhooks_delivery WHERE webhook_id = %(webhook)s AND status = 'delivering'
), due AS MATERIALIZED ({_FIRST_DUE}), taken AS (
    UPDATE webhooks_delivery AS delivery SET {_TAKE}
    FROM webhooks_webhook AS webhook, in_flight
    WHERE delivery.id = (SELECT id FROM due) AND webhook.id = delivery.webhook_id AND in_flight.count < %(places)s
    RETURNING {_CLAIMED_COLUMNS}
)
SELECT taken.*, in_flight.count + 1 < %(places)s AND EXISTS (
    SELECT 1 FROM webhooks_delivery AS other
    WHERE other.webhook_id = %(webhook)s AND other.status = 'pending' AND other.next_attempt_at <= clock_timestamp()
      AND other.id <> taken.id) AS more
FROM taken, in_flight
"""

_MARK_RUNG = """
UPDATE webhooks_webhook SET rung_at = clock_timestamp()
WHERE id IN (
    SELECT id FROM webhooks_webhook
    WHERE id = ANY(%(webhooks)s) AND (rung_at IS NULL OR rung_at < clock_timestamp() - make_interval(secs => %(after)s))
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
RETURNING id
"""


def mark_rung(webhook_ids: Iterable[str]) -> list[str]:
    """Those of the webhooks for which no message is under way; now there is. Somebody at work on one rings by itself.

    A message that was not heard of for RING_AGAIN_SECONDS counts as lost.
    """
    wanted = [to_uuid(webhook_id) for webhook_id in webhook_ids]
    after = settings.WEBHOOKS["RING_AGAIN_SECONDS"]
    return [from_uuid(row["id"]) for row in fetch_all(_MARK_RUNG, {"webhooks": wanted, "after": after})]


def claim(webhook_id: str) -> Claim:
    """Take the webhook's next due delivery, if it has one and fewer than its share are under way.

    Opens its own transaction, in which the webhook's row makes those who claim take turns: who counts sees them all.
    """
    with transaction.atomic(durable=True):
        locked = fetch_all(_LOCK, {"webhook": to_uuid(webhook_id)})
        if not locked:
            return Claim(None, more=False)
        places = 1 if locked[0]["failing"] else settings.WEBHOOKS["PER_ENDPOINT"]
        parameters = {"webhook": to_uuid(webhook_id), "places": places, "lease": settings.WEBHOOKS["LEASE_SECONDS"]}
        rows = fetch_all(_CLAIM, parameters)
        if not rows:
            return Claim(None, more=False)
        if rows[0]["more"]:
            mark_rung([webhook_id])
        return Claim(_claimed(rows[0]), more=rows[0]["more"])


_RECORD = f"""
WITH done AS (
    UPDATE webhooks_delivery AS delivery SET
        status = %(status)s::text, attempts = delivery.attempts + 1, lease_until = NULL,
        response_status = %(response_status)s, response_body = %(response_body)s, error = %(error)s,
        attempts_log = delivery.attempts_log || %(entry)s::jsonb,
        completed_at = CASE WHEN %(status)s::text <> 'pending' THEN clock_timestamp() END,
        next_attempt_at = CASE WHEN %(status)s::text = 'pending' AND webhook.active
            THEN clock_timestamp() + make_interval(secs => %(delay)s) END
    FROM webhooks_webhook AS webhook
    WHERE delivery.id = %(delivery)s AND delivery.claims = %(claim)s AND delivery.status = 'delivering'
      AND webhook.id = delivery.webhook_id
    RETURNING delivery.webhook_id, delivery.next_attempt_at
), told AS (
    UPDATE webhooks_webhook AS webhook SET
        failing = %(status)s::text <> 'succeeded',
        failures_in_a_row = CASE %(status)s::text WHEN 'succeeded' THEN 0
            WHEN 'failed' THEN webhook.failures_in_a_row + 1 ELSE webhook.failures_in_a_row END
    FROM done
    WHERE webhook.id = done.webhook_id
      AND (%(status)s::text <> 'succeeded' OR webhook.failing OR webhook.failures_in_a_row > 0)
    RETURNING webhook.failures_in_a_row, webhook.active
), next AS (
    UPDATE webhooks_delivery AS delivery SET {_TAKE}
    FROM webhooks_webhook AS webhook
    WHERE %(keep)s AND delivery.id = ({_FIRST_DUE}) AND webhook.id = delivery.webhook_id AND EXISTS (SELECT 1 FROM done)
    RETURNING {_CLAIMED_COLUMNS}
)
SELECT COALESCE((SELECT failures_in_a_row FROM told), 0) AS failures_in_a_row,
    done.next_attempt_at IS NOT NULL AND EXISTS (SELECT 1 FROM told WHERE NOT active) AS turned_off, next.*
FROM done LEFT JOIN next ON true
"""

_HOLD = """
UPDATE webhooks_delivery SET next_attempt_at = NULL WHERE id = %(delivery)s RETURNING id
"""


def record(delivery: Claimed, result: Result, *, keep: bool) -> Recorded:
    """Record the result of an attempt, unless its claim was lost meanwhile; with `keep`, take the next due delivery of
    the same webhook in its place.

    Needs a transaction: `told` may wait for who turns the webhook off, and sees what `done` could not, that it is off.
    """
    assert connection.in_atomic_block
    parameters = {
        "delivery": to_uuid(delivery.delivery_id),
        "webhook": to_uuid(delivery.webhook_id),
        "claim": delivery.claim,
        "status": str(result.status),
        "response_status": result.response_status,
        "response_body": result.response_body,
        "error": result.error,
        "entry": storable_dumps([result.entry]),
        "delay": result.delay_seconds or 0,
        "keep": keep,
        "lease": settings.WEBHOOKS["LEASE_SECONDS"],
    }
    rows = fetch_all(_RECORD, parameters)
    if not rows:
        return Recorded(counted=False, failures_in_a_row=0, next=None)
    if rows[0]["turned_off"]:
        fetch_all(_HOLD, {"delivery": to_uuid(delivery.delivery_id)})
    following = _claimed(rows[0]) if rows[0]["id"] is not None else None
    return Recorded(counted=True, failures_in_a_row=rows[0]["failures_in_a_row"], next=following)


_RESCUE = """
UPDATE webhooks_delivery AS delivery SET
    lease_until = NULL,
    status = CASE WHEN delivery.claims - delivery.attempts >= %(max_lost)s THEN 'failed' ELSE 'pending' END,
    completed_at = CASE WHEN delivery.claims - delivery.attempts >= %(max_lost)s THEN clock_timestamp() END,
    next_attempt_at = CASE WHEN delivery.claims - delivery.attempts < %(max_lost)s AND lost.active
        THEN clock_timestamp() END,
    error = 'The worker was lost during the attempt; whether it arrived is not known'
FROM (
    SELECT delivery.id, webhook.active
    FROM webhooks_delivery AS delivery JOIN webhooks_webhook AS webhook ON webhook.id = delivery.webhook_id
    WHERE delivery.status = 'delivering' AND delivery.lease_until < clock_timestamp()
    ORDER BY delivery.id LIMIT %(limit)s
    FOR NO KEY UPDATE OF delivery SKIP LOCKED FOR KEY SHARE OF webhook SKIP LOCKED
) AS lost
WHERE delivery.id = lost.id
RETURNING delivery.webhook_id
"""


def rescue(limit: int) -> list[str]:
    """Make deliveries whose lease has passed due again: their worker is gone. The ids of their webhooks.

    Those of a webhook that is off are held, and those of one that is being turned on or off left for the next time.
    """
    rows = fetch_all(_RESCUE, {"limit": limit, "max_lost": MAX_LOST})
    return sorted({from_uuid(row["webhook_id"]) for row in rows})


# Who records a result while the webhook is being turned on sees it as it was, and holds the delivery.
_LET_GO = """
UPDATE webhooks_delivery AS delivery SET next_attempt_at = clock_timestamp()
WHERE delivery.id IN (
    SELECT held.id FROM webhooks_webhook AS webhook CROSS JOIN LATERAL (
        SELECT id FROM webhooks_delivery
        WHERE webhook_id = webhook.id AND status = 'pending' AND next_attempt_at IS NULL
        ORDER BY id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED) AS held
    WHERE webhook.active LIMIT %(limit)s FOR KEY SHARE OF webhook SKIP LOCKED)
RETURNING delivery.webhook_id
"""


def let_go(limit: int) -> list[str]:
    """Make deliveries due that a webhook which is on holds. The ids of their webhooks."""
    rows = fetch_all(_LET_GO, {"limit": limit})
    return sorted({from_uuid(row["webhook_id"]) for row in rows})


_KEEP_ON = """
SELECT id FROM webhooks_webhook
WHERE set_config('lock_timeout', '1s', true) IS NOT NULL AND id = ANY(%(webhooks)s) AND active
ORDER BY id FOR KEY SHARE
"""


def keep_on(webhook_ids: Iterable[str]) -> frozenset[str]:
    """Those of the webhooks that are on, which they stay until the end of the transaction. Needs one.

    No lock is waited for longer than a second from here on: the events stay untold, and the next tick tries again.
    """
    assert connection.in_atomic_block
    rows = fetch_all(_KEEP_ON, {"webhooks": [to_uuid(webhook_id) for webhook_id in webhook_ids]})
    return frozenset(from_uuid(row["id"]) for row in rows)


_WITH_DUE = """
SELECT webhook.id FROM webhooks_webhook AS webhook
WHERE (webhook.rung_at IS NULL OR webhook.rung_at < clock_timestamp() - make_interval(secs => %(after)s))
  AND EXISTS (
    SELECT 1 FROM webhooks_delivery AS delivery
    WHERE delivery.webhook_id = webhook.id AND delivery.status = 'pending'
      AND delivery.next_attempt_at <= clock_timestamp())
  AND (SELECT count(*) FROM webhooks_delivery AS delivery
       WHERE delivery.webhook_id = webhook.id AND delivery.status = 'delivering')
      < CASE WHEN webhook.failing THEN 1 ELSE %(places)s END
LIMIT %(limit)s
"""


def webhooks_with_due(limit: int) -> list[str]:
    """Webhooks that have a delivery due and a place for it, and for which no message is under way."""
    parameters = {
        "after": settings.WEBHOOKS["RING_AGAIN_SECONDS"],
        "places": settings.WEBHOOKS["PER_ENDPOINT"],
        "limit": limit,
    }
    return [from_uuid(row["id"]) for row in fetch_all(_WITH_DUE, parameters)]


def _claimed(row: Mapping[str, Any]) -> Claimed:
    return Claimed(
        delivery_id=from_uuid(row["id"]),
        webhook_id=from_uuid(row["webhook_id"]),
        claim=row["claims"],
        attempt=row["attempts"] - row["attempts_before"] + 1,
        number=row["attempts"] + 1,
        event=row["event"],
        payload=row["payload"].encode(),
        url=row["url"],
        sealed_secret=bytes(row["sealed_secret"]),
        sealed_previous_secret=None if row["previous"] is None else bytes(row["previous"]),
        retry_policy=_json(row["retry_policy"]),
        now=row["now"],
    )


def _json(value: Any) -> JSONObject:
    # Django's connections read jsonb as text.
    parsed: JSONObject = orjson.loads(value)
    return parsed
