"""Counts requests by method, route and status; the route is the pattern, so what a caller sends makes no series."""

import re
import time
from collections.abc import Callable
from functools import lru_cache

from django.http import HttpRequest, HttpResponse

from core import measures

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GROUP = re.compile(r"\(\?P<(\w+)>[^()]*\)|<(?:\w+:)?(\w+)>")


def request_metrics_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Outside of all others, so that every answer is counted."""

    def middleware(request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = get_response(request)
        route = route_of(request)
        method = request.method if request.method in _METHODS else "other"
        measures.HTTP_REQUESTS.count(method or "other", route, str(response.status_code))
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
