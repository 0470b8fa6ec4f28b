"""Far ends on this machine: a mail server, an HTTP receiver, and the test database behind a TCP port."""

import asyncio
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.controller import Controller

from tests.ports import free_port


@dataclass
class Mailbox:
    """A mail server: what it took, and what it answers to recipients and to data."""

    host: str = "127.0.0.1"
    port: int = 0
    recipient_answers: dict[str, str] = field(default_factory=dict)
    data_answer: str = "250 taken"
    messages: list[Any] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        answer = self.recipient_answers.get(address, "250 ok")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.data_answer.startswith("250"):
            self.messages.append(envelope)
        return self.data_answer


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A mail server that takes everything until it is told otherwise."""
    mailbox = Mailbox(port=free_port())
    controller = Controller(mailbox, hostname=mailbox.host, port=mailbox.port, ready_timeout=60)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


@dataclass
class Receiver:
    """An HTTP server: what it got, and the status it answers."""

    url: str
    status: int = 200
    seen: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    """Answers POSTs."""
    receiver = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            receiver.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(body)))
            self.send_response(receiver.status)
            if 300 <= receiver.status < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook/s3cr3t"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Request:
    """What an HTTP service was asked; `body` parsed where it is JSON, else text, None without one."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


Answers = Callable[[Request], tuple[int, Any]]


@dataclass
class Service:
    """An HTTP service: what it was asked, in order, and what it answers."""

    url: str
    answers: Answers
    seen: list[Request] = field(default_factory=list)

    def asked(self, method: str, path: str = "") -> list[Request]:
        """The requests of a method to a path; without one, to any."""
        return [each for each in self.seen if each.method == method and path in {"", each.path}]


@contextmanager
def http_service(answers: Answers) -> Iterator[Service]:
    """Any method at any path; `answers` gives the status and the JSON of each request, None for no body."""
    service = Service("", answers)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            try:
                body = json.loads(raw) if raw else None
            except ValueError:
                body = raw
            url = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(url.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, url.path, query, headers, body)
            service.seen.append(request)
            status, answer = service.answers(request)
            sent = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that the server calls

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the other way has ended


@contextmanager
def first_connection_only(url: str) -> Iterator[str]:
    """A URL of the same database behind a port that takes one connection, and has later ones wait without a word."""
    parts = urlsplit(url)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=8))

        def accept() -> None:
            client, _ = listener.accept()
            server = socket.create_connection((parts.hostname or "", parts.port or 5432))
            for pair in ((client, server), (server, client)):
                stack.callback(pair[0].close)
                threading.Thread(target=_pump, args=pair, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        user, _, _ = parts.netloc.rpartition("@")
        yield f"postgresql://{user}@127.0.0.1:{listener.getsockname()[1]}{parts.path}"


_TLS_REQUEST = bytes.fromhex("0000000804d2162f")


@contextmanager
def postgres_over_tls(url: str, context: ssl.SSLContext) -> Iterator[tuple[str, list[str]]]:
    """A URL of the same database behind a port that speaks TLS; and how each connection began, `tls` or `plain`."""
    parts = urlsplit(url)
    begun: list[str] = []

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if await reader.readexactly(8) != _TLS_REQUEST:
                begun.append("plain")
                writer.close()
                return
            writer.write(b"S")
            await writer.start_tls(context)
            begun.append("tls")
            ends = await asyncio.open_connection(parts.hostname, parts.port)
            await asyncio.gather(pump(reader, ends[1]), pump(ends[0], writer))

    async def listen(port: "Future[int]", stop: asyncio.Event) -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port.set_result(server.sockets[0].getsockname()[1])
            await stop.wait()

    loop, stop, port = asyncio.new_event_loop(), asyncio.Event(), Future[int]()
    thread = threading.Thread(target=loop.run_until_complete, args=(listen(port, stop),))
    thread.start()
    try:
        user, _, _ = parts.netloc.rpartition("@")
        yield f"postgresql://{user}@127.0.0.1:{port.result(60)}{parts.path}", begun
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@contextmanager
def unreachable_port() -> Iterator[int]:
    """A port of every address of this machine that takes no connection and refuses none: its backlog is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("0.0.0.0", 0), backlog=0))
        port = int(listener.getsockname()[1])
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


@contextmanager
def postgres_over_tcp() -> Iterator[str]:
    """A URL of the test database on a port of 127.0.0.1: the server itself may listen on a socket file alone."""
    url = urlsplit(os.environ["DATABASE_URL"])
    folder = parse_qs(url.query).get("host", [""])[0]
    if not folder.startswith("/"):
        yield os.environ["DATABASE_URL"]
        return
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    open_sockets: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # closed at the end
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{folder}/.s.PGSQL.5432")
            open_sockets.extend((client, server))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=pair, daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        user = url.username or parse_qs(url.query).get("user", ["postgres"])[0]
        yield f"postgresql://{user}:pass%23word@127.0.0.1:{port}{url.path}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for each in open_sockets:
            # A thread that reads it would keep it open for the far end.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
