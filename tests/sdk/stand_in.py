"""A small server that gives the answers it is told to, and keeps what it was asked."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_METADATA = {"timestamp": "2025-01-01T00:00:00Z", "request_id": "req-1", "version": "1.0.0"}


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass
class StandIn:
    """`replies` in order, the last one again and again; one is as `sdk/cases.json` has it."""

    replies: Sequence[dict[str, Any]]
    address: str = ""
    requests: list[Request] = field(default_factory=list)

    def next_reply(self, request: Request) -> dict[str, Any]:
        """The answer to a request, which is kept."""
        self.requests.append(request)
        return self.replies[min(len(self.requests), len(self.replies)) - 1]


def envelope(reply: dict[str, Any]) -> bytes:
    """The body of an answer."""
    if "raw" in reply:
        return str(reply["raw"]).encode()
    if code := reply.get("error"):
        entry = {"code": code, "message": "Told to", **({"field": reply["field"]} if "field" in reply else {})}
        found = {"success": False, "data": None, "message": "Told to", "errors": [entry], "metadata": _METADATA}
    else:
        metadata = {**_METADATA, **reply.get("metadata", {})}
        found = {"success": True, "data": reply["data"], "message": "", "errors": [], "metadata": metadata}
    return json.dumps(found).encode()


@contextmanager
def stand_in(*replies: dict[str, Any]) -> Iterator[StandIn]:
    """A server on this machine; `cut` ends the connection without an answer."""
    found = StandIn(replies)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = found.next_reply(Request(self.command, self.path, headers, body))
            if reply.get("cut"):
                self.close_connection = True
                return
            content = envelope(reply)
            self.send_response(reply["status"])
            for name, value in {**reply.get("headers", {}), "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815  # names of the standard library

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as above
            """Tests read `requests`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.address = f"http://127.0.0.1:{server.server_port}/api/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
