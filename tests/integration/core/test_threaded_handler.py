"""The handler between ASGI and Django: whole answers, and connections that outlive requests but not servers."""

import asyncio
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from django.db import connection, connections

from core.threaded_handler import ThreadedHandler

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def handler() -> Iterator[ThreadedHandler]:
    made = ThreadedHandler(1)
    yield made
    made._executor.submit(connections.close_all).result()
    made._executor.shutdown()


def ask(handler: ThreadedHandler, path: str, *, arriving: list[Any] | None = None) -> list[Any]:
    """What is sent for a GET."""
    sent: list[Any] = []
    messages = iter(arriving or [{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", b"localhost")]}
    asyncio.run(handler(scope, receive, send))
    return sent


def backend(handler: ThreadedHandler) -> Any:
    """The process that serves the handler thread's connection."""

    def pid() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return cursor.fetchone()

    return handler._executor.submit(pid).result()[0]


def test_it_answers_with_status_headers_and_body(handler: ThreadedHandler) -> None:
    start, body = ask(handler, "/api/v1/nothing")
    assert start["status"] == 404
    assert b"RESOURCE_NOT_FOUND" in body["body"]
    assert dict(start["headers"])[b"Content-Length"] == str(len(body["body"])).encode()


def test_a_connection_is_kept_from_request_to_request(handler: ThreadedHandler) -> None:
    first = backend(handler)
    assert ask(handler, "/api/v1/nothing")[0]["status"] == 404
    assert backend(handler) == first


def test_a_connection_that_the_server_closed_fails_no_request(handler: ThreadedHandler) -> None:
    gone = backend(handler)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [gone])
    assert ask(handler, "/api/v1/nothing")[0]["status"] == 404
    assert backend(handler) != gone


def test_a_client_that_leaves_before_its_body_is_here_is_not_answered(handler: ThreadedHandler) -> None:
    arriving = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    assert ask(handler, "/api/v1/health", arriving=arriving) == []


@pytest.mark.parametrize("path", ["/api/v1/health", "/api/v1/workflow_orchestration/health/"])
def test_health_is_answered_while_every_thread_is_held(handler: ThreadedHandler, path: str) -> None:
    thaw = Event()
    held = handler._executor.submit(thaw.wait, 30)
    assert ask(handler, path)[0]["status"] == 200
    assert not held.done()
    thaw.set()


def test_metrics_are_answered_while_every_thread_is_held_those_of_health_too(handler: ThreadedHandler) -> None:
    thaw = Event()
    others = [handler._executor, handler._aside["/health"], handler._aside["/health"]]
    held = [executor.submit(thaw.wait, 30) for executor in others]
    assert ask(handler, "/metrics")[0]["status"] == 401
    assert not any(each.done() for each in held)
    thaw.set()
