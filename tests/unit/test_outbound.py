"""Requests through the outbound client: what goes over the wire, redirects, lookups, TLS, headers."""

import gzip
import socket
import ssl
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import outbound_wire
from core.outbound import OutboundError, OutboundPolicy, OutboundResponse
from tests.unit.outbound_peers import Resolver, certificate_for, fetch, header, peer, redirect, response


def refusal(url: str, method: str = "GET", **options: Any) -> OutboundError:
    with pytest.raises(OutboundError) as caught:
        fetch(url, method, **options)
    return caught.value


# What goes over the wire


def test_get_returns_status_headers_body_and_measured_bytes() -> None:
    answer = response(b'{"a": 1}', "201 Created", Content_Type="application/json", X_Id="7")
    with peer(answer) as far:
        got = fetch(far.url("/things"), query={"q": "ä b&c", "id": ["1", "2"]}, headers={"X-Trace": "t1"})
    assert (got.status_code, got.body, got.url) == (201, b'{"a": 1}', far.url("/things?q=%C3%A4+b%26c&id=1&id=2"))
    assert got.headers == {"content-length": "8", "content-type": "application/json", "x-id": "7"}
    assert got.is_json
    assert got.bytes_sent == len(far.requests[0])
    assert got.bytes_received == len(answer)
    assert 0 <= got.elapsed_ms < 5000
    assert far.requests[0].startswith(b"GET /things?q=%C3%A4+b%26c&id=1&id=2 HTTP/1.1\r\n")
    assert header(far.requests[0], "Host") == f"127.0.0.1:{far.port}"
    assert header(far.requests[0], "X-Trace") == "t1"
    assert header(far.requests[0], "Content-Length") is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_body_is_sent_with_its_length(method: str) -> None:
    with peer(response(b"ok")) as far:
        assert fetch(far.url(), method, body=b"x" * 200_000).body == b"ok"
    assert far.requests[0].endswith(b"\r\n\r\n" + b"x" * 200_000)
    assert header(far.requests[0], "Content-Length") == "200000"


def test_head_has_no_body_whatever_the_length_says() -> None:
    with peer(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nContent-Encoding: gzip\r\n\r\n") as far:
        got = fetch(far.url(), "HEAD", max_response_bytes=10)
    assert (got.status_code, got.body, got.headers["content-length"]) == (200, b"", "5000")


def test_repeated_headers_are_joined() -> None:
    with peer(b"HTTP/1.1 204 No Content\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n\r\n") as far:
        assert fetch(far.url()).headers == {"set-cookie": "a=1, b=2"}


def test_chunked_and_unframed_bodies_are_read_to_their_end() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
    with peer(chunked, b"HTTP/1.1 200 OK\r\n\r\nto the end") as far:
        assert fetch(far.url()).body == b"abcde"
        assert fetch(far.url()).body == b"to the end"


def test_interim_answers_are_passed_over() -> None:
    with peer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + response(b"final")) as far:
        assert fetch(far.url()).body == b"final"


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"hello " * 1000)),
        ("X-GZIP", gzip.compress(b"hello " * 500) + gzip.compress(b"hello " * 500)),
        ("deflate", zlib.compress(b"hello " * 1000)),
    ],
)
def test_compressed_body_is_unpacked(encoding: str, packed: bytes) -> None:
    with peer(response(packed, Content_Encoding=encoding)) as far:
        assert fetch(far.url(), max_response_bytes=6000).body == b"hello " * 1000


def test_encoding_that_was_not_asked_for_is_left_packed() -> None:
    with peer(response(b"\x1b\x00", Content_Encoding="br")) as far:
        assert fetch(far.url()).body == b"\x1b\x00"


@pytest.mark.parametrize("packed", [gzip.compress(b"hello " * 1000)[:-9], b"not gzip at all"])
def test_broken_compression_is_a_protocol_error(packed: bytes) -> None:
    with peer(response(packed, Content_Encoding="gzip")) as far:
        assert refusal(far.url()).kind == "protocol"


@pytest.mark.parametrize(
    ("content_type", "is_json"),
    [
        ("application/json", True),
        ("application/problem+json; charset=utf-8", True),
        ("APPLICATION/JSON ; x=y", True),
        ("text/json-like", False),
        ("text/plain", False),
        ("", False),
    ],
)
def test_json_is_what_the_content_type_calls_so(content_type: str, is_json: bool) -> None:
    assert OutboundResponse(200, {"content-type": content_type}, b"", "", 0, 0, 0).is_json is is_json


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/plain; charset=iso-8859-1", b"\xe4", "ä"),
        ('text/plain; charset="UTF-8"', b"\xc3\xa4\xff", "ä\ufffd"),
        ("text/plain; charset=punycode", b"abc-", "abc-"),
        ("text/plain; charset=iso-8859-99", b"abc", "abc"),
        ("text/plain", b"\xc3\xa4", "ä"),
    ],
)
def test_text_is_decoded_by_the_charsets_of_the_web_only(content_type: str, body: bytes, text: str) -> None:
    assert OutboundResponse(200, {"content-type": content_type}, body, "", 0, 0, 0).text == text


