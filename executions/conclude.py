"""How an attempt is recorded and what follows: successors, dead paths, items, waits, the execution's end."""

import logging
import random
from collections.abc import Sequence
from dataclasses import replace

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction

from core import measures
from core.errors import ErrorCode, NotFoundError
from core.ids import parse_id
from core.types import JSONObject
from executions import admission, dispatch, plans, watching
from executions.decider import Settled, settle, settle_skipped
from executions.failpoints import failpoint
from executions.models import Signal
from executions.plans import Compiled
from executions.retries import delay_before_retry
from executions.states import ExecutionStatus, RunStatus, WaitingFor
from executions.transitions import ending, looping, running, waiting
from executions.transitions.looping import NewItem
from executions.transitions.statements import (
    Ended,
    ExecutionEnd,
    Finished,
    Held,
    Holder,
    Item,
    Measured,
    QueuedRun,
    RunKey,
)
from executions.transitions.sweeping import LostRun
from executions.transitions.waiting import Wait
from workflows.components import registry
from workflows.definition import Definition

logger = logging.getLogger(__name__)

NOBODY = Holder("", 0)


def end_run(
    run: Held, compiled: Compiled, ended: Ended, settled: Settled, *, holder: Holder, keep: bool
) -> Held | None:
    """Record a run's end and what `decider.settle` made of it, move on whatever it set free, and send the messages.

    With `keep`, one run that is ready is claimed for `holder` and given back. Forbids a transaction. If the attempt
    no longer holds the run, its result is dropped.
    """
    failpoint("before_finish")
    ended = replace(ended, taken=settled.taken)
    definition = compiled.homes[run.component_id].definition
    if settled.may_end:
        with transaction.atomic(durable=True):
            finished, kept, queued, end = _finish_whole(run, compiled, ended, settled, holder, keep)
    else:
        preferred = _preferred(settled, definition, holder if keep else None)
        finished = running.finish(run, ended, settled.deltas, holder=holder, keep=preferred)
        kept, queued = (finished.kept, finished.queued) if finished else (None, [])
        # Only an execution that is being stopped gets here with nothing left: its successors are cancelled.
        end = ending.complete(run.key.execution_id) if finished and finished.remaining == 0 else None
    failpoint("after_finish")
    if finished is None:
        logger.warning(
            "Result of a lost attempt was refused",
            extra={"action": "fenced", "execution_id": run.key.execution_id, "component_id": run.component_id},
        )
    dispatch.ring(queued)
    failpoint("after_publish")
    _after_end(end, run.key.execution_id)
    return kept


def _finish_whole(
    run: Held, compiled: Compiled, ended: Ended, settled: Settled, holder: Holder, keep: bool
) -> tuple[Finished | None, Held | None, list[QueuedRun], ExecutionEnd | None]:
    """The finish with all that may follow from it in one transaction: a stop, dead paths, items, the execution's end.

    An item has no `on_failure`: after a failure in it, its independent branches finish.
    """
    home = compiled.homes[run.component_id]
    error = _scope_error(run, ended) if settled.unhandled_failure else None
    stopping = error is not None and run.item is None and home.definition.settings.on_failure == "stop"
    finished = running.finish(
        run,
        ended,
        () if stopping else settled.deltas,
        holder=holder,
        keep=_preferred(settled, home.definition, holder if keep else None),
        scope_error=error,
    )
    if finished is None:
        return None, None, [], None
    kept, queued, step, remaining = finished.kept, finished.queued, finished, finished.remaining
    if stopping and remaining:
        remaining = ending.stop(run.key.execution_id, ExecutionStatus.FAILED)
    while step.skipped:
        step = running.cascade(run, settle_skipped(home.definition, step.skipped))
        queued, remaining = queued + step.queued, step.remaining
    if run.item is not None and step.scope_remaining == 0 and home.loop is not None:
        advanced = _advance(run.key.execution_id, run.item.loop_run_id, home.loop, compiled, run.item, holder, keep)
        kept, queued = advanced.kept, queued + advanced.queued
    failpoint("before_complete")
    end = ending.complete(run.key.execution_id) if remaining == 0 else None
    return finished, kept, queued, end


def _advance(
    execution_id: str, loop_run_id: str, loop: str, compiled: Compiled, ended: Item | None, holder: Holder, keep: bool
) -> looping.Advanced:
    """The next items of a loop, or its own run again; one run of them is kept."""
    body = compiled.homes[loop].definition.bodies[loop]
    first = next((id_ for id_ in body.entry_points if _can_run(holder, body.by_id[id_].type)), None)
    advanced = looping.advance(
        execution_id,
        loop_run_id,
        compiled.bodies[loop],
        ended=ended,
        holder=holder,
        keep=first if keep else None,
    )
    # The loop itself, where no other loop is around it: its item would have to be looked up.
    if keep and compiled.homes[loop].loop is None and [queued.run_id for queued in advanced.queued] == [loop_run_id]:
        resumed = looping.take_resumed(execution_id, advanced.queued[0], None, holder)
        if resumed is not None:
            return looping.Advanced(resumed, [])
    return advanced


