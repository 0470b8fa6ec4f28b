"""Start many executions in one transaction: each judged by itself, all stored together, all rung together."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from accounts.authentication import Caller
from accounts.models import User
from core.errors import APGError, ConflictError, NotFoundError
from executions import dispatch, services
from executions.models import Execution
from executions.services import StartRequest
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
    outcomes: list[str | APGError] = []
    workflow_ids = {item.workflow_id for item in items if isinstance(item, Item)}
    workflows = access.visible_to(caller).in_bulk(workflow_ids)
    try:
        with transaction.atomic(durable=True), dispatch.gathered():
            for item in items:
                outcomes.append(item if isinstance(item, APGError) else _try(caller, workflows, item))
            if atomic and any(isinstance(outcome, APGError) for outcome in outcomes):
                raise _AnItemFailedError
    except _AnItemFailedError:
        refused = ConflictError("Not started, because another execution of this atomic batch was refused")
        return [outcome if isinstance(outcome, APGError) else refused for outcome in outcomes]
    # After the commit, and so after the messages: the workers need not wait for this.
    stored = Execution.objects.in_bulk([outcome for outcome in outcomes if isinstance(outcome, str)])
    gone = NotFoundError("The workflow was deleted with its executions")
    return [stored.get(outcome, gone) if isinstance(outcome, str) else outcome for outcome in outcomes]


def _try(caller: Caller, workflows: dict[str, Workflow], item: Item) -> str | APGError:
    # Every refusal comes before the first write of its item, so that no savepoint is needed to undo one.
    try:
        workflow = workflows.get(item.workflow_id)
        if workflow is None:
            raise NotFoundError("Workflow not found")
        access.require(caller, access.Action.EXECUTE, workflow)
        return _store(workflow, caller.user, item.request)
    except WorkflowVersion.DoesNotExist:
        return NotFoundError("Workflow not found")
    except APGError as error:
        return error


def _store(workflow: Workflow, user: User, request: StartRequest) -> str:
    """The id of the stored execution; as `services.start_execution`, within the batch's transaction."""
    return services._insert(workflow, user, request, {"type": "manual"})
