"""Start many executions in one transaction: each judged by itself, all stored together, all rung together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction

from accounts import audit
from accounts.callers import Caller
from core.errors import APGError, ConflictError, NotFoundError
from executions import dispatch, services
from executions.models import Execution
from executions.services import NewExecution, StartRequest, Stop
from executions.transitions import starting
from workflows import access
from workflows.models import Workflow, WorkflowVersion

MAX_ITEMS = 100


@dataclass(frozen=True, slots=True)
class Item:
    """What one entry of a batch asks for."""

    workflow_id: str
    request: StartRequest


class _AnItemFailedError(Exception):
    """Ends the transaction of an atomic batch."""


def start_batch(
    *, caller: Caller, items: Sequence[Item | APGError], atomic: bool = False
) -> list[Execution | APGError]:
    """Accept the executions of a batch (contract §12); for each item, in order, its execution or its error.

    An item that is an error already (it could not be read) stays one. With `atomic` one error starts none of them.
    Opens its own durable transaction; the messages of all go out together after it.
    """
    workflow_ids = {item.workflow_id for item in items if isinstance(item, Item)}
    workflows = access.visible_to(caller).in_bulk(workflow_ids)
    allowed = access.actions(caller, workflows.values())
    prepared = [item if isinstance(item, APGError) else _prepare(caller, workflows, allowed, item) for item in items]
    stops: list[Stop] = []
    try:
        with transaction.atomic(durable=True), dispatch.gathered():
            gone = _lock_all(prepared)
            outcomes = [new if isinstance(new, APGError) else _store(new, gone, stops) for new in prepared]
            audit.record_all(
                services.started_entry(new)
                for new, outcome in zip(prepared, outcomes, strict=True)
                if isinstance(new, NewExecution) and isinstance(outcome, str)
            )
            if atomic and any(isinstance(outcome, APGError) for outcome in outcomes):
                raise _AnItemFailedError
    except _AnItemFailedError:
        refused = ConflictError("Not started, because another execution of this atomic batch was refused")
        return [outcome if isinstance(outcome, APGError) else refused for outcome in outcomes]
    services.after_stops(stops)
    # After the commit, and so after the messages: the workers need not wait for this.
    stored = Execution.objects.in_bulk([outcome for outcome in outcomes if isinstance(outcome, str)])
    deleted = NotFoundError("The workflow was deleted with its executions")
    return [stored.get(outcome, deleted) if isinstance(outcome, str) else outcome for outcome in outcomes]


def _prepare(
    caller: Caller,
    workflows: Mapping[str, Workflow],
    allowed: Mapping[str, frozenset[access.Action]],
    item: Item,
) -> NewExecution | APGError:
    try:
        workflow = workflows.get(item.workflow_id)
        if workflow is None:
            raise NotFoundError("Workflow not found")
        if access.Action.EXECUTE not in allowed[workflow.pk]:
            raise access.not_allowed(access.Action.EXECUTE)
        return services.prepare(workflow, caller.user, item.request, {"type": "manual"})
    except WorkflowVersion.DoesNotExist:
        return NotFoundError("Workflow not found")
    except APGError as error:
        return error


def _lock_all(prepared: Sequence[NewExecution | APGError]) -> set[str]:
    """Lock every workflow and key, in order so that two batches do not wait for each other; the workflows gone."""
    gone: set[str] = set()
    for workflow_id, account_id in sorted(
        {(new.workflow_id, new.account_id) for new in prepared if not isinstance(new, APGError)}
    ):
        try:
            starting.lock_workflow_and_account(workflow_id, account_id)
        except NotFoundError:
            gone.add(workflow_id)
    stored = [new for new in prepared if not isinstance(new, APGError)]
    keys = {(new.workflow_id, key) for new in stored if (key := new.facts["concurrency_key"]) is not None}
    if keys:
        starting.lock_keys(keys)
    return gone


def _store(new: NewExecution, gone: set[str], stops: list[Stop]) -> str | APGError:
    """The id of the stored execution, or why it was refused: before its first write, so no savepoint is needed."""
    if new.workflow_id in gone:
        return NotFoundError("Workflow not found")
    try:
        stops += services.store(new)
    except APGError as error:
        return error
    return new.execution_id
