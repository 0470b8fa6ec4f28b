"""Component runs, the items of loops that they belong to, and the signals that they wait for."""

from typing import Any, Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from core.ids import ULIDField, id_field
from executions.states import FINAL_RUN, ItemStatus, RunStatus, WaitingFor, choices
from workflows.components.base import Kind

_FINAL_RUN = sorted(FINAL_RUN)


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
    execution = models.ForeignKey("Execution", on_delete=models.CASCADE, related_name="runs")
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
    status = models.CharField(max_length=9, choices=choices(RunStatus))
    join_any = models.BooleanField(default=False, db_default=False)
    pending = models.IntegerField(default=0, db_default=0)
    taken = models.IntegerField(default=0, db_default=0)
    taken_out = ArrayField(models.IntegerField(), null=True)
    attempt = models.IntegerField(default=1, db_default=1)
    crashes = models.IntegerField(default=0, db_default=0)
    released = models.IntegerField(default=0, db_default=0)
    waited = models.BooleanField(default=False, db_default=False)
    held = models.BooleanField(default=False, db_default=False)
    waiting_for = models.CharField(max_length=6, null=True, choices=choices(WaitingFor))  # noqa: DJ001 - NULL: nothing
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
    status = models.CharField(max_length=9, choices=choices(ItemStatus), db_default=ItemStatus.BLOCKED)
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


class Signal(models.Model):
    """What somebody told an execution; kept until a run that waits for the name takes it."""

    id = id_field()
    execution = models.ForeignKey("Execution", on_delete=models.CASCADE, related_name="signals")
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