def test_answer_that_comes_before_the_body_is_read_counts() -> None:
    with peer(response(b"too big", "413 Content Too Large"), read_request=False) as far:
        assert fetch(far.url(), "POST", body=b"x" * 5_000_000).status_code == 413


# Headers


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "a\r\nX-B: b"},
        {"X-A": "a\nb"},
        {"X-A": "a\x00b"},
        {"X-A": "a\x0bb"},
        {"X-A": "\u010d\u010a"},
        {"X-A\r\nX-B": "b"},
        {"X A": "b"},
        {"X-A:": "b"},
        {"": "b"},
        {"X-Ä": "b"},
        {"Host": "internal.example"},
        {"content-length": "3"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "upgrade"},
        {"Accept": "a", "accept": "b"},
    ],
)
def test_e5_header_that_could_change_the_message_is_refused(headers: dict[str, str]) -> None:
    with peer(response()) as far:
        error = refusal(far.url(), headers=headers)
    assert (error.kind, error.permanent, far.requests) == ("invalid_header", True, [])


def test_header_error_names_the_header_and_hides_its_value() -> None:
    error = refusal("http://127.0.0.1/", headers={"Authorization": "Bearer hunter2\n"})
    assert str(error).startswith("header 'Authorization' ")
    assert "hunter2" not in str(error)


def test_caller_may_replace_the_default_headers() -> None:
    with peer(response()) as far:
        fetch(far.url(), headers={"user-agent": "mine", "Accept": "text/plain", "X-Pad": " padded\t"})
    assert header(far.requests[0], "User-Agent") == "mine"
    assert header(far.requests[0], "Accept") == "text/plain"
    assert header(far.requests[0], "X-Pad") == "padded"
    assert far.requests[0].lower().count(b"user-agent") == 1


def test_unknown_method_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="method must be one of"):
        fetch("http://127.0.0.1/", "TRACE")


def test_query_that_is_not_unicode_is_refused() -> None:
    assert refusal("http://127.0.0.1/", query={"q": "\ud800"}).kind == "invalid_url"


def test_query_joins_the_one_of_the_url_and_the_fragment_stays_here() -> None:
    with peer(response()) as far:
        fetch(far.url("/p?a=1#frag"), query={"b": "2"})
    assert far.requests[0].startswith(b"GET /p?a=1&b=2 HTTP/1.1\r\n")


# Addresses


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "127.0.0.1.nip.io"])
def test_s1_s7_loopback_is_refused_without_an_entry_and_nothing_is_sent(host: str) -> None:
    with peer(response()) as far:
        error = refusal(far.url(host=host), policy=OutboundPolicy())
    assert (error.kind, error.permanent, error.bytes_sent, far.requests) == ("refused", True, 0, [])


