"""The only door to addresses users give us: one HTTP request with checked addresses, redirects, caps and a deadline.

Every hop is parsed by our own rules (`core.outbound_policy`), looked up once, refused if any of its addresses is, and
connected to by the checked address (`core.outbound_wire`); the name goes into the Host header and TLS only. Proxies
from the environment are not used: a proxy would resolve the name itself. Each hop makes its own connection.
"""

import contextlib
import re
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin

from core.outbound_policy import (
    OutboundError,
    OutboundPolicy,
    Target,
    check_characters,
    check_host,
    check_url,
    parse_host,
    parse_url,
)
from core.outbound_watch import watched
from core.outbound_wire import MAX_HEADER_BYTES, Call, Exchange, Request, Resolver, connect, lookup
from core.redact import looks_secret

__all__ = ["OutboundError", "OutboundPolicy", "OutboundResponse", "check_url", "checked_addresses", "send"]

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# They frame the message or choose the peer: set from the URL and the body, never by a caller.
_OWN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te", "trailer"}
    | {"upgrade", "expect", "http2-settings"}
)
_BODY_HEADERS = frozenset({"content-type", "content-encoding", "content-language", "content-location"})
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
    and while connecting; what it raises ends the call and reaches the caller.

    Raises OutboundError, its kinds described there; ValueError for a method that is not one of METHODS.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(sorted(METHODS))}")
    with watched(method) as watch:
        target = parse_url(_with_query(url, query or {}), policy)
        request = Request(method, watch.goes_to(target, _checked_headers(headers or {})), body)
        call = Call(target.host, timeout_seconds, 2 * max_response_bytes + 8 * MAX_HEADER_BYTES, on_progress)
        secret_names = frozenset(name.lower() for name in sensitive_headers)
        try:
            for redirects_left in range(max_redirects, -1, -1):
                with contextlib.closing(connect(call, target, policy, resolver)) as sock:
                    exchange = Exchange(call, sock)
                    head = exchange.ask(target, request)
                    watch.status_code = head.status_code
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
            error.status_code = watch.status_code
            raise


def checked_addresses(
    host: str,
    port: int,
    *,
    policy: OutboundPolicy,
    timeout_seconds: float,
    on_progress: Callable[[], None] | None = None,
    resolver: Resolver = socket.getaddrinfo,
) -> tuple[str, ...]:
    """Look a host up once and return its addresses, all of them allowed, for a client of another protocol.

    The caller must connect to one of these addresses and not to the name. The list of refused ports is HTTP's and does
    not apply. `on_progress` is called at least every 250 ms, as by `send`. Raises OutboundError (`invalid_url`,
    `refused`, `connect`, `timeout`).
    """
    name, address = parse_host(f"[{host}]" if ":" in host else host)
    check_host(name, port, address, policy)
    call = Call(name, timeout_seconds, 0, on_progress)
    target = Target("http", name, port, "/", address)
    return tuple(str(each) for each in lookup(call, target, policy, resolver))


def _with_query(url: str, query: Mapping[str, str | Sequence[str]]) -> str:
    if not query:
        return url
    try:
        added = urlencode(query, doseq=True)
    except UnicodeEncodeError:
        raise OutboundError("invalid_url", "query holds text that is not Unicode") from None
    base, _, _ = url.partition("#")
    return f"{base}{'&' if '?' in base else '?'}{added}"


def _checked_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
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
        checked.append((name, stripped))
    return tuple(checked)


def _redirect_target(call: Call, target: Target, location: str | None, policy: OutboundPolicy) -> Target:
    """Where a Location header leads. One refusal for all faults, since what it names came from the other side."""
    try:
        # Header bytes were read as Latin-1; many servers write UTF-8.
        text = (location or "").encode("latin-1").decode("utf-8")
        check_characters(text)
        return parse_url(urljoin(target.url, text), policy)
    except (OutboundError, ValueError):
        raise OutboundError("refused", f"redirect to an address that is not allowed: {call.host}") from None


def _redirected(
    call: Call, request: Request, status: int, old: Target, new: Target, secret_names: frozenset[str]
) -> Request:
    """The request for the next hop: method, body and credentials as its redirect allows (Fetch standard §4.4)."""
    method, body, headers = request.method, request.body, request.headers
    if (status in {301, 302} and method == "POST") or (status == 303 and method not in {"GET", "HEAD"}):
        method, body = "GET", None
        headers = tuple(pair for pair in headers if pair[0].lower() not in _BODY_HEADERS)
    if old.origin != new.origin:
        kept = tuple(pair for pair in headers if not _is_credential(pair[0], secret_names))
        if old.scheme == "https" and new.scheme == "http" and (body is not None or len(kept) < len(headers)):
            raise OutboundError("refused", f"redirect from https to http with credentials or a body: {call.host}")
        headers = kept
    return Request(method, headers, body)


def _is_credential(name: str, secret_names: frozenset[str]) -> bool:
    return name.lower() in secret_names or looks_secret(name)
