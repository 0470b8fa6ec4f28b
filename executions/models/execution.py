"""An execution: its constraints, and one partial index for each sweep."""

from typing import Any, Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from core.ids import ULIDField, id_field
from events import bells
from events.event_types import EventType
from events.models import Event
from executions.models.run import ComponentRun
from executions.states import FINAL_EXECUTION, FINAL_RUN, ExecutionStatus, RunStatus, choices
from workflows.models import Workflow, WorkflowVersion

_FINAL_EXECUTION = sorted(FINAL_EXECUTION)
_FINAL_RUN = sorted(FINAL_RUN)
# Rows of the ledger, to which what else an execution has is in proportion.
_TOLD_AT_ONCE = 10_000


class ExecutionQuerySet(models.QuerySet["Execution"]):
    """Named filters of executions; reached from a workflow as `workflow.executions`."""

    def active(self) -> Self:
        """Those that have not ended."""
        return self.exclude(status__in=_FINAL_EXECUTION)

    def fit_a_transaction(self) -> bool:
        """Whether they may all be deleted at once. What they told, which is counted, says how much is theirs."""
        told = self.values_list("sequence", flat=True)[: _TOLD_AT_ONCE + 1]
        return sum(max(count, 1) for count in told) <= _TOLD_AT_ONCE

    def request_cancel(self) -> int:
        """End those that have not ended as cancelled, at once, and their children; how many of the first.

        For a workflow about to be deleted. What still runs finds its run ended and is refused when it records. Needs
        a transaction.
        """
        rows = self.active().only("workflow_id", "created_by_id", "sequence")
        ended = list(rows.select_for_update(of=("self",), no_key=True))
        if not ended:
            return 0
        now = timezone.now()
        ComponentRun.objects.filter(execution__in=ended).exclude(status__in=_FINAL_RUN).update(
            status=RunStatus.CANCELLED, completed_at=now, changed_at=now, lease_until=None
        )
        told = (
            Event(
                subject_id=execution.pk,
                workflow_id=execution.workflow_id,
                owner_id=execution.created_by_id,
                sequence=execution.sequence + 1,
                type=EventType.EXECUTION_CANCELLED,
                data={"status": str(ExecutionStatus.CANCELLED)},
            )
            for execution in ended
        )
        Event.objects.bulk_create(told, batch_size=1_000)
        for execution in ended:
            bells.ring_on_commit(execution.pk, execution.workflow_id)
        self.filter(pk__in=[execution.pk for execution in ended]).update(
            status=ExecutionStatus.CANCELLED,
            completed_at=now,
            remaining=0,
            sequence=models.F("sequence") + 1,
        )
        Execution.objects.filter(parent_run__execution__in=ended).request_cancel()
        return len(ended)


