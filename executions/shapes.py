"""What executions look like in answers, for the OpenAPI document: the serializers beside it make them."""

from core.errors import ErrorCode
from core.shapes import (
    ID,
    TIME,
    Named,
    Schema,
    any_object,
    anything,
    array,
    boolean,
    enum,
    integer,
    nullable,
    number,
    record,
    text,
)
from core.types import JSONObject
from events.event_types import LOG_LEVELS, EventType
from executions.diagnosis import Reason
from executions.states import ExecutionStatus, RunStatus
from workflows.shapes import results_of

EXAMPLE_EXECUTE: JSONObject = {
    "parameters": {"api_token": "your-api-token", "batch_size": 1000},
    "priority": 7,
    "scheduled_at": "2025-01-01T15:00:00Z",
    "tags": ["manual_execution"],
}
EXAMPLE_RETRY: JSONObject = {"from_component": "transform", "parameters": {"batch_size": 500}}
EXAMPLE_BATCH: JSONObject = {
    "executions": [
        {"workflow_id": "01HQNZ2G5XKJ8P7M9N6V3R4T5W", "parameters": {"param1": "value1"}, "priority": 5},
        {"workflow_id": "01HQNZ2G5XKJ8P7M9N6V3R4T5X", "parameters": {"param2": "value2"}, "priority": 7},
    ]
}
_STATUS = enum(ExecutionStatus)
_PRIORITY = integer("10 is the most urgent", 1, 10)
_DURATION = nullable(integer("Whole seconds, so far where it runs"))
_CODE = text("One of the error codes, or what a `fail` component names", examples=[ErrorCode.COMPONENT_ERROR.value])
_USAGE = Named(
    "ResourceUsage",
    record(
        {
            "cpu_seconds": number("Of the components' own work"),
            "memory_mb": integer("The most that a process needed"),
            "network_bytes": integer("Sent and received by components"),
        }
    ),
)
STARTED = Named(
    "StartedExecution",
    record(
        {
            "execution_id": ID,
            "status": _STATUS,
            "workflow_id": ID,
            "priority": _PRIORITY,
            "scheduled_at": nullable(TIME),
            "estimated_duration": nullable(integer("Whole seconds, from the last successful executions")),
            "queue_position": integer("0 where it can start at once"),
        }
    ),
    example={
        "execution_id": "01HQNZ2G5XKJ8P7M9N6V3R4T5Y",
        "status": "queued",
        "workflow_id": "01HQNZ2G5XKJ8P7M9N6V3R4T5W",
        "priority": 7,
        "scheduled_at": None,
        "estimated_duration": 300,
        "queue_position": 2,
    },
)
BATCH_RESULTS = results_of(STARTED, "BatchResults")
_ERROR = Named(
    "ExecutionError",
    record(
        {
            "code": _CODE,
            "message": text(),
            "component_id": nullable(text()),
            "item_index": nullable(integer()),
        },
        optional=("component_id", "item_index"),
    ),
)
_TRIGGER = Named(
    "ExecutionTrigger",
    record(
        {
            "type": text("What started it: `manual`, `sub_workflow`, `schedule`, `webhook` or `event`"),
            "execution_id": ID,
            "component_id": text(),
            "schedule_id": ID,
            "trigger_id": ID,
            "event": text("The event that it was started by"),
            "chain": integer("How many executions have followed from one another by events", 1),
            "slot_at": TIME,
            "run_now": boolean("Started by `POST schedules/{id}/run`"),
            "backfill": boolean("Started by `POST schedules/{id}/backfill`"),
        },
        optional=(
            "execution_id",
            "component_id",
            "schedule_id",
            "trigger_id",
            "event",
            "chain",
            "slot_at",
            "run_now",
            "backfill",
        ),
    ),
)
EXECUTION = Named(
    "Execution",
    record(
        {
            "id": ID,
            "workflow_id": ID,
            "workflow_name": text(),
            "version": integer("The version of the definition that it runs", 1),
            "status": _STATUS,
            "priority": _PRIORITY,
            "progress": record(
                {
                    "current_component": nullable(text()),
                    "completed_components": integer("Completed and skipped"),
                    "total_components": integer("", 1),
                    "percentage": number("", 0, 100),
                }
            ),
            "parameters": any_object("Secrets read [REDACTED]"),
            "results": anything("The end's output; null until the execution has completed"),
            "results_unavailable": boolean("Where the results are stored aside and cannot be had; they read null"),
            "error_message": nullable(text()),
            "error": nullable(_ERROR),
            "trigger": _TRIGGER,
            "tags": array(text(maxLength=100)),
            "retry_of": nullable(ID),
            "scheduled_at": nullable(TIME),
            "started_at": nullable(TIME),
            "completed_at": nullable(TIME),
            "duration_seconds": _DURATION,
            "resource_usage": _USAGE,
            "created_by": ID,
            "created_at": TIME,
        },
        optional=("results_unavailable",),
    ),
    example={
        "id": "01HQNZ2G5XKJ8P7M9N6V3R4T5Y",
        "workflow_id": "01HQNZ2G5XKJ8P7M9N6V3R4T5W",
        "workflow_name": "Data Processing Pipeline",
        "version": 2,
        "status": "running",
        "priority": 5,
        "progress": {
            "current_component": "transform",
            "completed_components": 2,
            "total_components": 5,
            "percentage": 40,
        },
        "parameters": {"api_token": "[REDACTED]", "batch_size": 1000},
        "results": None,
        "error_message": None,
        "error": None,
        "trigger": {"type": "manual"},
        "tags": [],
        "retry_of": None,
        "scheduled_at": None,
        "started_at": "2025-01-01T12:00:00Z",
        "completed_at": None,
        "duration_seconds": 120,
        "resource_usage": {"cpu_seconds": 15.5, "memory_mb": 256, "network_bytes": 1048576},
        "created_by": "01HQNZ2G5XKJ8P7M9N6V3R4T5X",
        "created_at": "2025-01-01T12:00:00Z",
    },
)
# What cancel and retry answer; without the scope execution.read, no more than where it stands.
MOVED: Schema = {
    "anyOf": [
        EXECUTION,
        record(
            {"id": ID, "workflow_id": ID, "status": _STATUS},
            description="Where it stands, for a credential without the scope execution.read",
        ),
    ]
}
PREVIEW = Named(
    "RetryPreview", record({"components": array(text(), "The components that would run again, in their order")})
)
SIGNALLED = Named(
    "SignalReceipt",
    record(
        {
            "execution_id": ID,
            "signal": text(),
            "delivered": boolean("Whether a component waited for it; else it is kept for one that will"),
        }
    ),
)
LOG_LINE = Named(
    "LogLine",
    record(
        {
            "timestamp": TIME,
            "level": enum(LOG_LEVELS),
            "component_id": nullable(text()),
            "message": text(),
            "metadata": any_object(),
        }
    ),
    example={
        "timestamp": "2025-01-01T12:00:15Z",
        "level": "info",
        "component_id": "extract",
        "message": "Starting data extraction from API",
        "metadata": {"url": "https://api.example.com/customers", "method": "GET"},
    },
)
EVENT = Named(
    "ExecutionEvent",
    record(
        {
            "sequence": integer("Grows without a gap within an execution", 1),
            "type": enum(EventType),
            "timestamp": TIME,
            "data": any_object(),
        }
    ),
)
# A blocked run reads `pending`.
_RUN_STATUS = enum(["pending", *(status for status in RunStatus if status != RunStatus.BLOCKED)])
COMPONENT_RUN = Named(
    "ComponentRun",
    record(
        {
            "id": ID,
            "component_id": text(),
            "component_type": text(),
            "status": _RUN_STATUS,
            "attempt": integer("The number of the current try"),
            "item_index": nullable(integer("Of the loop's item that it belongs to")),
            "input_data": anything(),
            "input_unavailable": boolean("Where the input is stored aside and cannot be had; it reads null"),
            "output_data": anything(),
            "output_unavailable": boolean("Where the output is stored aside and cannot be had; it reads null"),
            "error": nullable(
                record(
                    {"code": _CODE, "message": text(), "details": any_object()},
                    optional=("details",),
                )
            ),
            "started_at": nullable(TIME),
            "completed_at": nullable(TIME),
            "duration_seconds": _DURATION,
            "resource_usage": _USAGE,
        },
        optional=("input_unavailable", "output_unavailable"),
    ),
)
_FINDING: Schema = {
    "message": nullable(text()),
    "since": nullable(TIME),
    "next": nullable(text("What happens next by itself")),
    "next_at": nullable(TIME),
    "details": any_object(),
}
DIAGNOSIS = Named(
    "Diagnosis",
    record(
        {
            "execution_id": ID,
            "status": _STATUS,
            "reason": nullable(enum(Reason, "Why it has not ended; null where it has")),
            **_FINDING,
            "components": array(
                record(
                    {
                        "component_id": text(),
                        "item_index": nullable(integer()),
                        "status": _RUN_STATUS,
                        "attempt": integer(),
                        "reason": enum(Reason),
                        **_FINDING,
                    }
                )
            ),
        }
    ),
)
