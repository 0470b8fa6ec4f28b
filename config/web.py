"""The web server: uvicorn as the platform runs it, in one place. `python -m config.web --host … --port …`."""

import argparse
import resource
import signal
import sys
from asyncio import BaseTransport
from http import HTTPStatus
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from config.asgi import application
from core.envelope import error_body, render
from core.errors import BadRequestError
from core.front_door import REFUSAL
from core.request_id import HEADER, bind
from core.security_headers import PLAIN
from executions.sockets import FRAMES

_MAX_HEAD_BYTES = 64 * 1024
# Of one message of a client; a subscription's GraphQL document with its variables is the longest.
_MAX_MESSAGE_BYTES = 64 * 1024
_MAX_FRAGMENTS = 64
_CLOSE_SECONDS = 3.0
# Who does not answer a ping within these is taken for gone.
PING_SECONDS = 20.0


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn reads it, where it is lax made strict.

    A request's head, or what is between two pieces of its body, is not kept without end; an address with a host in
    it is refused (`GET http://…`, `CONNECT`), since nothing here is a proxy; what cannot be parsed is answered in
    the envelope.
    """

    _unread_bytes = 0

    def data_received(self, data: bytes) -> None:
        self._unread_bytes += len(data)
        super().data_received(data)
        if self._unread_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request head too large")

    def on_headers_complete(self) -> None:
        self._unread_bytes = 0
        if not self.url.startswith(b"/"):
            self.url = b"/"
            self.scope.update({REFUSAL: BadRequestError("The request must name a path, not an address")})  # type: ignore[misc]  # a key of ours
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self.transport.write(_bad_request(msg))
        self.transport.close()


def _bad_request(message: str) -> bytes:
    """The whole answer to what is no request."""
    request_id = bind("")
    body = render(error_body(BadRequestError(message)))
    headers = {
        HEADER: request_id,
        **PLAIN,
        "Cache-Control": "no-store",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    status = HTTPStatus.BAD_REQUEST
    lines = [f"HTTP/1.1 {status} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


class SocketProtocol(WebSocketsSansIOProtocol):
    """WebSockets as uvicorn speaks them, for clients that mean no good or are gone without a word.

    Who does not read is not read from either, and is closed without waiting for it to read; what was to be closed
    and is not soon after is cut. A message in more pieces than make sense is refused. The address, which may hold a
    token, is written to no log at any level.
    """

    def connection_made(self, transport: BaseTransport) -> None:
        # It would write down the handshake.
        self.conn.debug = False
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # An address or header that is too long for it: uvicorn would keep the connection, and say nothing.
            self.transport.write(_bad_request("No WebSocket handshake"))
            self.transport.close()
            self._cut_soon()

    def shutdown(self) -> None:
        super().shutdown()
        self._cut_soon()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self._cut_soon()

    def pause_writing(self) -> None:
        super().pause_writing()
        # Every ping would be answered, into a buffer that nobody empties.
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused:
            self.transport.resume_reading()

    def handle_cont(self, event: Any) -> None:
        if len(self.frames) >= _MAX_FRAGMENTS and self.conn.close_sent is None:
            self.conn.fail(1009, "too many fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                # Without the traceback that uvicorn would log for whoever sends it.
                self.frames = []
                if self.conn.close_sent is None:
                    self.conn.fail(1007, "not UTF-8")
                    self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.handshake_initiated and not self.close_sent:
            self.scope["extensions"][FRAMES] = {}  # one of ours

    async def send(self, message: Any) -> None:
        if "frames" in message:
            # What many are sent at once is encoded once, and written once for each.
            await self.writable.wait()
            if self.disconnected:
                raise ClientDisconnected
            if not self.close_sent:
                self.transport.write(message["frames"])
            return
        if message["type"] == "websocket.accept":
            self.scope = {**self.scope, "query_string": b""}
        closing = message["type"] == "websocket.close" and self.handshake_complete
        if closing and not self.close_sent:
            # The frame follows what is buffered, and is waited for by nobody.
            self.writable.set()
        await super().send(message)
        if closing:
            self._cut_soon()

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        self._cut_soon()

    def handle_close(self, event: Any) -> None:
        super().handle_close(event)
        self._cut_soon()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()

    def _cut_soon(self) -> None:
        """A transport is only closed once its client has read all that was sent to it, which may be never."""
        self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)


def _allow_open_files() -> None:
    """Each socket is an open file; what a shell or a service manager begins with is often 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    """Serve until SIGTERM or SIGINT, with as many open files as it may have."""
    _allow_open_files()
    parser = argparse.ArgumentParser(prog="python -m config.web")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    # Once it has stopped, uvicorn raises the signal again: that it was told to stop is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        application,
        host=arguments.host,
        port=arguments.port,
        http=Protocol,
        ws=SocketProtocol,
        ws_max_size=_MAX_MESSAGE_BYTES,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        # Some 50 KB of memory a connection, and a way to send much in little.
        ws_per_message_deflate=False,
        lifespan="off",
        access_log=False,
        # Its lines are written as all others, by the settings.
        log_config=None,
        log_level="warning",
        timeout_keep_alive=75,
        # No banner.
        server_header=False,
        # By default uvicorn believes any X-Forwarded-For from this machine; that is for core.proxies to judge.
        proxy_headers=False,
    )


if __name__ == "__main__":
    main()
