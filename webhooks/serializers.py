"""Webhooks on the wire: what bodies may hold, and what is shown of webhooks and deliveries. Never a secret."""

import dataclasses
import json
from typing import Any

from django.conf import settings
from rest_framework import serializers

from core.outbound import OutboundError, OutboundPolicy, check_url
from core.serializers import IdField, StrictBooleanField, StrictCharField, StrictListField, StrictSerializer
from core.types import JSONObject
from webhooks.backoff import MAX_ATTEMPTS, MAX_DELAY_SECONDS, MAX_MULTIPLIER, RetryPolicy
from webhooks.models import MAX_URL_CHARS, Delivery, Webhook
from webhooks.shapes import EVENTS, GIVEN_POLICY
from webhooks.signing import MAX_SECRET_CHARS, MIN_SECRET_CHARS, SecretError, check_secret
from workflows.serializers import AnyField

MAX_WORKFLOWS = 1000
_DEFAULT_POLICY = dataclasses.asdict(RetryPolicy())
_BOUNDS = {
    "max_attempts": (1, MAX_ATTEMPTS),
    "initial_delay_seconds": (1, MAX_DELAY_SECONDS),
    "max_delay_seconds": (1, MAX_DELAY_SECONDS),
    "backoff_multiplier": (1, MAX_MULTIPLIER),
}


class UrlField(StrictCharField):
    """An address that may be told of things: what it alone shows is checked here, where it leads at every attempt."""

    def to_internal_value(self, data: Any) -> str:
        url = super().to_internal_value(data)
        try:
            check_url(url, OutboundPolicy(allow=settings.OUTBOUND_ALLOW))
        except OutboundError as error:
            raise serializers.ValidationError(str(error)) from None
        return url


class SecretField(StrictCharField):
    """A secret to sign with."""

    def to_internal_value(self, data: Any) -> str:
        secret = super().to_internal_value(data)
        try:
            check_secret(secret)
        except SecretError as error:
            raise serializers.ValidationError(str(error)) from None
        return secret


class EventsField(StrictListField):
    """Names of events, each once."""

    child = serializers.ChoiceField(choices=EVENTS)

    def to_internal_value(self, data: Any) -> list[str]:
        names: list[str] = super().to_internal_value(data)
        if len(set(names)) < len(names):
            raise serializers.ValidationError("Each event may be named once.")
        return names


class WorkflowIdsField(StrictListField):
    """Ids of workflows, each once."""

    child = IdField()

    def to_internal_value(self, data: Any) -> list[str]:
        ids: list[str] = super().to_internal_value(data)
        if len(set(ids)) < len(ids):
            raise serializers.ValidationError("Each workflow may be named once.")
        return ids


class RetryPolicyField(AnyField):
    """A policy with all its numbers; those that are left out are the defaults."""

    shape = GIVEN_POLICY

    def to_internal_value(self, data: Any) -> JSONObject:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Must be an object.")
        problems: dict[str, list[str]] = {name: ["Unknown field"] for name in data if name not in _BOUNDS}
        for name, (low, high) in _BOUNDS.items():
            value = data.get(name, _DEFAULT_POLICY[name])
            whole = name == "max_attempts"
            is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
            if not (is_number and low <= value <= high):
                problems[name] = [f"Must be {'an integer' if whole else 'a number'} from {low} to {high}."]
        if problems:
            raise serializers.ValidationError(problems)
        policy: JSONObject = {**_DEFAULT_POLICY, **data}
        if policy["max_delay_seconds"] < policy["initial_delay_seconds"]:
            raise serializers.ValidationError({"max_delay_seconds": ["Must be at least initial_delay_seconds."]})
        return policy


class WebhookSerializer(StrictSerializer):
    """The body of POST and PUT; with partial=True, of PATCH."""

    url = UrlField(min_length=1, max_length=MAX_URL_CHARS, trim_whitespace=False)
    events = EventsField(min_length=1, max_length=len(EVENTS))
    secret = SecretField(
        min_length=MIN_SECRET_CHARS, max_length=MAX_SECRET_CHARS, required=False, trim_whitespace=False, write_only=True
    )
    active = StrictBooleanField(required=False, default=True)
    workflow_ids = WorkflowIdsField(
        required=False, default=None, allow_null=True, min_length=1, max_length=MAX_WORKFLOWS
    )
    retry_policy = RetryPolicyField(required=False, default=lambda: dict(_DEFAULT_POLICY))


class RotateSecretSerializer(StrictSerializer):
    """The body of `rotate-secret`, if there is one."""

    secret = SecretField(
        min_length=MIN_SECRET_CHARS, max_length=MAX_SECRET_CHARS, required=False, trim_whitespace=False, write_only=True
    )


def webhook_data(webhook: Webhook) -> JSONObject:
    """A webhook as it is shown."""
    return {
        "id": webhook.pk,
        "url": webhook.url,
        "events": webhook.events,
        "workflow_ids": webhook.workflow_ids,
        "active": webhook.active,
        "off_reason": webhook.off_reason or None,
        "failures_in_a_row": webhook.failures_in_a_row,
        "retry_policy": webhook.retry_policy,
        "previous_secret_valid_until": webhook.previous_secret_until,
        "created_at": webhook.created_at,
        "updated_at": webhook.updated_at,
    }


def delivery_item(delivery: Delivery) -> JSONObject:
    """One entry of `GET webhooks/{id}/deliveries`: all but what may be large."""
    return {
        "id": delivery.pk,
        "webhook_id": delivery.webhook_id,
        "event": delivery.event,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "next_attempt_at": delivery.next_attempt_at,
        "response_status": delivery.response_status,
        "error": delivery.error,
        "created_at": delivery.created_at,
        "completed_at": delivery.completed_at,
    }


def delivery_data(delivery: Delivery) -> JSONObject:
    """`GET webhooks/{id}/deliveries/{delivery_id}`."""
    return {
        **delivery_item(delivery),
        "payload": json.loads(delivery.payload),
        "response_body": delivery.response_body,
        "attempts_log": delivery.attempts_log,
    }
