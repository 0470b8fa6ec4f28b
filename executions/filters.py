"""The query parameters of execution lists; a bad one is 400 and named (contract §3)."""

from django.http import QueryDict

from core.describing import choice_parameter, id_parameter, time_parameters
from core.query import choice, identifier, time_range
from executions.listing import Filter
from executions.states import ExecutionStatus

EXECUTION_FILTERS = (
    id_parameter("workflow_id", "Filter by workflow ID"),
    choice_parameter("status", list(ExecutionStatus), "Filter by status"),
    id_parameter("user_id", "Filter by user who started execution"),
    *time_parameters("executions started"),
)


def execution_filter(query: QueryDict) -> Filter:
    """workflow_id, status, user_id, start_date, end_date. Raises BadRequestError naming the parameter."""
    start, end = time_range(query)
    return Filter(
        workflow_id=identifier(query, "workflow_id"),
        user_id=identifier(query, "user_id"),
        status=choice(query, "status", [str(status) for status in ExecutionStatus]),
        start=start,
        end=end,
    )
