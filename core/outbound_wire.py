"""One HTTP exchange with a checked address: lookup, connection, TLS, head and body, under one deadline and caps.

HTTP/1.1 is spoken by h11 on a socket of our own, because an ordinary client resolves the name again, counts its
timeouts per read and unpacks a compressed chunk whole. `core.outbound` is the only user of this module.
"""

import contextlib
import errno
import select
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import lru_cache, partial
from ipaddress import IPv4Address, ip_address
from typing import Any, TypeVar

import h11

from core.outbound_policy import NOT_ALLOWED, IPAddress, OutboundError, OutboundPolicy, Target

T = TypeVar("T")
# The shape of socket.getaddrinfo; its stubs' exact tuple types would only burden a substitute.
Resolver = Callable[..., Sequence[tuple[Any, ...]]]

MAX_HEADER_BYTES = 64 * 1024
_MAX_HEADERS = 256
_CHUNK_BYTES = 64 * 1024
_POLL_SECONDS = 0.25
_CONNECT_SECONDS = 10.0
_MAX_CONNECT_ATTEMPTS = 4
_GZIP = frozenset({"gzip", "x-gzip", "deflate"})


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Head:
    status_code: int
    headers: dict[str, str]


class Call:
    """The deadline, the byte counts and the progress hook of one call, over all its hops."""

    def __init__(
        self, host: str, timeout_seconds: float, max_received: int, on_progress: Callable[[], None] | None
    ) -> None:
        self.host = host
        """The host that the user gave: the only one that messages name."""
        self.bytes_sent = 0
        self.bytes_received = 0
        self._timeout_seconds = timeout_seconds
        self._started = time.monotonic()
        self._max_received = max_received
        self._on_progress = on_progress

    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)

    def seconds_left(self) -> float:
        """Time to the deadline, after telling the progress hook. Raises OutboundError `timeout` when it has passed."""
        if self._on_progress is not None:
            self._on_progress()
        left = self._started + self._timeout_seconds - time.monotonic()
        if left <= 0:
            raise OutboundError("timeout", f"no full answer within {self._timeout_seconds:g} s: {self.host}")
        return left

    def until_done(self, sock: socket.socket, operation: Callable[[], T]) -> T:
        """Run a socket operation in short waits, so that neither the deadline nor the hook waits for the peer.

        Raises OutboundError `timeout`, _BrokenError for the operation's OSError, and what the hook raises.
        """
        while True:
            sock.settimeout(min(self.seconds_left(), _POLL_SECONDS))
            try:
                return operation()
            except TimeoutError:
                continue
            except OSError as error:
                raise _BrokenError from error

    def count_received(self, size: int) -> None:
        """Bounds what the body's cap does not see: endless interim answers, chunk framing."""
        self.bytes_received += size
        if self.bytes_received > self._max_received:
            raise OutboundError("too_large", f"answer is too large: {self.host}")


class _BrokenError(Exception):
    """A socket operation failed; the cause is the OSError. Told apart from what the progress hook raises."""


