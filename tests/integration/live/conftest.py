"""A web server beside the tests, and who connects to it."""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from accounts.models import User
from accounts.services import log_in
from config.embedded import start_valkey, stop_valkey
from core.redis import client
from events import bells
from tests.conftest import PASSWORD
from tests.eventually import eventually
from tests.integration.executions.conftest import doorbells, only_legal_moves
from tests.sockets import SocketClient
from tests.web import Web, web_server

__all__ = ["doorbells", "only_legal_moves"]

Dial = Callable[..., SocketClient]
TRUSTED = "https://app.example.com,https://*.pages.example"
# Less patient than the product, so that tests need not be more so; but with Valkey.
QUICK = """
from django.conf import settings
from config import notices
settings.REDIS_TIMEOUT_SECONDS = 30
Hub.SLOW_SECONDS = 1.5
notices.ALERT_SECONDS = notices.ANNOUNCEMENT_SECONDS = 0.3
notices._PROBE_SECONDS = 30
"""


@pytest.fixture(scope="session")
def web(django_db_setup: None, django_db_blocker: Any) -> Iterator[Web]:
    """One for all tests; in the end it has logged no fault of its own."""
    with django_db_blocker.unblock(), web_server(before=QUICK, APG_TRUSTED_ORIGINS=TRUSTED) as server:
        yield server
        assert "Traceback" not in server.log.read_text(), server.log.read_text()


def token_of(user: User) -> str:
    """A fresh access token."""
    return log_in(login=user.email, password=PASSWORD, address="127.0.0.1", user_agent="tests").access_token


@pytest.fixture
def dial(web: Web, transactional_db: None, empty_redis: None) -> Iterator[Dial]:
    """`dial(alice)`: a connection with a token of hers; `dial()` without one. All are closed in the end."""
    sockets: list[SocketClient] = []

    def make(user: User | None = None, *, port: int = web.port, **options: Any) -> SocketClient:
        token = options.pop("token", None) or (token_of(user) if user else None)
        sockets.append(SocketClient(port, token, **options))
        return sockets[-1]

    yield make
    for socket in sockets:
        socket.close()
    be_at_rest()


def be_at_rest() -> None:
    """Wait until the server, which nobody watches any more, reads nothing: tables are about to be emptied."""
    eventually(lambda: client().pubsub_numsub(bells.channel())[0][1] == 0)
    eventually(lambda: not busy_backends())


def busy_backends() -> int:
    """How many of the other connections to the database have a statement under way."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND state <> 'idle' AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


@pytest.fixture
def own_valkey(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A Valkey for bells alone: its folder and its address."""
    with tempfile.TemporaryDirectory(prefix="apg-bells-") as folder:
        url = start_valkey(Path(folder))
        monkeypatch.setattr(bells, "settings", SimpleNamespace(REDIS_URL=url, CHANNEL_LAYERS=settings.CHANNEL_LAYERS))
        monkeypatch.setattr(bells, "_line", bells._Line())
        yield Path(folder), url
        stop_valkey(Path(folder))


def told_until_end(socket: SocketClient) -> list[dict[str, Any]]:
    """The messages up to the end of an execution that is subscribed to."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["data"].get("status") not in _ENDS or found[-1]["type"] != "execution_update":
        found.append(socket.receive())
    return found


_ENDS = {"completed", "failed", "cancelled"}


def is_silent(socket: SocketClient) -> bool:
    """Whether nothing has been sent before the answer to a ping."""
    socket.send("ping", f"silence {next(_pings)}")
    return bool(socket.receive()["type"] == "pong")


_pings = itertools.count(1)
