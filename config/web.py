"""The web server: uvicorn as the platform runs it, in one place. `python -m config.web --host … --port …`."""

import argparse
from http import HTTPStatus

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from config.asgi import application
from core.envelope import error_body, render
from core.errors import BadRequestError
from core.front_door import REFUSAL
from core.request_id import HEADER, bind
from core.security_headers import PLAIN

_MAX_HEAD_BYTES = 64 * 1024


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
        request_id = bind("")
        body = render(error_body(BadRequestError(msg)))
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
        self.transport.write("\r\n".join([*lines, "", ""]).encode("ascii") + body)
        self.transport.close()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m config.web")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    uvicorn.run(
        application,
        host=arguments.host,
        port=arguments.port,
        http=Protocol,
        # Nothing answers WebSockets yet: a request to change to one is answered like any other.
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,
        # No banner.
        server_header=False,
        # By default uvicorn believes any X-Forwarded-For from this machine; that is for core.proxies to judge.
        proxy_headers=False,
    )


if __name__ == "__main__":
    main()
