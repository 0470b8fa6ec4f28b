"""What the platform keeps beside executions: of their storage, of requests for them, of workers, and counts."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from core.ids import ULIDField, id_field
from events.models import Announcement
from executions.models.execution import Execution
from workflows.models import Trigger


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
