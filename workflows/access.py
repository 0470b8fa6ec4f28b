"""Who may see, run, edit and delete a workflow: one filter and one check, for every transport (contract §4)."""

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Any

from django.db import connection
from django.db.models import Manager, Q, QuerySet

from accounts.callers import Caller
from core.errors import NotAllowedError, NotFoundError
from core.ids import ULIDField, from_uuid, to_uuid
from core.prepared_query import PreparedQuery
from core.types import JSONObject
from workflows.models import Role, Share, Workflow


class Action(StrEnum):
    """What may be done with a workflow that is seen."""

    EDIT = "edit"
    EXECUTE = "execute"
    DELETE = "delete"
    SHARE = "share"


ALL_ACTIONS = frozenset(Action)
# By what a workflow is shared as; whoever sees it may look at all of it.
ACTIONS_OF_ROLE: dict[str, frozenset[Action]] = {
    Role.VIEWER: frozenset(),
    Role.OPERATOR: frozenset({Action.EXECUTE}),
    Role.EDITOR: frozenset({Action.EXECUTE, Action.EDIT}),
}


def visible_to(caller: Caller) -> QuerySet[Workflow]:
    """The caller's own workflows and those shared with them; all of them for staff."""
    return visible_to_user(caller.user.pk, staff=caller.user.is_staff)


def visible_to_user(user_id: object, *, staff: bool, roles: Iterable[str] = Role) -> QuerySet[Workflow]:
    """The same by the user's id, which may be a `core.prepared_query.Parameter`; of shares only those of `roles`."""
    return Workflow.objects.all() if staff else Workflow.objects.filter(pk__in=ids_visible_to(user_id, roles))


def ids_visible_to(
    user_id: object, roles: Iterable[str] = Role, workflows: Manager[Workflow] = Workflow.objects
) -> QuerySet[Any, Any]:
    """The ids of a user's own `workflows` and of those shared with them, for a subquery; one may come twice."""
    own = workflows.filter(created_by=user_id).values("pk")
    shared = Share.objects.filter(role__in=list(roles))
    by_user = shared.filter(user=user_id).values("workflow")
    by_group = shared.filter(group__user=user_id).values("workflow")
    # A union, so that each part is found by its own index; with OR, PostgreSQL would look at every workflow.
    return own.union(by_user, by_group, all=True)


def ids_shared_with(user_id: str) -> list[str]:
    """The ids of others' workflows that are shared with a user, each once; one query."""
    others = Share.objects.exclude(workflow__created_by=user_id).values_list("workflow_id", flat=True)
    return list(others.filter(user=user_id).union(others.filter(group__user=user_id)))


_SEEN = """
SELECT pair.workflow, pair.account FROM unnest(%s::uuid[], %s::uuid[]) AS pair (workflow, account)
JOIN workflows_workflow AS workflow ON workflow.id = pair.workflow
JOIN accounts_user AS account ON account.id = pair.account AND account.is_active
WHERE account.is_staff OR workflow.created_by_id = account.id
   OR EXISTS (SELECT FROM workflows_share WHERE workflow_id = workflow.id AND user_id = account.id)
   OR EXISTS (SELECT FROM workflows_share AS share JOIN accounts_user_groups AS member USING (group_id)
              WHERE share.workflow_id = workflow.id AND member.user_id = account.id)
"""


def seen(pairs: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of pairs (workflow id, user id) those whose user is active and sees the workflow now; one query.

    `visible_to` for many at once: a test holds them together. Owner and staff see what is left of one that was deleted.
    """
    ordered = list(pairs)
    with connection.cursor() as cursor:
        columns = ([to_uuid(pair[place]) for pair in ordered] for place in (0, 1))
        cursor.execute(_SEEN, list(columns))
        return {(from_uuid(workflow), from_uuid(user)) for workflow, user in cursor.fetchall()}


def users_with(workflow: Workflow) -> list[str]:
    """The ids of those with whom a workflow is shared, by themselves or in a group, each once."""
    shares = Share.objects.filter(workflow=workflow)
    by_user = shares.filter(user__isnull=False).values_list("user", flat=True)
    return sorted(by_user.union(shares.filter(group__user__isnull=False).values_list("group__user", flat=True)))


def runnable_by_owner(user_id: str) -> QuerySet[Workflow]:
    """The workflows that a workflow of this owner may run as children: the owner's, and those shared to be executed.

    What somebody may as staff is not lent to their workflows: who edits one of these would get at everybody's.
    """
    roles = [role for role, actions in ACTIONS_OF_ROLE.items() if Action.EXECUTE in actions]
    return visible_to_user(user_id, staff=False, roles=roles)


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


def actions(caller: Caller, workflows: Iterable[Workflow]) -> dict[str, frozenset[Action]]:
    """By workflow id, what the caller may do with workflows that they see: owner and staff all, others by their role.

    One query, and none where the caller may all.
    """
    user = caller.user
    allowed = {w.pk: ALL_ACTIONS if user.is_staff or w.created_by_id == user.pk else None for w in workflows}
    others = [pk for pk, known in allowed.items() if known is None]
    found: dict[str, frozenset[Action]] = {}
    if others:
        shares = Share.objects.filter(Q(user=user) | Q(group__user=user), workflow__in=others)
        for workflow_id, role in shares.values_list("workflow_id", "role"):
            found[workflow_id] = found.get(workflow_id, frozenset()) | ACTIONS_OF_ROLE[role]
    return {pk: found.get(pk, frozenset()) if known is None else known for pk, known in allowed.items()}


def may(caller: Caller, action: Action, workflow: Workflow) -> bool:
    """Whether the caller, who sees the workflow, may do this to it."""
    return action in actions(caller, [workflow])[workflow.pk]


def require(caller: Caller, action: Action, workflow: Workflow) -> None:
    """Raises NotAllowedError unless `may`."""
    if not may(caller, action, workflow):
        raise not_allowed(action)


def not_allowed(action: Action) -> NotAllowedError:
    """What somebody is told who sees a workflow and may not do this to it."""
    return NotAllowedError(f"You may not {action} this workflow")


def permissions(caller: Caller, workflow: Workflow) -> JSONObject:
    """The `permissions` of a workflow's representation."""
    allowed = actions(caller, [workflow])[workflow.pk]
    return {f"can_{action}": action in allowed for action in Action}