class Exchange:
    """One HTTP/1.1 request and its answer on a connected socket."""

    def __init__(self, call: Call, sock: socket.socket) -> None:
        self._call = call
        self._sock = sock
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADER_BYTES)

    def ask(self, target: Target, request: Request) -> Head:
        """Send the request and read the head of its answer."""
        # A peer may answer and hang up before it has read the whole body (413): its answer counts, not the send error.
        with contextlib.suppress(_BrokenError):
            self._write(self._wire_form(target, request))
        event = self._next_event()
        if not isinstance(event, h11.Response):
            raise OutboundError("connect", f"connection ended without an answer: {self._call.host}")
        if len(event.headers) > _MAX_HEADERS:
            raise OutboundError("too_large", f"answer has too many headers: {self._call.host}")
        headers: dict[str, str] = {}
        for raw_name, raw_value in event.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return Head(event.status_code, headers)

    def read_body(self, head: Head, max_bytes: int) -> bytes:
        """Read the body to its end, unpacking as it comes. Raises OutboundError `too_large` at the cap."""
        packed = head.headers.get("content-encoding", "").strip().lower() in _GZIP
        body = _Body(max_bytes, packed, self._call.host)
        while isinstance(event := self._next_event(), h11.Data):
            body.add(bytes(event.data))
        return body.finish()

    def _wire_form(self, target: Target, request: Request) -> bytes:
        given = {name.lower() for name, _ in request.headers}
        defaults = {"Accept": "*/*", "Accept-Encoding": "gzip", "User-Agent": "apg-workflow"}
        headers = [("Host", target.authority)]
        headers += [(name, value) for name, value in defaults.items() if name.lower() not in given]
        headers += [*request.headers, ("Connection", "close")]
        if request.body is not None or request.method in {"POST", "PUT", "PATCH"}:
            headers.append(("Content-Length", str(len(request.body or b""))))
        raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
        head = h11.Request(method=request.method, target=target.path, headers=raw)
        parts = (head, h11.Data(data=request.body or b""), h11.EndOfMessage())
        return b"".join(self._http.send(part) or b"" for part in parts)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            sent = self._call.until_done(self._sock, partial(self._sock.send, view[:_CHUNK_BYTES]))
            self._call.bytes_sent += sent
            view = view[sent:]

    def _next_event(self) -> h11.Event:
        """The next part of the answer, interim answers (1xx) left out."""
        try:
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    self._receive()
                elif not isinstance(event, h11.Event):  # h11.PAUSED: more than the one answer we asked for
                    raise OutboundError("protocol", f"answer is not sound HTTP: {self._call.host}")
                elif not isinstance(event, h11.InformationalResponse):
                    return event
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == 431:
                raise OutboundError("too_large", f"answer's headers are too large: {self._call.host}") from None
            raise OutboundError("protocol", f"answer is not sound HTTP: {self._call.host}") from None

    def _receive(self) -> None:
        try:
            data = self._call.until_done(self._sock, partial(self._sock.recv, _CHUNK_BYTES))
        except _BrokenError:
            raise OutboundError("connect", f"connection broke off: {self._call.host}") from None
        self._call.count_received(len(data))
        if not data and self._http.their_state is h11.SEND_RESPONSE:
            raise OutboundError("connect", f"connection ended without an answer: {self._call.host}")
        self._http.receive_data(data)


class _Body:
    """Collects a body under a cap that holds for the packed and for the unpacked bytes."""

    def __init__(self, max_bytes: int, packed: bool, host: str) -> None:
        self._max_bytes = max_bytes
        self._host = host
        self._content = bytearray()
        self._packed_bytes = 0
        self._unpacker = _new_unpacker() if packed else None

    def add(self, data: bytes) -> None:
        self._packed_bytes += len(data)
        if self._packed_bytes > self._max_bytes:
            self._refuse()
        if self._unpacker is None:
            self._content += data
            return
        try:
            while data:
                # One byte more than may fit shows an overrun without unpacking the rest.
                self._content += self._unpacker.decompress(data, self._max_bytes + 1 - len(self._content))
                if len(self._content) > self._max_bytes:
                    self._refuse()
                data = self._unpacker.unused_data
                if data:  # RFC 1952 §2.2: a gzip file is a series of members
                    self._unpacker = _new_unpacker()
        except zlib.error:
            raise OutboundError("protocol", f"answer is not what its Content-Encoding says: {self._host}") from None

    def finish(self) -> bytes:
        if self._unpacker is not None and self._packed_bytes and not self._unpacker.eof:
            raise OutboundError("protocol", f"answer ends before its compressed body does: {self._host}")
        return bytes(self._content)

    def _refuse(self) -> None:
        raise OutboundError("too_large", f"answer is over {self._max_bytes} bytes: {self._host}")


def _new_unpacker() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # tells gzip from zlib by the first bytes


