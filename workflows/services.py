"""What users do with workflows: create, update, delete."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from core.errors import ConflictError, Problem, ValidationFailedError, WorkflowInvalidError
from core.json_text import dumps
from core.types import JSONObject
from events.event_types import EventType
from workflows.definition import Definition, DefinitionError
from workflows.events import tell
from workflows.models import Workflow, WorkflowStatus, WorkflowVersion
from workflows.validation import load

_NAME_CONSTRAINT = "workflow_name_unique_per_owner"
# A workflow's status is told apart from its other changes.
_STATUS_EVENTS = {
    WorkflowStatus.ACTIVE: EventType.WORKFLOW_ACTIVATED,
    WorkflowStatus.INACTIVE: EventType.WORKFLOW_DEACTIVATED,
}


def create_workflow(
    *,
    user: User,
    name: str,
    definition: JSONObject,
    description: str = "",
    category: str = "",
    tags: Sequence[str] = (),
    priority: int = 5,
) -> Workflow:
    """A draft with its first version.

    Opens its own durable transaction. Raises ValidationFailedError for the definition, ConflictError for a
    name that the owner has given already.
    """
    parsed = _checked(definition)
    with _name_conflicts(name), transaction.atomic(durable=True):
        workflow = Workflow.objects.create(
            created_by=user,
            name=name,
            description=description,
            category=category,
            tags=list(tags),
            priority=priority,
            component_count=len(parsed.components),
        )
        WorkflowVersion.objects.create(workflow=workflow, number=1, definition=definition, created_by=user)
        tell(EventType.WORKFLOW_CREATED, workflow)
    return workflow


def update_workflow(
    *, workflow: Workflow, user: User, changes: JSONObject, expected_version: int | None = None
) -> Workflow:
    """Set the given fields; a changed definition makes a new version, an unchanged one none.

    Opens its own durable transaction. Raises ConflictError (stale `expected_version`, name taken),
    ValidationFailedError, and WorkflowInvalidError for activating what does not pass validation.
    """
    changes = dict(changes)
    definition = changes.pop("definition", None)
    parsed = None if definition is None else _checked(definition)
    with _name_conflicts(changes.get("name", workflow.name)), transaction.atomic(durable=True):
        current = Workflow.objects.select_for_update(of=("self",), no_key=True).get(pk=workflow.pk)
        if expected_version is not None and expected_version != current.version:
            raise ConflictError(
                f"The workflow is at version {current.version}, not {expected_version}",
                problems=[
                    Problem(
                        "Read the workflow again and repeat the change",
                        field="expected_version",
                        details={"expected": current.version, "received": expected_version},
                    )
                ],
            )
        stored = current_version(current).definition
        if definition is not None and parsed is not None and definition != stored:
            current.version += 1
            current.component_count = len(parsed.components)
            WorkflowVersion.objects.create(
                workflow=current, number=current.version, definition=definition, created_by=user
            )
        old_status = current.status
        for name, value in changes.items():
            setattr(current, name, value)
        if current.status == WorkflowStatus.ACTIVE != old_status:
            _require_runnable(definition or stored)
        current.updated_at = timezone.now()
        current.save(update_fields=[*changes, "version", "component_count", "updated_at"])
        if current.status != old_status and WorkflowStatus(current.status) in _STATUS_EVENTS:
            tell(_STATUS_EVENTS[WorkflowStatus(current.status)], current)
        if definition is not None or changes.keys() - {"status"}:
            tell(EventType.WORKFLOW_UPDATED, current)
    return current


def delete_workflow(*, workflow: Workflow, force: bool) -> None:
    """Delete the workflow with its versions and executions; with `force`, cancel what still runs first.

    Opens its own durable transaction. Raises ConflictError if executions run and `force` is not given.
    """
    with transaction.atomic(durable=True):
        # The full lock: an execution being started holds the key share of this row, so none slips in.
        current = Workflow.objects.select_for_update().get(pk=workflow.pk)
        running = current.executions.active().count()
        if running and not force:
            raise ConflictError(f"{running} executions have not ended; delete with force=true to cancel them")
        current.executions.request_cancel()
        tell(EventType.WORKFLOW_DELETED, current)
        current.delete()


def current_version(workflow: Workflow) -> WorkflowVersion:
    """The version that the workflow's next execution runs."""
    return WorkflowVersion.objects.get(workflow=workflow, number=workflow.version)


def _checked(definition: Any) -> Definition:
    size = len(dumps(definition))
    if size > settings.MAX_DEFINITION_BYTES:
        details = {"expected": f"at most {settings.MAX_DEFINITION_BYTES} bytes", "received": f"{size} bytes"}
        raise ValidationFailedError(
            "Invalid workflow definition",
            problems=[Problem("The definition is too large", field="definition", details=details)],
        )
    try:
        return load(definition)
    except DefinitionError as error:
        raise ValidationFailedError("Invalid workflow definition", problems=error.problems) from None


def _require_runnable(definition: JSONObject) -> None:
    try:
        load(definition)
    except DefinitionError as error:
        raise WorkflowInvalidError(problems=error.problems) from None


@contextmanager
def _name_conflicts(name: str) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if _NAME_CONSTRAINT not in str(error):
            raise
        raise ConflictError(
            f"You have a workflow called {name!r} already",
            problems=[Problem("Choose another name", field="name")],
        ) from None
