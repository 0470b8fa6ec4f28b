"""What operators do where the engine does not go on by itself: requeue what is stuck, release what waits."""

from accounts import audit
from accounts.audit import Action
from core.errors import ConflictError
from executions import admission, conclude, dispatch
from executions.models import ComponentRun, Execution
from executions.states import ExecutionStatus, RunStatus, WaitingFor
from executions.transitions import running, sweeping, waiting
from executions.transitions.statements import RunKey

_GONE = "Requeued by staff: its worker is gone; trying again"
_RELEASED = "Released by staff: the wait is over"
_NO_RELEASE = {
    WaitingFor.SIGNAL: "It waits for a signal or an approval: send that, as {signal}",
    WaitingFor.CHILD: "It waits for its child execution: see to that",
    WaitingFor.ITEMS: "It waits for its items: see to those",
}


def requeue_run(*, execution: Execution, run: ComponentRun, attempt: int) -> None:
    """Give a running run, whose worker is known to be gone, another attempt now; ring again for a queued one.

    As the sweep does it when the lease has passed: the lost attempt counts as a crash, and what it still records is
    refused. Raises ConflictError if the run is not queued or running as this attempt. Forbids a transaction.
    """
    if run.status == RunStatus.RUNNING:
        lost = sweeping.running(run.pk, attempt)
        if lost is None:
            raise ConflictError(f"{run.component_id} does not run as attempt {attempt} any more")
        conclude.rescue(lost, _GONE)
    elif run.status == RunStatus.QUEUED:
        rung = sweeping.ring_one(run.pk, attempt)
        if not rung:
            raise ConflictError(f"{run.component_id} is not in the queue as attempt {attempt}")
        dispatch.ring(rung)
    else:
        raise ConflictError(f"{run.component_id} is {run.status}: it neither runs nor is queued")
    _record(Action.EXECUTION_REQUEUED, execution, run, attempt)


def requeue_execution(*, execution: Execution) -> int:
    """Ring again for all of its queued runs, and rescue those whose lease has passed; how many.

    One that waits for a slot is given it, if there is one. Raises ConflictError if there was nothing to do. Forbids a
    transaction.
    """
    if execution.status == ExecutionStatus.QUEUED and execution.admitted_at is None:
        admission.admit(execution.created_by_id)
        count = int(Execution.objects.filter(pk=execution.pk, admitted_at__isnull=False).exists())
        if not count:
            raise ConflictError("There is no slot for it; the diagnosis says why")
    else:
        lost = sweeping.expired_of(execution.pk)
        for each in lost:
            conclude.rescue(each, _GONE)
        rung = sweeping.ring_all_of(execution.pk)
        dispatch.ring(rung)
        # Those rescued are queued, and rung for twice, which does no harm.
        count = max(len(rung), len(lost))
        if not count:
            raise ConflictError("Nothing of it is queued, and no worker of it is lost")
    audit.record(Action.EXECUTION_REQUEUED, execution, workflow_id=execution.workflow_id, count=count)
    return count


def release_run(*, execution: Execution, run: ComponentRun, attempt: int) -> None:
    """End a wait for a time, or for the next attempt, now; let a run that `max_parallel` holds go, if there is room.

    A delay goes on as if its time had come, a retry begins its next attempt. What waits for a signal, an approval, a
    child or items is not released: what it waits for has a value that nobody could make up. Raises ConflictError
    then, and if the run does not wait as this attempt any more. Forbids a transaction.
    """
    if run.status == RunStatus.WAITING:
        refusal = _NO_RELEASE.get(WaitingFor(run.waiting_for)) if run.waiting_for else None
        if refusal is not None:
            raise ConflictError(refusal.format(signal=run.signal))
        woken = waiting.end_wait(RunKey(execution.pk, run.pk, attempt), _RELEASED)
        if not woken:
            raise ConflictError(f"{run.component_id} does not wait as attempt {attempt} any more")
        dispatch.ring(woken)
    elif run.status == RunStatus.QUEUED and run.held:
        let_in = running.let_in(execution.pk)
        dispatch.ring(let_in)
        if run.pk not in {each.run_id for each in let_in}:
            raise ConflictError(f"The workflow lets {execution.max_parallel} components run at once: none has a place")
    else:
        raise ConflictError(f"{run.component_id} is {run.status}: it does not wait")
    _record(Action.EXECUTION_RELEASED, execution, run, attempt)


def _record(action: Action, execution: Execution, run: ComponentRun, attempt: int) -> None:
    audit.record(
        action,
        execution,
        workflow_id=execution.workflow_id,
        component_id=run.component_id,
        item_index=run.item_index,
        attempt=attempt,
    )
