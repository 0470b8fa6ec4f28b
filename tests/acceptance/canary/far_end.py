"""The HTTP server at the other end: it repeats whatever it is told, in all the ways in which servers do."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import quote, quote_plus

from tests.acceptance.canary.search import Sink
from tests.faults.harness import Proxy


class _Handler(BaseHTTPRequestHandler):
    """/hook keeps what webhooks tell, /echo and /fail repeat the request, /encode repeats it encoded, /redirect leads
    to its own query, /take keeps it to itself, /slow waits.
    """

    seen: ClassVar[list[str]]
    told: ClassVar[list[str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        told = self.headers.get("X-Token") or self.headers.get("Authorization") or ""
        (self.told if self.path == "/hook" else self.seen).append(f"{self.path}\n{self.headers}\n{body}")
        everything = {"path": self.path, "headers": dict(self.headers), "body": body}
        with suppress(OSError):
            if self.path.startswith("/fail"):
                self._answer(500, everything, {"X-Told": told, "WWW-Authenticate": f"Bearer {told}"}, f"No {told}")
            elif self.path.startswith("/encode"):
                raw = told.encode()
                encoded = {"base64": base64.b64encode(raw).decode(), "url": quote(told, safe=""),
                           "basic": base64.b64encode(b"user:" + raw).decode()}  # fmt: skip
                self._answer(200, encoded, {"X-Told": base64.b64encode(raw).decode()})
            elif self.path.startswith("/redirect"):
                self._answer(302, {}, {"Location": self.path.replace("/redirect", "/fail")})
            elif self.path.startswith("/take"):
                self._answer(200, {}, {})
            elif self.path.startswith("/slow"):
                time.sleep(20)  # longer than anything waits for it
                self._answer(200, everything, {})
            else:
                self._answer(200, everything, {"X-Told": told, "Set-Cookie": f"session={told}"})

    do_GET = do_POST  # noqa: N815 - its base class names it

    def _answer(self, status: int, body: Any, headers: dict[str, str], reason: str | None = None) -> None:
        text = json.dumps(body).encode()
        self.send_response(status, reason)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


class FarEnd:
    """Where components send things: an HTTP server, and a port that leads to a database."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.told: list[str] = []
        handler = type("Handler", (_Handler,), {"seen": self.seen, "told": self.told})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def told_events(self) -> set[str]:
        """The names of the events that webhooks have told of."""
        return {json.loads(told.rpartition("\n")[2])["event"] for told in self.told if told.endswith("}")}

    def sink(self) -> Sink:
        """What webhooks told: as it came, which may hold no secret."""
        return Sink("what webhooks told", "\n".join(self.told).encode())

    def was_told(self, value: str) -> bool:
        """Whether the value has come here, in any of a URL's or JSON's encodings."""
        encoded = {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1]}
        return any(form in told for told in self.seen for form in encoded)

    @contextmanager
    def database(self, unix_socket: str) -> Iterator[int]:
        """A TCP port in front of a database's socket."""
        proxy = Proxy(unix_socket)
        try:
            yield proxy.port
        finally:
            proxy.close()


@contextmanager
def far_end() -> Iterator[FarEnd]:
    """It, listening."""
    far = FarEnd()
    thread = Thread(target=far.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield far
    finally:
        far.server.shutdown()
        thread.join()
        far.server.server_close()
