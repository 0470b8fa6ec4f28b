"""Counts requests by method, route and status, and has a span for each, part of its caller's trace if it says one.

The route is the pattern, so that what a caller sends makes no series.
"""

import re
import time
from collections.abc import Callable
from functools import lru_cache

from django.http import HttpRequest, HttpResponse

from core import measures, tracing
from core.request_id import HEADER

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GROUP = re.compile(r"\(\?P<(\w+)>[^()]*\)|<(?:\w+:)?(\w+)>")


def request_watch_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Outside of all others, so that every answer is counted."""

    def middleware(request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        method = request.method if request.method in _METHODS else "other"
        assert method is not None, "one of them"
        with tracing.span(method, kind="server", parent=request.headers.get("traceparent", "")) as span:
            response = get_response(request)
            route, status = route_of(request), response.status_code
            span.rename(f"{method} {route}")
            span.set("http.request.method", method)
            span.set("http.route", route)
            span.set("http.response.status_code", status)
            span.set("apg.request_id", response.get(HEADER, ""))
            if status >= 500:
                span.fail(str(status))
        measures.HTTP_REQUESTS.count(method, route, str(status))
        measures.HTTP_SECONDS.observe(time.perf_counter() - began, route)
        return response

    return middleware


def route_of(request: HttpRequest) -> str:
    """The pattern of the route that was taken, as in `/api/v1/workflows/{workflow_id}`; `none` where there is none."""
    match = request.resolver_match
    if match is None:
        return "/healthz" if request.path_info == "/healthz" else "none"
    return _written(match.route)


@lru_cache(maxsize=1000)
def _written(pattern: str) -> str:
    named = _GROUP.sub(lambda found: f"{{{found[1] or found[2]}}}", pattern)
    return "/" + named.replace("\\Z", "").replace("^", "").replace("$", "")
