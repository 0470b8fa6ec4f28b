"""Which addresses and URLs of our users may be reached (contract §11): the rules, without any I/O.

The table of refused networks is written out instead of asking `ipaddress.is_global` or a library: Python calls
several tunnel prefixes global, libraries let single addresses of refused blocks pass, and whoever audits this
product should read the rule in one place. `core.outbound` applies the rules to the address really connected to.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import quote

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

NOT_ALLOWED = "address is not allowed"
MAX_URL_LENGTH = 8192
DEFAULT_PORTS = {"http": 80, "https": 443}

# IANA special-purpose registries (RFC 6890 and its updates), multicast, and deprecated blocks. Of IPv6 only the
# allocated global unicast space 2000::/3 is open: loopback, unique-local, link-local, site-local, multicast,
# IPv4-mapped, IPv4-compatible, NAT64 and whatever is allocated in future stay refused.
_DENIED_V4: tuple[IPv4Network, ...] = tuple(
    IPv4Network(cidr)
    for cidr in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
_DENIED_V6: tuple[IPv6Network, ...] = tuple(
    IPv6Network(cidr) for cidr in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
_V4_IN_LOW_BITS: tuple[IPv6Network, ...] = tuple(
    IPv6Network(cidr) for cidr in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")
)

# Cloud metadata services: they hand out credentials, so only an entry that names the very address opens one.
_METADATA: frozenset[IPAddress] = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
    )
)
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})

# Ports where a well-known service that is not HTTP listens: the "bad ports" of the Fetch standard
# (https://fetch.spec.whatwg.org/#port-blocking) and those of databases, caches, brokers and remote control.
# fmt: off
_DENIED_PORTS = frozenset({
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104,
    109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 445, 465, 512, 513, 514,
    515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 873, 989, 990, 993, 995, 1433, 1521,
    1719, 1720, 1723, 2049, 2181, 3306, 3389, 3659, 4045, 4190, 4369, 5060, 5061, 5432, 5671, 5672, 5900,
    6000, 6379, 6380, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 9042, 9092, 9160, 9300, 10080, 11211,
    27017, 27018, 27019,
})
# fmt: on

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):"
    r"(?://(?P<authority>[^/?#]*))?(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#.*)?"
)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@%]+)(?::(?P<port>[0-9]{0,5}))?")
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*")
# The URL standard reads a host whose last label is a number as an IPv4 address, however it is spelled.
_ENDS_IN_NUMBER = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)\Z")
# 10.0.0.1.nip.io and its kind: a name that spells the address it resolves to.
_SPELLED_ADDRESS = re.compile(r"(?:^|\.)((?:[0-9]{1,3}\.){3}[0-9]{1,3})\.")
_PATH_SAFE = "%/:=&?~#+!$,;'@()*[]"


class OutboundError(Exception):
    """A request to a user's address was refused or failed.

    `kind` says where it stopped: `invalid_url`, `invalid_header`, `refused` (address or URL not allowed), `connect`
    (no answer), `timeout`, `too_large`, `too_many_redirects` or `protocol` (the answer was not sound HTTP).
    `permanent` is true where trying again can't help. `bytes_sent` and `bytes_received` count what had gone over the
    wire until then; `status_code` is the last answer's, where its head had come by then. The message names only the
    host that the user gave: never a resolved address, never whether something listens behind a refused one.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.permanent = kind not in {"connect", "timeout", "protocol"}
        self.bytes_sent = 0
        self.bytes_received = 0
        self.status_code: int | None = None


@dataclass(frozen=True, slots=True)
class _Rule:
    """One parsed entry of the allow-list: a network or a host, on one port or on all."""

    network: IPNetwork | None
    host: str | None
    port: int | None


