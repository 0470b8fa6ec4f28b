"""A real server, a worker beside it, and a user's API key for the client."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from apg_workflow import Retries
from django.contrib.auth.hashers import get_hasher
from django.db import connection

from accounts.api_keys import create_api_key
from accounts.models import User
from accounts.scopes import Scope
from executions import maintenance
from tests.conftest import PASSWORD
from tests.integration.executions.conftest import Doorbells
from tests.integration.live.conftest import be_at_rest, doorbells, only_legal_moves, web
from tests.web import Web, web_server

__all__ = ["doorbells", "only_legal_moves", "web"]

# As patient as the product in number, and quicker.
QUICK = Retries(first_wait=0.05, longest_wait=0.2, reconnect_for=30)


@dataclass
class Restartable:
    """A server of the test's own on a port that stays the same."""

    port: int
    _stack: ExitStack = field(default_factory=ExitStack)

    def stop(self) -> None:
        """As an operator stops it."""
        self._stack.close()

    def start(self) -> None:
        """On the port it had."""
        self._stack.enter_context(web_server(port=self.port))

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1"


@pytest.fixture
def base_url(web: Web, transactional_db: None, empty_redis: None) -> Iterator[str]:
    """Of the server; it is at rest when the tables are emptied."""
    yield f"http://127.0.0.1:{web.port}/api/v1"
    be_at_rest()


@pytest.fixture
def restartable(transactional_db: None, empty_redis: None) -> Iterator[Restartable]:
    """A server that a test may stop and start."""
    with ExitStack() as stack:
        port = stack.enter_context(web_server()).port
        found = Restartable(port, stack)
        yield found
    be_at_rest()


@pytest.fixture
def worker(doorbells: Doorbells) -> Iterator[None]:
    """Runs components all the while."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            while not stop.wait(0.02):
                doorbells.work()
                # As a worker does: a message that Valkey did not take is sent again.
                maintenance.ring_unclaimed()
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()
    assert not failed, failed


@pytest.fixture
def api_key(alice: User) -> str:
    """Alice's, for all that a key may do."""
    return create_api_key(owner=alice, name="sdk", permissions=[str(scope) for scope in Scope])[1]


@pytest.fixture
def carol(transactional_db: None, settings: Any) -> User:
    """Somebody whose password the server itself can check."""
    settings.PASSWORD_HASHERS = ["accounts.hashers.Argon2Hasher"]
    assert get_hasher().algorithm == "argon2"
    return User.objects.create_user("carol@example.com", PASSWORD, username="carol")
