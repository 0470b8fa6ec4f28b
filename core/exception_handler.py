"""Any exception becomes one enveloped error (contract §3); DRF's handler and Django's 404/500 both end here."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rest_framework import exceptions as drf
from rest_framework.response import Response

from core.connections import may_pass
from core.envelope import error_body, error_headers, error_response, render
from core.errors import (
    APGError,
    AuthenticationFailedError,
    BadRequestError,
    MethodNotAllowedError,
    NotAllowedError,
    NotFoundError,
    Problem,
    TooLargeError,
    UnavailableError,
    ValidationFailedError,
)

logger = logging.getLogger(__name__)

# What the API answers in; anything else in an error is Django's own.
_ANSWERS = ("application/json", "application/graphql-response+json")


def handle(exception: Exception, context: dict[str, Any]) -> Response:
    """DRF's EXCEPTION_HANDLER."""
    error = to_error(exception)
    headers = error_headers(error)
    if isinstance(exception, drf.MethodNotAllowed) and (view := context.get("view")) is not None:
        headers["Allow"] = ", ".join(view.allowed_methods)
    return Response(error_body(error), status=error.status, headers=headers)


def to_error(exception: Exception) -> APGError:
    """The contract's error for any exception; what is none of ours is logged and answered without internals."""
    if isinstance(exception, APGError):
        return exception
    if may_pass(exception):
        return _unavailable(exception)
    for known, convert in _CONVERSIONS:
        if isinstance(exception, known):
            error: APGError = convert(exception)
            return error
    logger.error("Unhandled exception", exc_info=exception, extra={"action": "unhandled_exception"})
    return APGError()


def _from_validation(exception: Any) -> APGError:
    return ValidationFailedError(problems=list(_problems("", exception.detail)))


def _problems(path: str, detail: Any) -> Iterator[Problem]:
    # DRF nests messages as the input was nested; the contract wants one flat entry with a path.
    if isinstance(detail, dict):
        for key, child in detail.items():
            if key == "non_field_errors":
                yield from _problems(path, child)
            elif isinstance(key, int):
                yield from _problems(f"{path}[{key}]", child)
            else:
                yield from _problems(f"{path}.{key}" if path else str(key), child)
    elif isinstance(detail, list):
        for index, child in enumerate(detail):
            if isinstance(child, dict | list):
                yield from _problems(f"{path}[{index}]", child)
            else:
                yield from _problems(path, child)
    else:
        yield Problem(str(detail), field=path or None)


def _unavailable(exception: Any) -> APGError:
    logger.warning("A backing service is away: %s", type(exception).__name__, extra={"action": "unavailable"})
    return UnavailableError()


def _unsupported(exception: Any) -> APGError:
    return BadRequestError("Content-Type must be application/json")


_CONVERSIONS: list[tuple[type[Exception], Any]] = [
    (drf.ValidationError, _from_validation),
    (drf.UnsupportedMediaType, _unsupported),
    (drf.ParseError, lambda e: BadRequestError(str(e.detail))),
    (drf.NotAuthenticated, lambda e: AuthenticationFailedError()),
    (drf.AuthenticationFailed, lambda e: AuthenticationFailedError("Invalid or expired credentials")),
    (drf.PermissionDenied, lambda e: NotAllowedError()),
    (drf.MethodNotAllowed, lambda e: MethodNotAllowedError()),
    (drf.NotAcceptable, lambda e: BadRequestError("Only application/json is served")),
    (Http404, lambda e: NotFoundError()),
    (PermissionDenied, lambda e: NotAllowedError()),
    (RequestDataTooBig, lambda e: TooLargeError()),
    (SuspiciousOperation, lambda e: BadRequestError()),
    (RedisConnectionError, _unavailable),
    (RedisTimeoutError, _unavailable),
]

_BY_STATUS: dict[int, type[APGError]] = {
    error.status: error
    for error in (
        AuthenticationFailedError,
        NotAllowedError,
        NotFoundError,
        MethodNotAllowedError,
        TooLargeError,
        UnavailableError,
    )
}


def api_errors_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Under /api/ every error is the envelope: not Django's own pages (CSRF, 405), nor its debug pages, ever.

    Pages of ours (OAuth's) are left as they are; each brings its own Content-Security-Policy, which Django's never do.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if (
            response.status_code >= 400
            and request.path_info.startswith("/api/")
            and not response.get("Content-Type", "").startswith(_ANSWERS)
            and "Content-Security-Policy" not in response
        ):
            other = APGError if response.status_code >= 500 else BadRequestError
            response.content = render(error_body(_BY_STATUS.get(response.status_code, other)()))
            response["Content-Type"] = "application/json"
            response["Content-Length"] = str(len(response.content))
        return response

    return middleware


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404: unknown paths answer in the envelope."""
    return error_response(NotFoundError())


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler400."""
    return error_response(BadRequestError())


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler403."""
    return error_response(NotAllowedError())


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: what escaped every view; Django has logged it."""
    return error_response(APGError())
