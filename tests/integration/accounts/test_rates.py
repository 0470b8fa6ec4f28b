"""Rates: every request is counted once, by whom it comes from, in one round trip, and its answer says so."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import OperationalError, connection
from django.test import Client, override_settings
from redis.connection import AbstractConnection
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from accounts import throttling
from accounts.models import User
from core.redis import client
from core.views import View
from executions.models import Execution
from tests.api import Api
from tests.contract.reference import provokes
from tests.stand_ins import postgres_over_tcp
from tests.web import web_server
from workflows.services import create_workflow

ADDRESS_LIMIT = 7
FOUR = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-RetryAfter")


def limited(user: User, count: int) -> User:
    """The user, with a tier of its own."""
    user.tier, user.requests_per_hour, user.concurrent_executions = "custom", count, 1
    user.save(update_fields=["tier", "requests_per_hour", "concurrent_executions"])
    return user


def rates(answer: Any) -> tuple[int, ...]:
    """Limit and Remaining; the other two are there and whole numbers."""
    limit, remaining, reset, retry_after = (int(answer.headers[name]) for name in FOUR)
    assert reset > 1_700_000_000
    assert 0 <= retry_after <= 3600
    return limit, remaining


def round_trips() -> int:
    """How often anybody has asked Valkey to count a request; metrics are sent as `eval`."""
    found: Any = client().info("commandstats")
    calls: int = found.get("cmdstat_evalsha", {}).get("calls", 0)
    return calls


@contextmanager
def counted_sends(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What this thread sends to Redis meanwhile, a write each; other threads and servers have business of their own."""
    sent: list[bytes] = []
    send: Any = AbstractConnection.send_packed_command
    thread = threading.get_ident()

    def count(self: AbstractConnection, command: Any, check_health: bool = True) -> None:
        if threading.get_ident() == thread:
            sent.append(b"".join(command))
        send(self, command, check_health)

    with monkeypatch.context() as patched:
        patched.setattr(AbstractConnection, "send_packed_command", count)
        yield sent


@pytest.fixture
def browser(empty_redis: None, settings: Any) -> Client:
    """Anybody, from one address, with few requests."""
    settings.ANONYMOUS_REQUESTS_PER_HOUR = ADDRESS_LIMIT
    return Client(raise_request_exception=False)


ANONYMOUS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "public": ("GET", "/api/v1/health", {}, 200),
    "no credential": ("GET", "/api/v1/workflows", {}, 401),
    "bad credential": ("GET", "/api/v1/workflows", {"headers": {"Authorization": "Bearer x"}}, 401),
    "bad scheme": ("GET", "/api/v1/workflows", {"headers": {"Authorization": "Basic eDp5"}}, 401),
    "unknown path": ("GET", "/api/v1/nothing", {}, 404),
    "unknown path, bad credential": ("GET", "/api/v1/nothing", {"headers": {"Authorization": "Bearer x"}}, 404),
    "outside of the API": ("GET", "/nothing", {}, 404),
    "wrong method": ("DELETE", "/api/v1/health", {}, 405),
    "unknown method": ("BREW", "/api/v1/workflows", {}, 401),
    "preflight": ("OPTIONS", "/api/v1/workflows", {"headers": {"Origin": "https://evil.example"}}, 401),
    "head": ("HEAD", "/api/v1/health", {}, 200),
    "forged host": ("GET", "/api/v1/health", {"headers": {"Host": "evil.example"}}, 400),
    "broken body": ("POST", "/api/v1/auth/login", {"data": "{", "content_type": "application/json"}, 400),
    "no body": ("POST", "/api/v1/auth/login", {"content_type": "application/json"}, 400),
    "wrong password": (
        "POST",
        "/api/v1/auth/login",
        {"data": '{"username": "x", "password": "y"}', "content_type": "application/json"},
        401,
    ),
    "admin": ("GET", "/admin/", {}, 302),
    "admin log-in": ("GET", "/admin/login/", {}, 200),
    "unknown page": ("GET", "/admin/nothing/", {}, 302),
}


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path", "more", "status"), ANONYMOUS.values(), ids=ANONYMOUS.keys())
def test_every_anonymous_request_is_counted_once_by_address(
    browser: Client, method: str, path: str, more: dict[str, Any], status: int
) -> None:
    for left in (ADDRESS_LIMIT - 1, ADDRESS_LIMIT - 2):
        answer = browser.generic(method, path, **more)
        assert (answer.status_code, rates(answer)) == (status, (ADDRESS_LIMIT, left))


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path", "more", "status"), ANONYMOUS.values(), ids=ANONYMOUS.keys())
def test_over_the_rate_every_request_is_429_as_printed(
    browser: Client, method: str, path: str, more: dict[str, Any], status: int
) -> None:
    for _ in range(ADDRESS_LIMIT):
        browser.get("/api/v1/nothing")
    answer = browser.generic(method, path, **more)
    assert (answer.status_code, rates(answer)) == (429, (ADDRESS_LIMIT, 0))
    wait = int(answer.headers["Retry-After"])
    assert answer.headers["X-RateLimit-RetryAfter"] == str(wait)
    assert 0 < wait <= 3600 / ADDRESS_LIMIT + 1
    if method != "HEAD":
        body = json.loads(answer.content)
        assert (body["success"], body["message"]) == (False, "Rate limit exceeded")
        assert body["errors"] == [
            {
                "code": "RATE_LIMIT_EXCEEDED",
                "message": f"Too many requests. Try again in {wait} seconds.",
                "retry_after": wait,
            }
        ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/workflows", 200), ("GET", "/nothing", 404), ("DELETE", "/workflows", 405), ("PUT", "/nothing", 404),
     ("GET", "/workflows?limit=x", 400), ("POST", "/workflows", 400)],
)  # fmt: skip
def test_with_a_good_credential_a_request_counts_once_for_its_user(
    as_user: Callable[..., Api], alice: User, settings: Any, method: str, path: str, status: int
) -> None:
    settings.ANONYMOUS_REQUESTS_PER_HOUR = ADDRESS_LIMIT
    caller = as_user(limited(alice, 3))
    answers = [caller.call(method, path) for _ in range(4)]
    assert [answer.status for answer in answers] == [status] * 3 + [429]
    assert [rates(answer) for answer in answers] == [(3, 2), (3, 1), (3, 0), (3, 0)]


