"""The query parameters of execution lists; a bad one is 400 and named (contract §3)."""

from django.http import QueryDict

from core.query import choice, identifier, time_range
from executions.models import ExecutionQuerySet
from executions.states import ExecutionStatus

# With one of these a list is in the order of starts.
BY_START = frozenset({"start_date", "end_date"})
LOG_LEVELS = ("debug", "info", "warning", "error")


def filter_executions(executions: ExecutionQuerySet, query: QueryDict) -> ExecutionQuerySet:
    """Apply workflow_id, status, user_id, start_date, end_date. Raises BadRequestError naming the parameter."""
    if (workflow_id := identifier(query, "workflow_id")) is not None:
        executions = executions.filter(workflow=workflow_id)
    if (user_id := identifier(query, "user_id")) is not None:
        executions = executions.filter(created_by=user_id)
    if (status := choice(query, "status", [str(status) for status in ExecutionStatus])) is not None:
        executions = executions.filter(status=status)
    start, end = time_range(query)
    return executions.started_between(start, end)
