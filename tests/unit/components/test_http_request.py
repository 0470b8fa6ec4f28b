"""http_request: what leaves, what a follower reads, and where credentials may and may not go."""

import base64
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from core.errors import ErrorCode
from core.outbound_policy import OutboundPolicy
from core.types import JSONObject
from tests.unit.components.context import context, run
from workflows.components.base import Completed, Failed
from workflows.components.http import USER_AGENT


@dataclass
class Peer:
    """A local server: answers what it is told to, and keeps what it was asked."""

    address: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def peer() -> Iterator[Peer]:
    class Handler(BaseHTTPRequestHandler):
        peer: ClassVar[Peer]

        def answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            names = {name.lower(): value for name, value in self.headers.items()}
            self.peer.seen.append((self.command, self.path, names, sent))
            redirect = self.path == "/elsewhere"
            self.send_response(302 if redirect else self.peer.status)
            for name, value in self.peer.headers.items():
                self.send_header(name, value)
            if redirect:
                # Another name of this machine: another origin.
                self.send_header("Location", self.peer.address.replace("127.0.0.1", "localhost") + "/there")
            body = b"" if self.command == "HEAD" else self.peer.body
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer  # noqa: N815

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.peer = Peer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Handler.peer
    server.shutdown()
    thread.join()
    server.server_close()


def call(peer: Peer, path: str = "/", **more: Any) -> JSONObject:
    outcome = run("http_request", {"url": peer.address + path, "method": "GET", **more})
    assert isinstance(outcome, Completed)
    output: JSONObject = outcome.output
    return output


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_each_method_is_sent_and_all_but_reading_ones_carry_the_key_of_the_run(peer: Peer, method: str) -> None:
    call(peer, method=method)
    ((sent, _, headers, _),) = peer.seen
    assert sent == method
    assert headers["user-agent"] == USER_AGENT
    assert headers.get("idempotency-key") == (None if method in {"GET", "HEAD"} else "key-1")


def test_headers_that_the_user_gives_win(peer: Peer) -> None:
    given = {"idempotency-key": "mine", "USER-AGENT": "me", "content-type": "application/x-mine"}
    call(peer, method="POST", headers=given, body={"a": 1})
    headers = peer.seen[0][2]
    assert (headers["idempotency-key"], headers["user-agent"], headers["content-type"]) == tuple(given.values())


@pytest.mark.parametrize(
    ("body", "sent", "media_type"),
    [
        ("plain ü", "plain ü".encode(), "text/plain; charset=utf-8"),
        ({"a": [1, "ü"]}, '{"a":[1,"ü"]}'.encode(), "application/json"),
        ([], b"[]", "application/json"),
        (0, b"0", "application/json"),
        (False, b"false", "application/json"),
        (None, b"", None),
    ],
)
def test_text_is_sent_as_it_is_and_anything_else_as_json(
    peer: Peer, body: Any, sent: bytes, media_type: str | None
) -> None:
    call(peer, method="POST", body=body)
    assert (peer.seen[0][3], peer.seen[0][2].get("content-type")) == (sent, media_type)


BODIES: list[tuple[str | None, bytes, Any]] = [
    ("application/json", b'{"a": 1}', {"a": 1}),
    ("application/problem+json; charset=utf-8", b"[1]", [1]),
    ("application/json", b'{"a": 1, "a": 2}', '{"a": 1, "a": 2}'),
    ("application/json", b"NaN", "NaN"),
    ("application/json", b"", None),
    ("text/csv", b"a,b", "a,b"),
    ("text/plain", b"[1]", "[1]"),
    ("text/plain", b"\xff", "\ufffd"),
    ("text/html; charset=iso-8859-1", b"\xfc", "ü"),
    ("application/soap+xml", b"<a/>", "<a/>"),
    ("application/x-own; charset=utf-8", "ü".encode(), "ü"),
    ("application/octet-stream", b"all ascii", base64.b64encode(b"all ascii").decode()),
    ("image/png", b"\x89PNG", base64.b64encode(b"\x89PNG").decode()),
    (None, b"plain", "plain"),
    (None, b"\xff\xfe", base64.b64encode(b"\xff\xfe").decode()),
    ("text/plain", b"a\0b", "a\ufffdb"),
]


@pytest.mark.parametrize(("media_type", "sent", "body"), BODIES)
def test_the_declared_type_decides_how_a_body_is_read(
    peer: Peer, media_type: str | None, sent: bytes, body: Any
) -> None:
    peer.headers, peer.body = {"Content-Type": media_type} if media_type else {}, sent
    assert call(peer)["body"] == body


def test_the_output_tells_status_headers_and_where_the_answer_came_from(peer: Peer) -> None:
    peer.status, peer.headers = 201, {"X-Page": "2"}
    output = call(peer, "/a?b=1", query={"c": "d e"})
    assert list(output) == ["status_code", "headers", "body", "url", "elapsed_ms"]
    assert (output["status_code"], output["headers"]["x-page"]) == (201, "2")
    assert output["url"] == f"{peer.address}/a?b=1&c=d+e"
    assert isinstance(output["elapsed_ms"], int)


