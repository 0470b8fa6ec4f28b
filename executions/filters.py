"""The query parameters of execution lists; a bad one is 400 and named (contract §3)."""

from django.db.models import QuerySet
from django.http import QueryDict

from core.describing import choice_parameter, id_parameter, time_parameters
from core.query import choice, identifier, time_range
from executions.models import Execution
from executions.states import ExecutionStatus

EXECUTION_FILTERS = (
    id_parameter("workflow_id", "Filter by workflow ID"),
    choice_parameter("status", list(ExecutionStatus), "Filter by status"),
    id_parameter("user_id", "Filter by user who started execution"),
    *time_parameters("executions started"),
)


def filter_executions(executions: QuerySet[Execution], query: QueryDict) -> QuerySet[Execution]:
    """Apply workflow_id, status, user_id, start_date, end_date. Raises BadRequestError naming the parameter."""
    if (workflow_id := identifier(query, "workflow_id")) is not None:
        executions = executions.filter(workflow=workflow_id)
    if (user_id := identifier(query, "user_id")) is not None:
        executions = executions.filter(created_by=user_id)
    if (status := choice(query, "status", [str(status) for status in ExecutionStatus])) is not None:
        executions = executions.filter(status=status)
    start, end = time_range(query)
    if start:
        executions = executions.filter(started_at__gte=start)
    if end:
        executions = executions.filter(started_at__lte=end)
    return executions
