"""Raw bytes to the real web server (B9 to B11 of the input matrix): refused in the envelope, nothing built on them."""

import json
from collections.abc import Iterator

import pytest

from tests.web import RawAnswer, Web, web_server

pytestmark = pytest.mark.django_db

HOST = b"Host: localhost\r\n"
# Health has the time that it takes.
PATIENT = "from config import system; system._PROBE_SECONDS = 30"


@pytest.fixture(scope="module")
def web(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[Web]:
    """One server for the module; it needs tables, and writes none."""
    with web_server(before=PATIENT, APG_TRUSTED_PROXIES="10.0.0.0/8", APG_ANONYMOUS_REQUESTS_PER_HOUR="500") as running:
        yield running


def get(lines: bytes = b"", *, target: bytes = b"/api/v1/health", host: bytes = HOST) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + host + lines + b"\r\n"


def post(lines: bytes, body: bytes) -> bytes:
    return b"POST /api/v1/auth/login HTTP/1.1\r\n" + HOST + lines + b"\r\n" + body


def assert_refused(answer: RawAnswer, status: int = 400) -> None:
    """In the envelope, with a request id and the headers of every answer, and nothing about the server."""
    body = json.loads(answer.body)
    assert (answer.status, body["success"], body["errors"][0]["code"]) == (status, False, "VALIDATION_ERROR")
    assert body["metadata"]["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert not {"server", "location"} & set(answer.headers)
    for told in (b"uvicorn", b"httptools", b"Django", b"Traceback", b"evil"):
        assert told not in answer.body


B10 = {
    "200 headers": get(b"".join(b"X-%d: a\r\n" % number for number in range(200))),
    "header of 64 KB": get(b"X-A: " + b"a" * 65536 + b"\r\n"),
    "header without end": get()[:-2] + b"X-A: " + b"a" * 3_000_000,
    "address without end": b"GET /api/v1/health?" + b"a" * 3_000_000,
    "trailer without end": post(b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\nX-A: " + b"a" * 300_000),
    "bare CR": get(b"X-A: a\rb\r\n"),
    "bare LF": get(b"X-A: a\nX-B: b\r\n"),
    "folded": get(b"X-A: a\r\n b\r\n"),
    "vertical tab": get(b"X-A: a\x0bb\r\n"),
    "NUL": get(b"X-A: a\x00b\r\n"),
    "lengths that agree": post(b"Content-Length: 2\r\nContent-Length: 2\r\n", b"{}"),
    "lengths that differ": post(b"Content-Length: 2\r\nContent-Length: 3\r\n", b"{}"),
    "list of lengths": post(b"Content-Length: 2, 2\r\n", b"{}"),
    "signed length": post(b"Content-Length: +2\r\n", b"{}"),
    "length and coding": post(b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "coding and length": post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"),
    "two codings": post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "coding twice": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "coding before a space": post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    "identity": post(b"Transfer-Encoding: identity\r\n", b"{}"),
    "query that is not ASCII": get(target=b"/api/v1/health?a=\xff"),
    "path that is not ASCII": get(target=b"/api/v1/\xff"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("request_", B10.values(), ids=B10.keys())
def test_b10_what_two_readers_could_read_differently_is_400_and_the_connection_ends(web: Web, request_: bytes) -> None:
    answer = web.send(request_)
    assert_refused(answer)
    assert answer.closed


LARGE = 5 * 1024 * 1024 + 1
LARGE_BODIES = {
    "announced": post(b"Content-Length: %d\r\n" % LARGE, b""),
    "chunked": post(b"Transfer-Encoding: chunked\r\n", b"%x\r\n" % LARGE + b"x" * LARGE),
}


@pytest.mark.parametrize("request_", LARGE_BODIES.values(), ids=LARGE_BODIES.keys())
def test_b8_a_body_over_the_limit_is_413_before_its_end_and_counted(web: Web, request_: bytes) -> None:
    answer = web.send(request_)
    assert_refused(answer, 413)
    assert answer.closed
    assert (answer.headers["x-ratelimit-limit"], answer.headers["cache-control"]) == ("500", "no-store")


def test_b10_a_header_many_times_over_is_refused_and_not_joined(web: Web) -> None:
    """CVE-2025-14550: under ASGI each repetition cost the length of all before it."""
    assert_refused(web.send(get(b"X-A: a\r\n" * 3000)))


def test_b10_what_comes_after_a_refused_request_is_not_answered(web: Web) -> None:
    answer = web.send(B10["length and coding"] + get(b"Connection: close\r\n"))
    assert (answer.status, answer.closed, answer.body.count(b"metadata")) == (400, True, 1)


@pytest.mark.parametrize("method", [b"TRACE", b"PURGE", b"PROPFIND"])
def test_b9_methods_that_nothing_here_has_are_405(web: Web, method: bytes) -> None:
    answer = web.send(get().replace(b"GET", method, 1))
    assert_refused(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


def test_b9_a_method_that_http_does_not_have_is_400(web: Web) -> None:
    assert_refused(web.send(get().replace(b"GET", b"BREW", 1)))


TARGETS = {
    "absolute": get(target=b"http://evil.example/api/v1/health"),
    "absolute, allowed host": get(target=b"http://localhost/api/v1/health"),
    "file": get(target=b"http://evil.example/static/admin/css/base.css"),
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
}


@pytest.mark.parametrize("request_", TARGETS.values(), ids=TARGETS.keys())
def test_b11_an_address_with_a_host_in_it_is_400(web: Web, request_: bytes) -> None:
    assert_refused(web.send(request_))


HOSTS = {
    "other": b"Host: evil.example\r\n",
    "other, and an allowed one": HOST + b"Host: evil.example\r\n",
    "user": b"Host: localhost@evil.example\r\n",
    "path": b"Host: localhost/evil.example\r\n",
    "none": b"",
}


@pytest.mark.parametrize("target", [b"/api/v1/health", b"/admin/", b"/api/v1/workflows/"])
@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS.keys())
def test_b11_a_forged_host_is_400_and_no_redirect_is_built_from_it(web: Web, host: bytes, target: bytes) -> None:
    assert_refused(web.send(get(host=host, target=target)))


def test_b11_a_forged_forwarded_host_changes_no_link(web: Web) -> None:
    forged = b"X-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\nX-Forwarded-Port: 444\r\n"
    answer = web.send(get(forged, target=b"/admin/"))
    assert (answer.status, answer.headers["location"]) == (302, "/admin/login/?next=/admin/")


def test_the_server_itself_believes_no_forwarded_address(web: Web) -> None:
    """uvicorn would, from this machine, by default: then every request could come from a new address."""
    limited = get(b"X-Forwarded-For: 203.0.113.%d\r\n")
    left = [int(web.send(limited % number).headers["x-ratelimit-remaining"]) for number in range(4)]
    assert left[3] < left[0]


def test_a_change_to_another_protocol_is_not_made(web: Web) -> None:
    key = b"dGhlIHNhbXBsZSBub25jZQ=="
    upgrade = b"Connection: Upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
    assert web.send(get(upgrade % (b"h2c", key))).status == 200
    # No address but those of sockets is one.
    assert web.send(get(upgrade % (b"websocket", key))).status == 403
    assert web.send(get(upgrade % (b"websocket", b"YQ=="))).status == 400


def test_liveness_answers_any_probe_and_is_not_counted(web: Web) -> None:
    answer = web.send(get(host=b"Host: 10.1.2.3:8000\r\n", target=b"/healthz"))
    assert (answer.status, answer.body) == (200, b"ok")
    assert "x-ratelimit-limit" not in answer.headers


def test_files_are_guarded_and_not_counted(web: Web) -> None:
    answer = web.send(get(b"Connection: close\r\n", target=b"/static/admin/css/base.css"))
    assert (answer.status, answer.headers["x-content-type-options"]) == (200, "nosniff")
    assert not {"x-ratelimit-limit", "server"} & set(answer.headers)
