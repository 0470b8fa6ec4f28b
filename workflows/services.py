"""What users do with workflows: create, update, delete."""

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from accounts.models import User
from accounts.vault import SealBrokenError
from core.errors import (
    ConflictError,
    NotFoundError,
    Problem,
    ValidationFailedError,
    WorkflowInvalidError,
)
from core.json_text import dumps
from core.redact import REDACTED
from core.types import JSONObject, JSONValue
from core.unique import name_conflicts
from events.event_types import EventType
from workflows.definition import Definition, DefinitionError
from workflows.definition_schema import Limits
from workflows.events import tell
from workflows.models import Workflow, WorkflowStatus, WorkflowVersion
from workflows.part_references import missing_parts
from workflows.queries import current_version
from workflows.restoring import restore
from workflows.schemas import short
from workflows.sealing import new_version, whole_definition
from workflows.validation import Report, error_entry, load, report

_NAME_CONSTRAINT = "workflow_name_unique_per_owner"


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
    parsed = _checked(_restored(definition))
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
        new_version(workflow=workflow, number=1, definition=definition, user=user).save(force_insert=True)
        tell(EventType.WORKFLOW_CREATED, workflow)
        audit.record(Action.WORKFLOW_CREATED, workflow, name=name)
    return workflow


def update_workflow(
    *, workflow: Workflow, user: User, changes: JSONObject, expected_version: int | None = None
) -> Workflow:
    """Set the given fields; a changed definition makes a new version. What changes nothing writes and tells nothing.

    A `[REDACTED]` in the definition stands for what is stored in its place. Opens its own durable transaction. Raises
    ConflictError (stale `expected_version`, name taken), ValidationFailedError, WorkflowInvalidError for activating
    what does not pass validation, and NotFoundError if the workflow has been deleted meanwhile.
    """
    changes = dict(changes)
    definition = changes.pop("definition", None)
    restored_from = None
    if _holds_marks(definition):
        restored_from = current_version(workflow)
        definition = _restored(definition, restored_from)
    parsed = None if definition is None else _checked(definition)
    with _name_conflicts(changes.get("name", workflow.name)), transaction.atomic(durable=True):
        current = _locked(Workflow.objects.select_for_update(of=("self",), no_key=True), workflow)
        if expected_version is not None and expected_version != current.version:
            raise _stale(current.version, expected_version)
        if restored_from is not None and restored_from.number != current.version:
            raise _stale(current.version, restored_from.number)
        stored = current_version(current)
        changed = {name: value for name, value in changes.items() if getattr(current, name) != value}
        if parsed is not None and not _is_same(definition, stored):
            changed |= {"version": current.version + 1, "component_count": len(parsed.components)}
            stored = new_version(workflow=current, number=changed["version"], definition=definition, user=user)
            stored.save(force_insert=True)
        if not changed:
            return current
        told = _events(current.status, changed)
        if EventType.WORKFLOW_ACTIVATED in told:
            _require_runnable(stored, current.created_by_id)
        for name, value in changed.items():
            setattr(current, name, value)
        current.updated_at = timezone.now()
        current.save(update_fields=[*changed, "updated_at"])
        for type_ in told:
            tell(type_, current)
        audit.record(Action.WORKFLOW_UPDATED, current, fields=sorted(changed), version=current.version)
    return current


def delete_workflow(*, workflow: Workflow, force: bool) -> None:
    """Delete the workflow with its versions and executions; with `force`, cancel what still runs first.

    Opens its own durable transaction. Raises ConflictError if executions have not ended and `force` is not
    given, NotFoundError if the workflow has been deleted meanwhile.
    """
    with transaction.atomic(durable=True):
        # A start takes a share of this row before anything else, so it is either seen here, or waits and finds no
        # workflow.
        current = _locked(Workflow.objects.select_for_update(of=("self",), no_key=True), workflow)
        if not force and (active := current.executions.active().count()):
            raise ConflictError(f"Executions that have not ended: {active}; force=true cancels them first")
        current.executions.request_cancel()
        tell(EventType.WORKFLOW_DELETED, current)
        audit.record(Action.WORKFLOW_DELETED, current, name=current.name, force=force)
        current.delete()


def judge(definition: JSONValue, *, workflow: Workflow | None = None) -> Report:
    """What `validate` answers: the errors are exactly what create and update refuse; nothing is run.

    For a workflow also what activating and executing refuse, secrets and workflows that its owner has not; and a
    `[REDACTED]` stands for what the workflow has stored in its place. Raises NotFoundError if that was deleted.
    """
    try:
        stored = current_version(workflow) if workflow is not None and _holds_marks(definition) else None
        whole = _restored(definition, stored)
    except ValidationFailedError as error:
        return _refused(error.problems, definition)
    return _judged(whole, workflow)