def begin_items(
    run: Held,
    compiled: Compiled,
    wait: Wait,
    items: Sequence[NewItem],
    *,
    afresh: bool,
    holder: Holder,
    keep: bool,
    lines: Sequence[JSONObject],
    measured: Measured,
) -> tuple[bool, Held | None]:
    """Let a run wait for items of its body, and start the first: (whether it waits, the run kept for `holder`).

    Items that ended well in an earlier attempt stay as they are, unless it begins `afresh`. Forbids a transaction.
    """
    with transaction.atomic(durable=True):
        if not waiting.wait(run.key, wait, lines=lines, measured=measured):
            return False, None
        looping.add(run.key.run_id, looping.missing(run.key.run_id, items, afresh=afresh))
        advanced = _advance(run.key.execution_id, run.key.run_id, run.component_id, compiled, None, holder, keep)
    dispatch.ring(advanced.queued)
    return True, advanced.kept


def wait_for_signal(run: Held, wait: Wait, *, lines: Sequence[JSONObject], measured: Measured) -> bool:
    """Let a run wait for a signal; one that came before is delivered at once. False if it may not wait."""
    woken: list[QueuedRun] = []
    with transaction.atomic(durable=True):
        if not waiting.wait(run.key, wait, lines=lines, measured=measured):
            return False
        kept = Signal.objects.filter(execution=run.key.execution_id, name=wait.signal, taken_at=None)
        for signal in kept.select_related("sender").order_by("pk"):
            if may_send(signal.sender_id, list(signal.sender.groups.values_list("name", flat=True)), wait.approvers):
                woken = waiting.deliver(signal.pk, run.key.run_id)
                break
    dispatch.ring(woken)
    return True


def let_in(execution_id: str) -> int:
    """Let runs that `max_parallel` held have the places that are free; how many. Forbids a transaction."""
    runs = running.let_in(execution_id)
    dispatch.ring(runs)
    return len(runs)


def abandon(run: Held) -> None:
    """Give up what a run waited for: the items of its loop end as they are, its child and theirs are cancelled.

    What still runs of them is refused when it records. Forbids a transaction.
    """
    with transaction.atomic(durable=True):
        if ending.lock(run.key.execution_id):
            looping.abandon(run.key.execution_id, run.key.run_id)
    for child in waiting.children_of(run.key.run_id):
        stop_execution(child, ExecutionStatus.CANCELLED)


def may_send(user_id: str, groups: Sequence[str], approvers: Sequence[str] | None) -> bool:
    """Whether a user may answer a wait: named by id or by a group, or nobody is named."""
    named = {_as_id(approver) for approver in approvers or ()}
    return not named or user_id in named or any(group in named for group in groups)


def _as_id(name: str) -> str:
    """An id in its one spelling; the name of a group as it is."""
    try:
        return parse_id(name)
    except ValueError:
        return name


def _preferred(settled: Settled, definition: Definition, holder: Holder | None) -> str | None:
    """The successor that `holder`'s worker can go on with: one that needs nobody else, else the first."""
    if holder is None:
        return None
    live = [
        delta for delta in settled.deltas if delta.taken and _can_run(holder, definition.by_id[delta.component_id].type)
    ]
    ready = [
        delta
        for delta in live
        if definition.by_id[delta.component_id].join == "any"
        or delta.decided == len(definition.incoming[delta.component_id])
    ]
    return next((delta.component_id for delta in [*ready, *live]), None)


def _can_run(holder: Holder, type_: str) -> bool:
    """Whether a worker has the type, and serves the queue that its runs wait in."""
    return registry.get(type_) is not None and registry.kind_of(type_) in holder.queues


def _scope_error(run: Held, ended: Ended) -> JSONObject:
    error = ended.error or {"code": str(ErrorCode.COMPONENT_ERROR), "message": "Component failed"}
    index = {"item_index": run.item.index} if run.item is not None else {}
    return {"code": error["code"], "message": error["message"], "component_id": run.component_id, **index}


def fail_execution(run: Held, message: str, holder: Holder) -> None:
    """End a claimed run and its execution that cannot go on at all (definition or parameters unreadable)."""
    error = {"code": str(ErrorCode.WORKFLOW_INVALID), "message": message}
    whole = {**error, "component_id": run.component_id}
    end = None
    with transaction.atomic(durable=True):
        finished = running.finish(run, Ended(RunStatus.FAILED, error=error), (), holder=holder, keep=None)
        if finished and (
            finished.remaining == 0 or ending.stop(run.key.execution_id, ExecutionStatus.FAILED, whole) == 0
        ):
            end = ending.complete(run.key.execution_id, whole)
    _after_end(end, run.key.execution_id)


def stop_execution(execution_id: str, stop_as: ExecutionStatus, error: JSONObject | None = None) -> bool:
    """Start nothing new, end the waits, and end the execution if nothing is running. False if it had ended.

    Its child executions are cancelled. Forbids a transaction.
    """
    with transaction.atomic(durable=True):
        end = stop_in_transaction(execution_id, stop_as, error)
    if end is None:
        return False
    after_stop(execution_id, end)
    return True


