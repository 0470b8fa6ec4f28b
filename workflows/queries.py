"""Reads of workflows: the definition in force, and what their executions add up to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, PositiveIntegerField, Q, QuerySet

from accounts.callers import Caller
from core.errors import NotFoundError
from core.ids import ULIDField
from core.prepared_query import PreparedQuery
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


_VERSION = PreparedQuery(
    lambda workflow, number: WorkflowVersion.objects.filter(workflow=workflow, number=number),
    ULIDField(),
    PositiveIntegerField(),
)


def current_definition(workflow: Workflow) -> JSONObject:
    """The definition in force, as it may be shown. Raises NotFoundError if it was deleted since it was read."""
    definition: JSONObject = current_version(workflow).definition
    return definition


def current_version(workflow: Workflow) -> WorkflowVersion:
    """What the workflow's next execution runs. Raises NotFoundError if it was deleted since it was read."""
    version = _VERSION.one(workflow.pk, workflow.version)
    if version is None:
        raise NotFoundError("Workflow not found")
    return version


def versions_of(workflow: Workflow) -> QuerySet[WorkflowVersion]:
    """The workflow's versions without their definitions, the newest first."""
    return workflow.versions.defer("definition", "sealed_definition").order_by("-number")


def version_numbered(workflow: Workflow, number: int) -> WorkflowVersion:
    """One version. Raises NotFoundError."""
    version = workflow.versions.filter(number=number).first()
    if version is None:
        raise NotFoundError("Workflow version not found")
    return version
