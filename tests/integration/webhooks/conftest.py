"""Webhooks as tests make them, and a worker without Celery."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db.models.functions import Now

from accounts.models import User
from events import following
from events.event_types import EventType
from tests.api import Api
from tests.integration.executions.conftest import doorbells, only_legal_moves
from tests.webhook_receiver import Receiver, receiving
from webhooks import maintenance, runner
from webhooks.fanout import FOLLOWER
from webhooks.models import Delivery, Webhook
from workflows.events import tell
from workflows.models import Workflow
from workflows.services import create_workflow

__all__ = ["doorbells", "only_legal_moves"]

SECRET = "a-secret-of-alice-1"
POLICY = {"max_attempts": 3, "initial_delay_seconds": 60, "max_delay_seconds": 100, "backoff_multiplier": 2}
LONE = {"components": [{"id": "start", "type": "start", "config": {"trigger_type": "manual"}}]}


@pytest.fixture
def receiver(transactional_db: None, empty_redis: None) -> Iterator[Receiver]:
    """It takes everything until it is told otherwise; the ledger's follower has begun."""
    following.begin(FOLLOWER)
    with receiving() as made:
        yield made


@pytest.fixture
def hook(receiver: Receiver, alice_api: Api) -> Callable[..., Webhook]:
    """`hook(events=[…])`: a webhook of alice's that tells the receiver."""

    def make(api: Api = alice_api, **fields: Any) -> Webhook:
        body = {"url": f"{receiver.url}/in", "events": ["workflow.created"], "secret": SECRET, "retry_policy": POLICY}
        answer = api.call("POST", "/webhooks", {**body, **fields})
        assert answer.status == 201, answer.body
        return Webhook.objects.get(pk=answer.data["id"])

    return make


def happen(user: User, name: str = "w") -> Workflow:
    """A `workflow.created`."""
    return create_workflow(user=user, name=name, definition=LONE)


def again(workflow: Workflow, type_: EventType = EventType.WORKFLOW_UPDATED) -> None:
    """Another event of a workflow."""
    from django.db import transaction

    with transaction.atomic():
        tell(type_, Workflow.objects.select_for_update().get(pk=workflow.pk))


def work() -> int:
    """What the worker does: make deliveries of what has happened, and send what is due; how many were sent."""
    maintenance.tell()
    sent = 0
    while served := sum(runner.serve(webhook_id) for webhook_id in Webhook.objects.values_list("pk", flat=True)):
        sent += served
    return sent


def let_time_pass() -> None:
    """Retries that wait for their time are due."""
    Delivery.objects.filter(status="pending", next_attempt_at__isnull=False).update(next_attempt_at=Now())
