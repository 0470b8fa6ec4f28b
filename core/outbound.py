"""The only door to addresses users give us: one HTTP request with checked addresses, redirects, caps and a deadline.

Every hop is parsed by our own rules, looked up once, refused if any of its addresses is, and connected to by the
checked address; the name goes into the Host header and TLS only. HTTP/1.1 is spoken by h11 on our own socket, because
an ordinary client resolves again, reads a deadline per read and unpacks a compressed chunk whole. Proxies from the
environment are not used: a proxy would resolve the name itself. Each call makes its own connection.
"""

import contextlib
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, ip_address
from typing import Any, TypeVar
from urllib.parse import urlencode, urljoin

import h11

from core.outbound_policy import (
    NOT_ALLOWED,
    IPAddress,
    OutboundError,
    OutboundPolicy,
    Target,
    check_characters,
    check_host,
    check_url,
    parse_host,
    parse_url,
)
from core.redact import looks_secret

__all__ = ["OutboundError", "OutboundPolicy", "OutboundResponse", "check_url", "checked_addresses", "send"]

T = TypeVar("T")
# The shape of socket.getaddrinfo; its stubs' exact tuple types would only burden a substitute.
Resolver = Callable[..., Sequence[tuple[Any, ...]]]

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"})
_POLL_SECONDS = 0.25
_CONNECT_SECONDS = 10.0
_MAX_CONNECT_ATTEMPTS = 4
_CHUNK_BYTES = 64 * 1024
_MAX_HEADER_BYTES = 64 * 1024
_MAX_HEADERS = 256
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# They frame the message or choose the peer: set from the URL and the body, never by a caller.
_OWN_HEADERS = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
    }
    | {"upgrade", "expect", "http2-settings"}
)
_BODY_HEADERS = frozenset({"content-type", "content-encoding", "content-language", "content-location"})
_GZIP = frozenset({"gzip", "x-gzip", "deflate"})
# Charsets of the web; Python's other codecs decode slowly or mean something else (punycode, unicode_escape).
_CHARSET = re.compile(
    r"utf-?8|utf-?16(?:[lb]e)?|us-ascii|ascii|iso-?8859-\d{1,2}|latin-?1|windows-\d{3,4}|cp\d{3,4}|koi8-[ru]|"
    r"shift_jis|euc-(?:jp|kr)|gb(?:k|2312|18030)|big5"
)