def judge_stored(workflow: Workflow) -> Report:
    """`judge` of what the workflow runs. Raises NotFoundError if it was deleted since it was read."""
    stored = current_version(workflow)
    try:
        whole = whole_definition(stored)
    except SealBrokenError as error:
        return _refused([_unopened(error)], stored.definition)
    return _judged(whole, workflow)


def _judged(definition: JSONValue, workflow: Workflow | None) -> Report:
    problem = _size_problem(definition)
    if problem is not None:
        return _refused([problem], definition)
    found = report(definition, _limits())
    if workflow is None or not found.is_valid:
        return found
    missing = missing_parts(load(definition, _limits()), workflow.created_by_id)
    return replace(found, errors=[error_entry(problem, definition["components"]) for problem in missing])


def _refused(problems: Iterable[Problem], definition: JSONValue) -> Report:
    components = definition.get("components") if isinstance(definition, dict) else None
    return Report([error_entry(problem, components) for problem in problems], [], [])


def _locked(rows: QuerySet[Workflow], workflow: Workflow) -> Workflow:
    """The row as it is now, locked as `rows` says. Raises NotFoundError."""
    found = rows.filter(pk=workflow.pk).first()
    if found is None:
        raise NotFoundError("Workflow not found")
    return found


def _stale(version: int, expected: int) -> ConflictError:
    problem = Problem(
        "Read the workflow again and repeat the change",
        field="expected_version",
        details={"expected": version, "received": expected},
    )
    return ConflictError(f"The workflow is at version {version}, not {expected}", problems=[problem])


def _events(old_status: str, changed: JSONObject) -> list[EventType]:
    """What to tell of a change: turning on and off by their own names, all else as an update."""
    told: list[EventType] = []
    if "status" in changed:
        if changed["status"] == WorkflowStatus.ACTIVE:
            told.append(EventType.WORKFLOW_ACTIVATED)
        elif changed["status"] == WorkflowStatus.INACTIVE or old_status == WorkflowStatus.ACTIVE:
            told.append(EventType.WORKFLOW_DEACTIVATED)
    if not told or changed.keys() - {"status"}:
        told.append(EventType.WORKFLOW_UPDATED)
    return told


def _canonical(definition: JSONValue) -> str:
    """Text that is equal for equal JSON. Python's == takes true for 1, which a component would not."""
    return json.dumps(definition, sort_keys=True)


def _is_same(definition: JSONObject, stored: WorkflowVersion) -> bool:
    try:
        return _canonical(definition) == _canonical(whole_definition(stored))
    except SealBrokenError:
        # Nobody can say; writing it anew is how such a version is repaired.
        return False


def _holds_marks(definition: JSONValue) -> bool:
    return REDACTED.encode() in dumps(definition)


def _restored(definition: JSONValue, stored: WorkflowVersion | None = None) -> Any:
    """The definition with what `[REDACTED]` stands for. Raises ValidationFailedError where it stands for nothing."""
    if not _holds_marks(definition):
        return definition
    try:
        whole, shown = (None, None) if stored is None else (whole_definition(stored), stored.definition)
        return restore(definition, whole, shown)
    except DefinitionError as error:
        raise ValidationFailedError("Invalid workflow definition", problems=error.problems) from None
    except SealBrokenError as error:
        raise ValidationFailedError("Invalid workflow definition", problems=[_unopened(error)]) from None


def _unopened(error: SealBrokenError) -> Problem:
    details = {"expected": "the literal secrets written anew, or the old key in APG_ENCRYPTION_KEYS"}
    return Problem(f"The stored definition does not open: {error}", field="definition", details=details)


def _checked(definition: JSONValue) -> Definition:
    problem = _size_problem(definition)
    if problem is not None:
        raise ValidationFailedError("Invalid workflow definition", problems=[problem])
    try:
        return load(definition, _limits())
    except DefinitionError as error:
        raise ValidationFailedError("Invalid workflow definition", problems=error.problems) from None


def _limits() -> Limits:
    return Limits(settings.MAX_COMPONENTS, settings.MAX_CONNECTIONS, settings.MAX_NESTING)


def _size_problem(definition: JSONValue) -> Problem | None:
    size = len(dumps(definition))
    if size <= settings.MAX_DEFINITION_BYTES:
        return None
    details = {"expected": f"at most {settings.MAX_DEFINITION_BYTES} bytes", "received": f"{size} bytes"}
    return Problem("The definition is too large", field="definition", details=details)


def _require_runnable(version: WorkflowVersion, owner_id: str) -> None:
    try:
        missing = missing_parts(load(whole_definition(version), _limits()), owner_id)
    except SealBrokenError as error:
        raise WorkflowInvalidError(problems=[_unopened(error)]) from None
    except DefinitionError as error:
        raise WorkflowInvalidError(problems=error.problems) from None
    if missing:
        raise WorkflowInvalidError(problems=missing)


def _name_conflicts(name: str) -> AbstractContextManager[None]:
    taken = f"There is a workflow called {short(name)} already"
    return name_conflicts(_NAME_CONSTRAINT, taken, "Choose another name")
