"""What is refused before Django reads it: bodies over the limit, and requests that no honest client sends."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from core.envelope import error_response
from core.errors import APGError, BadRequestError, TooLargeError

Message = Mapping[str, Any]
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Where the scope says why its request is refused; whatever sits in front of the application may set it.
REFUSAL = "apg.refusal"
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# What an answer needs to know of a refused request: its id, and whose rate it uses up.
_KEPT = frozenset({b"host", b"authorization", b"x-api-key", b"x-request-id", b"x-forwarded-for", b"x-forwarded-proto"})


class _BodyTooLargeError(Exception):
    """Raised into the application that reads the body."""


class FrontDoor:
    """Wraps an ASGI application. What it refuses goes to `refuse` instead, without its body and most headers.

    The body's limit (bytes) is kept while it arrives, announced or not: Django's ASGI handler would spool any
    amount to disk first. The answer is made by `refusal_middleware`, so that it is counted and carries the headers
    of any other.
    """

    def __init__(self, application: Application, refuse: Application, body_limit: int) -> None:
        self.application = application
        self.refuse = refuse
        self.body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        arrived = 0

        async def limited_receive() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > self.body_limit:
                raise _BodyTooLargeError
            return message

        refusal = scope.get(REFUSAL) or self._faults(scope)
        if refusal is None:
            try:
                await self.application(scope, limited_receive, send)
            except _BodyTooLargeError:
                refusal = TooLargeError()
        if refusal is not None:
            await self.refuse(_bare(scope, refusal), _no_body, send)

    def _faults(self, scope: Scope) -> APGError | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        problem = header_fault(headers)
        if problem is None and scope["http_version"] == "1.1" and b"host" not in dict(headers):
            problem = "No Host header"
        if problem is None and not scope["query_string"].isascii():
            problem = "The query string holds bytes that must be percent-encoded"
        if problem is not None:
            return BadRequestError(problem)
        announced = dict(headers).get(b"content-length", b"0")
        return TooLargeError() if int(announced) > self.body_limit else None


def header_fault(headers: list[tuple[bytes, bytes]]) -> str | None:
    """What is wrong with a request's headers, as a sentence; None if nothing (RFC 9110 §5.5, RFC 9112 §6)."""
    if len(headers) > MAX_HEADERS:
        return f"More than {MAX_HEADERS} headers"
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        return f"Headers of more than {MAX_HEADER_BYTES} bytes"
    if any(_CONTROL.search(value) for _, value in headers):
        return "A header holds a control character"
    return _framing_fault(headers)


def _framing_fault(headers: list[tuple[bytes, bytes]]) -> str | None:
    lengths, codings, hosts = (
        [value for name, value in headers if name == wanted]
        for wanted in (b"content-length", b"transfer-encoding", b"host")
    )
    # Where two readers could disagree on where a request ends or whom it is for, one of them can be fooled.
    if len(lengths) > 1 or (lengths and codings):
        return "The length of the body is given more than once"
    if lengths and not (lengths[0].isdigit() and len(lengths[0]) <= 18):
        return "Content-Length is not a number"
    if codings and [coding.lower() for coding in codings] != [b"chunked"]:
        return "Transfer-Encoding must be chunked"
    if len(hosts) > 1:
        return "More than one Host header"
    return None


def _bare(scope: Scope, refusal: APGError) -> Scope:
    kept = [(name, value) for name, value in scope["headers"] if name in _KEPT and not _CONTROL.search(value)]
    small = kept if sum(len(value) for _, value in kept) <= MAX_HEADER_BYTES else []
    return {**scope, "headers": small, "query_string": b"", REFUSAL: refusal}


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def refusal_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Answers what the front door refused; before anything reads the request's address or host."""

    def middleware(request: HttpRequest) -> HttpResponse:
        refusal = getattr(request, "scope", {}).get(REFUSAL)
        if refusal is None:
            return get_response(request)
        response = error_response(refusal)
        # What is left of the request is not read, and what follows it may be part of it.
        response["Connection"] = "close"
        return response

    return middleware
