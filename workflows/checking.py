"""What a definition is judged by before it is stored, shown or run."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.conf import settings

from accounts.vault import SealBrokenError
from core.errors import Problem, ValidationFailedError, WorkflowInvalidError
from core.json_text import dumps
from core.redact import REDACTED
from core.types import JSONObject, JSONValue
from workflows import sealing
from workflows.definition import Definition, DefinitionError
from workflows.definition_schema import Limits
from workflows.models import Workflow, WorkflowVersion
from workflows.part_references import missing_parts
from workflows.queries import current_version
from workflows.sealing import whole_definition
from workflows.validation import Report, error_entry, load, report


def judge(definition: JSONValue, *, workflow: Workflow | None = None) -> Report:
    """What `validate` answers: the errors are exactly what create and update refuse; nothing is run.

    For a workflow also what activating and executing refuse, secrets and workflows that its owner has not; and a
    `[REDACTED]` stands for what it has stored in its place. So only for those who may edit it: what somebody writes
    into a definition would ask which secrets there are, and which rules a value keeps. Raises NotFoundError if the
    workflow was deleted.
    """
    try:
        stored = current_version(workflow) if workflow is not None and holds_marks(definition) else None
        whole = with_secrets(definition, stored)
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
    found = report(definition, limits())
    if workflow is None or not found.is_valid:
        return found
    missing = missing_parts(load(definition, limits()), workflow.created_by_id)
    return replace(found, errors=[error_entry(problem, definition["components"]) for problem in missing])


def _refused(problems: Iterable[Problem], definition: JSONValue) -> Report:
    components = definition.get("components") if isinstance(definition, dict) else None
    return Report([error_entry(problem, components) for problem in problems], [], [])


def holds_marks(definition: JSONValue) -> bool:
    return REDACTED.encode() in dumps(definition)


def with_secrets(definition: JSONValue, stored: WorkflowVersion | None = None) -> Any:
    """The definition with what `[REDACTED]` stands for. Raises ValidationFailedError where it stands for nothing."""
    if not holds_marks(definition):
        return definition
    _require_size(definition)
    try:
        return sealing.restored(definition, stored)
    except DefinitionError as error:
        raise ValidationFailedError("Invalid workflow definition", problems=error.problems) from None
    except SealBrokenError as error:
        raise ValidationFailedError("Invalid workflow definition", problems=[_unopened(error)]) from None


def _unopened(error: SealBrokenError) -> Problem:
    details = {"expected": "the literal secrets written anew, or the old key in APG_ENCRYPTION_KEYS"}
    return Problem(f"The stored definition does not open: {error}", field="definition", details=details)


def checked(definition: JSONValue) -> Definition:
    """The definition, parsed. Raises ValidationFailedError with all that create and update refuse."""
    _require_size(definition)
    try:
        return load(definition, limits())
    except DefinitionError as error:
        raise ValidationFailedError("Invalid workflow definition", problems=error.problems) from None


def limits() -> Limits:
    """How large the operator lets definitions be."""
    return Limits(settings.MAX_COMPONENTS, settings.MAX_CONNECTIONS, settings.MAX_NESTING)


def _require_size(definition: JSONValue) -> None:
    problem = _size_problem(definition)
    if problem is not None:
        raise ValidationFailedError("Invalid workflow definition", problems=[problem])


def _size_problem(definition: JSONValue) -> Problem | None:
    size = len(dumps(definition))
    if size <= settings.MAX_DEFINITION_BYTES:
        return None
    details = {"expected": f"at most {settings.MAX_DEFINITION_BYTES} bytes", "received": f"{size} bytes"}
    return Problem("The definition is too large", field="definition", details=details)


def stored_definition(version: WorkflowVersion) -> Definition:
    """A stored definition, parsed. Raises WorkflowInvalidError where it does not pass any more."""
    try:
        return load(whole_definition(version), limits())
    except SealBrokenError as error:
        raise WorkflowInvalidError(problems=[_unopened(error)]) from None
    except DefinitionError as error:
        raise WorkflowInvalidError(problems=error.problems) from None


def require_runnable(version: WorkflowVersion, owner_id: str) -> None:
    missing = missing_parts(stored_definition(version), owner_id)
    if missing:
        raise WorkflowInvalidError(problems=missing)


def _canonical(definition: JSONValue) -> str:
    """Text that is equal for equal JSON. Python's == takes true for 1, which a component would not."""
    return json.dumps(definition, sort_keys=True)


def is_same(definition: JSONObject, stored: WorkflowVersion) -> bool:
    try:
        return _canonical(definition) == _canonical(whole_definition(stored))
    except SealBrokenError:
        # Nobody can say; writing it anew is how such a version is repaired.
        return False
