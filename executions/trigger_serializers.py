"""Schedules on the wire: what bodies may hold, and what answers do."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from rest_framework import serializers

from core.serializers import StrictSerializer, TimeField
from core.types import JSONObject
from events.models import Event
from executions import outputs
from executions.models import Execution
from executions.schedule_actions import Backfilled
from workflows.models import Slot, Trigger


class NothingSerializer(StrictSerializer):
    """The body of actions that take none."""


class BackfillSerializer(StrictSerializer):
    """The body of `POST schedules/{id}/backfill`."""

    to = TimeField()
    overlap = serializers.ChoiceField(choices=["queue", "allow"], required=False, default="queue")

    def get_fields(self) -> "dict[str, serializers.Field]":  # type: ignore[type-arg]  # the stubs' own has none
        # `from` is a word of Python's.
        return {"from": TimeField(), **super().get_fields()}


def schedule_data(trigger: Trigger, last: Mapping[str, Slot]) -> JSONObject:
    """A schedule; `last` has the last slots started, by trigger id."""
    slot = last.get(trigger.pk)
    config = trigger.config
    return {
        "id": trigger.pk,
        "workflow_id": trigger.workflow_id,
        "workflow_name": trigger.workflow.name,
        "component_id": trigger.component_id,
        "cron": config["cron"],
        "interval_seconds": config["interval_seconds"],
        "timezone": config["timezone"],
        "overlap": config["overlap"],
        "catchup": config["catchup"],
        "catchup_window_seconds": config["catchup_window_seconds"],
        "paused": trigger.paused_at is not None,
        "next_at": None if trigger.paused_at is not None else trigger.next_at,
        "last_slot_at": None if slot is None else slot.slot_at,
        "last_execution_id": None if slot is None else slot.execution_id,
    }


def preview_data(trigger: Trigger, slots: Sequence[datetime]) -> JSONObject:
    """The slots that come next, in UTC and in the schedule's own zone."""
    zone = ZoneInfo(trigger.config["timezone"])
    shown = [{"slot_at": slot, "local": slot.astimezone(zone).isoformat()} for slot in slots]
    return {"timezone": trigger.config["timezone"], "slots": shown}


def trigger_event_data(event: Event) -> JSONObject:
    """A ledger event of a trigger."""
    return {"sequence": event.sequence, "type": event.type, "timestamp": event.timestamp, "data": event.data}


def hook_data(execution: Execution) -> JSONObject:
    """What a delivery to a hook is answered at once."""
    return run_data(execution)


def hook_result_data(execution: Execution) -> JSONObject:
    """What one is answered that waited until the end."""
    return {
        **run_data(execution),
        "completed_at": execution.completed_at,
        **outputs.shown_results(execution),
        "error": execution.error,
    }


def run_data(execution: Execution) -> JSONObject:
    """What running a schedule at once answers."""
    return {"execution_id": execution.pk, "status": execution.status, "created_at": execution.created_at}


def backfill_data(done: Sequence[Backfilled]) -> JSONObject:
    """What came of each slot, and how many of which."""
    results = [
        {"slot_at": each.slot_at, "execution_id": each.execution_id, "started": each.started,
         "message": each.message or None}
        for each in done
    ]  # fmt: skip
    summary = {
        "total": len(done),
        "started": sum(each.started for each in done),
        "refused": sum(each.execution_id is None for each in done),
    }
    return {"results": results, "summary": summary}
