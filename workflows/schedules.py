"""Reads of triggers: the schedules that a caller sees, what they started last, and what starts a workflow."""

from collections.abc import Sequence

from django.db.models import F, QuerySet

from accounts.callers import Caller
from core.errors import NotFoundError
from workflows import access
from workflows.models import Slot, Trigger, TriggerType, Workflow


def visible_to(caller: Caller) -> QuerySet[Trigger]:
    """The live schedules of workflows that the caller sees, what fires next first; paused ones last."""
    live = Trigger.objects.filter(type=TriggerType.SCHEDULE, live=True).select_related("workflow__created_by")
    found = live.filter(workflow__in=access.visible_to(caller).values("pk"))
    return found.order_by(F("paused_at").asc(nulls_first=True), F("next_at").asc(nulls_last=True), "pk")


def get_visible(caller: Caller, schedule_id: str) -> Trigger:
    """One schedule. Raises NotFoundError, the same for absent, hidden and ended ones."""
    found = visible_to(caller).filter(pk=schedule_id).first()
    if found is None:
        raise NotFoundError("Schedule not found")
    return found


def live_of(workflow: Workflow) -> QuerySet[Trigger]:
    """What starts the workflow by itself now, hooks and events too."""
    return Trigger.objects.filter(workflow=workflow, live=True).order_by("component_id")


def last_slots(triggers: Sequence[Trigger]) -> dict[str, Slot]:
    """By trigger id, the last slot that was started; one query."""
    ids = [trigger.pk for trigger in triggers]
    slots = Slot.objects.filter(trigger__in=ids).order_by("trigger", "-slot_at").distinct("trigger")
    return {slot.trigger_id: slot for slot in slots}
