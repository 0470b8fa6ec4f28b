"""REST: health and statistics of the platform; liveness."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import psutil
from django.conf import settings
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.callers import Caller
from accounts.scopes import Scope
from config import machine, probes
from config.shapes import HEALTH, STATS
from core.amqp import BrokerAwayError
from core.describing import Answers
from core.envelope import envelope, error_headers, reply
from core.errors import UnavailableError
from core.types import JSONObject
from core.views import View
from executions import listing
from workflows import queries as workflows

_PROBE_SECONDS = 2.0


class HealthView(View):
    """`GET health`: the printed shape for anyone.

    `degraded` without Redis, RabbitMQ (where it is the broker) or workers, 503 without PostgreSQL.
    """

    public = True
    authentication_classes = ()

    @Answers(HEALTH, also={503: HEALTH})
    def get(self, request: Request) -> Response:
        """Check health.

        503 where PostgreSQL is away, with the same data.
        """
        data = health()
        healthy = data["status"] != "unhealthy"
        body = envelope(success=healthy, data=data)
        return Response(body) if healthy else Response(body, status=503, headers=error_headers(UnavailableError()))


class StatsView(View):
    """`GET stats`: the numbers of what the caller sees, their own and what is shared with them; for staff of all."""

    scopes = {"GET": Scope.SYSTEM_READ}

    @Answers(STATS)
    def get(self, request: Request) -> Response:
        """Get statistics.

        Of the workflows that the caller sees, and their executions; for staff of all.
        """
        return reply(statistics(caller(request)))


def health() -> JSONObject:
    """How the platform is, as `GET health` answers; takes two seconds at most."""
    components = _components()
    statuses = {component["status"] for component in components.values()}
    if components["database"]["status"] != "healthy":
        status = "unhealthy"
    else:
        status = "healthy" if statuses == {"healthy"} else "degraded"
    return {
        "status": status,
        "version": settings.APG_VERSION,
        "uptime_seconds": int(time.time() - psutil.Process().create_time()),
        "components": components,
    }


def statistics(who: Caller) -> JSONObject:
    """The numbers of what the caller sees, as `GET stats` answers."""
    numbers = listing.totals(who, timezone.now())
    return {
        "workflows": workflows.totals(who),
        "executions": {
            "today": numbers.today,
            "this_week": numbers.this_week,
            "this_month": numbers.this_month,
            "success_rate": numbers.success_rate,
        },
        "system": {
            "cpu_usage": machine.cpu_usage(),
            "memory_usage": machine.memory_usage(),
            "disk_usage": machine.disk_usage(),
            "queue_depth": numbers.queue_depth,
            "workers": probes.live_workers(),
        },
    }


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


def _components() -> dict[str, dict[str, Any]]:
    # All are asked before any is waited for.
    asked_database, asked_redis, asked_broker = probes.database.ask(), probes.redis.ask(), probes.ask_broker()
    deadline = time.monotonic() + _PROBE_SECONDS
    database: dict[str, Any] = {"status": "unhealthy"}
    engine, scheduler = dict(database), dict(database)
    try:
        facts = asked_database.result(_PROBE_SECONDS)
    except (DatabaseError, TimeoutError):
        pass
    else:
        database = {"status": "healthy", "response_time_ms": facts.response_time_ms}
        engine = {"status": "degraded" if facts.unserved else "healthy", "workers": facts.workers}
        if facts.workers and facts.unserved:
            engine["message"] = f"No worker serves the queue {' or '.join(facts.unserved)}"
        # The sweeps that schedule live in the workers; without one nothing is started.
        scheduler = {"status": "healthy" if facts.workers else "degraded", "queue_depth": facts.queue_depth}
    components = {
        "database": database,
        "redis": _answered(asked_redis, deadline),
        "workflow_engine": engine,
        "scheduler": scheduler,
    }
    return components if asked_broker is None else {**components, "broker": _answered(asked_broker, deadline)}


def _answered(asked: "Future[float]", deadline: float) -> dict[str, Any]:
    try:
        took = asked.result(max(deadline - time.monotonic(), 0))
    except (RedisError, BrokerAwayError, TimeoutError):
        return {"status": "unhealthy"}
    return {"status": "healthy", "response_time_ms": took}
