"""Append to the ledger inside the caller's transaction, and read it from a sequence number on."""

from django.db import connection, models

from core.types import JSONObject
from events.event_types import EventType
from events.models import Event


def append(*, subject_id: str, workflow_id: str, owner_id: str, type: EventType, data: JSONObject) -> Event:  # noqa: A002
    """Write the next event of a subject.

    Needs a transaction that holds the subject's row lock: the number is the highest so far plus one.
    (Executions number their events in `executions.transitions`, in the statement that moves them.)
    """
    assert connection.in_atomic_block, "append to the ledger in the transaction that made the event true"
    highest = Event.objects.filter(subject_id=subject_id).aggregate(highest=models.Max("sequence"))["highest"]
    return Event.objects.create(
        subject_id=subject_id,
        workflow_id=workflow_id,
        owner_id=owner_id,
        sequence=(highest or 0) + 1,
        type=type,
        data=data,
    )


def since(subject_id: str, sequence: int) -> models.QuerySet[Event]:
    """The subject's events after `sequence`, in order."""
    return Event.objects.filter(subject_id=subject_id, sequence__gt=sequence).order_by("sequence")
