"""The sweeps: what lost hints, lost workers and passing time leave behind is picked up here.

Every state that is not final belongs to one of them. They need no leader: each takes small batches with
SKIP LOCKED or conditional moves, and is harmless when run twice or by many workers at once.
"""

import logging
import time
from collections.abc import Callable

from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone

from core import measures
from core.connections import is_away, may_pass
from core.errors import ErrorCode, NotFoundError
from core.table_facts import analyze_young_tables
from core.types import JSONObject
from executions import (
    admission,
    bulk_cancel,
    conclude,
    dispatch,
    maintenance_mode,
    passes,
    plans,
    reactions,
    services,
    triggers,
)
from executions.failpoints import failpoint
from executions.interrupts import asked_again, may_judge_others
from executions.passes import see_to_each
from executions.states import ExecutionStatus
from executions.transitions import running, starting, sweeping, tallying, waiting
from executions.transitions.starting import Due
from executions.transitions.statements import LockHeldError, patient_for
from executions.transitions.sweeping import LostRun

logger = logging.getLogger(__name__)

# Small, so that a sweep never holds many rows, nor one worker all the work.
BATCH = 100
LOCK_SECONDS = 1


def sweep() -> int:
    """Run every sweep once; how many things they moved. Forbids a transaction."""
    moved = 0
    for name in SWEEPS:
        # In a task: its warden ends what takes a minute, and means a sweep and not all of them.
        asked_again(time.monotonic())
        moved += sweep_one(name)
    return moved


def sweep_one(name: str) -> int:
    """Run one sweep; how many things it moved. One that fails is logged and keeps none of the others from its work.

    A row that somebody holds for long is waited for only so long: the next tick tries again. Raises DatabaseError
    where PostgreSQL cannot be reached: then the others could do nothing either.
    """
    try:
        failpoint(f"sweep_{name}")
        with patient_for(LOCK_SECONDS):
            found = SWEEPS[name]()
    except LockHeldError:
        logger.warning("Sweep waits for a lock: %s", name, extra={"action": "sweep_waits"})
        return 0
    except Exception as error:
        if is_away(error):
            raise
        logger.exception("Sweep failed: %s", name, extra={"action": "sweep_failed"})
        return 0
    if found:
        measures.SWEEP_FINDS.count(name, amount=found)
    return found


def ring_unclaimed() -> int:
    """Queued runs nobody claimed for RING_AGAIN_SECONDS: their message was lost. Ring again."""
    runs = sweeping.ring_again(BATCH)
    dispatch.ring(runs)
    return len(runs)


def wake_due() -> int:
    """Waiting runs whose time has come (delays, retries, signals that did not come in time) are queued."""
    runs = waiting.wake(BATCH)
    dispatch.ring(runs)
    return len(runs)


def resume_parents() -> int:
    """Runs that wait for a child or for items of which none is left, where the end could not wake them."""
    runs = waiting.resume_parents(BATCH)
    dispatch.ring(runs)
    return len(runs)


def cancel_orphans() -> int:
    """Child executions whose parent was cancelled or failed meanwhile."""

    def stop(execution_id: str) -> None:
        conclude.stop_execution(execution_id, ExecutionStatus.CANCELLED)

    return len(see_to_each("cancel_orphans", waiting.orphans(BATCH), stop, whose=str))


def rescue_expired() -> int:
    """Running runs whose lease passed: their worker is gone or frozen. None right after an outage of PostgreSQL's."""
    if not may_judge_others(settings.ENGINE["LEASE_SECONDS"]):
        return 0

    def rescue(run: LostRun) -> None:
        conclude.rescue(run, "Worker lost: its lease passed; trying again")

    return len(see_to_each("rescue_expired", sweeping.expired(BATCH), rescue, whose=lambda run: run.key.execution_id))


def queue_scheduled() -> int:
    """Pending executions whose `scheduled_at` has come; where their key has no place, their strategy decides.

    One that waits for a lock is left for the next tick, and with it those of its workflow, which would overtake it, and
    of its account, which would wait too.
    """
    moved = starting.queue_due(BATCH)
    began, left = time.monotonic(), set[str]()
    for due in starting.due_with_key(BATCH):
        if time.monotonic() - began > passes.PASS_SECONDS:
            break
        if not left.isdisjoint({due.workflow_id, due.account_id}):
            continue
        try:
            moved += _queue(due)
        except OperationalError as error:
            if is_away(error):
                raise
            logger.warning("Sweep waits for a lock: %s", "queue_scheduled", extra={"action": "sweep_waits"})
            left |= {due.workflow_id, due.account_id}
    return moved


