"""The answer's one shape: success, data, message, errors, metadata (contract §3)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response

from core.errors import APGError, ErrorCode, Problem, RateLimitedError
from core.json_text import dumps
from core.request_id import current_request_id
from core.times import iso


def envelope(
    *,
    success: bool,
    data: Any = None,
    message: str = "",
    errors: Sequence[Mapping[str, Any]] = (),
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The five keys; `metadata` adds to timestamp, request_id and version."""
    return {
        "success": success,
        "data": data,
        "message": message,
        "errors": list(errors),
        "metadata": {
            "timestamp": iso(datetime.now(UTC)),
            "request_id": current_request_id(),
            "version": settings.APG_VERSION,
            **(metadata or {}),
        },
    }


def reply(
    data: Any = None,
    *,
    message: str = "",
    status: int = 200,
    metadata: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A successful DRF answer in the envelope."""
    body = envelope(success=True, data=data, message=message, metadata=metadata)
    return Response(body, status=status, headers=dict(headers or {}))


def error_entry(problem: Problem, code: ErrorCode) -> dict[str, Any]:
    """One entry of `errors`; `field` and `details` only where they say something."""
    entry: dict[str, Any] = {"code": str(problem.code or code), "message": problem.message}
    if problem.field is not None:
        entry["field"] = problem.field
    if problem.details:
        entry["details"] = problem.details
    return entry


def error_body(error: APGError) -> dict[str, Any]:
    """The envelope of an error; an error without problems becomes one entry of its own."""
    if isinstance(error, RateLimitedError):
        entries: list[dict[str, Any]] = [
            {
                "code": str(error.code),
                "message": f"Too many requests. Try again in {error.retry_after} seconds.",
                "retry_after": error.retry_after,
            }
        ]
    else:
        problems = error.problems or (Problem(error.message),)
        entries = [error_entry(problem, error.code) for problem in problems]
    return envelope(success=False, message=error.message, errors=entries)


def failed_item(place: str, error: APGError, inside: str = "") -> dict[str, Any]:
    """The result of a refused entry of a bulk body; its fields are paths into that body.

    `place` is the entry's; the error's own fields are below `inside` of it.
    """
    fields = f"{place}.{inside}" if inside else place
    problems = [
        problem if problem.field else replace(problem, field=place)
        for problem in placed(fields, error.problems or (Problem(error.message),))
    ]
    return {"success": False, "errors": [error_entry(problem, error.code) for problem in problems]}


def placed(place: str, problems: Iterable[Problem]) -> list[Problem]:
    """The same problems, their fields as paths below `place`; one without a field stays so."""
    return [replace(each, field=f"{place}.{each.field}") if each.field else each for each in problems]


def error_response(error: APGError) -> HttpResponse:
    """An error answered outside DRF: unknown paths, middleware."""
    body = render(error_body(error))
    response = HttpResponse(body, status=error.status, content_type="application/json")
    # Django's own middleware, which would set it, may be further in.
    response["Content-Length"] = str(len(body))
    for name, value in error_headers(error).items():
        response[name] = value
    return response


def error_headers(error: APGError) -> dict[str, str]:
    """The headers that an error's status calls for (RFC 9110 §10.2.3, §11.6.1)."""
    if isinstance(error, RateLimitedError):
        return {"Retry-After": str(error.retry_after), "X-RateLimit-RetryAfter": str(error.retry_after)}
    if error.status == 401:
        return {"WWW-Authenticate": 'Bearer realm="api"'}
    if error.status == 503:
        return {"Retry-After": "5"}
    return {}


def render(body: Any) -> bytes:
    """JSON bytes; datetimes as ISO 8601 UTC with Z."""
    return dumps(body, default=_default)


def _default(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


class EnvelopeRenderer(BaseRenderer):
    """DRF's only renderer: what views answer is already in the envelope."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else render(data)