def connect(call: Call, target: Target, policy: OutboundPolicy, resolver: Resolver) -> socket.socket:
    """A socket connected to a checked address of the target, with TLS for https."""
    addresses = lookup(call, target, policy, resolver)[:_MAX_CONNECT_ATTEMPTS]
    for attempts_left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
        with contextlib.ExitStack() as on_failure:
            sock = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM))
            within = min(call.seconds_left() / attempts_left, _CONNECT_SECONDS)
            if not _reaches(call, sock, (str(address), target.port), within):
                continue
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer = ip_address(sock.getpeername()[0].partition("%")[0])
            except OSError:
                continue
            if peer != address:
                raise OutboundError("refused", f"{NOT_ALLOWED}: {call.host}")
            connected = _secure(call, sock, target.host) if target.scheme == "https" else sock
            on_failure.pop_all()
            return connected
    call.seconds_left()
    raise OutboundError("connect", f"could not be reached: {call.host}")


def _reaches(call: Call, sock: socket.socket, peer: tuple[str, int], seconds: float) -> bool:
    """Connect in short waits, as `until_done`; whether it stands within `seconds`."""
    until = time.monotonic() + seconds
    sock.setblocking(False)
    error = sock.connect_ex(peer)
    if error == errno.EINPROGRESS:
        ready = select.poll()
        ready.register(sock, select.POLLOUT)
        while not ready.poll(1000 * min(call.seconds_left(), _POLL_SECONDS, max(0.0, until - time.monotonic()))):
            if time.monotonic() >= until:
                return False
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return error == 0


def _secure(call: Call, sock: socket.socket, host: str) -> ssl.SSLSocket:
    """TLS with the certificate checked against the host that the URL names."""
    context = _tls_context()
    try:
        secured = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    except OSError:
        raise OutboundError("connect", f"TLS handshake failed: {call.host}") from None
    with contextlib.ExitStack() as on_failure:
        on_failure.enter_context(secured)
        try:
            call.until_done(secured, secured.do_handshake)
        except _BrokenError as error:
            why = "TLS handshake failed"
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                why = f"TLS certificate is not valid ({error.__cause__.verify_message})"
            raise OutboundError("connect", f"{why}: {call.host}") from None
        on_failure.pop_all()
    return secured


@lru_cache(maxsize=1)
def _tls_context() -> ssl.SSLContext:
    """The system's trust store, or what SSL_CERT_FILE and SSL_CERT_DIR name; loaded once, since that is slow."""
    return ssl.create_default_context()


def lookup(call: Call, target: Target, policy: OutboundPolicy, resolver: Resolver) -> tuple[IPAddress, ...]:
    """The target's addresses from one lookup. One that is denied refuses all: mixed answers are a sign of rebinding."""
    if target.address is not None:
        return (target.address,)
    addresses = tuple(dict.fromkeys(_look_up(call, target, resolver)))
    if not addresses:
        raise OutboundError("connect", f"could not be reached: {call.host}")
    if not all(policy.permits_address(target.host, target.port, address) for address in addresses):
        raise OutboundError("refused", f"{NOT_ALLOWED}: {call.host}")
    return addresses


def _look_up(call: Call, target: Target, resolver: Resolver) -> Iterator[IPAddress]:
    """Resolve in a thread, because getaddrinfo takes no timeout; one left behind ends with the system's own (~30 s)."""
    answer: Future[Sequence[tuple[Any, ...]]] = Future()

    def run() -> None:
        try:
            answer.set_result(resolver(target.host, target.port, type=socket.SOCK_STREAM))
        except BaseException as error:  # handed to the caller's thread, which raises it
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    while not answer.done():
        wait((answer,), timeout=min(call.seconds_left(), _POLL_SECONDS))
    try:
        found = answer.result()
    except OSError:
        raise OutboundError("connect", f"could not be reached: {call.host}") from None
    for family, _, _, _, socket_address in found:
        if family in {socket.AF_INET, socket.AF_INET6}:
            yield ip_address(socket_address[0].partition("%")[0])
