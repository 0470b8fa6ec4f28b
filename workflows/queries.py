"""Reads of workflows: the definition in force, and what their executions add up to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, OuterRef, PositiveIntegerField, Q, QuerySet, Subquery

from accounts.callers import Caller
from core.errors import NotFoundError
from core.ids import ULIDField, first_id
from core.prepared_query import PreparedQuery
from core.times import midnight
from core.types import JSONObject
from workflows import access
from workflows.models import Workflow, WorkflowStatus, WorkflowTally, WorkflowVersion


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
    """By workflow id, for one page of workflows; three queries, which do not read what is counted in advance."""
    ids = [workflow.pk for workflow in workflows]
    tallies = {tally.pk: tally for tally in WorkflowTally.objects.filter(pk__in=ids)}
    found = Workflow.objects.filter(pk__in=ids)
    # Where one of them is counted until a day, all are: those with no execution since have an older row, or none.
    until = max((tally.counted_until for tally in tallies.values()), default=None)
    since = found if until is None else found.filter(executions__pk__gte=first_id(midnight(until)))
    live: dict[str, Any] = {  # the stubs have no name for a row of annotations
        row["pk"]: row
        for row in since.values("pk").annotate(
            all=Count("executions"),
            completed=Count("executions", filter=Q(executions__status="completed")),
            failed=Count("executions", filter=Q(executions__status="failed")),
        )
    }
    executions = Workflow._meta.get_field("executions").related_model._default_manager
    last = executions.filter(workflow=OuterRef("pk")).order_by("-pk").values("created_at")[:1]
    last_at = dict(found.values_list("pk", Subquery(last)))
    return {id_: _together(tallies.get(id_), live.get(id_, _NONE), last_at.get(id_)) for id_ in ids}


_NONE = {"all": 0, "completed": 0, "failed": 0}


def _together(tally: WorkflowTally | None, live: Mapping[str, int], last_at: datetime | None) -> Statistics:
    if tally is None:
        return Statistics(live["all"], live["completed"], live["failed"], last_at)
    counted = tally.completed + tally.failed + tally.cancelled
    return Statistics(
        counted + live["all"], tally.completed + live["completed"], tally.failed + live["failed"], last_at
    )


_VERSION = PreparedQuery(
    lambda workflow, number: WorkflowVersion.objects.filter(workflow=workflow, number=number),
    ULIDField(),
    PositiveIntegerField(),
)


def current_definition(workflow: Workflow) -> JSONObject:
    """The definition in force, as it may be shown. Raises NotFoundError if it was deleted since it was read."""
    definition: JSONObject = current_version(workflow).definition
    return definition


def current_definitions(workflows: Sequence[Workflow]) -> dict[str, JSONObject]:
    """`current_definition` by workflow id, of those that have not been changed or deleted since; one query."""
    numbers = {workflow.pk: workflow.version for workflow in workflows}
    versions = WorkflowVersion.objects.filter(workflow__in=list(numbers), number=F("workflow__version"))
    rows = versions.values_list("workflow_id", "number", "definition")
    return {workflow_id: definition for workflow_id, number, definition in rows if numbers[workflow_id] == number}


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
