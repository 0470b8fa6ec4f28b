"""The scopes of contract §4."""

from collections.abc import Iterable
from enum import StrEnum


class Scope(StrEnum):
    """What a credential may be used for; the owner's own rights still apply."""

    WORKFLOW_READ = "workflow.read"
    WORKFLOW_WRITE = "workflow.write"
    WORKFLOW_EXECUTE = "workflow.execute"
    WORKFLOW_DELETE = "workflow.delete"
    WORKFLOW_SHARE = "workflow.share"
    EXECUTION_READ = "execution.read"
    EXECUTION_MANAGE = "execution.manage"
    TEMPLATE_READ = "template.read"
    TEMPLATE_WRITE = "template.write"
    WEBHOOK_MANAGE = "webhook.manage"
    SECRET_MANAGE = "secret.manage"  # noqa: S105 - the name of a right
    SYSTEM_READ = "system.read"


ALL = frozenset(Scope)
EVERYTHING = "*"

# For the page on which a person allows an application to act for them.
DESCRIPTIONS = {
    Scope.WORKFLOW_READ: "See your workflows and those that are shared with you",
    Scope.WORKFLOW_WRITE: "Create workflows and change them",
    Scope.WORKFLOW_EXECUTE: "Execute workflows",
    Scope.WORKFLOW_DELETE: "Delete workflows",
    Scope.WORKFLOW_SHARE: "Share your workflows with other people, and end that",
    Scope.EXECUTION_READ: "See executions, with their results and logs",
    Scope.EXECUTION_MANAGE: "Cancel and retry executions, and send them signals and approvals",
    Scope.TEMPLATE_READ: "See templates",
    Scope.TEMPLATE_WRITE: "Create templates and change them",
    Scope.WEBHOOK_MANAGE: "See, create, change and delete your webhooks",
    Scope.SECRET_MANAGE: "See the names of your secrets, create, replace and delete them; never read their values",
    Scope.SYSTEM_READ: "See the state of the platform and its statistics",
}


def granted(permissions: Iterable[str]) -> frozenset[Scope]:
    """The scopes that a credential's permissions stand for: `*` is all; what is no scope (any more) is none."""
    names = frozenset(permissions)
    return ALL if EVERYTHING in names else frozenset(scope for scope in Scope if scope in names)
