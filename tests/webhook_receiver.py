"""A receiver of webhooks on this machine: what it got, and what it answers, by turns."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Got:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def delivery_id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(frozen=True)
class Reply:
    """An answer; `before` runs first, and may hold it up."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    before: Callable[[], object] | None = None
    reset: bool = False


@dataclass
class Receiver:
    """It, listening. `answer` says what a request gets, given how many came before it."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    answer: Callable[[int, Got], Reply] = field(default=lambda number, got: Reply())

    @property
    def ids(self) -> set[str]:
        """The deliveries that came, each once."""
        return {each.delivery_id for each in self.got}


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that takes everything until it is told otherwise."""
    receiver, lock = Receiver(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            got = Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            with lock:
                number = len(receiver.got)
                receiver.got.append(got)
            reply = receiver.answer(number, got)
            if reply.before is not None:
                reply.before()
            with suppress(OSError):
                self.send_response(reply.status)
                headers = {"Content-Length": str(len(reply.body)), "Content-Type": "application/json"}
                for name, value in {**headers, **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if reply.reset:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.wfile.write(reply.body)

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 256

        def handle_error(self, *args: Any) -> None:
            """A caller that was killed."""

    server = Server(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
