"""An execution and its component runs; the constraints, and one partial index for each sweep.

Log lines are ledger events of type `log`: one table holds all that an execution tells.
"""

from enum import StrEnum
from typing import Any, Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from core.ids import ULIDField, id_field
from events import bells
from events.event_types import EventType
from events.models import Announcement, Event
from executions.states import FINAL_EXECUTION, FINAL_RUN, ExecutionStatus, ItemStatus, RunStatus, WaitingFor
from workflows.components.base import Kind
from workflows.models import Trigger, Workflow, WorkflowVersion

_FINAL_EXECUTION = sorted(FINAL_EXECUTION)
_FINAL_RUN = sorted(FINAL_RUN)


def _choices(statuses: type[StrEnum]) -> list[tuple[str, str]]:
    return [(str(status), status.name.title()) for status in statuses]


class ExecutionQuerySet(models.QuerySet["Execution"]):
    """Named filters of executions; reached from a workflow as `workflow.executions`."""

    def active(self) -> Self:
        """Those that have not ended."""
        return self.exclude(status__in=_FINAL_EXECUTION)

    def request_cancel(self) -> int:
        """End those that have not ended as cancelled, at once, and their children; how many of the first.

        For a workflow about to be deleted. What still runs finds its run ended and is refused when it records. Needs
        a transaction.
        """
        ended = list(self.active().select_for_update(of=("self",), no_key=True))
        if not ended:
            return 0
        now = timezone.now()
        ComponentRun.objects.filter(execution__in=ended).exclude(status__in=_FINAL_RUN).update(
            status=RunStatus.CANCELLED, completed_at=now, changed_at=now, lease_until=None
        )
        for execution in ended:
            Event.objects.create(
                subject_id=execution.pk,
                workflow_id=execution.workflow_id,
                owner_id=execution.created_by_id,
                sequence=execution.sequence + 1,
                type=EventType.EXECUTION_CANCELLED,
                data={"status": str(ExecutionStatus.CANCELLED)},
            )
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
    status = models.CharField(max_length=9, choices=_choices(ExecutionStatus))
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


class ComponentRunQuerySet(models.QuerySet["ComponentRun"]):
    """Named filters of component runs."""

    def in_queue(self) -> Self:
        """Those that want a worker."""
        # Said in full, as the partial index of the queue has it.
        return self.filter(status=RunStatus.QUEUED, held=False)


