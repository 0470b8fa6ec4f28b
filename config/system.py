"""What looks at every part of the platform: health and liveness."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psutil
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.response import Response

from core.describing import Answers
from core.envelope import envelope, error_headers
from core.errors import UnavailableError
from core.redis import client
from core.shapes import Named, Schema, enum, integer, number, record, text
from core.views import View
from executions.models import ComponentRun, Worker
from executions.states import RunStatus

_HEARTBEAT_LATE = timedelta(seconds=15)
_STATUS = enum(["healthy", "degraded", "unhealthy"])
_ASKED: Schema = record({"status": _STATUS, "response_time_ms": number()}, optional=["response_time_ms"])
_HEALTH = Named(
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
                    "workflow_engine": record({"status": _STATUS, "workers": integer()}, optional=["workers"]),
                    "scheduler": record({"status": _STATUS, "queue_depth": integer()}, optional=["queue_depth"]),
                }
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


class HealthView(View):
    """`GET health`: the printed shape for anyone; `degraded` without Redis or workers, 503 without PostgreSQL."""

    public = True
    authentication_classes = ()

    @Answers(_HEALTH, also={503: _HEALTH})
    def get(self, request: Request) -> Response:
        """Check health.

        503 where PostgreSQL is away, with the same data.
        """
        database = _timed(_ask_database)
        redis = _timed(_ask_redis)
        engine: dict[str, Any] = {"status": "unhealthy"}
        scheduler: dict[str, Any] = {"status": "unhealthy"}
        if database["status"] == "healthy":
            late = timezone.now() - _HEARTBEAT_LATE
            workers = Worker.objects.filter(heartbeat_at__gte=late).count()
            engine = {"status": "healthy" if workers else "degraded", "workers": workers}
            # The sweeps that schedule live in the workers; without one nothing is started.
            scheduler = {
                "status": engine["status"],
                "queue_depth": ComponentRun.objects.filter(status=RunStatus.QUEUED).count(),
            }
        components = {
            "database": database,
            "redis": redis,
            "workflow_engine": engine,
            "scheduler": scheduler,
        }
        statuses = {component["status"] for component in components.values()}
        if database["status"] != "healthy":
            status = "unhealthy"
        else:
            status = "healthy" if statuses == {"healthy"} else "degraded"
        data = {
            "status": status,
            "version": settings.APG_VERSION,
            "uptime_seconds": int(time.time() - psutil.Process().create_time()),
            "components": components,
        }
        healthy = status != "unhealthy"
        body = envelope(success=healthy, data=data)
        return Response(body) if healthy else Response(body, status=503, headers=error_headers(UnavailableError()))


def liveness_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """`GET /healthz`: this process answers; no detail, no look at anything else.

    Not a route: probes ask over plain HTTP and by address, which the middleware behind this one refuses.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path_info == "/healthz":
            return HttpResponse("ok", content_type="text/plain", headers={"Content-Length": "2"})
        return get_response(request)

    return middleware


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _ask_redis() -> None:
    client().ping()


def _timed(ask: Callable[[], None]) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        ask()
    except (DatabaseError, RedisError):
        return {"status": "unhealthy"}
    return {"status": "healthy", "response_time_ms": round((time.perf_counter() - started) * 1000, 1)}
