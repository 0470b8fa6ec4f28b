"""Copies of workflows: duplicates, earlier versions put back, and documents to keep or to carry elsewhere."""

import itertools

from accounts.models import User
from core.errors import ConflictError, NotAllowedError
from core.types import JSONObject
from workflows import services
from workflows.models import Workflow, WorkflowVersion
from workflows.queries import current_version
from workflows.sealing import whole_definition

EXPORT_FORMAT = 1
_MAX_NAME_CHARS = 255
_MAX_COPIES = 50


def duplicate_workflow(
    *, workflow: Workflow, user: User, may_edit: bool, name: str | None = None, description: str | None = None
) -> Workflow:
    """A draft of the user's own with the workflow's current definition; without a name, "… (copy)" and so on.

    Opens its own durable transaction. Raises ConflictError for a taken name, and NotAllowedError where the definition
    holds literal secrets and the user may not edit it: a copy would hand them over.
    """
    version = current_version(workflow)
    if version.sealed_definition is not None and not may_edit:
        raise NotAllowedError("The workflow holds literal secrets; only who may edit it may duplicate it")
    facts: JSONObject = {
        "definition": whole_definition(version),
        "description": workflow.description if description is None else description,
        "category": workflow.category,
        "tags": workflow.tags,
        "priority": workflow.priority,
    }
    if name is not None:
        return services.create_workflow(user=user, name=name, **facts)
    for number in itertools.count(1):
        try:
            return services.create_workflow(user=user, name=_copy_name(workflow.name, number), **facts)
        except ConflictError:
            if number == _MAX_COPIES:
                raise
    raise AssertionError("counts until one of both")


def _copy_name(name: str, number: int) -> str:
    suffix = " (copy)" if number == 1 else f" (copy {number})"
    return name[: _MAX_NAME_CHARS - len(suffix)] + suffix


def restore_version(
    *, workflow: Workflow, version: WorkflowVersion, user: User, expected_version: int | None = None
) -> Workflow:
    """The workflow with the definition of an earlier version, as a new version; the versions between stay.

    Opens its own durable transaction. Raises as `services.update_workflow` does: a rule may have become stricter.
    """
    changes = {"definition": whole_definition(version)}
    return services.update_workflow(workflow=workflow, user=user, changes=changes, expected_version=expected_version)


def export_document(workflow: Workflow) -> JSONObject:
    """The workflow as a document that `import` takes; literal secrets read `[REDACTED]` in it."""
    return {
        "format": EXPORT_FORMAT,
        "name": workflow.name,
        "description": workflow.description,
        "category": workflow.category,
        "tags": workflow.tags,
        "priority": workflow.priority,
        "definition": current_version(workflow).definition,
    }
