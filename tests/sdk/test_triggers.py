"""Schedules, hooks and webhooks by the client, on the real server; what it delivers passes the client's check."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from apg_workflow import SyncWorkflowClient, errors, models, webhooks

from core.types import JSONObject
from tests.integration.executions.conftest import Doorbells, linear, transform
from tests.integration.webhooks.conftest import SECRET, receiver, work
from tests.sdk.conftest import QUICK
from tests.webhook_receiver import Receiver

__all__ = ["receiver"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client(base_url: str, api_key: str) -> Any:
    with SyncWorkflowClient(base_url, api_key=api_key, retries=QUICK) as client:
        yield client


def started_by(client: SyncWorkflowClient, config: JSONObject, *more: JSONObject) -> models.Workflow:
    """An active workflow with this start."""
    start: JSONObject = {"id": "start", "type": "start", "config": config}
    created = client.workflows.create({"name": "Triggered", "definition": linear(start, *more)})
    return client.workflows.activate(created.id)


def test_a_schedule_is_paused_previewed_and_run(client: SyncWorkflowClient) -> None:
    # Half a day from now: no slot comes to pass meanwhile.
    cron = f"0 {(datetime.now(UTC).hour + 12) % 24} * * *"
    workflow = started_by(client, {"trigger_type": "schedule", "cron": cron, "overlap": "allow"})
    (schedule,) = client.schedules.iterate(workflow_id=workflow.id)
    assert (schedule.component_id, schedule.cron, schedule.paused) == ("start", cron, False)
    assert client.schedules.pause(schedule.id).paused
    assert client.schedules.list(paused=True).total_count == 1
    assert not client.schedules.resume(schedule.id).paused
    assert client.schedules.get(schedule.id).workflow_name == "Triggered"
    slots = client.schedules.preview(schedule.id, count=3).slots
    assert [after.slot_at - before.slot_at for before, after in pairwise(slots)] == [timedelta(days=1)] * 2
    now = datetime.now(UTC)
    backfill = client.schedules.backfill(schedule.id, start=now - timedelta(days=2), end=now, overlap="allow")
    assert backfill.summary.started == len(backfill.results) == 2
    started = client.schedules.run(schedule.id)
    assert client.executions.get(started.id).trigger["schedule_id"] == schedule.id
    assert list(client.schedules.iterate_events(schedule.id)) == []
    assert list(client.workflows.iterate_trigger_events(workflow.id, "start")) == []


def test_a_hook_is_called_signed_and_waited_for(client: SyncWorkflowClient, worker: None) -> None:
    double = transform("double", {"twice": "{{ input.body.number * 2 }}"})
    workflow = started_by(client, {"trigger_type": "webhook", "hmac_secret": "a-secret-of-the-hook"}, double)
    (trigger,) = workflow.triggers
    assert trigger.url is not None
    token = trigger.url.rpartition("/")[2]
    with pytest.raises(errors.AuthenticationError):
        client.hooks.start(token, {"number": 4})
    found = client.hooks.start(token, {"number": 4}, wait=20, secret="a-secret-of-the-hook")
    assert isinstance(found, models.HookResult)
    assert (found.status, found.results) == ("completed", {"twice": 8})
    moved = client.workflows.rotate_hook(workflow.id, "start")
    assert moved.url is not None and moved.url != trigger.url
    with pytest.raises(errors.NotFoundError):
        client.hooks.start(token, {"number": 4}, secret="a-secret-of-the-hook")


def test_a_hook_that_takes_get_is_called_with_get(client: SyncWorkflowClient, doorbells: Doorbells) -> None:
    workflow = started_by(client, {"trigger_type": "webhook", "methods": ["GET"]})
    token = str(workflow.triggers[0].url).rpartition("/")[2]
    started = client.hooks.start_with_get(token)
    assert client.executions.get(started.id).workflow_id == workflow.id


def test_a_delivery_passes_both_checks_of_the_client(client: SyncWorkflowClient, receiver: Receiver) -> None:
    webhook = client.webhooks.create({"url": f"{receiver.url}/in", "events": ["workflow.created"], "secret": SECRET})
    client.workflows.create({"name": "Told", "definition": linear(transform("a", 1))})
    assert work() == 1
    (got,) = receiver.got
    (sent,) = client.webhooks.iterate_deliveries(webhook.id, status="succeeded")
    assert webhooks.verify_headers(got.body, got.headers, SECRET) == sent.id
    headers = {name.lower(): value for name, value in got.headers.items()}
    webhooks.verify(got.body, headers["x-webhook-signature"], SECRET)
    delivery = client.webhooks.get_delivery(webhook.id, sent.id)
    assert (delivery.payload, delivery.attempts_log[0].response_status) == (got.json, 200)
    assert client.webhooks.redeliver(webhook.id, sent.id).status == "pending"


def test_a_webhook_is_changed_tested_and_given_another_secret(client: SyncWorkflowClient, receiver: Receiver) -> None:
    created = client.webhooks.create({"url": f"{receiver.url}/in", "events": ["execution.failed"]})
    assert created.secret is not None and created.secret.startswith("whsec_")
    assert not client.webhooks.update(created.id, {"active": False}).active
    replaced = client.webhooks.replace(created.id, {"url": f"{receiver.url}/other", "events": ["execution.completed"]})
    assert (replaced.active, replaced.events) == (True, ("execution.completed",))
    rotated = client.webhooks.rotate_secret(created.id)
    assert rotated.secret not in {None, created.secret}
    assert client.webhooks.test(created.id).event == "webhook.test"
    assert work() == 1
    webhooks.verify_headers(receiver.got[0].body, receiver.got[0].headers, str(rotated.secret))
    client.webhooks.delete(created.id)
    with pytest.raises(errors.NotFoundError):
        client.webhooks.get(created.id)
    assert list(client.webhooks.iterate()) == []
