"""Far ends for the outbound client's tests: scripted TCP peers on loopback, and stand-ins for the resolver."""

import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.outbound import OutboundPolicy, OutboundResponse, send

LOCAL = OutboundPolicy(("127.0.0.1",))
Answer = bytes | Callable[[socket.socket], None]


@dataclass
class Peer:
    """A listening peer; `requests` are the raw requests it has read, in order; set `stopping` ends its waits."""

    port: int
    scheme: str = "http"
    requests: list[bytes] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"


def response(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    fields = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def redirect(location: str, status: int = 302) -> bytes:
    return response(status=f"{status} Moved", Location=location)


@contextlib.contextmanager
def peer(*answers: Answer, tls: ssl.SSLContext | None = None, read_request: bool = True) -> Iterator[Peer]:
    """A peer that gives its answers in order, one a connection, the last one again and again.

    An answer is the bytes to send, or a function that plays the peer on the connected socket.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    far = Peer(listener.getsockname()[1], "https" if tls else "http")

    def serve(connection: socket.socket, answer: Answer) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            if tls is not None:
                connection = stack.enter_context(tls.wrap_socket(connection, server_side=True))
            if read_request:
                far.requests.append(_read_request(connection))
            if callable(answer):
                answer(connection)
            else:
                connection.sendall(answer)

    def accept() -> None:
        with contextlib.suppress(OSError):
            for number in range(10**9):
                connection, _ = listener.accept()
                connection.settimeout(10)
                answer = answers[min(number, len(answers) - 1)]
                thread = threading.Thread(target=serve, args=(connection, answer), daemon=True)
                threads.append(thread)
                thread.start()

    threads: list[threading.Thread] = []
    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield far
    finally:
        far.stopping.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(timeout=10)
        for thread in threads:
            thread.join(timeout=10)


def _read_request(connection: socket.socket) -> bytes:
    """Raises ConnectionResetError where the client hung up before it was whole."""

    def more() -> bytes:
        if not (received := connection.recv(65536)):
            raise ConnectionResetError
        return received

    data = b""
    while b"\r\n\r\n" not in data:
        data += more()
    head, _, body = data.partition(b"\r\n\r\n")
    sizes = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < sum(sizes):
        body += more()
    return head + b"\r\n\r\n" + body


def header(request: bytes, name: str) -> str | None:
    """The value of a header in a raw request, or None."""
    for line in request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]:
        field_name, _, value = line.partition(":")
        if field_name.lower() == name.lower():
            return value.strip()
    return None


def fetch(url: str, method: str = "GET", **options: Any) -> OutboundResponse:
    """`send` with the limits that most tests share."""
    defaults: dict[str, Any] = {
        "timeout_seconds": 10,
        "follow_redirects": True,
        "max_response_bytes": 1_000_000,
        "policy": LOCAL,
    }
    return send(method, url, **(defaults | options))


class Resolver:
    """Answers lookups from a list, one entry a lookup, the last one again and again; counts them."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        addresses = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(host)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port),
            )
            for address in addresses
        ]


def certificate_for(name: str, folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server context with a self-signed certificate for a name and 127.0.0.1, and the file that makes it trusted."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    trusted, private = folder / "trusted.pem", folder / "key.pem"
    trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, private)
    return context, trusted
