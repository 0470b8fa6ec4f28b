"""What workflow tests start from: a definition, a workflow made over REST, and executions in any state."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from core.ids import first_id, new_id
from core.types import JSONObject
from events.models import Event
from executions.models import Execution
from executions.states import FINAL_EXECUTION, ExecutionStatus
from tests.api import BASES, Api
from workflows.models import Workflow, WorkflowVersion

START = {"id": "start", "type": "start", "config": {"trigger_type": "manual"}, "position": {"x": 100, "y": 100}}
LONE: JSONObject = {"components": [START], "connections": [], "parameters": []}


def sends(value: Any) -> JSONObject:
    """A definition of start and a transform that outputs `value`."""
    transform = {"id": "t", "type": "transform", "config": {"output": value}}
    return {"components": [START, transform], "connections": [{"source": "start", "target": "t", "type": "success"}]}


def make(api: Api, name: str = "w", definition: JSONObject = LONE, **more: Any) -> str:
    """The id of a workflow created over REST."""
    answer = api.post("/workflows", {"name": name, "definition": definition, **more})
    assert answer.status == 201, answer.body
    return str(answer.data["id"])


def execution(workflow_id: str, status: ExecutionStatus, created_at: datetime | None = None) -> Execution:
    """A stored execution of the workflow in that state."""
    workflow = Workflow.objects.get(pk=workflow_id)
    ended = status in FINAL_EXECUTION
    made_at = created_at or timezone.now()
    return Execution.objects.create(
        # In the order of time, as ids are; the end is what makes it one of its own.
        id=first_id(made_at)[:13] + new_id()[13:],
        workflow=workflow,
        version=WorkflowVersion.objects.get(workflow=workflow, number=workflow.version),
        created_by=workflow.created_by,
        trigger={"type": "manual"},
        status=status,
        total_components=1,
        remaining=0 if ended else 1,
        created_at=made_at,
        completed_at=timezone.now() if ended else None,
    )


def told(workflow_id: str) -> list[str]:
    """The types of the workflow's events, in order."""
    return list(Event.objects.filter(subject_id=workflow_id).order_by("sequence").values_list("type", flat=True))


@pytest.fixture(params=BASES)
def caller(request: pytest.FixtureRequest, as_user: Callable[..., Api], alice: User) -> Api:
    """Alice, at each base address."""
    return as_user(alice, request.param)


@pytest.fixture
def bob_api(as_user: Callable[..., Api], bob: User) -> Api:
    """The API as bob."""
    return as_user(bob)


@pytest.fixture
def admin_api(as_user: Callable[..., Api], admin: User) -> Api:
    """The API as staff."""
    return as_user(admin)
