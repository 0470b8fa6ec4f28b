"""What users do with schedules by hand: pause and resume them, look ahead, run one now, start slots that passed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from accounts.audit import Action
from core.errors import APGError, ConflictError, NotFoundError, Problem, ValidationFailedError
from core.times import iso
from executions import services
from executions.models import Execution
from executions.services import NewExecution
from executions.transitions import starting, triggering
from executions.transitions.triggering import TakenSlot
from executions.triggers import OVERLAP, RefusedError, has_active, prepare
from workflows.activation import pause, resume, schedule_of
from workflows.models import Slot, Trigger, Workflow, WorkflowVersion
from workflows.schedule import ScheduleError, slots_after, slots_between

MAX_BACKFILL = 500


def set_paused(*, trigger: Trigger, paused: bool) -> Trigger:
    """Pause or resume a schedule; doing it twice changes nothing. Opens its own transaction.

    Raises NotFoundError if it has ended meanwhile, ValidationFailedError if its slots cannot be computed any more.
    """
    with _slots_computed(), transaction.atomic(durable=True):
        starting.lock_workflow_and_account(trigger.workflow_id, trigger.workflow.created_by_id)
        rows = Trigger.objects.select_for_update(of=("self",), no_key=True).annotate(now=Now())
        current = rows.select_related("workflow").filter(pk=trigger.pk, live=True).first()
        if current is None:
            raise NotFoundError("Schedule not found")
        if paused == (current.paused_at is not None):
            return current
        if paused:
            pause(current, current.now)
        else:
            resume(current, current.workflow, current.now)
        action = Action.SCHEDULE_PAUSED if paused else Action.SCHEDULE_RESUMED
        audit.record(action, current, workflow_id=current.workflow_id)
    return current


def run_now(*, trigger: Trigger) -> Execution:
    """An execution as the schedule would start it, beside its slots. Opens its own durable transaction.

    Raises ConflictError where the execution before still runs and `overlap` is `skip`, and the errors of a start.
    """
    new = _prepared_by_hand(trigger, None, trigger.config["overlap"], run_now=True)
    with transaction.atomic(durable=True):
        starting.lock_workflow_and_account(trigger.workflow_id, trigger.workflow.created_by_id)
        _require_live(trigger)
        if trigger.config["overlap"] == "skip" and has_active(trigger):
            raise ConflictError(OVERLAP)
        stops = services.store(new)
        audit.record_all([services.started_entry(new)])
        audit.record(Action.SCHEDULE_RUN, trigger, workflow_id=trigger.workflow_id, execution_id=new.execution_id)
    services.after_stops(stops)
    return Execution.objects.get(pk=new.execution_id)


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What came of one slot: its execution and whether this request started it, or why it was refused."""

    slot_at: datetime
    execution_id: str | None
    started: bool
    message: str = ""


def past_slots(*, trigger: Trigger, start: datetime, end: datetime) -> list[datetime]:
    """The slots from `start` to `end`, both included.

    Raises ValidationFailedError for times that are not past, in the wrong order, or hold more than MAX_BACKFILL slots,
    and where the slots cannot be computed.
    """
    now: datetime = Workflow.objects.values_list(Now(), flat=True).get(pk=trigger.workflow_id)
    if start > end:
        raise _bad_range("from", "a time before `to`", iso(start))
    if end > now:
        raise _bad_range("to", "a time that has passed", iso(end))
    with _slots_computed():
        slots = list(islice(slots_between(schedule_of(trigger), start, end), MAX_BACKFILL + 1))
    if len(slots) > MAX_BACKFILL:
        raise _bad_range("from", f"a range of at most {MAX_BACKFILL} slots", iso(start))
    return slots


def backfill(*, trigger: Trigger, slots: Sequence[datetime], overlap: str) -> list[Backfilled]:
    """Start those of the slots that have not been, each in a transaction of its own.

    `overlap` is `queue`, one after another, or `allow`.
    """
    if slots:
        told = {"first_slot_at": iso(slots[0]), "last_slot_at": iso(slots[-1]), "slots": len(slots)}
        audit.record(Action.SCHEDULE_BACKFILLED, trigger, workflow_id=trigger.workflow_id, **told)
    return [_backfill_slot(trigger, slot, overlap) for slot in slots]


def _backfill_slot(trigger: Trigger, slot: datetime, overlap: str) -> Backfilled:
    earlier = Slot.objects.filter(trigger=trigger, slot_at=slot).values_list("execution_id", flat=True).first()
    if earlier is not None:
        return Backfilled(slot, earlier, started=False)
    try:
        new = _prepared_by_hand(trigger, slot, overlap, backfill=True)
        with transaction.atomic(durable=True):
            starting.lock_workflow_and_account(trigger.workflow_id, trigger.workflow.created_by_id)
            _require_live(trigger)
            if not triggering.take_slots([TakenSlot(trigger.pk, slot, new.execution_id)]):
                return Backfilled(slot, Slot.objects.get(trigger=trigger, slot_at=slot).execution_id, started=False)
            # What it refuses it raises, and with it the slot is given back.
            stops = services.store(new)
            audit.record_all([services.started_entry(new)])
    except (RefusedError, APGError) as error:
        return Backfilled(slot, None, started=False, message=error.message)
    services.after_stops(stops)
    return Backfilled(slot, new.execution_id, started=True)


def _prepared_by_hand(trigger: Trigger, slot: datetime | None, overlap: str, **more: bool) -> NewExecution:
    now: datetime = Workflow.objects.values_list(Now(), flat=True).get(pk=trigger.workflow_id)
    try:
        return prepare(trigger, slot, now, overlap, **more)
    except WorkflowVersion.DoesNotExist:
        raise NotFoundError("Schedule not found") from None
    except RefusedError as error:
        raise ValidationFailedError(f"The schedule cannot start: {error.message}", problems=error.problems) from None


def _require_live(trigger: Trigger) -> None:
    if not Trigger.objects.filter(pk=trigger.pk, live=True).exists():
        raise NotFoundError("Schedule not found")


@contextmanager
def _slots_computed() -> Iterator[None]:
    try:
        yield
    except ScheduleError as error:
        raise ValidationFailedError(f"The schedule's slots cannot be computed: {error}") from None


def _bad_range(field: str, expected: str, received: str) -> ValidationFailedError:
    details = {"expected": expected, "received": received}
    return ValidationFailedError(problems=[Problem(f"Must be {expected}", field=field, details=details)])


def upcoming(trigger: Trigger, count: int) -> list[datetime]:
    """The next slots of a schedule, `count` at most. Raises ValidationFailedError where they cannot be computed."""
    now: datetime = Workflow.objects.values_list(Now(), flat=True).get(pk=trigger.workflow_id)
    with _slots_computed():
        return list(islice(slots_after(schedule_of(trigger), now), count))