def _queue(due: Due) -> bool:
    """Queue it, or end it with the reason why that fails; where that fails too, the next tick tries again."""
    try:
        return services.queue_scheduled(due)
    except NotFoundError:
        # Its workflow has been deleted meanwhile, and it with it.
        return False
    except plans.UnrunnableError as unrunnable:
        return _refuse(due, {"code": str(ErrorCode.WORKFLOW_INVALID), "message": str(unrunnable)})
    except Exception as error:
        if may_pass(error):
            raise
        logger.exception(
            "Scheduled execution failed", extra={"action": "scheduled_failed", "execution_id": due.execution_id}
        )
    message = "Its concurrency strategy could not be applied; the server's log says why"
    try:
        return _refuse(due, {"code": str(ErrorCode.EXECUTION_FAILED), "message": message})
    except Exception as error:
        if may_pass(error):
            raise
        logger.exception(
            "Scheduled execution is stuck", extra={"action": "scheduled_stuck", "execution_id": due.execution_id}
        )
        return False


def _refuse(due: Due, error: JSONObject) -> bool:
    with transaction.atomic(durable=True):
        # Not where another worker could queue it meanwhile.
        if not starting.queue(due.execution_id):
            return False
        ends = conclude.stop_in_transaction(due.execution_id, ExecutionStatus.FAILED, error)
    conclude.after_stop(due.execution_id, ends or [])
    return True


def admit_waiting() -> int:
    """Queued executions without a slot whose account has one free; in maintenance mode none but children."""
    held = maintenance_mode.current().held
    accounts = admission.accounts_of_waiting_children() if held else admission.waiting_accounts()
    return sum(see_to_each("admit_waiting", accounts, admission.admit, whose=str))


def stop_overdue() -> int:
    """Executions past their `settings.timeout_seconds` fail with TIMEOUT_ERROR."""
    error = {"code": str(ErrorCode.TIMEOUT_ERROR), "message": "The execution ran into its timeout"}

    def stop(execution_id: str) -> None:
        conclude.stop_execution(execution_id, ExecutionStatus.FAILED, error)

    return len(see_to_each("stop_overdue", sweeping.overdue(BATCH), stop, whose=str))


def complete_unfinished() -> int:
    """Executions none of whose runs remains, but whose worker died before it said so."""
    unfinished = sweeping.unfinished(BATCH)
    return len(see_to_each("complete_unfinished", unfinished, conclude.complete_execution, whose=str))


def let_in_held() -> int:
    """Queued runs that `max_parallel` held, where a place has become free and nobody said so."""
    return sum(see_to_each("let_in_held", running.holding(BATCH), conclude.let_in, whose=str))


def cancel_matching() -> int:
    """Executions that staff want cancelled, all that match a filter; a slice at a time."""
    return bulk_cancel.work()


def seal_days() -> int:
    """Days that are over, all of whose executions have ended, are counted in advance."""
    with transaction.atomic():
        return tallying.seal(timezone.now().date(), BATCH)


def analyze_young() -> int:
    """Tables that have multiplied within a minute are looked at, so that plans fit them. Moves nothing."""
    analyze_young_tables()
    return 0


def fire_schedules() -> int:
    """Slots of schedules that are due; beat asks for it too, and more often."""
    return triggers.fire_due()


def follow_events() -> int:
    """Events of the ledger that event triggers wait for are noted."""
    return reactions.follow()


def start_reactions() -> int:
    """What is noted is started."""
    return reactions.react()


SWEEPS: dict[str, Callable[[], int]] = {
    # First: what takes the others long is no outage, after which it would do nothing.
    "rescue_expired": rescue_expired,
    "fire_schedules": fire_schedules,
    "follow_events": follow_events,
    "start_reactions": start_reactions,
    "stop_overdue": stop_overdue,
    "queue_scheduled": queue_scheduled,
    "admit_waiting": admit_waiting,
    "wake_due": wake_due,
    "resume_parents": resume_parents,
    "cancel_orphans": cancel_orphans,
    "let_in_held": let_in_held,
    "ring_unclaimed": ring_unclaimed,
    "complete_unfinished": complete_unfinished,
    "cancel_matching": cancel_matching,
    "seal_days": seal_days,
    "analyze_young": analyze_young,
}
