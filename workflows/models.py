"""A workflow, its immutable versions, and whom it is shared with."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from core.ids import id_field


class WorkflowStatus(models.TextChoices):
    """Contract §5: drafts and active ones run by hand, triggers fire only for active ones."""

    DRAFT = "draft"
    ACTIVE = "active"
    INACTIVE = "inactive"
    ARCHIVED = "archived"


class Workflow(models.Model):
    """What a user defines and runs; its definition lives in the version numbered `version`."""

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
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now)

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
