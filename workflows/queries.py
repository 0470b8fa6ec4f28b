"""Reads of workflows: the definition in force, and what their executions add up to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Q

from accounts.callers import Caller
from core.errors import NotFoundError
from core.types import JSONObject
from workflows import access
from workflows.models import Workflow, WorkflowStatus, WorkflowVersion


@dataclass(frozen=True, slots=True)
class Statistics:
    """A workflow's executions in numbers; `success_rate` 0.0–1.0, 0.0 when none has ended either way."""

    execution_count: int = 0
    completed: int = 0
    failed: int = 0
    last_execution_at: datetime | None = None

    @property
    def success_rate(self) -> float:
        return success_rate(self.completed, self.failed)


def success_rate(completed: int, failed: int) -> float:
    """Completed of those that ended as completed or failed (contract §5)."""
    ended = completed + failed
    return round(completed / ended, 4) if ended else 0.0


def totals(caller: Caller) -> JSONObject:
    """How many workflows the caller sees, and how many of them are active and drafts; one query."""
    return access.visible_to(caller).aggregate(
        total=Count("pk"),
        active=Count("pk", filter=Q(status=WorkflowStatus.ACTIVE)),
        draft=Count("pk", filter=Q(status=WorkflowStatus.DRAFT)),
    )


def statistics(workflows: Sequence[Workflow]) -> dict[str, Statistics]:
    """By workflow id, for one page of workflows; one query."""
    rows = (
        Workflow.objects.filter(pk__in=[workflow.pk for workflow in workflows])
        .values("pk")
        .annotate(
            execution_count=Count("executions"),
            completed=Count("executions", filter=Q(executions__status="completed")),
            failed=Count("executions", filter=Q(executions__status="failed")),
            last_execution_at=Max("executions__created_at"),
        )
    )
    return {
        row["pk"]: Statistics(row["execution_count"], row["completed"], row["failed"], row["last_execution_at"])
        for row in rows
    }


def current_definition(workflow: Workflow) -> JSONObject:
    """What the workflow's next execution runs. Raises NotFoundError if it was deleted since it was read."""
    definition: JSONObject | None = (
        WorkflowVersion.objects.filter(workflow=workflow, number=workflow.version)
        .values_list("definition", flat=True)
        .first()
    )
    if definition is None:
        raise NotFoundError("Workflow not found")
    return definition
