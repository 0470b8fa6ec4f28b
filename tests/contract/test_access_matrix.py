"""Every endpoint × method × address × caller has the answer that the access table says (reliability §3.3)."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import User
from config.graphql_views import GraphQLView
from core.ids import new_id
from core.redis import client
from core.views import View
from tests.api import Answer, Api
from tests.contract.access_table import ROWS, Row
from tests.contract.access_world import LIKE, World, contents, make_world

pytestmark = pytest.mark.django_db

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CODES = {401: "AUTHENTICATION_ERROR", 403: "AUTHORIZATION_ERROR", 404: "RESOURCE_NOT_FOUND"}
NOT_LOGGED_IN = (
    "disabled",
    "disabled user's key",
    "expired key",
    "deleted key",
    "anonymous",
    "garbage",
    "two credentials",
)
# Addresses that answer without a view of ours; what guards the admin is below, OAuth has tests of its own.
OTHERS = ("admin/", "api/v1/oauth/")
# The OpenAPI document and its page: they hold the contract and nobody's data, so they are for anybody.
FOR_ANYBODY = {"api/v1/schema", "api/v1/docs"}
# Text for Prometheus: METRICS_READERS of the access table, and tests/integration/metrics/test_view.py.
FOR_STAFF = {"metrics"}


def routes(patterns: Any = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(route, view) of everything that the resolver knows."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route, pattern.callback


def class_of(callback: Any) -> type[View] | None:
    """The class behind a route, if it is one of ours."""
    view = getattr(callback, "view_class", None) or getattr(callback, "cls", None)
    return view if view is not None and issubclass(view, View) else None


def endpoints() -> dict[str, tuple[type[View], list[str]]]:
    """By the view's name: its class and every address that leads to it."""
    found: dict[str, tuple[type[View], list[str]]] = {}
    for route, callback in routes():
        view = class_of(callback)
        # Of one address and many fields: `test_graphql_access.py` has its matrix.
        if view is not None and view is not GraphQLView:
            found.setdefault(view.__name__, (view, []))[1].append("/" + route)
    return found


ENDPOINTS = endpoints()
CELLS = [(name, method) for name, (view, _) in ENDPOINTS.items() for method in METHODS if hasattr(view, method.lower())]


def test_every_endpoint_has_a_row_and_every_row_an_endpoint() -> None:
    assert set(ROWS) == set(CELLS)


def test_there_is_no_other_way_in() -> None:
    """A route that is no view of ours or a socket needs rows of its own here; GraphQL has one address."""
    foreign = {route for route, callback in routes() if class_of(callback) is None and not route.startswith(OTHERS)}
    assert foreign == FOR_ANYBODY | FOR_STAFF
    assert [route for route, callback in routes() if class_of(callback) is GraphQLView] == ["api/beta/graphql"]
    assert "SCHEMA" not in settings.GRAPHENE


def test_a_view_that_says_nothing_of_its_callers_is_refused() -> None:
    for view, _ in ENDPOINTS.values():
        assert view.public or view.any_scope or view.person_only or view.scopes
        if view.scopes:
            assert set(view.scopes) == {method for method in METHODS if hasattr(view, method.lower())}


def filled(route: str, world: World, row: Row, **replaced: str) -> str:
    path = route.replace("^", "").replace("\\Z", "")
    ids = {**world.ids, **{name: world.ids[other] for name, other in row.addresses.items()}, **replaced}
    for name, value in ids.items():
        for converter in (
            f"<id:{name}>",
            f"<str:{name}>",
            f"<signal:{name}>",
            f"<number:{name}>",
            f"<hook:{name}>",
            f"<component:{name}>",
        ):
            path = path.replace(converter, value)
    # The name of a secret is a group of a regular expression.
    start = path.find("(?P<name>")
    return path if start < 0 else path[:start] + ids["name"]


def expected(row: Row, caller: str) -> int:
    if row.kind == "public":
        return row.ok
    if caller in NOT_LOGGED_IN:
        return 401
    if "key" in caller and row.kind == "person":
        return 403
    if caller in row.others:
        return row.others[caller]
    if caller in {"key without the scope", "key with no scope"} and row.kind == "scope":
        return 403
    if caller == "owner" and "owner" in row.others:
        return row.others["owner"]
    return row.ok