@pytest.mark.parametrize("denied", ["10.0.0.1", "::1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
@pytest.mark.parametrize("denied_first", [True, False])
def test_s4_one_denied_answer_refuses_the_name(denied: str, denied_first: bool) -> None:
    answers = (denied, "127.0.0.1") if denied_first else ("127.0.0.1", denied)
    with peer(response()) as far:
        error = refusal(far.url(host="mixed.example"), resolver=Resolver(answers))
    assert (error.kind, far.requests) == ("refused", [])
    assert str(error) == "address is not allowed: mixed.example"


def test_s4_connection_goes_to_the_address_that_was_checked() -> None:
    rebinding = Resolver(("127.0.0.1",), ("10.0.0.1",))
    with peer(response(b"pinned")) as far:
        got = fetch(far.url(host="rebind.example"), resolver=rebinding)
    assert (got.body, rebinding.asked) == (b"pinned", ["rebind.example"])
    assert header(far.requests[0], "Host") == f"rebind.example:{far.port}"


def test_s4_s5_every_hop_is_looked_up_and_checked_anew() -> None:
    rebinding = Resolver(("127.0.0.1",), ("10.0.0.1",))
    with peer(redirect("/again")) as far:
        error = refusal(far.url(host="rebind.example"), resolver=rebinding)
    assert (error.kind, len(far.requests), len(rebinding.asked)) == ("refused", 1, 2)


def test_next_address_is_tried_when_one_does_not_answer() -> None:
    with peer(response(b"second")) as far:
        policy = OutboundPolicy(("127.0.0.0/8",))
        got = fetch(far.url(host="two.example"), policy=policy, resolver=Resolver(("127.0.0.9", "127.0.0.1")))
    assert got.body == b"second"


def test_s8_refused_address_reads_the_same_with_and_without_a_listener() -> None:
    with peer(response()) as far:
        behind_open_port = refusal(far.url(), policy=OutboundPolicy())
    behind_closed_port = refusal(far.url(), policy=OutboundPolicy())
    assert str(behind_open_port) == str(behind_closed_port) == "address is not allowed: 127.0.0.1"


def test_s8_unknown_name_and_closed_port_read_the_same() -> None:
    with peer(response()) as far:
        pass
    closed = refusal(far.url(host="name.example"), resolver=Resolver(("127.0.0.1",)))
    unknown = refusal(far.url(host="name.example"), resolver=Resolver(()))
    assert (closed.kind, closed.permanent) == ("connect", False)
    assert str(closed) == str(unknown) == "could not be reached: name.example"


def test_answers_of_other_families_are_no_addresses() -> None:
    error = refusal(
        "http://name.example/", resolver=lambda *_, **__: [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", ("/run/x",))]
    )
    assert (error.kind, str(error)) == ("connect", "could not be reached: name.example")


def test_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with peer(response(b"proxy")) as proxy, peer(response(b"direct")) as far:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
        assert fetch(far.url()).body == b"direct"
    assert proxy.requests == []


# Redirects


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "GET", "GET"),
        (302, "POST", "GET"),
        (301, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (302, "PUT", "PUT"),
        (307, "POST", "POST"),
        (308, "PATCH", "PATCH"),
    ],
)
def test_redirect_keeps_or_changes_the_method_as_browsers_do(status: int, method: str, then: str) -> None:
    body = b"data" if method in {"POST", "PUT", "PATCH"} else None
    with peer(redirect("../there?x=1", status), response()) as far:
        got = fetch(far.url("/a/here"), method, body=body, headers={"Content-Type": "text/plain"})
    assert (got.status_code, got.url) == (200, far.url("/there?x=1"))
    assert far.requests[1].startswith(f"{then} /there?x=1 HTTP/1.1\r\n".encode())
    body_kept = then == method and body is not None
    assert far.requests[1].endswith(b"\r\n\r\ndata") is body_kept
    assert got.bytes_sent == sum(map(len, far.requests))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://2130706433/",
        "http://localhost:1/",
        "http://metadata.google.internal/",
        "//192.168.0.1/x",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "http://user:pass@127.0.0.1/",
        "http://127.0.0.1:6379/",
        "http:\\\\127.0.0.2\\",
        "http://127.0\t.0.2/",
        "http://[::1",
    ],
)
def test_s5_redirect_to_what_may_not_be_reached_is_refused(status: int, location: str) -> None:
    policy = OutboundPolicy(("start.example",))
    with peer(redirect(location, status)) as far:
        error = refusal(far.url(host="start.example"), policy=policy, resolver=Resolver(("127.0.0.1",)))
    assert (error.kind, error.permanent, len(far.requests)) == ("refused", True, 1)
    assert str(error) == "redirect to an address that is not allowed: start.example"
    assert error.bytes_sent == len(far.requests[0])
    assert error.bytes_received > 0


@pytest.mark.parametrize("location", ["/ne\txt", "/next\\", "/next page", "/caf\u200b\u00e9"])
def test_redirect_that_parsers_read_differently_is_refused(location: str) -> None:
    with peer(redirect(location), response()) as far:
        assert refusal(far.url()).kind == "refused"
    assert len(far.requests) == 1


def test_s5_sixth_redirect_is_refused() -> None:
    with peer(redirect("/loop")) as far:
        error = refusal(far.url())
    assert (error.kind, error.permanent, len(far.requests)) == ("too_many_redirects", True, 6)


def test_fifth_redirect_is_followed() -> None:
    with peer(*[redirect("/next")] * 5, response(b"end")) as far:
        assert fetch(far.url()).body == b"end"
    assert len(far.requests) == 6


def test_redirect_is_an_answer_where_it_is_not_followed() -> None:
    with peer(redirect("http://10.0.0.1/")) as far:
        got = fetch(far.url(), "POST", body=b"{}", follow_redirects=False)
    assert (got.status_code, got.headers["location"], len(far.requests)) == (302, "http://10.0.0.1/", 1)


