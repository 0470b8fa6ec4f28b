"""A cap on request bodies, kept while they arrive: Django's ASGI handler would spool any amount to disk first."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from core.envelope import error_body, render
from core.errors import TooLargeError
from core.request_id import HEADER, bind

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class _BodyTooLargeError(Exception):
    """Raised into the application that reads the body."""


class BodyLimit:
    """Wraps an ASGI application; a body over `limit` bytes, announced or not, is answered 413 in the envelope."""

    def __init__(self, application: Application, limit: int) -> None:
        self.application = application
        self.limit = limit

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        arrived = 0

        async def limited_receive() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > self.limit:
                raise _BodyTooLargeError
            return message

        announced = dict(scope["headers"]).get(b"content-length", b"0")
        try:
            if announced.isdigit() and int(announced) > self.limit:
                raise _BodyTooLargeError
            await self.application(scope, limited_receive, send)
        except _BodyTooLargeError:
            await self._refuse(scope, send)

    async def _refuse(self, scope: MutableMapping[str, Any], send: Send) -> None:
        # In front of the middleware that gives every other answer its id.
        request_id = bind(dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1"))
        body = render(error_body(TooLargeError()))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (HEADER.lower().encode(), request_id.encode()),
            # What is left of the body is not read.
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": TooLargeError.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