@dataclass(frozen=True, slots=True)
class OutboundResponse:
    """The last answer of a request. `body` is unpacked (gzip, deflate) and within the caller's cap.

    `headers` have lower-case names, repeated ones joined by ", ". `bytes_sent` and `bytes_received` are the HTTP bytes
    of all hops, heads included, packed as they travelled (TLS framing not counted).
    """

    status_code: int
    headers: dict[str, str]
    body: bytes
    url: str
    elapsed_ms: int
    bytes_sent: int
    bytes_received: int

    @property
    def is_json(self) -> bool:
        """Whether the answer says that its body is JSON: `application/json` or any `+json` type (RFC 6839)."""
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return media_type == "application/json" or media_type.endswith("+json")

    @property
    def charset(self) -> str:
        """The charset that the answer names, where it is one of the web's; else UTF-8."""
        parameters = self.headers.get("content-type", "").lower().split(";")[1:]
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            value = value.strip().strip('"')
            if name.strip() == "charset" and _CHARSET.fullmatch(value):
                return value
        return "utf-8"

    @property
    def text(self) -> str:
        """The body as text; bytes that do not fit the charset read as U+FFFD."""
        try:
            return self.body.decode(self.charset, errors="replace")
        except LookupError:  # a charset of the pattern's shape that does not exist, such as iso-8859-99
            return self.body.decode("utf-8", errors="replace")


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str | Sequence[str]] | None = None,
    body: bytes | None = None,
    timeout_seconds: float,
    follow_redirects: bool,
    max_redirects: int = 5,
    max_response_bytes: int,
    policy: OutboundPolicy,
    sensitive_headers: Collection[str] = (),
    on_progress: Callable[[], None] | None = None,
    resolver: Resolver = socket.getaddrinfo,
) -> OutboundResponse:
    """Send one request to a user's address and read the answer.

    `timeout_seconds` bounds the whole call: lookups, TLS, every hop and the body. `max_response_bytes` bounds the body
    both packed and unpacked. `query` is added to the URL's own. Redirects switch methods as browsers do; on a change
    of origin (scheme, host, port) credentials are dropped: Authorization, Cookie, headers whose name looks secret and
    those in `sensitive_headers`. `on_progress` is called at least every 250 ms while reading, writing or looking up,
    and between connection attempts (10 s each); what it raises ends the call and reaches the caller.

    Raises OutboundError, its kinds described there; ValueError for a method that is not one of METHODS.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(sorted(METHODS))}")
    target = parse_url(_with_query(url, query or {}), policy)
    request = _Request(method, _checked_headers(headers or {}), body)
    call = _Call(target.host, timeout_seconds, 2 * max_response_bytes + 8 * _MAX_HEADER_BYTES, on_progress)
    secret_names = frozenset(name.lower() for name in sensitive_headers)
    try:
        for redirects_left in range(max_redirects, -1, -1):
            with contextlib.closing(_connect(call, target, policy, resolver)) as sock:
                exchange = _Exchange(call, sock)
                head = exchange.ask(target, request)
                location = head.headers.get("location")
                if not (follow_redirects and head.status_code in _REDIRECTS and location):
                    unpacked = exchange.read_body(head, max_response_bytes)
                    return OutboundResponse(
                        status_code=head.status_code,
                        headers=head.headers,
                        body=unpacked,
                        url=target.url,
                        elapsed_ms=call.elapsed_ms(),
                        bytes_sent=call.bytes_sent,
                        bytes_received=call.bytes_received,
                    )
            if redirects_left:
                following = _redirect_target(call, target, location, policy)
                request = _redirected(call, request, head.status_code, target, following, secret_names)
                target = following
        raise OutboundError("too_many_redirects", f"more than {max_redirects} redirects: {call.host}")
    except OutboundError as error:
        error.bytes_sent, error.bytes_received = call.bytes_sent, call.bytes_received
        raise


def checked_addresses(
    host: str,
    port: int,
    *,
    policy: OutboundPolicy,
    timeout_seconds: float,
    resolver: Resolver = socket.getaddrinfo,
) -> tuple[str, ...]:
    """Look a host up once and return its addresses, all of them allowed, for a client of another protocol.

    The caller must connect to one of these addresses and not to the name. The list of refused ports is HTTP's and does
    not apply. Raises OutboundError (`invalid_url`, `refused`, `connect`, `timeout`).
    """
    name, address = parse_host(f"[{host}]" if ":" in host else host)
    check_host(name, port, address, policy)
    call = _Call(name, timeout_seconds, 0, None)
    target = Target("http", name, port, "/", address)
    return tuple(str(each) for each in _addresses(call, target, policy, resolver))


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    headers: tuple[tuple[str, bytes], ...]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class _Head:
    status_code: int
    headers: dict[str, str]


class _Call:
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
        """Run a socket operation in short waits, so that neither the deadline nor the hook waits for the peer."""
        while True:
            sock.settimeout(min(self.seconds_left(), _POLL_SECONDS))
            try:
                return operation()
            except TimeoutError:
                continue

    def count_received(self, size: int) -> None:
        """Bounds what the body's cap does not see: endless interim answers, chunk framing."""
        self.bytes_received += size
        if self.bytes_received > self._max_received:
            raise OutboundError("too_large", f"answer is too large: {self.host}")


