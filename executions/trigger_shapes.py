"""What schedules and hooks look like in answers, for the OpenAPI document: `trigger_serializers` makes them."""

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
    record,
    text,
)
from core.types import JSONObject
from events.event_types import EventType

SCHEDULE = Named(
    "Schedule",
    record(
        {
            "id": ID,
            "workflow_id": ID,
            "workflow_name": text(),
            "component_id": text("The start that asks for it"),
            "cron": nullable(text("Minute, hour, day, month, weekday")),
            "interval_seconds": nullable(integer("Seconds from one slot to the next", 1)),
            "timezone": text("The IANA zone that the cron fields are read in"),
            "overlap": enum(["skip", "queue", "allow"]),
            "catchup": enum(["none", "latest", "all"]),
            "catchup_window_seconds": integer("", 10),
            "paused": boolean(),
            "next_at": nullable(TIME),
            "last_slot_at": nullable(TIME),
            "last_execution_id": nullable(ID),
        }
    ),
    example={
        "id": "01HQNZ2G5XKJ8P7M9N6V3R4T60",
        "workflow_id": "01HQNZ2G5XKJ8P7M9N6V3R4T5W",
        "workflow_name": "Nightly report",
        "component_id": "start",
        "cron": "0 6 * * 1-5",
        "interval_seconds": None,
        "timezone": "Europe/Berlin",
        "overlap": "skip",
        "catchup": "latest",
        "catchup_window_seconds": 86400,
        "paused": False,
        "next_at": "2025-01-02T05:00:00Z",
        "last_slot_at": "2025-01-01T05:00:00Z",
        "last_execution_id": "01HQNZ2G5XKJ8P7M9N6V3R4T5Y",
    },
)
PREVIEWED_SLOT: Schema = record({"slot_at": TIME, "local": text("The same in the schedule's time zone, with offset")})
PREVIEW = Named(
    "SchedulePreview", record({"timezone": text(), "slots": array(PREVIEWED_SLOT, "What it names next, paused or not")})
)
TRIGGER_EVENT = Named(
    "TriggerEvent",
    record(
        {
            "sequence": integer("Grows without a gap within a trigger", 1),
            "type": enum([EventType.TRIGGER_SKIPPED]),
            "timestamp": TIME,
            "data": any_object(
                "`reason` and what it is about: of a schedule `first_slot_at`, `last_slot_at` and `count`"
            ),
        }
    ),
)
SCHEDULE_RUN = Named("ScheduleRun", record({"execution_id": ID, "status": text(), "created_at": TIME}))
_BACKFILLED: Schema = record(
    {
        "slot_at": TIME,
        "execution_id": nullable(ID),
        "started": boolean("False where it had been started before, or was refused"),
        "message": nullable(text("Why it was refused")),
    }
)
BACKFILL = Named(
    "ScheduleBackfill",
    record(
        {
            "results": array(_BACKFILLED, "In the order of the slots"),
            "summary": record({"total": integer(), "started": integer(), "refused": integer()}),
        }
    ),
)
HOOK_STARTED = Named("HookStarted", record({"execution_id": ID, "status": text(), "created_at": TIME}))
HOOK_RESULT = Named(
    "HookResult",
    record(
        {
            "execution_id": ID,
            "status": enum(["completed", "failed", "cancelled"]),
            "created_at": TIME,
            "completed_at": TIME,
            "results": anything("The end's output; null unless it has completed"),
            "results_unavailable": boolean("Where the results are stored aside and cannot be had; they read null"),
            "error": nullable(any_object("Why it failed: `code`, `message`, `component_id`")),
        },
        optional=("results_unavailable",),
    ),
)
EXAMPLE_BACKFILL: JSONObject = {"from": "2025-01-01T00:00:00Z", "to": "2025-01-02T00:00:00Z", "overlap": "queue"}
