"""Schedules: firing the slots that are due, each at most once.

Beat's tick and every worker's keeper call `fire_due`, any number at once. PostgreSQL's clock says what is due, and a
slot's row, written in the transaction that starts its execution, that it is started once.
"""

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from accounts.models import User
from accounts.vault import SealBrokenError
from core import measures
from core.connections import is_away, may_pass
from core.errors import APGError, ConflictError, Problem, ValidationFailedError
from core.redact import Redactor
from core.times import iso
from core.types import JSONObject
from executions import dispatch, plans, services, trigger_parameters
from executions.models import Execution
from executions.services import NewExecution, StartRequest, Stop
from executions.states import ExecutionStatus
from executions.transitions import starting, triggering
from executions.transitions.triggering import TakenSlot
from workflows.activation import schedule_of, tell_skipped
from workflows.expressions import ExpressionError
from workflows.models import Slot, Trigger, WorkflowVersion
from workflows.schedule import ScheduleError, Skip, Step, plan_step

logger = logging.getLogger(__name__)

BATCH = 5_000
# A pass ends after this time: the keeper has leases to renew, and comes again.
_PASS_SECONDS = 1.0
# One commit for so many, so that a herd of them does not wait for as many.
_TOGETHER = 50


class RefusedError(Exception):
    """A slot cannot be started; `reason` is the ledger's word, `message` and `problems` say more."""

    def __init__(self, reason: str, message: str, problems: tuple[Problem, ...] = ()) -> None:
        self.reason, self.message, self.problems = reason, message, problems
        super().__init__(message)

    @property
    def detail(self) -> JSONObject:
        """What the ledger keeps of it: no values, which may be secret."""
        problems = [{"field": problem.field, "message": problem.message} for problem in self.problems[:10]]
        return {"message": self.message, **({"problems": problems} if problems else {})}


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done with a due schedule, and the execution of its slot or why there will be none."""

    trigger: Trigger
    step: Step
    new: NewExecution | None = None
    refusal: RefusedError | None = None


def fire_due() -> int:
    """Start the slots that are due; how many schedules were moved on. Forbids a transaction.

    One that fails is told of in the ledger and passed over; one that is held by somebody is left for the next pass.
    """
    began, moved, moved_before = time.monotonic(), 0, 0
    seen: set[str] = set()
    while time.monotonic() - began < _PASS_SECONDS:
        # In rounds, each once a round: a long catch-up, or a failure, leaves the others their time.
        ids = [id_ for id_ in triggering.due(BATCH) if id_ not in seen][:_TOGETHER]
        if not ids:
            if moved == moved_before:
                break
            moved_before = moved
            seen.clear()
            continue
        seen.update(ids)
        due = _LIVE.filter(pk__in=ids).select_related("workflow__created_by").annotate(now=Now())
        by_account: dict[str, list[Trigger]] = {}
        for trigger in due:
            by_account.setdefault(trigger.workflow.created_by_id, []).append(trigger)
        for triggers in by_account.values():
            moved += _fire_together(triggers)
    return moved


_LIVE = Trigger.objects.filter(live=True, paused_at__isnull=True, next_at__isnull=False)


def _fire_together(triggers: Sequence[Trigger]) -> int:
    """Move the schedules of one account on in one transaction; where that fails, each in one of its own."""
    try:
        return _move_on([plan for trigger in triggers if (plan := _planned(trigger)) is not None])
    except Exception as error:
        if is_away(error):
            raise
        if len(triggers) > 1:
            return sum(map(_fire_alone, triggers))
        if may_pass(error):
            return 0
        logger.exception("Schedule failed", extra={"action": "schedule_failed", "trigger_id": triggers[0].pk})
        return _pass_over(triggers[0])


def _fire_alone(trigger: Trigger) -> int:
    return _fire_together([trigger])


def _pass_over(trigger: Trigger) -> int:
    """Tell of the slot that failed and go on to the next; where that fails too, the next pass tries again."""
    try:
        plan = _planned_past(trigger)
        return 0 if plan is None else _move_on([plan])
    except Exception as error:
        if is_away(error):
            raise
        if may_pass(error):
            return 0
        logger.exception("Schedule is stuck", extra={"action": "schedule_stuck", "trigger_id": trigger.pk})
    return 0


def _planned_past(trigger: Trigger) -> _Plan | None:
    """On to the next slot, or to none where the slots cannot be computed: it would fail the same way for ever."""
    try:
        return _planned(trigger, RefusedError("error", "The slot could not be started; the server's log says why"))
    except ScheduleError as error:
        # What else goes wrong may be this machine's or this release's fault, and is tried again.
        logger.error(
            "Schedule is stuck: its slots cannot be computed",
            extra={"action": "schedule_stuck", "trigger_id": trigger.pk},
        )
        why = (
            f"The slots cannot be computed, so none comes until the schedule is changed, or paused and resumed: {error}"
        )
    return _Plan(trigger, Step((), trigger.next_at, None), refusal=RefusedError("error", why))


def _planned(trigger: Trigger, refusal: RefusedError | None = None) -> _Plan | None:
    """All that can be found out without a lock; None where there is nothing to do, or things have changed."""
    assert trigger.next_at is not None, "asked for"
    now: datetime = trigger.now  # type: ignore[attr-defined]  # the query adds it
    window = timedelta(seconds=trigger.config["catchup_window_seconds"])
    step = plan_step(schedule_of(trigger), trigger.next_at, now, trigger.config["catchup"], window)
    if step.next_at == trigger.next_at:
        return None
    if step.slot is None or refusal is not None:
        return _Plan(trigger, step, refusal=refusal)
    try:
        return _Plan(trigger, step, prepare(trigger, step.slot, now, trigger.config["overlap"]))
    except WorkflowVersion.DoesNotExist:
        return None
    except RefusedError as error:
        return _Plan(trigger, step, refusal=error)


def _move_on(plans: Sequence[_Plan]) -> int:
    """Carry the plans out that still hold; how many. All are of one account. Opens its own durable transaction."""
    if not plans:
        return 0
    account_id = plans[0].trigger.workflow.created_by_id
    stops: list[Stop] = []
    with transaction.atomic(durable=True), dispatch.gathered():
        claimed = triggering.claim([plan.trigger.pk for plan in plans])
        mine = [plan for plan in plans if plan.trigger.pk in claimed]
        there = triggering.lock_workflows_and_account({plan.trigger.workflow_id for plan in mine}, account_id)
        mine = [plan for plan in mine if plan.trigger.workflow_id in there]
        stands = triggering.lock([plan.trigger.pk for plan in mine])
        mine = [
            plan
            for plan in mine
            if stands.get(plan.trigger.pk) == (plan.trigger.next_at, plan.trigger.workflow.version)
        ]
        for plan in mine:
            for skip in plan.step.skips:
                _tell_skipped(plan, skip)
        stops += _start_slots(mine)
        if mine:
            triggering.move_on({plan.trigger.pk: plan.step.next_at for plan in mine})
    services.after_stops(stops)
    return len(mine)


def _start_slots(plans: Sequence[_Plan]) -> list[Stop]:
    """Start the slots of locked schedules that have not been started, and tell of those that are not to be."""
    ready: list[tuple[_Plan, TakenSlot, NewExecution]] = []
    for plan in plans:
        refusal = plan.refusal
        if refusal is None and plan.new is not None and plan.trigger.config["overlap"] == "skip":
            refusal = RefusedError("overlap", OVERLAP) if has_active(plan.trigger) else None
        if refusal is not None:
            _tell_refused(plan, refusal)
        elif plan.new is not None and plan.step.slot is not None:
            ready.append((plan, TakenSlot(plan.trigger.pk, plan.step.slot, plan.new.execution_id), plan.new))
    keys = {(new.workflow_id, key) for _, _, new in ready if (key := new.facts["concurrency_key"]) is not None}
    if keys:
        starting.lock_keys(keys)
    # One that was taken before is a backfill's.
    taken = triggering.take_slots([slot for _, slot, _ in ready])
    stops: list[Stop] = []
    started: list[NewExecution] = []
    late: list[float] = []
    for plan, slot, new in ready:
        if slot.trigger_id not in taken:
            continue
        try:
            stops += services.store(new)
        except ConflictError as error:
            # Raised before its first write.
            Slot.objects.filter(trigger=slot.trigger_id, slot_at=slot.slot_at).delete()
            _tell_refused(plan, RefusedError("concurrency", error.message))
        else:
            started.append(new)
            late.append((plan.trigger.now - slot.slot_at).total_seconds())  # type: ignore[attr-defined]  # the query adds it
    audit.record_all(map(services.started_entry, started))
    transaction.on_commit(lambda: _count_started(late), robust=True)
    return stops


def _count_started(late: Sequence[float]) -> None:
    for seconds in late:
        measures.SCHEDULE_SLOTS.count("started")
        measures.SCHEDULE_LATENESS_SECONDS.observe(max(seconds, 0.0))


def _tell_skipped(plan: _Plan, skip: Skip, detail: JSONObject | None = None) -> None:
    tell_skipped(plan.trigger, plan.trigger.workflow, skip, detail)
    transaction.on_commit(lambda: measures.SCHEDULE_SLOTS.count(skip.reason, amount=skip.count), robust=True)


OVERLAP = "The execution before still runs, and the schedule's overlap is skip"


def _tell_refused(plan: _Plan, refusal: RefusedError) -> None:
    if plan.step.slot is not None:
        skip = Skip(refusal.reason, plan.step.slot, plan.step.slot, 1)
        _tell_skipped(plan, skip, refusal.detail)


def has_active(trigger: Trigger) -> bool:
    """Whether an execution that the trigger started has not ended; found among the account's, which are few."""
    account = trigger.workflow.created_by_id
    own = Execution.objects.filter(created_by=account, workflow=trigger.workflow_id, trigger__schedule_id=trigger.pk)
    # Each as a partial index has it.
    admitted = own.filter(admitted_at__isnull=False, completed_at__isnull=True, parent_run__isnull=True)
    return admitted.exists() or own.filter(status=ExecutionStatus.QUEUED, admitted_at__isnull=True).exists()


