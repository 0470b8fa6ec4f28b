"""Sharing a workflow with users and groups (contract §4)."""

from contextlib import AbstractContextManager

from django.contrib.auth.models import Group
from django.db.models import QuerySet

from accounts import audit
from accounts.audit import Action
from accounts.groups import group_key
from accounts.models import User
from core.errors import NotFoundError, Problem, ValidationFailedError
from core.unique import name_conflicts
from workflows.models import Share, Workflow


def shares_of(workflow: Workflow) -> QuerySet[Share]:
    """Whom the workflow is shared with, the first first."""
    return workflow.shares.order_by("pk")


def share_workflow(
    *, workflow: Workflow, by: User, role: str, user_id: str | None = None, group_id: str | None = None
) -> Share:
    """Share it with a user or with a group; exactly one is given.

    Raises ValidationFailedError for a user that is not there, is disabled or is the owner, and for a group that is
    not there or that `by`, where they are not staff, is no member of: in one sentence, so that nobody learns which
    groups there are. Raises ConflictError if it is shared with them already.
    """
    share = Share(workflow=workflow, role=role, created_by=by)
    if user_id is not None:
        share.user = User.objects.filter(pk=user_id, is_active=True).exclude(pk=workflow.created_by_id).first()
        if share.user is None:
            raise _unknown("user_id", "There is no such user to share with", user_id)
    if group_id is not None:
        share.group = _share_groups(by).filter(pk=group_key(group_id)).first()
        if share.group is None:
            raise _unknown("group_id", "There is no such group that you are a member of", group_id)
    grantee = {"user_id": user_id} if user_id is not None else {"group_id": group_id}
    with (
        _conflicts("share_user_unique", "user_id"),
        _conflicts("share_group_unique", "group_id"),
        audit.recording(Action.SHARE_CREATED, share, workflow_id=workflow.pk, role=role, **grantee),
    ):
        # The race: it is deleted meanwhile. A share of its row keeps it until this is stored.
        if not Workflow.objects.select_for_update(of=("self",), no_key=True).filter(pk=workflow.pk).exists():
            raise NotFoundError("Workflow not found")
        share.save(force_insert=True)
    return share


def stop_sharing(*, workflow: Workflow, share_id: str) -> None:
    """Take a share back; it holds for no request after this returns. Raises NotFoundError."""
    share = workflow.shares.filter(pk=share_id).first()
    if share is None:
        raise NotFoundError("Share not found")
    with audit.recording(Action.SHARE_DELETED, share, workflow_id=workflow.pk, role=share.role):
        deleted, _ = Share.objects.filter(pk=share.pk).delete()
        if not deleted:
            raise NotFoundError("Share not found")


def _share_groups(user: User) -> QuerySet[Group]:
    return Group.objects.all() if user.is_staff else user.groups.all()


def _unknown(field: str, message: str, received: str) -> ValidationFailedError:
    return ValidationFailedError(problems=[Problem(message, field=field, details={"received": received})])


def _conflicts(constraint: str, field: str) -> AbstractContextManager[None]:
    message = "The workflow is shared with them already"
    return name_conflicts(constraint, message, "Take the other share back first", field)