class _Exchange:
    """One HTTP/1.1 request and its answer on a connected socket."""

    def __init__(self, call: _Call, sock: socket.socket) -> None:
        self._call = call
        self._sock = sock
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEADER_BYTES)

    def ask(self, target: Target, request: _Request) -> _Head:
        """Send the request and read the head of its answer."""
        # A peer may answer and hang up before it has read the whole body (413): its answer counts, not the send error.
        with contextlib.suppress(OSError):
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
        return _Head(event.status_code, headers)

    def read_body(self, head: _Head, max_bytes: int) -> bytes:
        """Read the body to its end, unpacking as it comes. Raises OutboundError `too_large` at the cap."""
        packed = head.headers.get("content-encoding", "").strip().lower() in _GZIP
        body = _Body(max_bytes, packed, self._call.host)
        while isinstance(event := self._next_event(), h11.Data):
            body.add(bytes(event.data))
        return body.finish()

    def _wire_form(self, target: Target, request: _Request) -> bytes:
        given = {name.lower() for name, _ in request.headers}
        defaults = {"Accept": "*/*", "Accept-Encoding": "gzip", "User-Agent": "apg-workflow"}
        headers: list[tuple[str, str | bytes]] = [("Host", target.authority)]
        headers += [(name, value) for name, value in defaults.items() if name.lower() not in given]
        headers += request.headers
        headers.append(("Connection", "close"))
        if request.body is not None or request.method in {"POST", "PUT", "PATCH"}:
            headers.append(("Content-Length", str(len(request.body or b""))))
        head = h11.Request(method=request.method, target=target.path, headers=headers)
        parts = (head, h11.Data(data=request.body or b""), h11.EndOfMessage())
        return b"".join(self._http.send(part) or b"" for part in parts)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            sent = self._call.until_done(self._sock, lambda chunk=view[:_CHUNK_BYTES]: self._sock.send(chunk))
            self._call.bytes_sent += sent
            view = view[sent:]

    def _next_event(self) -> h11.Event | type[h11.PAUSED]:
        """The next part of the answer, interim answers (1xx) left out."""
        try:
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    self._receive()
                elif not isinstance(event, h11.InformationalResponse):
                    return event
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == 431:
                raise OutboundError(
                    "too_large", f"answer's headers are too large: {self._call.host}"
                ) from None
            raise OutboundError(
                "protocol", f"answer is not sound HTTP ({error}): {self._call.host}"
            ) from None

    def _receive(self) -> None:
        try:
            data = self._call.until_done(self._sock, lambda: self._sock.recv(_CHUNK_BYTES))
        except OSError:
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
            raise OutboundError(
                "protocol", f"answer is not what its Content-Encoding says: {self._host}"
            ) from None

    def finish(self) -> bytes:
        if self._unpacker is not None and self._packed_bytes and not self._unpacker.eof:
            raise OutboundError("protocol", f"answer ends before its compressed body does: {self._host}")
        return bytes(self._content)

    def _refuse(self) -> None:
        raise OutboundError("too_large", f"answer is over {self._max_bytes} bytes: {self._host}")


def _new_unpacker() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # tells gzip from zlib by the first bytes


def _with_query(url: str, query: Mapping[str, str | Sequence[str]]) -> str:
    if not query:
        return url
    try:
        added = urlencode(query, doseq=True)
    except UnicodeEncodeError:
        raise OutboundError("invalid_url", "query holds text that is not Unicode") from None
    base, _, _ = url.partition("#")
    return f"{base}{'&' if '?' in base else '?'}{added}"


def _checked_headers(headers: Mapping[str, str]) -> tuple[tuple[str, bytes], ...]:
    """Validate names and values (RFC 9110 §5). Messages name the header, never show its value."""
    seen: set[str] = set()

    def refuse(name: str, why: str) -> None:
        raise OutboundError("invalid_header", f"header {name[:100]!r} {why}")

    checked = []
    for name, value in headers.items():
        stripped = value.strip(" \t")
        if _HEADER_NAME.fullmatch(name) is None:
            refuse(name, "is not a valid header name")
        if name.lower() in _OWN_HEADERS:
            refuse(name, "is set by the client and can't be given")
        if name.lower() in seen:
            refuse(name, "is given twice")
        if _HEADER_VALUE.fullmatch(stripped) is None:
            refuse(name, "holds a line break, a control character or a character outside Latin-1")
        seen.add(name.lower())
        checked.append((name, stripped.encode("latin-1")))
    return tuple(checked)


