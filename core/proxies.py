"""Proxies in front: whose word about a caller is taken, and the caller's address (`APG_TRUSTED_PROXIES`)."""

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest, HttpResponse

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_FORWARDED = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REAL_IP",
)


def proxies_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """First in the chain, before anything reads a header: what a stranger says about forwarding is forgotten.

    Of what a trusted proxy says, only the last `X-Forwarded-Proto` counts, which is its own: what stands before it
    was sent by the client.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        if is_trusted(request.META.get("REMOTE_ADDR", "")):
            if proto := request.META.get("HTTP_X_FORWARDED_PROTO"):
                request.META["HTTP_X_FORWARDED_PROTO"] = proto.rpartition(",")[2].strip()
        else:
            for name in _FORWARDED:
                request.META.pop(name, None)
        return get_response(request)

    return middleware


def caller_address(peer: str, forwarded_for: str) -> str:
    """The nearest address that is no trusted proxy: the peer's, or the right-most such hop of `X-Forwarded-For`.

    A hop that is no address was never seen by a proxy; the caller is then the proxy that passed it on. "" for a
    peer without an address (a unix socket).
    """
    found = _parsed(peer)
    hops = [hop for hop in forwarded_for.split(",") if hop.strip()]
    while found is not None and hops and _is_trusted(found):
        nearer = _parsed(hops.pop())
        if nearer is None:
            break
        found = nearer
    return "" if found is None else str(found)


def is_trusted(address: str) -> bool:
    """Whether the address is a proxy's that the settings name."""
    found = _parsed(address)
    return found is not None and _is_trusted(found)


def _is_trusted(address: Address) -> bool:
    return any(address in network for network in _networks(settings.TRUSTED_PROXIES))


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ip_network(text, strict=False) for text in texts)


def _parsed(text: str) -> Address | None:
    """`1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]:443`; IPv4 in IPv6 reads as IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        # The zone is the sender's own name for an interface.
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
