"""What users do with workflows: create, update, delete."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from accounts.models import User
from core.errors import ConflictError, NotFoundError, Problem
from core.types import JSONObject
from core.unique import name_conflicts
from events.event_types import EventType
from workflows.activation import settle_triggers, tell_of_end
from workflows.checking import checked, holds_marks, is_same, require_runnable, stored_definition, with_secrets
from workflows.definition import Definition
from workflows.events import tell
from workflows.models import Workflow, WorkflowStatus
from workflows.queries import current_version
from workflows.schemas import short
from workflows.sealing import new_version

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
    durable: bool = True,
) -> Workflow:
    """A draft with its first version.

    Opens its own durable transaction or, told so, a savepoint in the caller's. Raises ValidationFailedError for the
    definition, ConflictError for a name that the owner has given already.
    """
    parsed = checked(with_secrets(definition))
    with _name_conflicts(name), transaction.atomic(durable=durable):
        workflow = Workflow.objects.create(
            created_by=user,
            name=name,
            description=description,
            category=category,
            tags=list(tags),
            priority=priority,
            component_count=len(parsed.components),
            **_keeping(parsed),
        )
        new_version(workflow=workflow, number=1, definition=definition, user=user).save(force_insert=True)
        tell(EventType.WORKFLOW_CREATED, workflow)
        audit.record(Action.WORKFLOW_CREATED, workflow, name=name)
    return workflow


def update_workflow(
    *,
    workflow: Workflow,
    user: User,
    changes: JSONObject,
    expected_version: int | None = None,
    durable: bool = True,
) -> Workflow:
    """Set the given fields; a changed definition makes a new version. What changes nothing writes and tells nothing.

    A `[REDACTED]` in the definition stands for what is stored in its place. The triggers of an active workflow follow
    its definition. Transaction as `create_workflow`. Raises ConflictError (stale `expected_version`, name taken),
    ValidationFailedError, WorkflowInvalidError for activating what does not pass validation and for a schedule that
    never fires, and NotFoundError if the workflow has been deleted meanwhile.
    """
    changes = dict(changes)
    definition = changes.pop("definition", None)
    restored_from = None
    if holds_marks(definition):
        restored_from = current_version(workflow)
        definition = with_secrets(definition, restored_from)
    parsed = None if definition is None else checked(definition)
    with _name_conflicts(changes.get("name", workflow.name)), transaction.atomic(durable=durable):
        current = _locked(Workflow.objects.select_for_update(of=("self",), no_key=True), workflow)
        if expected_version is not None and expected_version != current.version:
            raise _stale(current.version, expected_version)
        if restored_from is not None and restored_from.number != current.version:
            raise _stale(current.version, restored_from.number)
        stored = current_version(current)
        changed = {name: value for name, value in changes.items() if getattr(current, name) != value}
        if parsed is not None and not is_same(definition, stored):
            changed |= {"version": current.version + 1, "component_count": len(parsed.components)}
            changed |= {name: value for name, value in _keeping(parsed).items() if getattr(current, name) != value}
            stored = new_version(workflow=current, number=changed["version"], definition=definition, user=user)
            stored.save(force_insert=True)
        if not changed:
            return current
        told = _events(current.status, changed)
        was_active = current.status == WorkflowStatus.ACTIVE
        if EventType.WORKFLOW_ACTIVATED in told:
            require_runnable(stored, current.created_by_id)
        for name, value in changed.items():
            setattr(current, name, value)
        current.updated_at = timezone.now()
        current.save(update_fields=[*changed, "updated_at"])
        if changed.keys() & {"status", "version"} and (was_active or current.status == WorkflowStatus.ACTIVE):
            settle_triggers(current, parsed or stored_definition(stored))
        for type_ in told:
            tell(type_, current)
        audit.record(Action.WORKFLOW_UPDATED, current, fields=sorted(changed), version=current.version)
    return current


def delete_workflow(*, workflow: Workflow, force: bool, durable: bool = True) -> None:
    """Delete the workflow with its versions and executions; with `force`, cancel what still runs first.

    Where that is more than one transaction should hold, the workflow and what starts it are gone at once, and the
    janitor deletes its executions. Transaction as `create_workflow`. Raises ConflictError if executions have not
    ended and `force` is not given, NotFoundError if the workflow has been deleted meanwhile.
    """
    with transaction.atomic(durable=durable):
        # A start takes a share of this row before anything else, so it is either seen here, or waits and finds no
        # workflow.
        current = _locked(Workflow.objects.select_for_update(of=("self",), no_key=True), workflow)
        if not force and (active := current.executions.active().count()):
            raise ConflictError(f"Executions that have not ended: {active}; force=true cancels them first")
        current.executions.request_cancel()
        tell_of_end(current)
        tell(EventType.WORKFLOW_DELETED, current)
        audit.record(Action.WORKFLOW_DELETED, current, name=current.name, force=force)
        if current.executions.fit_a_transaction():
            current.delete()
        else:
            _leave_to_the_janitor(current)


def _leave_to_the_janitor(workflow: Workflow) -> None:
    workflow.shares.all().delete()
    workflow.triggers.all().delete()
    workflow.status, workflow.deleted_at = WorkflowStatus.ARCHIVED, timezone.now()
    workflow.save(update_fields=["status", "deleted_at"])


def _keeping(parsed: Definition) -> JSONObject:
    """What the workflow's row repeats of its version for those who prune."""
    return {"keep_days": parsed.settings.retention.days, "keep_count": parsed.settings.retention.count}


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


def _name_conflicts(name: str) -> AbstractContextManager[None]:
    taken = f"There is a workflow called {short(name)} already"
    return name_conflicts(_NAME_CONSTRAINT, taken, "Choose another name")
