"""What tests of triggers start from: active workflows, and schedules whose slots have come."""

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from accounts.models import User
from core.types import JSONObject
from events.models import Event
from tests.integration.executions.conftest import doorbells, only_legal_moves
from workflows.models import Trigger, Workflow
from workflows.services import create_workflow, update_workflow

__all__ = ["doorbells", "only_legal_moves"]

_names = (f"triggered {number}" for number in itertools.count(1))


def started_by(**config: object) -> JSONObject:
    """A definition whose start has this config, and hands on what it is given."""
    components = [
        {"id": "begin", "type": "start", "config": config},
        {"id": "end", "type": "end", "config": {"output": "{{ input }}"}},
    ]
    return {"components": components, "connections": [{"source": "begin", "target": "end"}]}


def activate(user: User, definition: JSONObject) -> Workflow:
    """An active workflow."""
    workflow = create_workflow(user=user, name=next(_names), definition=definition)
    return set_status(workflow, "active")


def set_status(workflow: Workflow, status: str) -> Workflow:
    return update_workflow(workflow=workflow, user=workflow.created_by, changes={"status": status})


def schedule(user: User, **config: Any) -> Trigger:
    """A live schedule: every minute, unless the config says otherwise."""
    when = {} if "cron" in config else {"interval_seconds": 60}
    workflow = activate(user, started_by(trigger_type="schedule", **when, **config))
    return Trigger.objects.select_related("workflow__created_by").get(workflow=workflow)


def database_now() -> datetime:
    now: datetime = User.objects.values_list(Now(), flat=True)[0]
    return now


def move_back(trigger: Trigger, seconds: float) -> datetime:
    """The schedule as if it had been made so much earlier, and nobody had looked since; its first open slot."""
    current = Trigger.objects.get(pk=trigger.pk)
    assert current.next_at is not None
    assert current.anchor_at is not None
    by = timedelta(seconds=seconds)
    Trigger.objects.filter(pk=trigger.pk).update(next_at=current.next_at - by, anchor_at=current.anchor_at - by)
    return current.next_at - by


def skips(trigger: Trigger) -> list[JSONObject]:
    """The data of what the ledger tells of skipped slots."""
    return list(Event.objects.filter(subject_id=trigger.pk).order_by("sequence").values_list("data", flat=True))


def reasons(trigger: Trigger) -> list[tuple[str, int]]:
    return [(data["reason"], data["count"]) for data in skips(trigger)]


def reasons_of_events(trigger: Trigger) -> list[str]:
    return [data["reason"] for data in skips(trigger)]


@pytest.fixture
def live_schedule(transactional_db: None, alice: User) -> Callable[..., Trigger]:
    """`live_schedule(overlap="allow", …)`: one of alice's, in an active workflow."""
    return lambda **config: schedule(alice, **config)
