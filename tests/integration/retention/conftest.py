"""What tests of retention start from: executions that ended long ago, with all that is theirs."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from core.ids import first_id, new_id, to_uuid
from core.types import JSONObject
from events.models import Event
from executions.models import ComponentRun, Execution, LoopItem, Signal
from executions.states import ExecutionStatus, ItemStatus, RunStatus
from executions.transitions import tallying
from tests.integration.executions.conftest import linear, log, make_workflow
from workflows.models import Workflow, WorkflowVersion


def days_ago(days: float) -> datetime:
    return timezone.now() - timedelta(days=days)


def workflow_of(user: User, **settings: object) -> Workflow:
    """A workflow of one component, with these settings in its definition."""
    return make_workflow(user, linear(log("a"), **settings))


def latest(workflow: Workflow) -> WorkflowVersion:
    return WorkflowVersion.objects.get(workflow=workflow, number=workflow.version)


def execution_of(version: WorkflowVersion, at: datetime, completed: datetime | None, **fields: Any) -> Execution:
    """One that was made then, and not saved."""
    return Execution(
        **{
            "id": first_id(at)[:-10] + new_id()[-10:],
            "workflow": version.workflow,
            "version": version,
            "created_by": version.workflow.created_by,
            "status": ExecutionStatus.COMPLETED,
            "total_components": 1,
            "remaining": 0,
            "sequence": 3,
            "created_at": at,
            "started_at": at,
            "completed_at": completed,
            "trigger": {"type": "manual"},
            **fields,
        }
    )


def ended(workflow: Workflow, days: float, *, ended_days: float | None = None, **fields: Any) -> Execution:
    """An execution made so many days ago, which ended then: a run, a loop's item with its run, a signal, 3 events."""
    at = days_ago(days)
    execution = execution_of(latest(workflow), at, days_ago(days if ended_days is None else ended_days), **fields)
    execution.save(force_insert=True)
    loop = run_of(execution, "loop")
    item = LoopItem.objects.create(run=loop, index=0, status=ItemStatus.COMPLETED)
    run_of(execution, "body", item=item, item_index=0)
    Signal.objects.create(execution=execution, name="go", sender=workflow.created_by, taken_by=loop)
    tell(execution.pk, workflow, at, 3)
    return execution


def run_of(execution: Execution, component_id: str, **fields: Any) -> ComponentRun:
    """An ended run."""
    return ComponentRun.objects.create(
        execution=execution,
        component_id=component_id,
        component_type="log",
        position=0,
        status=RunStatus.COMPLETED,
        completed_at=execution.created_at,
        taken_out=[],
        **fields,
    )


def tell(subject_id: str, workflow: Workflow, at: datetime, count: int, **data: object) -> list[Event]:
    """Rows of the ledger about a subject."""
    told: JSONObject = {"level": "info", "message": "m", **data}
    highest = Event.objects.filter(subject_id=subject_id).count()
    return Event.objects.bulk_create(
        Event(
            subject_id=subject_id,
            workflow_id=workflow.pk,
            owner_id=workflow.created_by_id,
            sequence=highest + number,
            type="log",
            data=told,
            timestamp=at,
        )
        for number in range(1, count + 1)
    )


def unfinished(workflow: Workflow, days: float, **fields: Any) -> Execution:
    """One that was made so many days ago and has not ended."""
    return ended(workflow, days, status=ExecutionStatus.RUNNING, completed_at=None, remaining=1, **fields)


def left() -> set[str]:
    """The ids of the executions that are left; and that nothing of another one is."""
    ids = set(Execution.objects.values_list("pk", flat=True))
    assert set(ComponentRun.objects.values_list("execution_id", flat=True)) == ids
    assert set(LoopItem.objects.values_list("run__execution_id", flat=True)) == ids
    assert set(Signal.objects.values_list("execution_id", flat=True)) == ids
    assert set(Event.objects.filter(type="log").values_list("subject_id", flat=True)) == ids
    return ids


def seal_days() -> None:
    """Count the days that are over, as the sweep does."""
    from django.db import transaction

    with transaction.atomic():
        tallying.seal(timezone.now().date(), 1000)


@pytest.fixture
def workflow(transactional_db: None, alice: User) -> Workflow:
    """One that says nothing of retention."""
    return workflow_of(alice)


def many(workflows: Sequence[Workflow], count: int) -> None:
    """So many executions of each, spread over half a year, in a table that PostgreSQL has looked at."""
    moments = [days_ago(180 * n / count) for n in range(count)]
    Execution.objects.bulk_create(execution_of(version, at, at) for version in map(latest, workflows) for at in moments)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE executions_execution")


def plan_of(sql: str, parameters: dict[str, Any]) -> str:
    """How PostgreSQL goes about it."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}", parameters)
        return "\n".join(row[0] for row in cursor.fetchall())


__all__ = ["days_ago", "ended", "left", "many", "plan_of", "run_of", "seal_days", "tell", "to_uuid", "unfinished"]