def test_redirect_status_without_location_is_an_answer() -> None:
    with peer(response(b"choose", "302 Found")) as far:
        assert fetch(far.url()).body == b"choose"


def test_utf8_location_is_encoded() -> None:
    with peer(redirect("/gr\u00fc\u00df"), response()) as far:
        fetch(far.url())
    assert far.requests[1].startswith(b"GET /gr%C3%BC%C3%9F HTTP/1.1\r\n")


CREDENTIALS = {"Authorization": "Bearer t", "Cookie": "s=1", "X-API-Key": "k", "x-auth-token": "t", "X-Mine": "m"}


def test_s5_credentials_stay_behind_when_the_origin_changes() -> None:
    with peer(response()) as other, peer(redirect(other.url(), 307)) as far:
        fetch(far.url(), "POST", body=b"b", headers=CREDENTIALS | {"X-Plain": "p"}, sensitive_headers=["x-mine"])
    assert all(header(far.requests[0], name) == value for name, value in CREDENTIALS.items())
    assert all(header(other.requests[0], name) is None for name in CREDENTIALS)
    assert header(other.requests[0], "X-Plain") == "p"
    assert other.requests[0].endswith(b"\r\n\r\nb")


def test_credentials_go_along_within_the_origin() -> None:
    with peer(redirect("/next"), response()) as far:
        fetch(far.url(), headers=CREDENTIALS)
    assert all(header(far.requests[1], name) == value for name, value in CREDENTIALS.items())


def test_credentials_dropped_on_the_way_do_not_come_back() -> None:
    with peer(response(b"home")) as home:
        with peer(redirect(home.url("/back"))) as other, peer(redirect(other.url())) as far:
            fetch(far.url(), headers={"Authorization": "Bearer t"})
        assert header(home.requests[0], "Authorization") is None


# TLS


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ssl.SSLContext]:
    """A server context for service.example whose certificate the client trusts by SSL_CERT_FILE."""
    context, trusted = certificate_for("service.example", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    outbound_wire._tls_context.cache_clear()
    yield context
    outbound_wire._tls_context.cache_clear()


def test_tls_is_checked_against_the_name_and_connected_to_the_address(trusting: ssl.SSLContext) -> None:
    asked_for: list[str | None] = []

    def note_name(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        asked_for.append(name)

    trusting.sni_callback = note_name
    with peer(response(b"secure"), tls=trusting) as far:
        got = fetch(far.url(host="service.example"), resolver=Resolver(("127.0.0.1",)))
        assert fetch(far.url()).body == b"secure"
    assert (got.body, asked_for) == (b"secure", ["service.example", None])
    assert got.bytes_sent == len(far.requests[0])


def test_certificate_of_another_name_is_refused(trusting: ssl.SSLContext) -> None:
    with peer(response(), tls=trusting) as far:
        error = refusal(far.url(host="other.example"), resolver=Resolver(("127.0.0.1",)))
    assert (error.kind, far.requests) == ("connect", [])
    assert "TLS certificate is not valid" in str(error)


def test_certificate_of_an_unknown_issuer_is_refused(tmp_path: Path) -> None:
    outbound_wire._tls_context.cache_clear()
    context, _ = certificate_for("service.example", tmp_path)
    with peer(response(), tls=context) as far:
        error = refusal(far.url())
    assert (error.kind, far.requests) == ("connect", [])


def test_plain_peer_behind_https_is_no_answer(trusting: ssl.SSLContext) -> None:
    with peer(response(), read_request=False) as far:
        error = refusal(far.url().replace("http:", "https:"))
    assert (error.kind, str(error)) == ("connect", "TLS handshake failed: 127.0.0.1")


@pytest.mark.parametrize(("headers", "body"), [({"Authorization": "Bearer t"}, None), ({}, b"data")])
def test_redirect_from_https_to_http_with_something_to_lose_is_refused(
    trusting: ssl.SSLContext, headers: dict[str, str], body: bytes | None
) -> None:
    with peer(response()) as plain, peer(redirect(plain.url(), 307), tls=trusting) as far:
        error = refusal(far.url(), "PUT", headers=headers, body=body)
    assert (error.kind, plain.requests) == ("refused", [])


def test_redirect_from_https_to_http_with_nothing_to_lose_is_followed(trusting: ssl.SSLContext) -> None:
    with peer(response(b"plain")) as plain, peer(redirect(plain.url()), tls=trusting) as far:
        assert fetch(far.url()).body == b"plain"