def prepare(trigger: Trigger, slot: datetime | None, now: datetime, overlap: str, **more: bool) -> NewExecution:
    """Everything that can be done without a lock. Raises RefusedError, and WorkflowVersion.DoesNotExist."""
    workflow, owner = trigger.workflow, trigger.workflow.created_by
    with refusals():
        require_owner(owner)
        compiled = services.compiled_to_run(plans.version_id(workflow.pk, workflow.version))
        start = compiled.definition.by_id[trigger.component_id]
        given = trigger_parameters.parameters_of(start.config, workflow, slot_at=slot, now=now)
        told: JSONObject = {"type": "schedule", "schedule_id": trigger.pk, "component_id": trigger.component_id, **more}
        if slot is not None:
            told["slot_at"] = iso(slot)
        try:
            new = services.prepare(
                workflow, owner, StartRequest(given.values), told, hidden=given.hidden, masks=given.masks
            )
        except ValidationFailedError as error:
            raise refused_without(given.hidden, error) from None
    if overlap == "queue" and new.strategy in {None, "queue"}:
        _queue_behind(new, trigger)
    return new


def _queue_behind(new: NewExecution, trigger: Trigger) -> None:
    """Let it wait for its turn: one at a time for its key, which is the workflow's own where that has one."""
    if new.facts["concurrency_key"] is None:
        new.facts["concurrency_key"] = hashlib.sha256(f"trigger {trigger.pk}".encode()).hexdigest()
    new.facts["concurrency_limit"] = 1


def require_owner(owner: User) -> None:
    """Raises RefusedError where the workflow's owner may do nothing any more."""
    if not owner.is_active:
        raise RefusedError("owner_inactive", "The account of the workflow's owner is not active")


def refused_without(hidden: frozenset[str], error: APGError) -> RefusedError:
    """The same as a refusal, and nothing of the hidden texts in it."""
    redactor = Redactor(hidden)
    problems = tuple(Problem(redactor.redact_text(each.message), field=each.field) for each in error.problems)
    return RefusedError("refused", redactor.redact_text(error.message), problems)


@contextmanager
def refusals() -> Iterator[None]:
    """What keeps an execution from being started, as RefusedError."""
    try:
        yield
    except SealBrokenError as error:
        raise RefusedError("refused", f"A secret does not open: {error}") from None
    except APGError as error:
        raise RefusedError("refused", error.message, tuple(error.problems)) from None
    except ExpressionError as error:
        raise RefusedError("refused", f"The trigger's parameters cannot be computed: {error}") from None
