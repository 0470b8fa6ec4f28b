"""The query parameters of execution lists; a bad one is 400 and named (contract §3)."""

from collections.abc import Mapping
from datetime import datetime

from django.db.models import QuerySet

from core.ids import parse_id
from core.pagination import bad_parameter
from core.times import parse_time
from executions.models import Execution
from executions.states import ExecutionStatus

LOG_LEVELS = ("debug", "info", "warning", "error")


def filter_executions(executions: QuerySet[Execution], query: Mapping[str, str]) -> QuerySet[Execution]:
    """Apply workflow_id, status, user_id, start_date, end_date. Raises BadRequestError naming the parameter."""
    if (workflow_id := _id(query, "workflow_id")) is not None:
        executions = executions.filter(workflow=workflow_id)
    if (user_id := _id(query, "user_id")) is not None:
        executions = executions.filter(created_by=user_id)
    if (status := choice(query, "status", [str(status) for status in ExecutionStatus])) is not None:
        executions = executions.filter(status=status)
    start, end = _time(query, "start_date"), _time(query, "end_date")
    if start and end and start > end:
        raise bad_parameter("start_date", "before end_date", query["start_date"])
    if start:
        executions = executions.filter(started_at__gte=start)
    if end:
        executions = executions.filter(started_at__lte=end)
    return executions


def choice(query: Mapping[str, str], name: str, allowed: list[str]) -> str | None:
    """One of `allowed`, or None if absent. Raises BadRequestError."""
    value = query.get(name)
    if value is not None and value not in allowed:
        raise bad_parameter(name, "one of " + ", ".join(allowed), value)
    return value


def _id(query: Mapping[str, str], name: str) -> str | None:
    value = query.get(name)
    if value is None:
        return None
    try:
        return parse_id(value)
    except ValueError:
        raise bad_parameter(name, "an id (26-character ULID)", value) from None


def _time(query: Mapping[str, str], name: str) -> datetime | None:
    value = query.get(name)
    if value is None:
        return None
    try:
        # A "+" that was not escaped in the query string arrives as a space.
        return parse_time(value.replace(" ", "+") if "T" in value else value)
    except ValueError:
        raise bad_parameter(name, "an ISO 8601 date or time", value) from None