def stop_in_transaction(
    execution_id: str, stop_as: ExecutionStatus, error: JSONObject | None = None
) -> list[ExecutionEnd] | None:
    """The part of `stop_execution` that needs a transaction; None if it had ended. `after_stop` follows the commit."""
    if not ending.lock(execution_id):
        return None
    remaining = ending.stop(execution_id, stop_as, error)
    end = ending.complete(execution_id) if remaining == 0 else None
    return [end] if end is not None else []


def after_stop(execution_id: str, ends: Sequence[ExecutionEnd]) -> None:
    """What follows a stop once it is committed: children are cancelled, slots given on."""
    for end in ends:
        _after_end(end, execution_id)
    for child in waiting.children(execution_id):
        stop_execution(child, ExecutionStatus.CANCELLED)


def complete_execution(execution_id: str) -> None:
    """End an execution none of whose runs remains."""
    _after_end(ending.complete(execution_id), execution_id)


def _after_end(end: ExecutionEnd | None, execution_id: str) -> None:
    if end is None:
        return
    watching.ended(execution_id, end)
    dispatch.ring(end.woken)
    for account_id in end.waiting_accounts:
        admission.admit(account_id)
    if end.status is not ExecutionStatus.COMPLETED:
        for child in waiting.children(execution_id):
            stop_execution(child, ExecutionStatus.CANCELLED)


def rescue(lost: LostRun, reason: str) -> None:
    """Give a run whose holder is gone another attempt; after MAX_CRASHES, or in an ending execution, end it.

    Harmless if the holder was not gone after all: the old attempt's record is then refused.
    """
    if lost.crashes + 1 < settings.ENGINE["MAX_CRASHES"]:
        queued = waiting.release(lost.key, reason, crash=True)
        dispatch.ring(queued)
        if queued:
            measures.RESCUES.count()
            logger.warning(
                "Run rescued",
                extra={"action": "rescued", **_named(lost)},
            )
            return
        # Not moved: it ended meanwhile, or its execution is stopping and the run is cancelled with it.
        status, error = RunStatus.CANCELLED, None
    else:
        message = f"The worker process died {lost.crashes + 1} times while running this component"
        status, error = RunStatus.FAILED, {"code": str(ErrorCode.COMPONENT_ERROR), "message": message}
    end_lost(lost, Ended(status, error=error))


def let_go(lost: LostRun, reason: str) -> None:
    """Give a run that its worker gave up another attempt, at once and without a crash counted.

    In an ending execution it is cancelled.
    """
    if not hand_over(lost.key, reason):
        end_lost(lost, Ended(RunStatus.CANCELLED))


def hand_over(key: RunKey, reason: str) -> bool:
    """Queue a running run for another worker; false if its execution is stopping, or the attempt holds it no more."""
    queued = waiting.release(key, reason, crash=False)
    dispatch.ring(queued)
    return bool(queued)


def fail_lost(lost: LostRun, error: JSONObject) -> None:
    """Record that an attempt failed whose process had to be killed for what the component did; it may be retried."""
    compiled = _version(lost)
    if compiled is None:
        return
    delay = delay_before_retry(
        compiled.homes[lost.component_id].definition.by_id[lost.component_id].retry_policy,
        failures=lost.key.attempt - lost.lost_attempts,
        permanent=False,
        jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
    )
    if delay is not None:
        retry = Wait(WaitingFor.RETRY, delay_seconds=delay, error=error)
        if waiting.wait(lost.key, retry, lines=(), measured=Measured()):
            return
    end_lost(lost, Ended(RunStatus.FAILED, error=error))


def end_lost(lost: LostRun, ended: Ended) -> None:
    """Record the end of a run for a holder that cannot."""
    compiled = _version(lost)
    if compiled is None:
        return
    settled = settle(compiled.homes[lost.component_id].definition, lost.component_id, ended.status)
    end_run(_held(lost), compiled, ended, settled, holder=NOBODY, keep=False)


def _version(lost: LostRun) -> Compiled | None:
    """The version that a lost run belongs to; None where it cannot be had, and the execution has ended with the reason.

    No worker is left to find out whether another could read it.
    """
    version_id = plans.version_of(lost.key.execution_id)
    try:
        return plans.compiled(version_id)
    except plans.UnrunnableError as error:
        message = str(error)
    except Exception as error:
        # Of this machine, or of PostgreSQL, at this moment.
        if isinstance(error, MemoryError | OSError | DatabaseError | NotFoundError):
            raise
        logger.exception("Definition cannot be read", extra={"action": "unreadable", **_named(lost)})
        message = "the stored definition could not be read; the server's log says why"
    fail_execution(_held(lost), message, NOBODY)
    return None


def _named(lost: LostRun) -> JSONObject:
    key = lost.key
    return {"execution_id": key.execution_id, "component_id": lost.component_id, "attempt": key.attempt}


def _held(lost: LostRun) -> Held:
    return Held(lost.key, lost.component_id, lost.item)
