"""Reads of workflows: the definition in force, and what their executions add up to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Q

from core.errors import NotFoundError
from core.types import JSONObject
from workflows.models import Workflow, WorkflowVersion


@dataclass(frozen=True, slots=True)
class Statistics:
    """A workflow's executions in numbers; `success_rate` 0.0–1.0, 0.0 when none has ended either way."""

    execution_count: int = 0
    completed: int = 0
    failed: int = 0
    last_execution_at: datetime | None = None

    @property
    def success_rate(self) -> float:
        ended = self.completed + self.failed
        return round(self.completed / ended, 4) if ended else 0.0


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
    """The definition in force, as it may be shown. Raises NotFoundError if it was deleted since it was read."""
    definition: JSONObject = current_version(workflow).definition
    return definition


def current_version(workflow: Workflow) -> WorkflowVersion:
    """What the workflow's next execution runs. Raises NotFoundError if it was deleted since it was read."""
    version = WorkflowVersion.objects.filter(workflow=workflow, number=workflow.version).first()
    if version is None:
        raise NotFoundError("Workflow not found")
    return version
