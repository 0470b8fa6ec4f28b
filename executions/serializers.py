"""Executions on the wire: what bodies may hold, and the shapes of the API reference."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from rest_framework import serializers

from core.serializers import (
    EntriesField,
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    StrictListField,
    StrictSerializer,
    TimeField,
)
from core.shapes import Schema, any_object, anything
from core.types import JSONObject, JSONValue
from events.models import Event
from executions import outputs
from executions.batch import MAX_ITEMS
from executions.diagnosis import Finding
from executions.models import ComponentRun, Execution
from executions.outputs import OutputUnavailableError
from executions.states import ExecutionStatus, RunStatus

MAX_TAGS = 50


class ParametersField(serializers.Field[JSONObject, Any, JSONObject, Any]):
    """A JSON object of parameters."""

    shape: ClassVar[Schema] = any_object()

    default_error_messages = {"invalid": "Must be an object."}

    def to_internal_value(self, data: Any) -> JSONObject:
        if not isinstance(data, dict):
            self.fail("invalid")
        return data

    def to_representation(self, value: JSONObject) -> JSONObject:
        return value


class ExecuteSerializer(StrictSerializer):
    """The body of `POST workflows/{id}/execute`."""

    parameters = ParametersField(required=False)
    priority = StrictIntegerField(required=False, min_value=1, max_value=10)
    scheduled_at = TimeField(required=False, allow_null=True)
    tags = StrictListField(child=StrictCharField(min_length=1, max_length=100), required=False, max_length=MAX_TAGS)


class JSONField(serializers.Field[JSONValue, Any, JSONValue, Any]):
    """Any JSON value."""

    shape: ClassVar[Schema] = anything()

    def to_internal_value(self, data: Any) -> JSONValue:
        return data

    def to_representation(self, value: JSONValue) -> JSONValue:
        return value


class RetrySerializer(StrictSerializer):
    """The body of `POST executions/{id}/retry`."""

    from_component = StrictCharField(required=False, min_length=1, max_length=64)
    parameters = ParametersField(required=False)
    version = serializers.ChoiceField(required=False, choices=["original", "latest"])
    preview = StrictBooleanField(required=False)


class CancelSerializer(StrictSerializer):
    """The body of `POST executions/{id}/cancel`, if there is one: a field that is meant to do something is refused."""


class SignalSerializer(StrictSerializer):
    """The body of `POST executions/{id}/signals/{name}`."""

    # The metaclass takes fields off the class: `serializer.data` stays what it is.
    data = JSONField(required=False, allow_null=True)  # type: ignore[assignment]


def diagnosis_data(execution: Execution, findings: Sequence[Finding]) -> JSONObject:
    """Why the execution has not ended: the most telling reason, and every component that runs or waits."""
    first = findings[0] if findings else None
    return {
        "execution_id": execution.pk,
        "status": execution.status,
        "reason": str(first.reason) if first else None,
        **(_finding_data(first) if first else _NOTHING),
        "components": [
            {
                "component_id": finding.run.component_id,
                "item_index": finding.run.item_index,
                "status": finding.run.status,
                "attempt": finding.run.attempt,
                "reason": str(finding.reason),
                **_finding_data(finding),
            }
            for finding in findings
            if finding.run is not None
        ],
    }


_NOTHING: JSONObject = {"message": None, "since": None, "next": None, "next_at": None, "details": {}}


def _finding_data(finding: Finding) -> JSONObject:
    return {
        "message": finding.message,
        "since": finding.since,
        "next": finding.next,
        "next_at": finding.next_at,
        "details": finding.details,
    }


class BatchItemSerializer(ExecuteSerializer):
    """One entry of the body of `execute-batch`: an execute body and the workflow that it is for."""

    workflow_id = StrictCharField(max_length=36)


class BatchSerializer(StrictSerializer):
    """The body of `POST workflows/execute-batch`; its entries are judged one by one."""

    executions: Any = EntriesField(BatchItemSerializer, allow_empty=False, max_length=MAX_ITEMS)
    atomic = StrictBooleanField(required=False, default=False)


def started_data(execution: Execution, *, estimated_duration: int | None, queue_position: int) -> JSONObject:
    """What execute answers for an execution just accepted."""
    return {
        "execution_id": execution.pk,
        "status": execution.status,
        "workflow_id": execution.workflow_id,
        "priority": execution.priority,
        "scheduled_at": execution.scheduled_at,
        "estimated_duration": estimated_duration,
        "queue_position": queue_position,
    }


def execution_data(execution: Execution, *, current_component: str | None) -> JSONObject:
    """An execution as `GET executions/{id}` shows it (API reference, contract §7)."""
    return {**execution_summary(execution, current_component=current_component), **outputs.shown_results(execution)}


def execution_summary(execution: Execution, *, current_component: str | None) -> JSONObject:
    """An execution without its results, which may have to be fetched."""
    error = execution.error if execution.status == ExecutionStatus.FAILED else None
    return {
        "id": execution.pk,
        "workflow_id": execution.workflow_id,
        "workflow_name": execution.workflow.name,
        "version": execution.version.number,
        "status": execution.status,
        "priority": execution.priority,
        "progress": progress_data(execution, current_component),
        "parameters": execution.parameters,
        "error_message": error["message"] if error else None,
        "error": error,
        # What it brought is the input of the start.
        "trigger": {name: value for name, value in execution.trigger.items() if name != "input"},
        "tags": execution.tags,
        "retry_of": execution.retry_of_id,
        "scheduled_at": execution.scheduled_at,
        "started_at": execution.started_at,
        "completed_at": execution.completed_at,
        "duration_seconds": _duration(execution.started_at, execution.completed_at, running=True),
        "resource_usage": {
            "cpu_seconds": round(execution.cpu_seconds, 3),
            "memory_mb": execution.memory_mb,
            "network_bytes": execution.network_bytes,
        },
        "created_by": execution.created_by_id,
        "created_at": execution.created_at,
    }


def progress_data(execution: Execution, current_component: str | None) -> JSONObject:
    """Completed and skipped over total; percentage 0–100."""
    percentage = 100 * execution.ended_components / execution.total_components
    return {
        "current_component": current_component,
        "completed_components": execution.ended_components,
        "total_components": execution.total_components,
        "percentage": round(percentage, 1),
    }


def log_data(event: Event) -> JSONObject:
    """A ledger event of type `log` as a log entry."""
    return {
        "timestamp": event.timestamp,
        "level": event.data["level"],
        "component_id": event.data.get("component_id"),
        "message": event.data["message"],
        "metadata": event.data.get("metadata", {}),
    }


def event_data(event: Event) -> JSONObject:
    """A ledger event as `GET executions/{id}/events` shows it."""
    return {
        "sequence": event.sequence,
        "type": event.type,
        "timestamp": event.timestamp,
        "data": event.data,
    }


def component_run_data(run: ComponentRun, input_data: JSONValue | OutputUnavailableError) -> JSONObject:
    """A component run with what went in and came out; what cannot be had is null, and marked."""
    return {
        **component_run_summary(run),
        **outputs.shown("input_data", input_data if run.started_at is not None else None, "input_unavailable"),
        **outputs.shown("output_data", outputs.unless_away(outputs.output_of, run), "output_unavailable"),
    }


def component_run_summary(run: ComponentRun) -> JSONObject:
    """A component run as it stands; a blocked one reads `pending`, the word that the contract has for it."""
    return {
        "id": run.pk,
        "component_id": run.component_id,
        "component_type": run.component_type,
        "status": str(ExecutionStatus.PENDING) if run.status == RunStatus.BLOCKED else run.status,
        "attempt": run.attempt,
        "item_index": run.item_index,
        "error": run.error,
        "started_at": run.started_at,
        "completed_at": run.completed_at,
        "duration_seconds": _duration(run.started_at, run.completed_at, running=run.status == RunStatus.RUNNING),
        "resource_usage": {
            "cpu_seconds": round(run.cpu_seconds, 3),
            "memory_mb": run.memory_mb,
            "network_bytes": run.network_bytes,
        },
    }


def _duration(started: datetime | None, ended: datetime | None, *, running: bool) -> int | None:
    if started is None or (ended is None and not running):
        return None
    return int(((ended or datetime.now(UTC)) - started).total_seconds())
