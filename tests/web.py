"""The web server as a process of its own on the test database, and raw bytes to it."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from django.db import connection

from tests.eventually import eventually
from tests.ports import free_port

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class RawAnswer:
    """An answer as its bytes say it; `closed` whether the server ended the connection after it."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool


@dataclass(frozen=True)
class Web:
    """A running server; `log` holds what it writes."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    def send(self, request: bytes) -> RawAnswer:
        """One answer to the bytes of a request."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection_:
            # What came so far may be refused already.
            with suppress(OSError):
                connection_.sendall(request)
            received = b""
            while b"\r\n\r\n" not in received and (more := connection_.recv(65536)):
                received += more
            head, _, body = received.partition(b"\r\n\r\n")
            status_line, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            while len(body) < int(headers.get("content-length", 0)) and (more := connection_.recv(65536)):
                body += more
            closed = headers.get("connection") == "close"
            if closed:
                # A reset is an end too: it still had bytes of ours.
                with suppress(ConnectionResetError):
                    closed = connection_.recv(1) == b""
            return RawAnswer(int(status_line.split(" ")[1]), headers, body, closed)


_START = """
import sys
from config import web
from executions.hub import Hub
{before}
sys.argv[1:] = ["--port", "{port}"]
web.main()
"""


@contextmanager
def web_server(*, before: str = "", port: int | None = None, **environment: str) -> Iterator[Web]:
    """`python -m config.web` on the test database; needs one. `before`: statements that change its patience."""
    port = port or free_port()
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    # `postgresql:///name` loses its empty host on the way.
    url = url.replace("postgresql:/", "postgresql:///", 1) if not url.startswith("postgresql://") else url
    command = ["-c", _START.format(before=before, port=port)] if before else ["-m", "config.web", "--port", str(port)]
    log = Path(tempfile.mkdtemp(prefix="apg-web-")) / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url, "APG_LOG_LEVEL": "ERROR", **environment},
            stderr=file,
            stdout=file,
        )
    web = Web(port, process, log)

    def answers() -> bool:
        assert process.poll() is None, f"the server ended: {log.read_text()}"
        try:
            return web.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").status == 200
        except OSError:
            return False

    try:
        eventually(answers, timeout=60, interval=0.1)
        yield web
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            shutil.rmtree(log.parent)