class ComponentRun(models.Model):
    """One component of one execution, or of one item of a loop in it, through its attempts.

    `scope_id` is the item, or the execution where there is none: connections lead from run to run of one scope.
    `pending` counts incoming connections not yet decided and `taken` those taken; both are kept only while
    `blocked`. `taken_out` lists the outgoing connections (indexes into the definition) taken at its end.
    A queued run that `max_parallel` keeps from running is `held`, and out of the queue until a place is free.
    A run that waits says for what (`waiting_for`), and `waited` says that the attempt's wait is over. A claim
    writes `worker`, `pid`, `lease_until` and, from `timeout_seconds`, `deadline_at`. `owner_id` and `priority`
    are the execution's: they order the `queue` that the run waits in, which is its type's kind. An output too large for
    the row is stored elsewhere, and `output_ref` or `sealed_output_ref` refers to it (`executions.outputs`).
    `changed_at` is when the status became what it is.
    """

    id = id_field()
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="runs")
    component_id = models.CharField(max_length=64)
    component_type = models.CharField(max_length=64)
    queue = models.CharField(max_length=16, default=Kind.DEFAULT.value, db_default=Kind.DEFAULT.value)
    position = models.IntegerField()
    item = models.ForeignKey("LoopItem", on_delete=models.CASCADE, null=True, db_index=False, related_name="runs")
    item_index = models.IntegerField(null=True)
    scope_id = models.GeneratedField(
        expression=Coalesce("item", "execution"), output_field=ULIDField(), db_persist=True
    )
    owner_id = ULIDField(null=True)
    priority = models.SmallIntegerField(default=5, db_default=5)
    status = models.CharField(max_length=9, choices=_choices(RunStatus))
    join_any = models.BooleanField(default=False, db_default=False)
    pending = models.IntegerField(default=0, db_default=0)
    taken = models.IntegerField(default=0, db_default=0)
    taken_out = ArrayField(models.IntegerField(), null=True)
    attempt = models.IntegerField(default=1, db_default=1)
    crashes = models.IntegerField(default=0, db_default=0)
    released = models.IntegerField(default=0, db_default=0)
    waited = models.BooleanField(default=False, db_default=False)
    held = models.BooleanField(default=False, db_default=False)
    waiting_for = models.CharField(max_length=6, null=True, choices=_choices(WaitingFor))  # noqa: DJ001 - NULL: nothing
    signal = models.CharField(max_length=128, null=True)  # noqa: DJ001 - NULL: none
    approvers: Any = models.JSONField(null=True)
    max_concurrency = models.IntegerField(null=True)
    stop_on_error = models.BooleanField(null=True)
    timeout_seconds = models.FloatField(null=True)
    output = models.JSONField(null=True)
    output_ref: Any = models.JSONField(null=True)
    sealed_output = models.BinaryField(null=True)
    sealed_output_ref: Any = models.JSONField(null=True)
    error: Any = models.JSONField(null=True)
    worker = models.CharField(max_length=200, blank=True, default="", db_default="")
    pid = models.IntegerField(null=True)
    rung_at = models.DateTimeField(null=True)
    wake_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(default=timezone.now, db_default=Now())
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    cpu_seconds = models.FloatField(default=0, db_default=0)
    memory_mb = models.IntegerField(default=0, db_default=0)
    network_bytes = models.BigIntegerField(default=0, db_default=0)

    objects = ComponentRunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope_id", "component_id"], name="component_run_scope_unique"),
            models.CheckConstraint(
                condition=models.Q(status__in=_FINAL_RUN, completed_at__isnull=False)
                | (~models.Q(status__in=_FINAL_RUN) & models.Q(completed_at__isnull=True)),
                name="component_run_final_iff_completed_at",
            ),
            models.CheckConstraint(
                condition=~models.Q(status=RunStatus.RUNNING) | models.Q(lease_until__isnull=False),
                name="component_run_running_has_lease",
            ),
            models.CheckConstraint(
                condition=~models.Q(status=RunStatus.WAITING)
                | models.Q(waiting_for__in=[WaitingFor.SIGNAL, WaitingFor.CHILD, WaitingFor.ITEMS])
                | models.Q(waiting_for__isnull=False, wake_at__isnull=False),
                name="component_run_waits_for_something",
            ),
            models.CheckConstraint(condition=models.Q(pending__gte=0), name="component_run_pending_positive"),
        ]
        indexes = [
            models.Index(
                fields=["lease_until"],
                condition=models.Q(status=RunStatus.RUNNING),
                name="component_run_sweep_lease",
            ),
            models.Index(
                fields=["worker", "pid"],
                condition=models.Q(status=RunStatus.RUNNING),
                name="component_run_worker",
            ),
            models.Index(
                fields=["rung_at"],
                condition=models.Q(status=RunStatus.QUEUED, held=False),
                name="component_run_sweep_unclaimed",
            ),
            models.Index(
                fields=["wake_at"],
                condition=models.Q(status=RunStatus.WAITING),
                name="component_run_sweep_wake",
            ),
            models.Index(
                fields=["queue", "-priority", "owner_id", "id"],
                condition=models.Q(status=RunStatus.QUEUED, held=False),
                name="component_run_turn",
            ),
            models.Index(
                fields=["execution"],
                condition=models.Q(status=RunStatus.QUEUED, held=True),
                name="component_run_held",
            ),
            models.Index(
                fields=["owner_id"],
                condition=models.Q(status=RunStatus.RUNNING),
                name="component_run_busy",
            ),
            models.Index(fields=["item"], condition=models.Q(item__isnull=False), name="component_run_item"),
        ]

    def __str__(self) -> str:
        return f"{self.execution_id}/{self.component_id}"


class LoopItem(models.Model):
    """One item of a loop (`for_each`), or one round (`repeat_until`), of the run that loops.

    Its runs are made when it starts and are counted down in `remaining`; `error` is the first unhandled failure.
    A value that holds a secret is stored sealed beside what may be shown; one too large for the row, elsewhere.
    """

    id = id_field()
    run = models.ForeignKey(ComponentRun, on_delete=models.CASCADE, db_index=False, related_name="items")
    index = models.IntegerField()
    value: Any = models.JSONField(null=True)
    value_ref: Any = models.JSONField(null=True)
    sealed_value = models.BinaryField(null=True)
    sealed_value_ref: Any = models.JSONField(null=True)
    status = models.CharField(max_length=9, choices=_choices(ItemStatus), db_default=ItemStatus.BLOCKED)
    remaining = models.IntegerField(default=0, db_default=0)
    error: Any = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "index"], name="loop_item_unique"),
            models.CheckConstraint(condition=models.Q(remaining__gte=0), name="loop_item_remaining_positive"),
        ]
        indexes = [
            models.Index(fields=["run", "index"], condition=models.Q(status=ItemStatus.BLOCKED), name="loop_item_next"),
            models.Index(fields=["run"], condition=models.Q(status=ItemStatus.RUNNING), name="loop_item_open"),
            models.Index(fields=["run"], condition=models.Q(status=ItemStatus.FAILED), name="loop_item_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.run_id}[{self.index}]"


class StoredOutput(models.Model):
    """An object in the store of outputs; its row is there before it, and goes after it (`executions.outputs`).

    `new` until it is old enough that whatever was to refer to it does, then `kept` while its execution is there, or
    `doomed`. The execution is no foreign key: an object outlives it for a moment, and a trigger dooms it.
    """

    class State(models.TextChoices):
        NEW = "new"
        KEPT = "kept"
        DOOMED = "doomed"

    key = models.CharField(max_length=64, primary_key=True)
    execution_id = ULIDField(null=True)
    bytes = models.BigIntegerField()
    state = models.CharField(max_length=6, choices=State.choices, default=State.NEW, db_default=State.NEW)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["execution_id"], name="stored_output_execution"),
            models.Index(fields=["created_at"], condition=models.Q(state="new"), name="stored_output_sweep_new"),
            models.Index(fields=["key"], condition=models.Q(state="doomed"), name="stored_output_sweep_doomed"),
        ]

    def __str__(self) -> str:
        return self.key