class Execution(models.Model):
    """One run of one version of a workflow.

    `admitted_at` is the account's concurrency slot: held from then until the end; a child (`parent_run`) runs in
    its parent's. `concurrency_key` is a digest of the rendered `settings.concurrency.key`, and at most
    `concurrency_limit` admitted executions of the workflow share one. `stop_as` is the end that the execution is
    heading for while running components finish. `sealed_hidden` lists texts that this execution must not tell beside
    its own secrets: those of the parent that started it, or of the execution that it retries. What a hook or an event
    brought is `trigger["input"]`, as it may be shown; where that hides something, `sealed_input` is the whole.
    `traceparent` is the span (core.tracing) in which it was accepted, "" where nobody wanted any.
    `sequence` numbers its ledger events and `remaining` counts the runs that are not final; both change only in
    statements that lock this row first. `results_ref` refers to what of the results is stored elsewhere, `whole` or in
    `parts` by component (`executions.outputs`). `workflow_owner_id` is the workflow's `created_by`, so that one index
    has what an owner sees in the order of lists; the database fills it in where it is not given. What every hop changes
    stands in no index, so that those updates stay within their page.
    """

    id = id_field()
    # No indexes by the workflow and by the user alone: those below start with them.
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, db_index=False, related_name="executions")
    workflow_owner_id = ULIDField(null=True)
    version = models.ForeignKey(WorkflowVersion, on_delete=models.CASCADE, related_name="+")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, db_index=False, related_name="executions"
    )
    # Without constraints in the database: a row updated twice in one transaction has its foreign keys checked at the
    # commit, and the check would wait for whoever holds the parent's run, who may be waiting for this row.
    retry_of = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, db_index=False, db_constraint=False, related_name="retries"
    )
    parent_run = models.ForeignKey(
        "ComponentRun",
        on_delete=models.SET_NULL,
        null=True,
        db_index=False,
        db_constraint=False,
        related_name="children",
    )
    depth = models.SmallIntegerField(default=0, db_default=0)
    status = models.CharField(max_length=9, choices=choices(ExecutionStatus))
    priority = models.SmallIntegerField(default=5)
    parameters = models.JSONField(default=dict)
    sealed_parameters = models.BinaryField(null=True)
    sealed_hidden = models.BinaryField(null=True)
    sealed_input = models.BinaryField(null=True)
    tags = ArrayField(models.CharField(max_length=100), default=list)
    trigger = models.JSONField(default=dict)
    request_id = models.CharField(max_length=128, blank=True)
    traceparent = models.CharField(max_length=55, blank=True, default="", db_default="")
    results: Any = models.JSONField(null=True)
    results_ref: Any = models.JSONField(null=True)
    error: Any = models.JSONField(null=True)
    stop_as = models.CharField(max_length=9, null=True)  # noqa: DJ001 - NULL says "not stopping"
    concurrency_key = models.CharField(max_length=64, null=True)  # noqa: DJ001 - NULL says "no limit of its own"
    concurrency_limit = models.IntegerField(null=True)
    max_parallel = models.IntegerField(default=0, db_default=0)
    timeout_seconds = models.FloatField(null=True)
    total_components = models.IntegerField()
    ended_components = models.IntegerField(default=0, db_default=0)
    remaining = models.IntegerField()
    sequence = models.IntegerField(default=0, db_default=0)
    cpu_seconds = models.FloatField(default=0, db_default=0)
    memory_mb = models.IntegerField(default=0, db_default=0)
    network_bytes = models.BigIntegerField(default=0, db_default=0)
    scheduled_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now, db_default=Now())
    admitted_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)

    objects = ExecutionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=_FINAL_EXECUTION, completed_at__isnull=False)
                | (~models.Q(status__in=_FINAL_EXECUTION) & models.Q(completed_at__isnull=True)),
                name="execution_final_iff_completed_at",
            ),
            models.CheckConstraint(condition=models.Q(priority__range=(1, 10)), name="execution_priority_range"),
            models.CheckConstraint(condition=models.Q(remaining__gte=0), name="execution_remaining_positive"),
        ]
        indexes = [
            # Lists are counted and skipped through within these, without a look at the rows.
            models.Index(
                fields=["workflow", "-id"], include=["status", "started_at", "created_by"], name="execution_of_workflow"
            ),
            models.Index(
                fields=["workflow_owner_id", "-id"], include=["status", "created_by"], name="execution_of_owner"
            ),
            models.Index(
                fields=["workflow_owner_id", "-started_at", "-id"],
                condition=models.Q(started_at__isnull=False),
                name="execution_of_owner_started",
            ),
            models.Index(fields=["status", "-id"], name="execution_status"),
            models.Index(
                fields=["-started_at", "-id"],
                condition=models.Q(started_at__isnull=False),
                name="execution_started",
            ),
            models.Index(
                fields=["created_by", "-id"], include=["workflow", "workflow_owner_id"], name="execution_account"
            ),
            models.Index(
                fields=["created_by"],
                condition=models.Q(admitted_at__isnull=False, completed_at__isnull=True, parent_run__isnull=True),
                name="execution_slots",
            ),
            models.Index(
                fields=["workflow", "concurrency_key"],
                condition=models.Q(concurrency_key__isnull=False, completed_at__isnull=True),
                name="execution_concurrency",
            ),
            models.Index(fields=["retry_of"], condition=models.Q(retry_of__isnull=False), name="execution_retry_of"),
            models.Index(
                fields=["parent_run"], condition=models.Q(parent_run__isnull=False), name="execution_parent_run"
            ),
            models.Index(
                fields=["parent_run"],
                condition=models.Q(parent_run__isnull=False, completed_at__isnull=True),
                name="execution_sweep_children",
            ),
            models.Index(
                fields=["created_by", "-priority", "id"],
                condition=models.Q(status=ExecutionStatus.QUEUED, admitted_at__isnull=True),
                name="execution_sweep_admission",
            ),
            models.Index(
                fields=["created_by"],
                condition=models.Q(
                    status=ExecutionStatus.QUEUED, admitted_at__isnull=True, concurrency_key__isnull=False
                ),
                name="execution_sweep_keyed",
            ),
            models.Index(
                fields=["scheduled_at"],
                condition=models.Q(status=ExecutionStatus.PENDING),
                name="execution_sweep_scheduled",
            ),
            models.Index(
                fields=["deadline_at"],
                condition=models.Q(completed_at__isnull=True, deadline_at__isnull=False),
                name="execution_sweep_deadline",
            ),
            models.Index(
                fields=["id"],
                condition=models.Q(status=ExecutionStatus.RUNNING),
                name="execution_sweep_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)
