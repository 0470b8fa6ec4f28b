"""What comes to life with a workflow, and ends with it: the triggers that its `start` asks for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models.functions import Now

from accounts import audit
from core.errors import NotFoundError, Problem, WorkflowInvalidError
from core.ids import parse_id
from core.times import iso
from core.types import JSONObject
from events import ledger
from events.event_types import EventType
from events.models import Event
from workflows import hook_tokens
from workflows.definition import Definition
from workflows.models import Trigger, TriggerType, Workflow, WorkflowStatus
from workflows.schedule import Schedule, ScheduleError, Skip, next_slot, require_slot, skipped

# What a trigger's row keeps of its start: all but what may be secret, which is read from the version.
_KEPT: Mapping[str, JSONObject] = {
    TriggerType.SCHEDULE: {
        "cron": None,
        "interval_seconds": None,
        "timezone": "UTC",
        "overlap": "skip",
        "catchup": "latest",
        "catchup_window_seconds": 86_400,
    },
    TriggerType.WEBHOOK: {"methods": ["POST"], "dedupe_header": "Idempotency-Key", "header_name": None},
    TriggerType.EVENT: {"event": None, "workflow_id": None},
}
_WHEN = ("cron", "interval_seconds", "timezone")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A trigger that a definition asks for, and where it stands in it."""

    component_id: str
    position: int
    type: TriggerType
    config: JSONObject


def schedule_of(trigger: Trigger) -> Schedule:
    """What a schedule's row says of its slots."""
    config = trigger.config
    return Schedule(config["cron"], config["interval_seconds"], config["timezone"], trigger.anchor_at)


def settle_triggers(workflow: Workflow, definition: Definition) -> None:
    """Make the workflow's triggers what its status and its definition want now.

    Needs a transaction that holds the workflow's row lock. A schedule goes on where its slots stay the same, and
    begins anew where they change; what was due and not started is told of. Raises WorkflowInvalidError for a schedule
    that never fires.
    """
    assert connection.in_atomic_block
    now: datetime = Workflow.objects.values_list(Now(), flat=True).get(pk=workflow.pk)
    rows = {row.component_id: row for row in Trigger.objects.select_for_update(no_key=True).filter(workflow=workflow)}
    wanted = list(_wanted(definition)) if workflow.status == WorkflowStatus.ACTIVE else []
    kept = {want.component_id for want in wanted}
    for component_id, row in rows.items():
        if row.live and component_id not in kept:
            _end(row, now, workflow)
    for want in wanted:
        found = rows.get(want.component_id)
        if found is not None and found.type != want.type:
            found.delete()
            found = None
        _begin(workflow, want, found, now)


def _wanted(definition: Definition) -> Iterator[_Wanted]:
    for spec in definition.components:
        kind = spec.config.get("trigger_type")
        if spec.type == "start" and kind in TriggerType.values:
            kept = {name: spec.config.get(name, default) for name, default in _KEPT[kind].items()}
            if isinstance(named := kept.get("workflow_id"), str):
                kept["workflow_id"] = _canonical(named)
            yield _Wanted(spec.id, spec.position, TriggerType(kind), kept)


def _canonical(workflow_id: str) -> str:
    try:
        return parse_id(workflow_id)
    except ValueError:
        return workflow_id  # of no workflow


def _begin(workflow: Workflow, want: _Wanted, row: Trigger | None, now: datetime) -> None:
    new = row is None
    trigger = row or Trigger(workflow=workflow, component_id=want.component_id, type=want.type)
    # One that is stuck has no slot to come, and is computed anew.
    goes_on = trigger.live and trigger.next_at is not None
    same_slots = goes_on and all(trigger.config.get(name) == want.config.get(name) for name in _WHEN)
    if trigger.live and not same_slots:
        tell_of_open_slots(trigger, workflow, now, "schedule_changed")
    if want.type is TriggerType.EVENT and not trigger.live:
        trigger.anchor_at = now
    trigger.live, trigger.config = True, want.config
    if want.type is TriggerType.SCHEDULE and not same_slots:
        trigger.anchor_at = now.replace(microsecond=0)
        try:
            trigger.next_at = require_slot(schedule_of(trigger), now)
        except ScheduleError as error:
            field = f"definition.components[{want.position}].config.cron"
            details = {"expected": "fields that some date fits", "received": want.config["cron"]}
            problem = Problem(f"The schedule never fires: {error}", field=field, details=details)
            raise WorkflowInvalidError(problems=[problem]) from None
    if want.type is TriggerType.WEBHOOK and new:
        hook_tokens.renew(trigger)
    trigger.save(force_insert=new, force_update=not new)


