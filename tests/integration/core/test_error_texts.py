"""Errors and health tell a stranger nothing about what is inside (P2, P3 of the input matrix)."""

import json
from typing import Any

import pytest
from django.test import Client

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.integration.core.broken_urls")]

INSIDES = ("canary", "Traceback", "RuntimeError", "psycopg", "SELECT", "accounts_user", "/srv", "site-packages",
           "Django", "DEBUG", "settings", "<html", "<h1")  # fmt: skip
ERRORS: dict[str, tuple[str, int, str]] = {
    "bug in a view": ("/api/v1/broken", 500, "SYSTEM_ERROR"),
    "broken SQL": ("/api/v1/broken-sql", 500, "SYSTEM_ERROR"),
    "bug in a view that is none of REST": ("/api/v1/broken-plain", 500, "SYSTEM_ERROR"),
    "a page of an error": ("/api/v1/forbidden", 403, "AUTHORIZATION_ERROR"),
    "Django's own 405": ("/api/v1/not-allowed", 405, "VALIDATION_ERROR"),
    "unknown": ("/api/v1/canary", 404, "RESOURCE_NOT_FOUND"),
    "no credential": ("/api/v1/workflows", 401, "AUTHENTICATION_ERROR"),
}


@pytest.fixture
def browser(empty_redis: None) -> Client:
    """Anybody."""
    return Client(raise_request_exception=False)


def assert_tells_nothing(answer: Any, status: int, code: str) -> None:
    text = answer.content.decode()
    body = json.loads(text)
    assert (answer.status_code, body["success"], body["data"]) == (status, False, None)
    assert [error["code"] for error in body["errors"]] == [code]
    assert set(body) == {"success", "data", "message", "errors", "metadata"}
    assert body["metadata"]["request_id"] == answer.headers["X-Request-ID"] == "abc-1"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert [told for told in INSIDES if told in text] == []


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(("path", "status", "code"), ERRORS.values(), ids=ERRORS.keys())
def test_p2_every_error_of_the_api_is_the_envelope_and_no_more(
    browser: Client, settings: Any, path: str, status: int, code: str, debug: bool
) -> None:
    settings.DEBUG = debug
    assert_tells_nothing(browser.get(path, headers={"X-Request-ID": "abc-1"}), status, code)


@pytest.mark.parametrize("debug", [False, True])
def test_p2_a_forged_host_is_told_nothing(browser: Client, settings: Any, debug: bool) -> None:
    settings.DEBUG = debug
    answer = browser.get("/api/v1/health", headers={"X-Request-ID": "abc-1", "Host": "canary.example"})
    assert_tells_nothing(answer, 400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("path", "status", "code"), [("/broken-page", 500, "SYSTEM_ERROR"), ("/canary", 404, "RESOURCE_NOT_FOUND")]
)
def test_p2_outside_of_the_api_too_unless_it_is_debugged(browser: Client, path: str, status: int, code: str) -> None:
    assert_tells_nothing(browser.get(path, headers={"X-Request-ID": "abc-1"}), status, code)


def test_p3_health_tells_anybody_states_and_times_alone(browser: Client) -> None:
    data = json.loads(browser.get("/api/v1/health").content)["data"]
    assert set(data) == {"status", "version", "uptime_seconds", "components"}
    told = {name: set(component) for name, component in data["components"].items()}
    assert told == {
        "database": {"status", "response_time_ms"},
        "redis": {"status", "response_time_ms"},
        "workflow_engine": {"status", "workers"},
        "scheduler": {"status", "queue_depth"},
    }
    assert {type(value) for component in data["components"].values() for value in component.values()} <= {
        str,
        int,
        float,
    }