@dataclass(frozen=True, slots=True)
class OutboundPolicy:
    """What the operator opens beyond the public internet (`APG_OUTBOUND_ALLOW`).

    `allow` holds CIDRs (`10.1.0.0/16`), addresses (`127.0.0.1`, `127.0.0.1:8080`, `[::1]:8080`) and host names
    (`erp.intra.example`, `erp.intra.example:8443`; exact names, no wildcards). A host entry opens whatever the name
    resolves to, but never a metadata service. Raises ValueError on an entry that is none of these.
    """

    allow: tuple[str, ...] = ()
    _rules: tuple[_Rule, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rules", _parse_allow(tuple(self.allow)))

    def permits_port(self, host: str, port: int) -> bool:
        """Whether a URL may name this port: not one of a well-known other service, unless an entry covers the host."""
        if port not in _DENIED_PORTS or self._names_host(host, port):
            return True
        address = _as_address(host)
        return address is not None and self._covers(address, port)

    def permits_name(self, host: str, port: int) -> bool:
        """Whether a host name may be looked up at all: names of this machine and of metadata services may not."""
        if self._names_host(host, port):
            return True
        if host in _METADATA_NAMES:
            return False
        if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 §6.3: always loopback
            return self._covers(ip_address("127.0.0.1"), port)
        spelled = _SPELLED_ADDRESS.search(host)
        address = _as_address(spelled[1]) if spelled else None
        return address is None or self.permits_address(host, port, address)

    def permits_address(self, host: str, port: int, address: IPAddress) -> bool:
        """Whether `address`, to which `host` resolved, may be connected to.

        An IPv6 address that carries IPv4 ones (mapped, NAT64, 6to4, Teredo) is judged by itself and by each of them:
        such prefixes are refused unless an entry opens them, and then the IPv4 address must be allowed as well.
        """
        named = self._names_host(host, port)
        return all(self._permits_one(each, port, named) for each in (address, *embedded_addresses(address)))

    def _permits_one(self, address: IPAddress, port: int, host_is_named: bool) -> bool:
        if address in _METADATA:
            return any(
                rule.network is not None
                and rule.network.num_addresses == 1
                and rule.network.network_address == address
                and rule.port in (None, port)
                for rule in self._rules
            )
        return host_is_named or not _is_denied(address) or self._covers(address, port)

    def _covers(self, address: IPAddress, port: int) -> bool:
        return any(
            rule.network is not None and rule.port in (None, port) and address in rule.network for rule in self._rules
        )

    def _names_host(self, host: str, port: int) -> bool:
        return any(rule.host == host and rule.port in (None, port) for rule in self._rules)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that passed the static checks. `host` is lower case, without brackets or a trailing dot."""

    scheme: str
    host: str
    port: int
    path: str
    """Path and query as they go on the wire; never empty."""
    address: IPAddress | None
    """The address where the host is a literal one: it is connected to as it is, never looked up."""

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def check_url(url: str, policy: OutboundPolicy | None = None) -> None:
    """Check what a URL alone shows, without looking its host up; for use when a URL is saved.

    Refused: any scheme but http and https, user names and passwords, white space, control characters, backslashes,
    hosts outside ASCII (so that no look-alike letters pass: an international name is written in its `xn--` form),
    numeric hosts in any spelling but the dotted one, denied literal addresses, names of this machine and of metadata
    services, ports of other protocols. Raises OutboundError (`invalid_url`, `refused`).
    """
    parse_url(url, policy or OutboundPolicy())


def parse_url(url: str, policy: OutboundPolicy) -> Target:
    """The checks of `check_url`, with their result. Raises OutboundError (`invalid_url`, `refused`)."""
    if len(url) > MAX_URL_LENGTH:
        raise OutboundError("invalid_url", f"URL is longer than {MAX_URL_LENGTH} characters")
    check_characters(url)
    parts = _URL.fullmatch(url)
    if parts is None:
        raise OutboundError("invalid_url", "URL must be absolute, like https://host/path")
    scheme = parts["scheme"].lower()
    if scheme not in DEFAULT_PORTS:
        raise OutboundError("refused", "URL scheme must be http or https")
    authority = parts["authority"] or ""
    if "@" in authority:
        raise OutboundError("refused", "URL must not hold a user name or password")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise OutboundError("invalid_url", "URL has no valid host")
    port = int(match["port"] or DEFAULT_PORTS[scheme])
    if not 1 <= port <= 65535:
        raise OutboundError("invalid_url", "URL port must be between 1 and 65535")
    host, address = parse_host(match["host"])
    check_host(host, port, address, policy)
    if not policy.permits_port(host, port):
        raise OutboundError("refused", f"port {port} is not allowed: {host}")
    path = quote(parts["path"] or "/", safe=_PATH_SAFE)
    query = quote(parts["query"] or "", safe=_PATH_SAFE)
    return Target(scheme, host, port, f"{path}?{query}" if query else path, address)


def check_characters(url: str) -> None:
    """Refuse characters that URL parsers drop or disagree about (OutboundError `invalid_url`).

    urlsplit drops tabs and newlines, browsers read a backslash as a slash. Invisible characters and lone surrogates
    are not printable either.
    """
    if not url.isprintable() or "\\" in url or any(character.isspace() for character in url):
        raise OutboundError("invalid_url", "URL holds white space, a control character or a backslash")


def parse_host(text: str) -> tuple[str, IPAddress | None]:
    """A host as written to its normal form, and its address where it is a literal one.

    Raises OutboundError (`invalid_url`; `refused` for an address in octal, hexadecimal, shortened or single-number
    spelling, since resolvers disagree on what it means).
    """
    if not text.isascii():
        raise OutboundError("invalid_url", "URL host must be ASCII; write an international name in its xn-- form")
    host = text.lower().removesuffix(".")
    if host.startswith("["):
        address = _as_address(host[1:-1])
        if not isinstance(address, IPv6Address):
            raise OutboundError("invalid_url", "URL host is not a valid IPv6 address")
        return str(address), address
    if _HOST_NAME.fullmatch(host) is None:
        raise OutboundError("invalid_url", "URL has no valid host")
    if _ENDS_IN_NUMBER.search(host) is None:
        return host, None
    address = _as_address(host)
    if address is None:
        raise OutboundError("refused", f"{NOT_ALLOWED}: {host}")
    return host, address


def check_host(host: str, port: int, address: IPAddress | None, policy: OutboundPolicy) -> None:
    """Refuse a host of `parse_host` that the policy does not let us look up or connect to (OutboundError `refused`)."""
    allowed = policy.permits_name(host, port) if address is None else policy.permits_address(host, port, address)
    if not allowed:
        raise OutboundError("refused", f"{NOT_ALLOWED}: {host}")


def embedded_addresses(address: IPAddress) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses to which a packet for this IPv6 address may end up going.

    IPv4-mapped and -compatible (RFC 4291), SIIT (RFC 7915), NAT64 (RFC 6052), 6to4 (RFC 3056), Teredo (RFC 4380: the
    server, and the client with its bits inverted).
    """
    if isinstance(address, IPv4Address) or int(address) <= 1:  # :: and ::1 carry none
        return ()
    if any(address in network for network in _V4_IN_LOW_BITS):
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    return address.teredo or ()


def _is_denied(address: IPAddress) -> bool:
    if isinstance(address, IPv4Address):
        return any(address in network for network in _DENIED_V4)
    return address not in _GLOBAL_UNICAST_V6 or any(address in network for network in _DENIED_V6)


def _as_address(text: str) -> IPAddress | None:
    try:
        return None if "%" in text else ip_address(text)  # a zone id has no meaning in a URL
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _parse_allow(entries: tuple[str, ...]) -> tuple[_Rule, ...]:
    return tuple(_parse_entries(entries))


def _parse_entries(entries: Iterable[str]) -> Iterable[_Rule]:
    for entry in entries:
        try:
            if "/" in entry:
                yield _Rule(ip_network(entry), None, None)
                continue
            address = _as_address(entry)
            if address is not None:
                yield _Rule(ip_network(address), None, None)
                continue
            match = _AUTHORITY.fullmatch(entry)
            port = int(match["port"]) if match and match["port"] else None
            if match is None or port == 0 or (port or 0) > 65535:
                raise ValueError("no host")
            host, address = parse_host(match["host"])
        except (ValueError, OutboundError) as error:
            raise ValueError(
                f"outbound allow-list entry {entry!r} is not a network (10.1.0.0/16), an address, a host name or "
                f"host:port: {error}"
            ) from error
        yield _Rule(ip_network(address), None, port) if address is not None else _Rule(None, host, port)
