"""Every route, spelled in every way that has let somebody past a guard elsewhere: never a 2xx without a credential.

B12 of the input matrix; CVE-2026-53576 and CVE-2026-3514 (an ending such as `/configs` or `health` skipped the
guard), GHSA-6qr9-g2xw-cw92 (no guard by default). The routes are the resolver's own.
"""

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import User
from workflows.services import create_workflow

pytestmark = pytest.mark.django_db

BASES = ("api/v1/", "api/v1/workflow_orchestration/")
PUBLIC = {f"/{base}health" for base in BASES} | {f"/api/v1/auth/{name}" for name in ("login", "refresh", "logout")}
# Log-in forms, what needs a session leads there; the OpenAPI document and its page.
OPEN_PAGES = {"/admin/login/", "/api/v1/oauth/login", "/api/v1/oauth/logout", "/api/v1/schema", "/api/v1/docs"}
# What an id looks like, so that it comes to the view.
ID = "01HQNZ2G5XKJ8P7M9N6V3R4T5W"
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
ENDINGS = ("/", "//", "/.", "/..", "/health", "/healthz", "/ready", "/configs", "/login", "/api/v1/health", "health",
           ";a=b", ";/health", "%2f", "%2fhealth", "%252f", "/%2e%2e%2fhealth", "/..%2f..%2fhealth", "/../health",
           "%3b/health", "?/health", "%3f/health", "%23/health", "%00", "%20", "%0a", ".json", ".css", "?format=json",
           "\\health", "%5chealth", "/static/admin/css/base.css")  # fmt: skip


def routes(patterns: "list[URLPattern | URLResolver]", prefix: str = "/") -> Iterator[str]:
    """Every address that the resolver knows, with something in the place of its parameters."""
    for pattern in patterns:
        text = prefix + re.sub(r"<(?:\w+:)?(\w+)>", ID, str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, text)
        elif "(" not in text:
            yield text


ROUTES = sorted(set(routes(get_resolver().url_patterns)))


def spellings(route: str) -> Iterator[str]:
    """The route as it is, and as it should not be."""
    yield route
    yield from (route.rstrip("/") + ending for ending in ENDINGS)
    yield from ("/" + route, "/." + route, "/health/.." + route, "/health/%2e%2e" + route, "/static/.." + route)
    yield route.replace("/", "//")
    yield route.replace("/api/", "/api/./", 1)
    yield route.replace("/", "%2f").replace("%2f", "/", 1)
    yield route.upper()
    yield route.title()
    head, _, last = route.rstrip("/").rpartition("/")
    yield f"{head}/%{ord(last[0]):x}{last[1:]}" if last else route


@pytest.fixture
def anybody(empty_redis: None, settings: object) -> Client:
    """Nobody in particular, with enough requests for all of it."""
    settings.ANONYMOUS_REQUESTS_PER_HOUR = 10**6  # type: ignore[attr-defined]
    return Client(raise_request_exception=False)


def test_the_resolver_was_walked() -> None:
    assert len(ROUTES) > 40
    assert set(ROUTES) >= PUBLIC | OPEN_PAGES
    assert {"/api/v1/workflows", "/api/v2/workflows/execute-batch", "/admin/accounts/user/"} <= set(ROUTES)


@pytest.mark.parametrize("route", ROUTES)
def test_b12_no_spelling_of_a_route_is_answered_without_a_credential(anybody: Client, route: str) -> None:
    canonical = {route, route + "/"} if route in PUBLIC | OPEN_PAGES else set()
    for address in spellings(route):
        methods = METHODS if address == route else ("GET", "POST")
        for method in methods:
            answer = anybody.generic(method, address, b"{}", content_type="application/json")
            decoded = answer.wsgi_request.path
            if decoded in canonical or decoded.rstrip("/") in PUBLIC | OPEN_PAGES or decoded in OPEN_PAGES:
                assert answer.status_code < 500, address
                continue
            assert answer.status_code in {302, 400, 401, 403, 404, 405}, (method, address, answer.status_code)
            if answer.status_code == 302:
                assert answer.headers["Location"].startswith("/admin/"), address


@pytest.mark.parametrize("name", ["health", "ready", "configs", "login", "static"])
def test_objects_named_like_open_addresses_are_guarded(anybody: Client, alice: User, name: str) -> None:
    definition = {"components": [{"id": name, "type": "log", "config": {"message": "m"}}], "connections": []}
    workflow = create_workflow(user=alice, name=name, definition=definition)
    for path in (f"workflows/{workflow.pk}", f"workflows/{name}", f"secrets/{name}", f"components/{name}/schema"):
        for method in ("GET", "PUT", "DELETE", "POST"):
            answer = anybody.generic(method, f"/api/v1/{path}", b"{}", content_type="application/json")
            assert answer.status_code in {401, 404}, (method, path)


@pytest.mark.parametrize("field", ["_method=delete", "_METHOD=DELETE", "method=delete", "__method=DELETE"])
def test_b9_a_method_in_a_field_or_a_header_is_ignored(anybody: Client, alice: User, field: str) -> None:
    definition = {"components": [{"id": "a", "type": "log", "config": {"message": "m"}}], "connections": []}
    workflow = create_workflow(user=alice, name="w", definition=definition)
    anybody.force_login(alice)
    headers = dict.fromkeys(("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"), "DELETE")
    for address in (f"/api/v1/workflows/{workflow.pk}?{field}", f"/api/v1/workflows/{workflow.pk}"):
        for content_type in ("application/x-www-form-urlencoded", "application/json"):
            answer = anybody.generic("POST", address, field.encode(), content_type=content_type, headers=headers)
            # A session of the admin is no credential here either.
            assert answer.status_code == 401
    workflow.refresh_from_db()