@pytest.mark.django_db
def test_pages_of_the_admin_count_for_the_user_of_the_session(browser: Client, admin: User) -> None:
    browser.force_login(limited(admin, 2))
    assert [browser.get("/admin/").status_code for _ in range(3)] == [200, 200, 429]
    assert rates(browser.get("/admin/")) == (2, 0)
    assert rates(Client().get("/admin/login/")) == (ADDRESS_LIMIT, ADDRESS_LIMIT - 1)


@pytest.mark.django_db
def test_a_page_over_the_rate_does_nothing(browser: Client, admin: User, bob: User) -> None:
    browser.force_login(limited(admin, 1))
    browser.get("/admin/")
    assert browser.post(f"/admin/accounts/user/{bob.pk}/delete/", {"post": "yes"}).status_code == 429
    assert User.objects.filter(pk=bob.pk).exists()


@pytest.mark.django_db
def test_guessing_tokens_uses_up_the_rate_of_the_address_and_no_users(
    browser: Client, as_user: Callable[..., Api], alice: User
) -> None:
    good = as_user(limited(alice, 5)).token
    forged = good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB")
    statuses = [
        browser.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {forged}"}).status_code
        for _ in range(ADDRESS_LIMIT + 2)
    ]
    # One of the address was used up by the log-in itself; alice still has all of hers.
    assert statuses == [401] * ADDRESS_LIMIT + [429] * 2
    assert rates(browser.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {good}"})) == (5, 4)


@pytest.mark.django_db
def test_a_refused_log_in_says_when_the_next_may_be(browser: Client) -> None:
    body = json.dumps({"username": "alice", "password": "wrong"})
    for _ in range(throttling.LOGIN_ACCOUNT.count):
        client().delete("apg:rate:address:127.0.0.1")
        browser.post("/api/v1/auth/login", body, content_type="application/json")
    client().delete("apg:rate:address:127.0.0.1")
    answer = browser.post("/api/v1/auth/login", body, content_type="application/json")
    assert answer.status_code == 429
    assert answer.headers["X-RateLimit-RetryAfter"] == answer.headers["Retry-After"] != "0"
    assert rates(answer) == (ADDRESS_LIMIT, ADDRESS_LIMIT - 1)


@pytest.mark.django_db
def test_an_ipv6_caller_gets_no_new_rate_with_a_new_address(browser: Client) -> None:
    for number in range(ADDRESS_LIMIT):
        assert browser.get("/api/v1/nothing", REMOTE_ADDR=f"2001:db8:1:2::{number + 1:x}").status_code == 404
    assert browser.get("/api/v1/nothing", REMOTE_ADDR="2001:db8:1:2:ffff::1").status_code == 429
    assert browser.get("/api/v1/nothing", REMOTE_ADDR="2001:db8:1:3::1").status_code == 404
    body = '{"username": "x", "password": "y"}'
    for number in range(2):
        address = f"2001:db8:9:9::{number + 1:x}"
        browser.post("/api/v1/auth/login", body, content_type="application/json", REMOTE_ADDR=address)
    keys: Any = client().keys("apg:rate:login-address:*")
    assert [key.decode() for key in keys] == ["apg:rate:login-address:2001:db8:9:9::/64"]


@pytest.mark.django_db
def test_forged_forwarding_headers_give_no_new_rate(browser: Client, settings: Any) -> None:
    headers = [{"X-Forwarded-For": f"203.0.113.{n}", "X-Real-IP": f"203.0.113.{n}"} for n in range(ADDRESS_LIMIT + 1)]
    statuses = [browser.get("/api/v1/nothing", headers=forged).status_code for forged in headers]
    assert statuses == [404] * ADDRESS_LIMIT + [429]
    settings.TRUSTED_PROXIES = ("127.0.0.1",)
    for left in (ADDRESS_LIMIT - 1, ADDRESS_LIMIT - 2):
        answer = browser.get("/api/v1/nothing", headers={"X-Forwarded-For": f"198.51.100.{left}, 203.0.113.9"})
        assert rates(answer) == (ADDRESS_LIMIT, left)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/workflows", "/nothing", "/health"])
def test_counting_is_one_round_trip(
    as_user: Callable[..., Api], alice: User, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = as_user(alice)
    caller.get(path)
    with counted_sends(monkeypatch) as sent:
        for _ in range(10):
            caller.get(path)
    assert [b"EVALSHA" in command for command in sent] == [True] * 10


@pytest.mark.django_db
def test_a_batch_of_one_is_one_round_trip_too(
    as_user: Callable[..., Api], alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = as_user(alice)
    with counted_sends(monkeypatch) as sent:
        caller.post("/v2/workflows/execute-batch", {"executions": [{"workflow_id": "0" * 26}]})
    assert [b"EVALSHA" in command for command in sent] == [True]


def storm(count: int, method: str, path: str, token: str, body: bytes | None = None) -> list[tuple[int, Any, Any]]:
    """So many requests to the real web server, 32 at a time: status, headers and body of each answer."""
    local = threading.local()
    opened: list[HTTPConnection] = []
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with web_server(before="from django.conf import settings; settings.REDIS_TIMEOUT_SECONDS = 30") as web:

        def ask(_: int) -> tuple[int, Any, Any]:
            if not hasattr(local, "connection"):
                local.connection = HTTPConnection("127.0.0.1", web.port, timeout=60)
                opened.append(local.connection)
            local.connection.request(method, path, body, headers)
            response = local.connection.getresponse()
            return response.status, response.headers, json.loads(response.read())

        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(ask, range(count)))
        for each in opened:
            each.close()
    return answers


def assert_exactly_the_tier_passed(answers: list[tuple[int, Any, Any]], tier: int, status: int) -> None:
    """Each place of the tier was given once, and everybody else was told when to come again."""
    assert Counter(answer[0] for answer in answers) == {status: tier, 429: len(answers) - tier}
    assert {headers["X-RateLimit-Limit"] for _, headers, _ in answers} == {str(tier)}
    passed = [headers for answered, headers, _ in answers if answered == status]
    assert sorted(int(headers["X-RateLimit-Remaining"]) for headers in passed) == list(range(tier))
    assert {headers["X-RateLimit-RetryAfter"] for headers in passed} == {"0"}
    for answered, headers, body in answers:
        assert abs(int(headers["X-RateLimit-Reset"]) - time.time()) <= 3600
        if answered == 429:
            wait = int(headers["Retry-After"])
            assert (headers["X-RateLimit-Remaining"], headers["X-RateLimit-RetryAfter"]) == ("0", str(wait))
            assert 0 < wait <= 72
            assert (body["success"], body["message"]) == (False, "Rate limit exceeded")
            assert body["errors"] == [
                {
                    "code": "RATE_LIMIT_EXCEEDED",
                    "message": f"Too many requests. Try again in {wait} seconds.",
                    "retry_after": wait,
                }
            ]


@pytest.mark.django_db(transaction=True)
def test_of_a_thousand_requests_at_once_exactly_the_tier_passes(as_user: Callable[..., Api], alice: User) -> None:
    """Nothing is refilled meanwhile, at one in 72 seconds."""
    token = as_user(limited(alice, 50)).token
    before = round_trips()
    answers = storm(1000, "GET", "/api/v1/auth/me", token)
    assert round_trips() - before == 1000
    assert_exactly_the_tier_passed(answers, 50, 200)


@pytest.mark.django_db(transaction=True)
def test_x5_of_a_thousand_executes_at_once_exactly_the_tier_is_stored(as_user: Callable[..., Api], alice: User) -> None:
    token = as_user(limited(alice, 50)).token
    definition = {"components": [{"id": "a", "type": "log", "config": {"message": "m"}}], "connections": []}
    workflow = create_workflow(user=alice, name="w", definition=definition)
    answers = storm(1000, "POST", f"/api/v1/workflows/{workflow.pk}/execute", token, b"{}")
    assert_exactly_the_tier_passed(answers, 50, 201)
    accepted = {body["data"]["execution_id"] for status, _, body in answers if status == 201}
    assert accepted == {execution.pk for execution in Execution.objects.all()}


# --- Redis away


@pytest.mark.django_db
def test_with_redis_away_this_process_counts_with_the_same_headers(browser: Client) -> None:
    with override_settings(REDIS_URL="unix:///nowhere/valkey.sock"):
        answers = [browser.get("/api/v1/nothing") for _ in range(ADDRESS_LIMIT + 2)]
    assert [answer.status_code for answer in answers] == [404] * ADDRESS_LIMIT + [429] * 2
    left = [*range(ADDRESS_LIMIT - 1, -1, -1), 0, 0]
    assert [rates(answer) for answer in answers] == [(ADDRESS_LIMIT, remaining) for remaining in left]
    assert answers[-1].headers["Retry-After"] == answers[-1].headers["X-RateLimit-RetryAfter"]


def test_threads_share_the_bucket_of_their_process(settings: Any) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    limit = throttling.Limit("test", 50, 3600)
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda _: throttling.take(limit, "x"), range(400)))
    assert sorted(one.remaining for one in taken if one.allowed) == list(range(50))


