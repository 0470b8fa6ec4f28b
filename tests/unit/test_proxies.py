"""Whose word about a caller is taken: nobody's, unless the settings name a proxy."""

from typing import Any

import pytest
from django.test import RequestFactory

from accounts.throttling import client_address, counted_address
from core.proxies import caller_address, proxies_middleware

FORGED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "444",
    "Forwarded": "for=203.0.113.9;proto=https;host=evil.example",
    "X-Real-IP": "203.0.113.9",
}


def seen(peer: str, headers: dict[str, str]) -> Any:
    """The request as everything behind the first middleware sees it."""
    found: list[Any] = []

    def inner(request: Any) -> Any:
        found.append(request)

    proxies_middleware(inner)(RequestFactory().get("/api/v1/health", headers=headers, REMOTE_ADDR=peer))
    return found[0]


@pytest.fixture(autouse=True)
def behind_tls(settings: Any) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


@pytest.mark.parametrize("trusted", [(), ("10.0.0.0/8",)])
def test_of_a_stranger_no_word_is_taken(settings: Any, trusted: tuple[str, ...]) -> None:
    settings.TRUSTED_PROXIES = trusted
    request = seen("198.51.100.7", FORGED)
    assert (client_address(request), request.is_secure()) == ("198.51.100.7", False)
    assert not set(FORGED) & set(request.headers)
    assert request.build_absolute_uri() == "http://testserver/api/v1/health"


def test_of_a_trusted_proxy_its_address_and_scheme_are_taken_and_no_host(settings: Any) -> None:
    settings.TRUSTED_PROXIES = ("10.0.0.0/8",)
    request = seen("10.0.0.1", FORGED)
    assert (client_address(request), request.is_secure()) == ("203.0.113.9", True)
    # The factory's own port.
    assert request.build_absolute_uri() == "https://testserver:80/api/v1/health"


def test_what_a_client_put_before_the_proxys_own_scheme_is_not_taken(settings: Any) -> None:
    settings.TRUSTED_PROXIES = ("10.0.0.0/8",)
    assert not seen("10.0.0.1", {"X-Forwarded-Proto": "https, http"}).is_secure()
    assert seen("10.0.0.1", {"X-Forwarded-Proto": "http, https"}).is_secure()


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.1.1.1,10.2.2.2", "203.0.113.9"),
        ("10.0.0.1", "10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ("10.0.0.1", ", ".join(["203.0.113.8"] * 5000 + ["203.0.113.9"]), "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.1", "2001:DB8:0::1", "2001:db8::1"),
        ("10.0.0.1", "fe80::1%eth0", "fe80::1"),
        ("10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("fd00::1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1, _hidden, 10.2.2.2", "10.2.2.2"),
        ("10.0.0.1", "999.1.1.1", "10.0.0.1"),
        ("198.51.100.7", "10.0.0.1", "198.51.100.7"),
        ("", "203.0.113.9", ""),
    ],
)
def test_the_caller_is_the_right_most_hop_that_no_trusted_proxy_is(
    settings: Any, peer: str, forwarded_for: str, address: str
) -> None:
    settings.TRUSTED_PROXIES = ("10.0.0.0/8", "fd00::1")
    assert caller_address(peer, forwarded_for) == address


def test_an_ipv6_address_counts_by_its_64_bits_of_network() -> None:
    assert counted_address("2001:db8:1:2:3:4:5:6") == counted_address("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert counted_address("2001:db8:1:3::1") != counted_address("2001:db8:1:2::1")
    assert (counted_address("203.0.113.9"), counted_address("")) == ("203.0.113.9", "")
