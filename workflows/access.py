"""Who may see, run, edit and delete a workflow: one filter and one check, for every transport (contract §4)."""

from enum import StrEnum

from django.db.models import QuerySet

from accounts.callers import Caller
from core.errors import NotAllowedError, NotFoundError
from core.ids import ULIDField
from core.prepared_query import PreparedQuery
from core.types import JSONObject
from workflows.models import Workflow


class Action(StrEnum):
    """What may be done with a workflow that is seen."""

    EDIT = "edit"
    EXECUTE = "execute"
    DELETE = "delete"
    SHARE = "share"


def visible_to(caller: Caller) -> QuerySet[Workflow]:
    """The caller's own workflows; all of them for staff."""
    return visible_to_user(caller.user.pk, staff=caller.user.is_staff)


def visible_to_user(user_id: object, *, staff: bool) -> QuerySet[Workflow]:
    """The same by the user's id, which may be a `core.prepared_query.Parameter`."""
    return Workflow.objects.all() if staff else Workflow.objects.filter(created_by=user_id)


_VISIBLE_BY_ID = {
    staff: PreparedQuery(
        lambda user, workflow, staff=staff: visible_to_user(user, staff=staff).filter(pk=workflow),
        ULIDField(),
        ULIDField(),
    )
    for staff in (False, True)
}


def get_visible(caller: Caller, workflow_id: str) -> Workflow:
    """One workflow. Raises NotFoundError, the same for absent and hidden ones."""
    workflow = _VISIBLE_BY_ID[caller.user.is_staff].one(caller.user.pk, workflow_id)
    if workflow is None:
        raise NotFoundError("Workflow not found")
    return workflow


def may(caller: Caller, action: Action, workflow: Workflow) -> bool:
    """Whether the caller, who sees the workflow, may do this to it: owner and staff may all."""
    return caller.user.is_staff or workflow.created_by_id == caller.user.pk


def require(caller: Caller, action: Action, workflow: Workflow) -> None:
    """Raises NotAllowedError unless `may`."""
    if not may(caller, action, workflow):
        raise NotAllowedError(f"You may not {action} this workflow")


def permissions(caller: Caller, workflow: Workflow) -> JSONObject:
    """The `permissions` of a workflow's representation."""
    return {f"can_{action}": may(caller, action, workflow) for action in Action}