def _end(trigger: Trigger, now: datetime, workflow: Workflow) -> None:
    tell_of_open_slots(trigger, workflow, now, "workflow_inactive")
    trigger.live, trigger.next_at = False, None
    trigger.save(update_fields=["live", "next_at"])


def tell_of_end(workflow: Workflow) -> None:
    """The workflow is about to be deleted: what is due is told of. Needs its row lock."""
    now: datetime = Workflow.objects.values_list(Now(), flat=True).get(pk=workflow.pk)
    for trigger in Trigger.objects.select_for_update(no_key=True).filter(workflow=workflow, live=True):
        tell_of_open_slots(trigger, workflow, now, "workflow_deleted")


def tell_of_open_slots(trigger: Trigger, workflow: Workflow, now: datetime, reason: str) -> None:
    """Tell of the slots that are due and not started, which will not be now. Needs the trigger's row lock."""
    if trigger.next_at is not None and trigger.next_at <= now:
        why = "paused" if trigger.paused_at is not None else reason
        try:
            found = skipped(schedule_of(trigger), trigger.next_at, now + timedelta(microseconds=1), why)
        except ScheduleError:
            # A zone that is gone keeps nobody from ending or changing the schedule.
            found = Skip(why, trigger.next_at, trigger.next_at, 1, more=True)
        tell_skipped(trigger, workflow, found)


def tell_skipped(trigger: Trigger, workflow: Workflow, skip: Skip, detail: JSONObject | None = None) -> None:
    """Write down slots that are not started, and why. Needs a transaction that holds the trigger's row lock."""
    slots = {
        "first_slot_at": iso(skip.first),
        "last_slot_at": iso(skip.last),
        "count": skip.count,
        "counted_all": not skip.more,
    }
    _tell(trigger, workflow, {"reason": skip.reason, **slots, **(detail or {})})


def tell_of_event(trigger: Trigger, workflow: Workflow, event: Event, reason: str, detail: JSONObject) -> None:
    """Write down an event that an event trigger was not started for, and why. Needs as `tell_skipped` does."""
    about = {"event": event.type, "subject_id": event.subject_id, "sequence": event.sequence}
    _tell(trigger, workflow, {"reason": reason, **about, **detail})


def _tell(trigger: Trigger, workflow: Workflow, data: JSONObject) -> None:
    about = {"trigger_type": trigger.type, "trigger_id": trigger.pk, "component_id": trigger.component_id}
    ledger.append(
        subject_id=trigger.pk,
        workflow_id=workflow.pk,
        owner_id=workflow.created_by_id,
        type=EventType.TRIGGER_SKIPPED,
        data={**about, **data},
    )


def rotate_token(*, workflow: Workflow, component_id: str) -> Trigger:
    """Give a hook a new address; the old one is unknown at once. Opens its own durable transaction.

    Raises NotFoundError where the active workflow has no such hook.
    """
    with transaction.atomic(durable=True):
        Workflow.objects.select_for_update(of=("self",), no_key=True).filter(pk=workflow.pk).first()
        live = Trigger.objects.filter(workflow=workflow, component_id=component_id, live=True)
        trigger = live.filter(type=TriggerType.WEBHOOK).select_for_update(no_key=True).first()
        if trigger is None:
            raise NotFoundError("Hook not found")
        hook_tokens.renew(trigger)
        trigger.save(update_fields=["token_digest", "sealed_token"])
        audit.record(audit.Action.HOOK_ROTATED, trigger, workflow_id=workflow.pk, component_id=component_id)
    return trigger


def pause(trigger: Trigger, now: datetime) -> None:
    """Start no slot from now on. Needs the trigger's row lock."""
    if trigger.paused_at is None:
        trigger.paused_at = now
        trigger.save(update_fields=["paused_at"])


def resume(trigger: Trigger, workflow: Workflow, now: datetime) -> None:
    """Go on with the next slot; those that passed meanwhile are told of. Needs the trigger's row lock.

    Raises ScheduleError where the slots cannot be computed.
    """
    if trigger.paused_at is None:
        return
    if trigger.next_at is None or trigger.next_at <= now:
        tell_of_open_slots(trigger, workflow, now, "paused")
        trigger.next_at = next_slot(schedule_of(trigger), now)
    trigger.paused_at = None
    trigger.save(update_fields=["paused_at", "next_at"])