class Signal(models.Model):
    """What somebody told an execution; kept until a run that waits for the name takes it."""

    id = id_field()
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="signals")
    name = models.CharField(max_length=128)
    # Before signals were sealed; nothing is written there any more.
    data: Any = models.JSONField(null=True)
    sealed_data = models.BinaryField(null=True)
    sender = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    taken_by = models.ForeignKey(ComponentRun, on_delete=models.SET_NULL, null=True, related_name="signals_taken")
    taken_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now, db_default=Now())

    def __str__(self) -> str:
        return f"{self.execution_id}/{self.name}"


class IdempotencyKey(models.Model):
    """An `Idempotency-Key` of an execute request and the execution that it made; honoured for 24 hours."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    request_digest = models.BinaryField()
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_unique")]

    def __str__(self) -> str:
        return self.key


class Reaction(models.Model):
    """An event that an event trigger waits for, until its execution is started (`executions.reactions`)."""

    id = models.BigAutoField(primary_key=True)
    trigger = models.ForeignKey(Trigger, on_delete=models.CASCADE, db_index=False, related_name="+")
    event_id = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["trigger", "event_id"], name="reaction_unique")]

    def __str__(self) -> str:
        return f"{self.trigger_id} event {self.event_id}"


class Worker(models.Model):
    """A worker's heartbeat; health and diagnosis read it, recovery does not depend on it."""

    name = models.CharField(max_length=200, primary_key=True)
    component_types = ArrayField(models.CharField(max_length=64), default=list, db_default=[])
    queues = ArrayField(models.CharField(max_length=16), default=list, db_default=[])
    processes = models.IntegerField(default=0, db_default=0)
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now(), db_index=True)

    def __str__(self) -> str:
        return self.name


class MaintenanceMode(models.Model):
    """The one row that says whether new executions are held back; without it they are not.

    `until` is when it is expected to end, which ends nothing by itself.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    held = models.BooleanField(default=False, db_default=False)
    message = models.TextField(max_length=2000, blank=True, default="", db_default="")
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    switched_by = models.CharField(max_length=254, blank=True, default="", db_default="")
    announcement = models.ForeignKey(Announcement, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        verbose_name_plural = "maintenance mode"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(held=True, since__isnull=False) | models.Q(held=False, since__isnull=True),
                name="maintenance_mode_since_iff_held",
            )
        ]

    def __str__(self) -> str:
        return "on" if self.held else "off"


class BulkCancel(models.Model):
    """That somebody wants all executions cancelled that match `selection` and are older than this row's id.

    `lease_until` says that somebody is at it. `matched` is how many there were; some may have ended by themselves.
    """

    id = id_field()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    address = models.GenericIPAddressField(null=True)
    selection = models.JSONField(default=dict)
    matched = models.IntegerField()
    cancelled = models.IntegerField(default=0, db_default=0)
    ended_early = models.CharField(max_length=200, blank=True, default="", db_default="")
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now, db_default=Now())
    completed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["id"], condition=models.Q(completed_at__isnull=True), name="bulk_cancel_open"),
        ]

    def __str__(self) -> str:
        return f"{self.cancelled} of {self.matched}"


class ExecutionTally(models.Model):
    """How many executions of a status were made, or started, on a day (UTC), of those of sealed days.

    Kept by `transitions.tallying` and by triggers; for lists and statistics of everybody's executions.
    """

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=7, choices=[("made", "Made"), ("started", "Started")])
    day = models.DateField()
    status = models.CharField(max_length=9)
    count = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "day", "status"], name="execution_tally_unique")]

    def __str__(self) -> str:
        return f"{self.kind} {self.day} {self.status}: {self.count}"


class TallyState(models.Model):
    """The one row that says which days are sealed: those before `sealed_until`."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    sealed_until = models.DateField(null=True)

    def __str__(self) -> str:
        return str(self.sealed_until)
