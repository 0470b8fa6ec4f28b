"""A workflow, its immutable versions, whom it is shared with, and what starts it by itself."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from core.ids import ULIDField, id_field


class WorkflowStatus(models.TextChoices):
    """Contract §5: drafts and active ones run by hand, triggers fire only for active ones."""

    DRAFT = "draft"
    ACTIVE = "active"
    INACTIVE = "inactive"
    ARCHIVED = "archived"


class WorkflowManager(models.Manager["Workflow"]):
    """Those that have not been deleted."""

    def get_queryset(self) -> models.QuerySet["Workflow"]:
        return super().get_queryset().filter(deleted_at=None)


class Workflow(models.Model):
    """What a user defines and runs; its definition lives in the version numbered `version`.

    `component_count`, and how long ended executions are kept (`keep_days`, `keep_count`), are that version's. One that
    is deleted with very many executions stays, archived and found by `with_deleted` alone, until the janitor has
    deleted these.
    """

    id = id_field()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="workflows")
    name = models.CharField(max_length=255)
    description = models.CharField(max_length=1000, blank=True)
    status = models.CharField(max_length=8, choices=WorkflowStatus.choices, default=WorkflowStatus.DRAFT)
    category = models.CharField(max_length=100, blank=True)
    tags = ArrayField(models.CharField(max_length=100), default=list)
    priority = models.SmallIntegerField(default=5)
    version = models.PositiveIntegerField(default=1)
    component_count = models.PositiveIntegerField()
    keep_days = models.PositiveIntegerField(null=True)
    keep_count = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now)
    deleted_at = models.DateTimeField(null=True, editable=False)

    objects = WorkflowManager()
    with_deleted = models.Manager["Workflow"]()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["created_by", "name"],
                condition=~models.Q(status="archived"),
                name="workflow_name_unique_per_owner",
            ),
            models.CheckConstraint(condition=models.Q(priority__range=(1, 10)), name="workflow_priority_range"),
        ]
        indexes = [
            models.Index(fields=["created_by", "-created_at"], name="workflow_owner_created"),
            models.Index(
                fields=["deleted_at"], condition=models.Q(deleted_at__isnull=False), name="workflow_being_deleted"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class WorkflowVersion(models.Model):
    """One definition of a workflow; never changed once written, executions are pinned to it.

    `definition` is what may be shown. Where that hides secrets, `sealed_definition` holds the whole
    (`workflows.sealing`).
    """

    id = id_field()
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    definition = models.JSONField()
    sealed_definition = models.BinaryField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workflow", "number"], name="workflow_version_number_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.workflow_id} v{self.number}"


class Role(models.TextChoices):
    """What somebody may do with a workflow that is shared with them (contract §4)."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    EDITOR = "editor"


class Share(models.Model):
    """A workflow shared with a user or with a group."""

    id = id_field()
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="shares")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="shares")
    group = models.ForeignKey("auth.Group", null=True, on_delete=models.CASCADE, related_name="shares")
    role = models.CharField(max_length=8, choices=Role.choices)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(user__isnull=True) ^ models.Q(group__isnull=True), name="share_user_or_group"
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="share_role"),
            models.UniqueConstraint(fields=["workflow", "user"], name="share_user_unique"),
            models.UniqueConstraint(fields=["workflow", "group"], name="share_group_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.workflow_id} {self.role}"


class WorkflowTally(models.Model):
    """How many executions of a workflow ended which way, of those made before the day `counted_until` (UTC).

    Kept by `executions.transitions.tallying`: those made later are to be added. No row: nothing is counted yet.
    """

    workflow = models.OneToOneField(
        Workflow, on_delete=models.CASCADE, primary_key=True, db_constraint=False, related_name="tally"
    )
    completed = models.BigIntegerField()
    failed = models.BigIntegerField()
    cancelled = models.BigIntegerField()
    counted_until = models.DateField()

    def __str__(self) -> str:
        return f"{self.workflow_id} until {self.counted_until}"


class TriggerType(models.TextChoices):
    """What starts a workflow by itself (contract §6, "Triggers")."""

    SCHEDULE = "schedule"
    WEBHOOK = "webhook"
    EVENT = "event"


class Trigger(models.Model):
    """What a `start` says of when its workflow is started; `live` while the workflow is active.

    `config` is what the start's says, without parameters and secrets: those are read from the version. A schedule
    counts its interval from `anchor_at`, when it came to life, and `next_at` is its first slot that has not been seen
    to; while it is paused (`paused_at`) none is. A hook is found by the digest of its token, which is kept sealed to be
    shown.
    """

    id = id_field()
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="triggers")
    component_id = models.CharField(max_length=64)
    type = models.CharField(max_length=8, choices=TriggerType.choices)
    live = models.BooleanField(default=False)
    config = models.JSONField(default=dict)
    anchor_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(null=True)
    paused_at = models.DateTimeField(null=True)
    token_digest = models.BinaryField(null=True, unique=True)
    sealed_token = models.BinaryField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workflow", "component_id"], name="trigger_of_component_unique"),
            models.CheckConstraint(condition=models.Q(type__in=TriggerType.values), name="trigger_type"),
            models.CheckConstraint(
                condition=models.Q(type="webhook") ^ models.Q(token_digest__isnull=True), name="trigger_hook_has_token"
            ),
            models.CheckConstraint(
                condition=models.Q(token_digest__isnull=True) ^ models.Q(sealed_token__isnull=False),
                name="trigger_token_both_or_none",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_at"],
                condition=models.Q(live=True, paused_at__isnull=True, next_at__isnull=False),
                name="trigger_sweep_due",
            ),
            models.Index(fields=["type"], condition=models.Q(live=True, type="event"), name="trigger_events"),
        ]

    def __str__(self) -> str:
        return f"{self.workflow_id} {self.component_id} {self.type}"


class Slot(models.Model):
    """A slot of a schedule that was started, and the execution: the key that keeps it from being started twice.

    The execution is no foreign key: its deletion does not open the slot again.
    """

    id = models.BigAutoField(primary_key=True)
    trigger = models.ForeignKey(Trigger, on_delete=models.CASCADE, db_index=False, related_name="slots")
    slot_at = models.DateTimeField()
    execution_id = ULIDField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["trigger", "slot_at"], name="slot_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.trigger_id} {self.slot_at}"
