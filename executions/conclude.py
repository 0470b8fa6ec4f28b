"""How an attempt is recorded and what follows: retry or end, successors, dead paths, the execution's end."""

import logging
import random
from dataclasses import replace

from django.conf import settings
from django.db import transaction

from core.errors import ErrorCode
from core.types import JSONObject
from executions import admission, dispatch, plans
from executions.decider import Delta, Settled, settle, settle_skipped
from executions.failpoints import failpoint
from executions.retries import delay_before_retry
from executions.states import ExecutionStatus, RunStatus
from executions.transitions import ending, running
from executions.transitions.statements import (
    Ended,
    ExecutionEnd,
    Finished,
    Holder,
    Measured,
    QueuedRun,
    RunKey,
)
from executions.transitions.sweeping import LostRun
from workflows.definition import ComponentSpec, Definition

logger = logging.getLogger(__name__)

_NOBODY = Holder("", 0)


def end_run(
    key: RunKey,
    component: ComponentSpec,
    definition: Definition,
    ended: Ended,
    settled: Settled,
    *,
    holder: Holder,
    keep: bool,
) -> tuple[RunKey, str] | None:
    """Record a run's end and what `decider.settle` made of it, move on whatever it set free, and send the messages.

    With `keep`, one successor that is ready is claimed for `holder`: (its key, its component id). Forbids a
    transaction. If the attempt no longer holds the run, its result is dropped.
    """
    failpoint("before_finish")
    ended = replace(ended, taken=settled.taken)
    if settled.may_end:
        with transaction.atomic(durable=True):
            finished, queued, end = _finish_whole(key, component, definition, ended, settled, holder, keep)
    else:
        finished = running.finish(key, ended, settled.deltas, holder=holder, keep=_preferred(settled, definition, keep))
        queued = finished.queued if finished else []
        # Only an execution that is being stopped gets here with nothing left: its successors are cancelled.
        end = ending.complete(key.execution_id) if finished and finished.remaining == 0 else None
    failpoint("after_finish")
    dispatch.ring(queued)
    failpoint("after_publish")
    _after_end(end)
    return (finished.kept, finished.kept_component_id) if finished and finished.kept else None


def _finish_whole(
    key: RunKey,
    component: ComponentSpec,
    definition: Definition,
    ended: Ended,
    settled: Settled,
    holder: Holder,
    keep: bool,
) -> tuple[Finished | None, list[QueuedRun], ExecutionEnd | None]:
    """The finish with all that may follow from it in one transaction: a stop, dead paths, the execution's end."""
    error = _execution_error(ended, component) if settled.unhandled_failure else None
    stopping = error is not None and definition.settings.on_failure == "stop"
    finished = running.finish(
        key,
        ended,
        () if stopping else settled.deltas,
        holder=holder,
        keep=_preferred(settled, definition, keep),
        execution_error=error,
    )
    if finished is None:
        return None, [], None
    queued, skipped, remaining = finished.queued, finished.skipped, finished.remaining
    if stopping and remaining:
        remaining = ending.stop(key.execution_id, ExecutionStatus.FAILED)
    while skipped:
        step = running.cascade(key.execution_id, settle_skipped(definition, skipped))
        queued = queued + step.queued
        skipped, remaining = step.skipped, step.remaining
    failpoint("before_complete")
    end = ending.complete(key.execution_id) if remaining == 0 else None
    return finished, queued, end


def _preferred(settled: Settled, definition: Definition, keep: bool) -> str | None:
    """The successor this worker would go on with: one that needs nobody else, else the first."""
    live = [delta for delta in settled.deltas if delta.taken] if keep else []

    def ready_now(delta: Delta) -> bool:
        target = definition.by_id[delta.component_id]
        return target.join == "any" or delta.decided == len(definition.incoming[target.id])

    return next((delta.component_id for delta in [*filter(ready_now, live), *live]), None)


def _execution_error(ended: Ended, component: ComponentSpec) -> JSONObject:
    error = ended.error or {"code": str(ErrorCode.COMPONENT_ERROR), "message": "Component failed"}
    return {"code": error["code"], "message": error["message"], "component_id": component.id}


