"""What health and statistics look like in answers, for the OpenAPI document."""

from core.shapes import Named, Schema, enum, integer, number, record, text

_STATUS = enum(["healthy", "degraded", "unhealthy"])
_ASKED: Schema = record({"status": _STATUS, "response_time_ms": number()}, optional=["response_time_ms"])
HEALTH = Named(
    "Health",
    record(
        {
            "status": _STATUS,
            "version": text(),
            "uptime_seconds": integer(),
            "components": record(
                {
                    "database": _ASKED,
                    "redis": _ASKED,
                    "workflow_engine": record(
                        {"status": _STATUS, "workers": integer(), "message": text("Which queue no worker serves")},
                        optional=["workers", "message"],
                    ),
                    "scheduler": record({"status": _STATUS, "queue_depth": integer()}, optional=["queue_depth"]),
                    "broker": {**_ASKED, "description": "RabbitMQ, where it is the broker"},
                },
                optional=["broker"],
            ),
        }
    ),
    example={
        "status": "healthy",
        "version": "1.0.0",
        "uptime_seconds": 86400,
        "components": {
            "database": {"status": "healthy", "response_time_ms": 5},
            "redis": {"status": "healthy", "response_time_ms": 2},
            "workflow_engine": {"status": "healthy", "workers": 2},
            "scheduler": {"status": "healthy", "queue_depth": 12},
        },
    },
)
_SHARE = number("Of the machine that answers", 0, 1)
STATS = Named(
    "Statistics",
    record(
        {
            "workflows": record({"total": integer(), "active": integer(), "draft": integer()}),
            "executions": record(
                {
                    "today": integer("Since midnight, UTC"),
                    "this_week": integer("Since Monday"),
                    "this_month": integer("Since the first"),
                    "success_rate": number("Completed of completed and failed; 0 where none has run", 0, 1),
                }
            ),
            "system": record(
                {
                    "cpu_usage": _SHARE,
                    "memory_usage": _SHARE,
                    "disk_usage": _SHARE,
                    "queue_depth": integer("Component runs that wait for a worker"),
                    "workers": integer("Worker processes that are alive"),
                }
            ),
        }
    ),
    example={
        "workflows": {"total": 1250, "active": 180, "draft": 45},
        "executions": {"today": 340, "this_week": 2100, "this_month": 8500, "success_rate": 0.94},
        "system": {"cpu_usage": 0.35, "memory_usage": 0.62, "disk_usage": 0.28, "queue_depth": 12, "workers": 2},
    },
)
