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


def granted(permissions: Iterable[str]) -> frozenset[Scope]:
    """The scopes that a credential's permissions stand for: `*` is all; what is no scope (any more) is none."""
    names = frozenset(permissions)
    return ALL if EVERYTHING in names else frozenset(scope for scope in Scope if scope in names)
