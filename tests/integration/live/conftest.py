"""A web server beside the test, and who connects to it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts.models import User
from accounts.services import log_in
from tests.conftest import PASSWORD
from tests.integration.executions.conftest import doorbells, only_legal_moves
from tests.sockets import SocketClient
from tests.web import Web, web_server

__all__ = ["doorbells", "only_legal_moves"]


@pytest.fixture(scope="module")
def web(django_db_setup: None, django_db_blocker: Any) -> Iterator[Web]:
    """One for all tests of a module."""
    with django_db_blocker.unblock(), web_server() as server:
        yield server


def token_of(user: User) -> str:
    """A fresh access token."""
    return log_in(login=user.email, password=PASSWORD, address="127.0.0.1", user_agent="tests").access_token


@pytest.fixture
def dial(web: Web, transactional_db: None, empty_redis: None) -> Iterator[Callable[..., SocketClient]]:
    """`dial(alice)`: a connection with a token of hers; `dial()` without one. All are closed in the end."""
    clients: list[SocketClient] = []

    def make(user: User | None = None, **options: Any) -> SocketClient:
        token = options.pop("token", None) or (token_of(user) if user else None)
        clients.append(SocketClient(web.port, token, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