def fail_execution(key: RunKey, component_id: str, message: str, holder: Holder) -> None:
    """End a claimed run and its execution that cannot go on at all (definition or parameters unreadable)."""
    error = {"code": str(ErrorCode.WORKFLOW_INVALID), "message": message}
    ended = Ended(RunStatus.FAILED, error=error)
    whole = {**error, "component_id": component_id}
    end = None
    with transaction.atomic(durable=True):
        finished = running.finish(key, ended, (), holder=holder, keep=None, execution_error=whole)
        if finished and (finished.remaining == 0 or ending.stop(key.execution_id, ExecutionStatus.FAILED) == 0):
            end = ending.complete(key.execution_id)
    _after_end(end)


def stop_execution(execution_id: str, stop_as: ExecutionStatus, error: JSONObject | None = None) -> bool:
    """Start nothing new, end the waits, and end the execution if nothing is running. False if it had ended."""
    with transaction.atomic(durable=True):
        if not ending.lock(execution_id):
            return False
        remaining = ending.stop(execution_id, stop_as, error)
        end = ending.complete(execution_id) if remaining == 0 else None
    _after_end(end)
    return True


def complete_execution(execution_id: str) -> None:
    """End an execution none of whose runs remains."""
    _after_end(ending.complete(execution_id))


def _after_end(end: ExecutionEnd | None) -> None:
    if end is not None and end.others_waiting:
        admission.admit(end.account_id)


def rescue(lost: LostRun, reason: str) -> None:
    """Give a run whose holder is gone another attempt; after MAX_CRASHES, or in an ending execution, end it.

    Harmless if the holder was not gone after all: the old attempt's record is then refused.
    """
    if lost.crashes + 1 < settings.ENGINE["MAX_CRASHES"]:
        queued = running.release(lost.key, reason, crash=True)
        dispatch.ring(queued)
        if queued:
            logger.warning(
                "Run rescued",
                extra={
                    "action": "rescued",
                    "execution_id": lost.key.execution_id,
                    "component_id": lost.component_id,
                    "attempt": lost.key.attempt,
                },
            )
            return
        # Not moved: it ended meanwhile, or its execution is stopping and the run is cancelled with it.
        status, error = RunStatus.CANCELLED, None
    else:
        message = f"The worker process died {lost.crashes + 1} times while running this component"
        status, error = RunStatus.FAILED, {"code": str(ErrorCode.COMPONENT_ERROR), "message": message}
    _end_lost(lost, Ended(status, error=error))


def let_go(lost: LostRun, reason: str) -> None:
    """Give a run that its worker gave up another attempt, at once and without a crash counted.

    In an ending execution it is cancelled.
    """
    if not hand_over(lost.key, reason):
        _end_lost(lost, Ended(RunStatus.CANCELLED))


def hand_over(key: RunKey, reason: str) -> bool:
    """Queue a running run for another worker; false if its execution is stopping, or the attempt holds it no more."""
    queued = running.release(key, reason, crash=False)
    dispatch.ring(queued)
    return bool(queued)


def fail_lost(lost: LostRun, error: JSONObject) -> None:
    """Record that an attempt failed whose process had to be killed for what the component did; it may be retried."""
    try:
        compiled = plans.compiled(plans.version_of(lost.key.execution_id))
    except plans.UnrunnableError as unrunnable:
        fail_execution(lost.key, lost.component_id, str(unrunnable), _NOBODY)
        return
    delay = delay_before_retry(
        compiled.definition.by_id[lost.component_id].retry_policy,
        failures=lost.key.attempt - lost.crashes,
        permanent=False,
        jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
    )
    if delay is None or not running.retry_later(lost.key, delay, error, lines=(), measured=Measured()):
        _end_lost(lost, Ended(RunStatus.FAILED, error=error))


def _end_lost(lost: LostRun, ended: Ended) -> None:
    version_id = plans.version_of(lost.key.execution_id)
    try:
        compiled = plans.compiled(version_id)
    except plans.UnrunnableError as error:
        fail_execution(lost.key, lost.component_id, str(error), _NOBODY)
        return
    component = compiled.definition.by_id[lost.component_id]
    settled = settle(compiled.definition, component.id, ended.status)
    end_run(lost.key, component, compiled.definition, ended, settled, holder=_NOBODY, keep=False)
