"""The ledger: what happened, numbered without gaps within its subject; and how far its readers have come."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from core.ids import ULIDField, id_field


class Event(models.Model):
    """One thing that happened to a workflow or an execution, in the words of `event_types`.

    No foreign keys: the ledger lies below the apps that it tells of, and outlives what it tells of.
    """

    id = models.BigAutoField(primary_key=True)
    subject_id = ULIDField()
    sequence = models.IntegerField()
    workflow_id = ULIDField()
    owner_id = ULIDField()
    type = models.CharField(max_length=40)
    data = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    timestamp = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject_id", "sequence"], name="event_sequence_unique"),
            models.CheckConstraint(condition=models.Q(sequence__gte=1), name="event_sequence_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.subject_id} #{self.sequence} {self.type}"


class Follower(models.Model):
    """How far somebody who reads the whole ledger has come (`events.following`).

    All up to `position` is dealt with. `mark` is an id up to which all will be decided once none of `writers`, virtual
    transactions of PostgreSQL, is at work any more; no mark, no writers.
    """

    name = models.CharField(max_length=40, primary_key=True)
    position = models.BigIntegerField()
    mark = models.BigIntegerField(null=True)
    writers = ArrayField(models.CharField(max_length=40), default=list)

    def __str__(self) -> str:
        return f"{self.name} at {self.position}"


class Announcement(models.Model):
    """Maintenance that staff announce to everybody who is connected; without `ends_at`, until further notice."""

    id = id_field()
    title = models.CharField(max_length=200)
    message = models.TextField(max_length=2000)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [models.Index(fields=["ends_at"], name="announcement_end")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")),
                name="announcement_ends_after_start",
                violation_error_message="It must end after it starts",
            )
        ]

    def __str__(self) -> str:
        return self.title
