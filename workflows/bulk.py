"""Many operations on workflows in one request: each authorised, judged and stored by itself, or all or none (§12)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from django.db import connection, transaction

from accounts.callers import Caller
from accounts.scopes import Scope
from core.errors import APGError, ConflictError, NotAllowedError
from core.ids import to_uuid
from core.types import JSONObject
from workflows import access, services
from workflows.models import Workflow, WorkflowStatus

MAX_OPERATIONS = 100

# Only an atomic request holds one name while it waits for another.
_LOCK_NAMES = """
SELECT pg_advisory_xact_lock(key) FROM (
    SELECT DISTINCT hashtextextended(owner::text, 2) AS key FROM unnest(%s::uuid[]) AS owner ORDER BY key
) AS wanted
"""


class Kind(StrEnum):
    """What an operation does."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, its body read already; `workflow_id` for all but create."""

    kind: Kind
    workflow_id: str | None = None
    data: JSONObject = field(default_factory=dict)


# What an operation came to: the workflow as it is now; None for one that is gone; or why it was refused.
Outcome: TypeAlias = Workflow | APGError | None


class _RefusedError(Exception):
    """Ends the transaction of an atomic request."""


def run_operations(
    *, caller: Caller, operations: Sequence[Operation | APGError], atomic: bool = False
) -> list[Outcome]:
    """The outcome of each operation, in order; one that is an error already (it could not be read) stays one.

    Each sees what those before it did. With `atomic` one error undoes all. Forbids a transaction.
    """
    if not atomic:
        return [_outcome(caller, operation, durable=True) for operation in operations]
    outcomes: list[Outcome] = []
    try:
        with transaction.atomic(durable=True):
            _lock_all(caller, operations)
            for operation in operations:
                outcomes.append(_outcome(caller, operation, durable=False))
                if isinstance(outcomes[-1], APGError):
                    raise _RefusedError
    except _RefusedError:
        undone = ConflictError("Not done, because another operation of this atomic request was refused")
        before = len(outcomes) - 1
        return [*[undone] * before, outcomes[-1], *[undone] * (len(operations) - len(outcomes))]
    return outcomes


def _lock_all(caller: Caller, operations: Sequence[Operation | APGError]) -> None:
    """Lock every workflow, then the owners' names, each in order so that two requests do not wait for each other."""
    ids = {operation.workflow_id for operation in operations if isinstance(operation, Operation)} - {None}
    rows = access.visible_to(caller).filter(pk__in=ids).order_by("pk").select_for_update(no_key=True)
    owners = {caller.user.pk, *rows.values_list("created_by", flat=True)}
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_NAMES, [[to_uuid(owner) for owner in owners]])


def _outcome(caller: Caller, operation: Operation | APGError, *, durable: bool) -> Outcome:
    if isinstance(operation, APGError):
        return operation
    try:
        scope = Scope.WORKFLOW_DELETE if operation.kind is Kind.DELETE else Scope.WORKFLOW_WRITE
        if not caller.allows(scope):
            raise NotAllowedError(f"This needs the scope {scope}")
        return _RUN[operation.kind](caller, operation, durable)
    except APGError as error:
        return error


def _create(caller: Caller, operation: Operation, durable: bool) -> Outcome:
    return services.create_workflow(user=caller.user, durable=durable, **operation.data)


def _update(caller: Caller, operation: Operation, durable: bool) -> Outcome:
    changes = dict(operation.data)
    expected = changes.pop("expected_version", None)
    workflow = _found(caller, operation, access.Action.EDIT)
    return services.update_workflow(
        workflow=workflow, user=caller.user, changes=changes, expected_version=expected, durable=durable
    )


def _set_status(status: WorkflowStatus) -> "_Run":
    def run(caller: Caller, operation: Operation, durable: bool) -> Outcome:
        workflow = _found(caller, operation, access.Action.EDIT)
        return services.update_workflow(
            workflow=workflow, user=caller.user, changes={"status": status}, durable=durable
        )

    return run


def _delete(caller: Caller, operation: Operation, durable: bool) -> Outcome:
    workflow = _found(caller, operation, access.Action.DELETE)
    services.delete_workflow(workflow=workflow, force=operation.data.get("force", False), durable=durable)
    return None


def _found(caller: Caller, operation: Operation, action: access.Action) -> Workflow:
    workflow = access.get_visible(caller, operation.workflow_id or "")
    access.require(caller, action, workflow)
    return workflow


_Run: TypeAlias = Callable[[Caller, Operation, bool], Outcome]
_RUN: Mapping[Kind, _Run] = {
    Kind.CREATE: _create,
    Kind.UPDATE: _update,
    Kind.DELETE: _delete,
    Kind.ACTIVATE: _set_status(WorkflowStatus.ACTIVE),
    Kind.DEACTIVATE: _set_status(WorkflowStatus.INACTIVE),
}
