"""The request id: taken from the caller or made, kept in a context variable, on every log line and answer."""

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

from core.ids import new_id

HEADER = "X-Request-ID"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_current: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """The id of the request (or task) being served; "" outside one."""
    return _current.get()


def set_request_id(value: str) -> None:
    """Bind the id for the rest of this context; a worker calls it with the id its execution carries."""
    _current.set(value)


def bind(given: str) -> str:
    """Take the id that a caller gave, or make one, for the rest of this context (contract §3)."""
    request_id = given if _ACCEPTED.fullmatch(given) else new_id()
    _current.set(request_id)
    return request_id


def request_id_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """First in the chain, so that every answer, errors too, carries `X-Request-ID` (contract §3)."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request_id = bind(request.headers.get(HEADER, ""))
        response = get_response(request)
        response[HEADER] = request_id
        return response

    return middleware


class RequestIdFilter(logging.Filter):
    """Puts `request_id` on every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request_id() or "-"
        return True