@contextmanager
def hanging_redis() -> Iterator[list[socket.socket]]:
    """A Redis that takes connections and never answers; the connections that it took."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}"

        def accept() -> None:
            while True:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    return  # closed at the end

        thread = threading.Thread(target=accept)
        thread.start()
        with override_settings(REDIS_URL=url, REDIS_TIMEOUT_SECONDS=0.3):
            yield taken
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for each in taken:
        each.close()


@pytest.mark.django_db
def test_a_redis_that_hangs_is_asked_once_for_many_requests(browser: Client) -> None:
    with hanging_redis() as asked:
        answers = [browser.get("/api/v1/nothing") for _ in range(ADDRESS_LIMIT + 1)]
    assert [answer.status_code for answer in answers] == [404] * ADDRESS_LIMIT + [429]
    assert len(asked) == 1


@pytest.mark.django_db(transaction=True)
@provokes(503, "SYSTEM_ERROR")
def test_whom_a_database_that_is_away_cannot_tell_counts_by_address(as_user: Callable[..., Api], alice: User) -> None:
    token = as_user(alice).token.encode()
    lines = b"Host: localhost\r\nConnection: close\r\nAuthorization: Bearer " + token + b"\r\n\r\n"
    with ExitStack() as stack:
        bridge = stack.enter_context(ExitStack())
        url = urlsplit(bridge.enter_context(postgres_over_tcp()))._replace(path=f"/{connection.settings_dict['NAME']}")
        web = stack.enter_context(web_server(DATABASE_URL=url.geturl(), APG_ANONYMOUS_REQUESTS_PER_HOUR="7"))
        assert web.send(b"GET /api/v1/auth/me HTTP/1.1\r\n" + lines).headers["x-ratelimit-limit"] == "1000"
        bridge.close()
        for path, status in ((b"/api/v1/auth/me", 503), (b"/api/v1/nothing", 404), (b"/api/v1/health", 503)):
            client().delete("apg:rate:address:127.0.0.1")
            answer = web.send(b"GET " + path + b" HTTP/1.1\r\n" + lines)
            assert (answer.status, answer.headers["x-ratelimit-remaining"]) == (status, "6")
            assert answer.headers.get("retry-after") == ("5" if status == 503 else None)
            assert (b'"code":"SYSTEM_ERROR"' in answer.body) is (path == b"/api/v1/auth/me")
            for told in (b"127.0.0.1", b"psycopg", b"refused", b"server", b"Error", b"SELECT"):
                assert told not in answer.body


@pytest.mark.django_db
def test_a_credential_that_cannot_be_looked_up_is_looked_up_once(empty_redis: None) -> None:
    asked: list[Any] = []

    class Away(BaseAuthentication):
        def authenticate(self, request: Request) -> None:
            asked.append(request)
            raise OperationalError

    class Guarded(View):
        any_scope = True
        authentication_classes = (Away,)

        def get(self, request: Request) -> None:
            raise AssertionError

    request = APIRequestFactory().get("/api/v1/x")
    assert Guarded.as_view()(request).status_code == 503
    assert len(asked) == 1
    assert vars(request)["rate_limit_headers"]["X-RateLimit-Remaining"] == "999"
