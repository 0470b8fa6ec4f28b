"""What every answer carries for browsers and caches, and what none does."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIRequestFactory, force_authenticate

from accounts.authentication import token_caller
from accounts.models import User
from accounts.scopes import Scope
from tests.api import Api
from tests.conftest import PASSWORD
from workflows.views import WorkflowListView

pytestmark = pytest.mark.django_db

API_POLICY = "default-src 'none'; frame-ancestors 'none'"


@pytest.fixture
def browser(empty_redis: None) -> Client:
    """Anybody."""
    return Client(raise_request_exception=False)


ANSWERS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "200": ("GET", "/api/v1/health", {}, 200),
    "400": ("POST", "/api/v1/auth/login", {"data": "{", "content_type": "application/json"}, 400),
    "401": ("GET", "/api/v1/workflows", {}, 401),
    "404": ("GET", "/api/v1/nothing", {}, 404),
    "404 elsewhere": ("GET", "/nothing", {}, 404),
    "405": ("DELETE", "/api/v1/health", {}, 405),
    "forged host": ("GET", "/api/v1/health", {"headers": {"Host": "evil.example"}}, 400),
    "liveness": ("GET", "/healthz", {}, 200),
    "page": ("GET", "/admin/login/", {}, 200),
    "redirect": ("GET", "/admin/", {}, 302),
}


@pytest.mark.parametrize(("method", "path", "more", "status"), ANSWERS.values(), ids=ANSWERS.keys())
def test_every_answer_is_guarded(browser: Client, method: str, path: str, more: dict[str, Any], status: int) -> None:
    answer = browser.generic(method, path, **more)
    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert not {"Server", "X-Powered-By", "Strict-Transport-Security"} & set(answer.headers)


def test_over_the_rate_an_answer_is_guarded_too(browser: Client, settings: Any) -> None:
    settings.ANONYMOUS_REQUESTS_PER_HOUR = 1
    browser.get("/api/v1/nothing")
    answer = browser.get("/api/v1/nothing")
    assert (answer.status_code, answer.headers["Content-Security-Policy"]) == (429, API_POLICY)
    assert answer.headers["X-Frame-Options"] == "DENY"


def test_the_api_loads_nothing_and_nothing_of_it_is_cached(alice_api: Api) -> None:
    for path in ("/workflows", "/api/v1/auth/me", "/components", "/nothing"):
        answer = alice_api.get(path)
        assert answer.headers["Content-Security-Policy"] == API_POLICY
        assert answer.headers["Cache-Control"] == "no-store"


def test_pages_load_only_what_is_ours(browser: Client, admin: User) -> None:
    browser.force_login(admin)
    for path in ("/admin/", "/admin/accounts/user/", f"/admin/accounts/user/{admin.pk}/change/", "/admin/login/"):
        answer = browser.get(path)
        policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
        assert policy == {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "img-src": "'self' data:",
            "font-src": "'self'",
            "connect-src": "'self'",
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }
        assert "camera=()" in answer.headers["Permissions-Policy"]
        text = answer.content.decode()
        # What the policy would stop.
        assert "<style" not in text
        assert " style=" not in text
        assert " onclick=" not in text


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://testserver"])
@pytest.mark.parametrize("path", ["/api/v1/health", "/api/v1/workflows", "/api/v1/auth/login", "/admin/login/", "/x"])
def test_no_answer_opens_the_api_to_pages_of_others(browser: Client, path: str, origin: str) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
        "Access-Control-Request-Private-Network": "true",
    }
    for method in ("OPTIONS", "GET", "POST"):
        answer = browser.generic(method, path, headers=asked)
        assert [name for name in answer.headers if name.lower().startswith("access-control-")] == []


def test_cookies_are_the_admins_alone_and_short_lived(browser: Client, admin: User, settings: Any) -> None:
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    assert browser.post(
        "/api/v1/auth/login",
        json.dumps({"username": admin.email, "password": PASSWORD}),
        content_type="application/json",
    ).cookies == {}  # fmt: skip
    browser.get("/admin/login/")
    answer = browser.post("/admin/login/", {"username": admin.email, "password": PASSWORD})
    assert answer.status_code == 302
    session = answer.cookies["sessionid"]
    assert (session["secure"], session["httponly"], session["samesite"]) == (True, True, "Lax")
    assert session["max-age"] == 8 * 3600
    token = answer.cookies["csrftoken"]
    assert (token["secure"], token["httponly"], token["samesite"]) == (True, True, "Lax")


@pytest.fixture
def behind_tls(settings: Any) -> None:
    """As APG_HTTPS and APG_TRUSTED_PROXIES set it."""
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 31536000
    settings.TRUSTED_PROXIES = ("10.0.0.0/8",)


def test_behind_tls_every_answer_asks_for_it_and_plain_http_is_led_there(behind_tls: None, empty_redis: None) -> None:
    browser = Client(raise_request_exception=False)
    for path, status in (("/api/v1/health", 200), ("/api/v1/nothing", 404), ("/healthz", 200), ("/admin/login/", 200)):
        answer = browser.get(path, headers={"X-Forwarded-Proto": "https"}, REMOTE_ADDR="10.0.0.1")
        assert (answer.status_code, answer.headers["Strict-Transport-Security"]) == (status, "max-age=31536000")
    plain = browser.get("/api/v1/health", REMOTE_ADDR="10.0.0.1")
    assert (plain.status_code, plain.headers["Location"]) == (301, "https://testserver/api/v1/health")
    assert "X-RateLimit-Limit" in plain.headers


def test_behind_tls_a_stranger_cannot_say_that_it_came_over_tls(behind_tls: None, empty_redis: None) -> None:
    answer = Client().get("/api/v1/health", headers={"X-Forwarded-Proto": "https"}, REMOTE_ADDR="203.0.113.9")
    assert answer.status_code == 301


def test_behind_tls_probes_over_plain_http_by_address_are_answered(behind_tls: None, empty_redis: None) -> None:
    answer = Client().get("/healthz", headers={"Host": "10.1.2.3:8000"})
    assert (answer.status_code, answer.content) == (200, b"ok")


def test_behind_tls_a_forged_host_is_led_nowhere(behind_tls: None, empty_redis: None) -> None:
    answer = Client().get("/api/v1/health", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "Location" not in answer.headers


def test_head_and_options_need_the_scope_of_get(as_user: Callable[..., Api], alice: User) -> None:
    caller = token_caller(as_user(alice).token)
    view = WorkflowListView.as_view()
    for scopes, status in ((caller.scopes, 200), (caller.scopes - {Scope.WORKFLOW_READ}, 403)):
        for method in ("GET", "HEAD", "OPTIONS"):
            request = APIRequestFactory().generic(method, "/api/v1/workflows")
            force_authenticate(request, alice, replace(caller, scopes=scopes))  # type: ignore[arg-type]  # a Caller is our token
            assert view(request).status_code == status
