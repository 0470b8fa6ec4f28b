"""What a subscription begins with: how things are now, for whoever may see them."""

from typing import Any

from accounts.callers import Caller
from accounts.permissions import require_scope
from accounts.scopes import Scope
from core.types import JSONObject
from events import announcements
from executions import listing, queries
from executions.models import Execution
from executions.serializers import component_run_summary, execution_data, progress_data
from executions.states import FINAL_EXECUTION, ExecutionStatus
from workflows import access
from workflows.models import Workflow

MAX_EXECUTIONS = 50
_ACTIVE = sorted(str(status) for status in ExecutionStatus if status not in FINAL_EXECUTION)


def of_execution(caller: Caller, execution_id: str) -> tuple[Execution, JSONObject]:
    """An execution and its components, without their inputs and outputs, which REST has.

    Raises NotFoundError, NotAllowedError.
    """
    require_scope(caller, Scope.EXECUTION_READ)
    # The execution first: what happens between the two is told after its sequence number.
    execution = queries.get_visible(caller, execution_id)
    runs = execution.runs.filter(item=None).order_by("position").defer("output", "output_ref", "sealed_output")
    return execution, {
        "execution": execution_data(execution, current_component=getattr(execution, "current_component", None)),
        "components": [
            {name: value for name, value in component_run_summary(run).items() if name in _SHORT} for run in runs
        ],
    }


_SHORT = frozenset(
    {"component_id", "component_type", "status", "attempt", "error", "started_at", "completed_at", "duration_seconds"}
)


def followed_workflow(caller: Caller, workflow_id: str) -> Workflow:
    """A workflow that the caller may follow with its executions. Raises NotFoundError, NotAllowedError."""
    require_scope(caller, Scope.WORKFLOW_READ)
    require_scope(caller, Scope.EXECUTION_READ)
    return access.get_visible(caller, workflow_id)


def of_workflow(caller: Caller, workflow_id: str) -> JSONObject:
    """A workflow and the newest of its executions that have not ended. Raises as `followed_workflow`."""
    workflow = followed_workflow(caller, workflow_id)
    # Said by what they are, not by what they are not: there is an index of the statuses.
    active = (
        Execution.objects.filter(workflow=workflow, status__in=_ACTIVE).order_by("-pk").values_list("pk", flat=True)
    )
    executions = sorted(listing.by_ids(list(active[:MAX_EXECUTIONS])), key=lambda found: found.pk, reverse=True)
    return {
        "workflow": {
            "id": workflow.pk,
            "name": workflow.name,
            "status": workflow.status,
            "version": workflow.version,
            "updated_at": workflow.updated_at,
        },
        "executions": [_short(execution) for execution in executions],
    }


def of_system() -> JSONObject:
    """The maintenance that is announced and not over."""
    return {"maintenance": [announcements.data_of(found) for found in announcements.current()]}


def _short(execution: Execution) -> dict[str, Any]:
    return {
        "id": execution.pk,
        "status": execution.status,
        "progress": progress_data(execution, getattr(execution, "current_component", None)),
        "started_at": execution.started_at,
        "sequence": execution.sequence,
    }