def call(world: World, row: Row, caller: str, method: str, path: str) -> Answer:
    credentials = world.callers[caller]
    body = row.body(world) if row.body else None
    return Api(credentials.token, key=credentials.key).call(method, path, body)


@pytest.mark.parametrize(("name", "method"), CELLS, ids=[f"{name}-{method}" for name, method in CELLS])
def test_a5_a8_the_matrix(empty_redis: None, name: str, method: str) -> None:
    row = ROWS[name, method]
    world = make_world(row.scope)
    for address in ENDPOINTS[name][1]:
        path = filled(address, world, row)
        before = contents()
        for caller in world.callers:
            place, like = f"{caller}: {method} {path}", LIKE.get(caller, caller)
            # A bare savepoint: services want to open the outermost transaction themselves.
            savepoint = transaction.savepoint()
            client().flushdb()
            answer = call(world, row, caller, method, path)
            assert answer.status == expected(row, like), (place, answer.body)
            check_answer(answer, place)
            check_list(world, row, like, answer, place)
            if answer.status in CODES or like in row.items:
                assert contents() == before, f"{place} changed something"
            if answer.status == 404:
                check_hidden(world, row, caller, method, address, answer)
            transaction.savepoint_rollback(savepoint)


def check_answer(answer: Answer, place: str) -> None:
    assert set(answer.body) == {"success", "data", "message", "errors", "metadata"}, place
    if answer.status in CODES:
        assert answer.code == CODES[answer.status], place
        assert answer.body["data"] is None, place
        assert ("WWW-Authenticate" in answer.headers) == (answer.status == 401), place


def check_list(world: World, row: Row, caller: str, answer: Answer, place: str) -> None:
    if row.items and answer.status == 200:
        (result,) = answer.data["results"]
        code = None if result["success"] else result["errors"][0]["code"]
        assert code == row.items.get(caller), place
    if row.lists is None or answer.status != 200:
        return
    found = {item.get("id", item.get("execution_id", item.get("name"))) for item in answer.data}
    own_only = row.lists in {"key_id", "name", "webhook_id"}
    sees = caller in {"owner", "key with the scope"} or (not own_only and not caller.startswith("stranger"))
    if row.lists in {"user_id", "group_id"}:
        sees = caller == "staff"
    if row.lists == "template_id":
        sees = caller in {"owner", "key with the scope", "staff"}
        assert world.ids["published_id"] in found, place
        assert answer.body["metadata"]["total_count"] == len(answer.data) == (2 if sees else 1), place
    assert (world.ids[row.lists] in found) == sees, place
    if not sees and row.lists != "template_id":
        assert (answer.data, answer.body["metadata"]["total_count"]) == ([], 0) or "api-keys" in place, place


def check_hidden(world: World, row: Row, caller: str, method: str, address: str, answer: Answer) -> None:
    """What is hidden answers to the letter as what is not there."""
    absent = {"workflow_id": new_id(), "execution_id": new_id(), "key_id": new_id(), "name": "ABSENT"}
    absent |= {"template_id": new_id(), "schedule_id": new_id(), "webhook_id": new_id(), "delivery_id": new_id()}
    other = call(world, row, caller, method, filled(address, world, row, **absent))
    assert {**answer.body, "metadata": None} == {**other.body, "metadata": None}


@pytest.mark.parametrize("logged_in", [False, True])
def test_the_admin_is_for_staff_who_logged_in(empty_redis: None, logged_in: bool) -> None:
    browser = Client()
    if logged_in:
        browser.force_login(User.objects.create_user("somebody@example.com"))
    # The log-in and log-out pages themselves, and the translations that they need.
    open_to_all = ("admin/login", "admin/logout", "admin/jsi18n")
    guarded = [route for route, _ in routes() if route.startswith("admin/") and not route.startswith(open_to_all)]
    assert len(guarded) > 20
    for route in guarded:
        response = browser.get("/" + route.split("<")[0].split("(?P")[0])
        if response.status_code not in {404, 405}:
            assert (response.status_code, response.headers["Location"][:13]) == (302, "/admin/login/"), (
                route,
                response.headers["Location"],
            )