def test_an_international_url_is_sent_encoded(peer: Peer) -> None:
    call(peer, "/größe")
    assert peer.seen[0][1] == "/gr%C3%B6%C3%9Fe"


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"type": "bearer", "token": "t0ken"}, "authorization", "Bearer t0ken"),
        ({"type": "basic", "username": "ü", "password": "p:q"}, "authorization", "Basic w7w6cDpx"),
        ({"type": "api_key", "name": "X-Plain", "value": "k3y!"}, "x-plain", "k3y!"),
    ],
)
def test_credentials_go_to_the_address_given_and_not_where_a_redirect_leads(
    peer: Peer, auth: JSONObject, header: str, value: str
) -> None:
    call(peer, "/elsewhere", auth=auth)
    (_, _, first, _), (_, path, second, _) = peer.seen
    assert first[header] == value
    assert path == "/there"
    assert header not in second


def test_a_key_in_the_query_is_sent_and_not_handed_on(peer: Peer) -> None:
    auth = {"type": "api_key", "name": "key", "value": "a b&c", "in": "query"}
    output = call(peer, "/x?monkey=a+b%26c", auth=auth)
    assert peer.seen[0][1] == "/x?monkey=a+b%26c&key=a+b%26c"
    assert output["url"] == f"{peer.address}/x?monkey=a+b%26c&key=[REDACTED]"


def test_the_log_names_method_address_and_status_without_what_may_be_secret(peer: Peer) -> None:
    given = context()
    config = {
        "url": f"{peer.address}/a?token=s3cret#s3cret", "method": "GET", "headers": {"X-A": "s3cret"},
        "auth": {"type": "bearer", "token": "s3cret"},
    }  # fmt: skip
    run("http_request", config, given)
    asked, answered = given.lines
    assert (asked.level, asked.message) == ("info", f"GET {peer.address}/a")
    assert answered.message.startswith("Answered 200 after ")
    assert answered.metadata["bytes"] == given.network_bytes
    assert "s3cret" not in repr(given.lines)


@pytest.mark.parametrize("url", ["http://user:s3cret@127.0.0.1/", "http://[", "s3cret@x", "", "http://a b/?s3cret"])
def test_a_rendered_url_that_is_refused_fails_for_good_and_shows_no_secret(url: str) -> None:
    given = context()
    outcome = run("http_request", {"url": url, "method": "GET"}, given)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.permanent) == (ErrorCode.COMPONENT_ERROR, True)
    if url != "s3cret@x":  # no URL at all: nothing in it is a user name
        assert "s3cret" not in repr(given.lines) + repr(outcome)


def test_redirects_are_followed_unless_told_not_to(peer: Peer) -> None:
    assert call(peer, "/elsewhere")["status_code"] == 200
    assert call(peer, "/elsewhere", follow_redirects=False)["status_code"] == 302


def test_a_redirect_to_a_refused_address_fails_for_good(peer: Peer) -> None:
    only_the_number = OutboundPolicy(allow=(peer.address.removeprefix("http://"),))
    peer.headers, peer.status = {"Location": "http://169.254.169.254/latest"}, 307
    config = {"url": peer.address, "method": "GET"}
    outcome = run("http_request", config, context(policy=only_the_number))
    assert isinstance(outcome, Failed)
    assert outcome.permanent
    assert "169.254" not in outcome.message


def test_a_failure_names_the_status_and_repeats_nothing_of_the_answer(peer: Peer) -> None:
    peer.status, peer.headers, peer.body = 500, {"X-Trace": "s3cret"}, b"s3cret"
    given = context()
    outcome = run("http_request", {"url": peer.address, "method": "GET"}, given)
    assert outcome == Failed("The server answered 500", details={"status_code": 500})
    assert given.network_bytes > 0


def test_e5_a_header_with_a_line_break_is_refused_before_anything_is_sent(peer: Peer) -> None:
    outcome = run("http_request", {"url": peer.address, "method": "GET", "headers": {"X-A": "s3cret\r\nX-B: 1"}})
    assert isinstance(outcome, Failed)
    assert outcome.permanent
    assert "s3cret" not in outcome.message
    assert peer.seen == []


def test_no_answer_in_time_is_a_timeout_that_a_retry_may_cure() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as silent:
        # Nobody serves: the connection is taken by the kernel and never answered.
        config = {"url": f"http://127.0.0.1:{silent.server_address[1]}", "method": "GET", "timeout": 1}
        given = context()
        outcome = run("http_request", config, given)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.permanent) == (ErrorCode.TIMEOUT_ERROR, False)
    assert given.network_bytes > 0
