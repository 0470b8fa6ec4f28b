"""What webhooks and deliveries look like in answers, for the OpenAPI document: the serializers beside it make them."""

from core.shapes import (
    ID,
    TIME,
    Named,
    Schema,
    any_object,
    array,
    boolean,
    enum,
    integer,
    nullable,
    number,
    record,
    text,
)
from core.types import JSONObject
from events.event_types import PUBLIC_EVENTS
from webhooks.backoff import MAX_ATTEMPTS, MAX_DELAY_SECONDS, MAX_MULTIPLIER
from webhooks.models import MAX_URL_CHARS
from webhooks.payloads import TEST_EVENT
from webhooks.states import DeliveryStatus, OffReason

EVENTS = [str(event) for event in PUBLIC_EVENTS]
EXAMPLE_WEBHOOK: JSONObject = {
    "url": "https://your-app.com/webhooks/workflow",
    "events": ["workflow.created", "workflow.updated", "execution.completed", "execution.failed"],
    "secret": "your-webhook-secret",
    "active": True,
    "retry_policy": {
        "max_attempts": 3,
        "initial_delay_seconds": 60,
        "max_delay_seconds": 3600,
        "backoff_multiplier": 2,
    },
}
_POLICY: Schema = {
    "max_attempts": integer("The first one included", 1, MAX_ATTEMPTS),
    "initial_delay_seconds": number("Before the second attempt", 1, MAX_DELAY_SECONDS),
    "max_delay_seconds": number("At least the first one", 1, MAX_DELAY_SECONDS),
    "backoff_multiplier": number("Each delay is so many times the one before it", 1, MAX_MULTIPLIER),
}
# What a body leaves out is as in the example.
GIVEN_POLICY = Named("GivenWebhookRetryPolicy", record(_POLICY, optional=_POLICY))
_FACTS: Schema = {
    "id": ID,
    "url": text(maxLength=MAX_URL_CHARS),
    "events": array(enum(EVENTS)),
    "workflow_ids": nullable(array(ID, "null: all workflows that the owner sees")),
    "active": boolean(),
    "off_reason": nullable(enum(OffReason, "Why it is off: its owner, 410 Gone, or 20 failed deliveries in a row")),
    "failures_in_a_row": integer("Deliveries that failed since the last that arrived"),
    "retry_policy": Named("WebhookRetryPolicy", record(_POLICY)),
    "previous_secret_valid_until": nullable(TIME),
    "created_at": TIME,
    "updated_at": TIME,
}
WEBHOOK = Named("Webhook", record(_FACTS))
NEW_SECRET = text("A secret that was made here; shown this once")
WEBHOOK_WITH_SECRET = Named("WebhookWithSecret", record({**_FACTS, "secret": NEW_SECRET}, optional=("secret",)))
_DELIVERY: Schema = {
    "id": ID,
    "webhook_id": ID,
    "event": enum([*EVENTS, TEST_EVENT]),
    "status": enum(DeliveryStatus),
    "attempts": integer("How many have been made"),
    "next_attempt_at": nullable(TIME),
    "response_status": nullable(integer("Of the last attempt", 100, 999)),
    "error": nullable(text("Why the last attempt failed")),
    "created_at": TIME,
    "completed_at": nullable(TIME),
}
DELIVERY_ITEM = Named("WebhookDeliveryItem", record(_DELIVERY))
_ATTEMPT = record(
    {
        "attempt": integer("", 1),
        "started_at": TIME,
        "duration_ms": integer(),
        "response_status": nullable(integer("", 100, 999)),
        "error": nullable(text()),
    }
)
DELIVERY = Named(
    "WebhookDelivery",
    record(
        {
            **_DELIVERY,
            "payload": any_object("The body as it is sent"),
            "response_body": nullable(text("The first KiB of the last answer")),
            "attempts_log": array(_ATTEMPT),
        }
    ),
)