def _redirect_target(call: _Call, target: Target, location: str | None, policy: OutboundPolicy) -> Target:
    """Where a Location header leads. One refusal for all faults, since what it names came from the other side."""
    try:
        # Header bytes were read as Latin-1; many servers write UTF-8.
        text = (location or "").encode("latin-1").decode("utf-8", errors="strict")
        check_characters(text)
        return parse_url(urljoin(target.url, text), policy)
    except (OutboundError, ValueError):
        raise OutboundError("refused", f"redirect to an {NOT_ALLOWED}: {call.host}") from None


def _redirected(
    call: _Call, request: _Request, status: int, old: Target, new: Target, secret_names: frozenset[str]
) -> _Request:
    """The request for the next hop: method, body and credentials as its redirect allows (Fetch standard §4.4)."""
    method, body, headers = request.method, request.body, request.headers
    if (status in {301, 302} and method == "POST") or (status == 303 and method not in {"GET", "HEAD"}):
        method, body = "GET", None
        headers = tuple(pair for pair in headers if pair[0].lower() not in _BODY_HEADERS)
    if old.origin != new.origin:
        kept = tuple(pair for pair in headers if not _is_credential(pair[0], secret_names))
        if old.scheme == "https" and new.scheme == "http" and (body is not None or len(kept) < len(headers)):
            raise OutboundError(
                "refused", f"redirect from https to http with credentials or a body: {call.host}"
            )
        headers = kept
    return _Request(method, headers, body)


def _is_credential(name: str, secret_names: frozenset[str]) -> bool:
    return name.lower() in secret_names or looks_secret(name)


def _connect(call: _Call, target: Target, policy: OutboundPolicy, resolver: Resolver) -> socket.socket:
    """A socket connected to a checked address of the target, with TLS for https."""
    addresses = _addresses(call, target, policy, resolver)[:_MAX_CONNECT_ATTEMPTS]
    for attempts_left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
        with contextlib.ExitStack() as on_failure:
            sock = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM))
            sock.settimeout(min(call.seconds_left() / attempts_left, _CONNECT_SECONDS))
            try:
                sock.connect((str(address), target.port))
            except OSError:
                continue
            if _peer_address(sock) != address:
                raise OutboundError("refused", f"{NOT_ALLOWED}: {call.host}")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected = _secure(call, sock, target.host) if target.scheme == "https" else sock
            on_failure.pop_all()
            return connected
    call.seconds_left()
    raise OutboundError("connect", f"could not be reached: {call.host}")


def _peer_address(sock: socket.socket) -> IPAddress:
    return ip_address(sock.getpeername()[0].partition("%")[0])


def _secure(call: _Call, sock: socket.socket, host: str) -> ssl.SSLSocket:
    """TLS with the certificate checked against the host that the URL names."""
    secured = _tls_context().wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    with contextlib.ExitStack() as on_failure:
        on_failure.enter_context(secured)
        try:
            call.until_done(secured, secured.do_handshake)
        except ssl.SSLCertVerificationError as error:
            message = f"TLS certificate is not valid ({error.verify_message}): {call.host}"
            raise OutboundError("connect", message) from None
        except OSError:
            raise OutboundError("connect", f"TLS handshake failed: {call.host}") from None
        on_failure.pop_all()
    return secured


@lru_cache(maxsize=1)
def _tls_context() -> ssl.SSLContext:
    """The system's trust store, or what SSL_CERT_FILE and SSL_CERT_DIR name; loaded once, since that is slow."""
    return ssl.create_default_context()


def _addresses(
    call: _Call, target: Target, policy: OutboundPolicy, resolver: Resolver
) -> tuple[IPAddress, ...]:
    """The target's addresses from one lookup. One that is denied refuses all: mixed answers are a sign of rebinding."""
    if target.address is not None:
        return (target.address,)
    addresses = tuple(dict.fromkeys(_look_up(call, target, resolver)))
    if not addresses:
        raise OutboundError("connect", f"could not be reached: {call.host}")
    if not all(policy.permits_address(target.host, target.port, address) for address in addresses):
        raise OutboundError("refused", f"{NOT_ALLOWED}: {call.host}")
    return addresses


def _look_up(call: _Call, target: Target, resolver: Resolver) -> Iterator[IPAddress]:
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
