"""Django behind ASGI with one hop between event loop and thread a request, and a database connection a thread."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from io import BytesIO
from typing import IO, Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.signals import request_started
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from core.connections import drop_dead_connections

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ThreadedHandler(ASGIHandler):
    """Serves each HTTP request whole, middleware to closed response, in one of `threads` threads.

    Django's own handler makes a thread for every request and crosses between it and the event loop about ten
    times, more for each middleware; that took more time than our views. All of them are synchronous, and what
    is asynchronous (sockets) never comes here. As the threads stay, so do their database connections: no pool.
    A body is kept in memory while it arrives; `core.front_door` in front of this caps it.
    Health and metrics are answered by threads of their own: a frozen server holds all others, and is then asked about.
    """

    ASIDE = ("/health", "/metrics")

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="request")
        # Each its own: whoever asks for metrics with a login asks a database that may be frozen.
        self._aside = {path: ThreadPoolExecutor(2, thread_name_prefix=path[1:]) for path in self.ASIDE}

    def load_middleware(self, is_async: bool = False) -> None:
        """The synchronous chain, whatever Django's handler asks for."""
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"Only HTTP is served here, not {scope['type']}")
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        loop = asyncio.get_running_loop()
        last = "/" + scope["path"].rstrip("/").rpartition("/")[2]
        executor = self._aside.get(last, self._executor)
        # A context of its own: nothing that a request binds is left for the thread's next one.
        answering = loop.run_in_executor(executor, copy_context().run, self._answer, scope, body)
        response = await answering
        await self.send_response(response, send)
        if response.streaming:
            await loop.run_in_executor(executor, response.close)

    async def read_body(self, receive: Receive) -> IO[bytes]:
        """The whole body. Raises RequestAborted if the client went away before its end."""
        chunks: list[bytes] = []
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestAborted
            chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
        return BytesIO(b"".join(chunks))

    def _answer(self, scope: Mapping[str, Any], body: IO[bytes]) -> HttpResponseBase:
        drop_dead_connections()
        set_script_prefix(get_script_prefix(scope))
        request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        response = self.get_response(request) if request is not None else refusal
        assert response is not None, "create_request gives one of the two"
        if not response.streaming:
            # Here, where its signals find this thread's connections, and not after a second hop.
            response.close()
        return response
