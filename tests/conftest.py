"""People and callers that every test may ask for."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import hypothesis
import pytest
from celery import current_app
from django.conf import settings
from django.db import OperationalError
from django.db.backends.base.operations import BaseDatabaseOperations
from psycopg.errors import DeadlockDetected, LockNotAvailable

from accounts import throttling
from accounts.models import User
from accounts.services import log_in
from config import system
from core import redis
from core.redis import client
from events import bells
from executions import passes, reactions, triggers
from tests.api import Api

PASSWORD = "correct-horse-battery"

# The same examples for the same code; others by `--hypothesis-profile explore`. How long one takes says how busy the
# machine is; the bounds on time that we promise are tests of their own.
hypothesis.settings.register_profile(
    "explore",
    parent=hypothesis.settings.default,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "suite",
    parent=hypothesis.settings.get_profile("explore"),
    derandomize=True,
    database=None,
)
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def patient_flush() -> Iterator[None]:
    """Tables are emptied beside servers that may be reading them: whoever empties gives way, and tries again.

    It waits for less long than PostgreSQL looks on while two wait for each other, so no reader is ended. An automatic
    vacuum gives way to who has waited for longer than that, which the last tries do.
    """
    flush = BaseDatabaseOperations.execute_sql_flush

    def patiently(self: BaseDatabaseOperations, sql_list: Sequence[str]) -> None:
        for left in reversed(range(20)):
            try:
                flush(self, [f"SET LOCAL lock_timeout = '{400 if left > 9 else 1500}ms'", *sql_list])
            except OperationalError as error:
                if not left or not isinstance(error.__cause__, DeadlockDetected | LockNotAvailable):
                    raise
            else:
                return

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseDatabaseOperations, "execute_sql_flush", patiently)
        yield


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """A machine that stands still for a second is no part that hangs; tests of these limits set the product's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "REDIS_TIMEOUT_SECONDS", 10)
        patch.setattr(system, "_PROBE_SECONDS", 30.0)
        for module, name in ((passes, "PASS_SECONDS"), (reactions, "_PASS_SECONDS"), (triggers, "_PASS_SECONDS")):
            patch.setattr(module, name, 60.0)
        for name in ("socket_timeout", "socket_connect_timeout"):
            patch.setitem(current_app.conf.broker_transport_options, name, 60)
        patch.setitem(current_app.conf, "broker_connection_timeout", 60)
        yield


@pytest.fixture(autouse=True)
def nothing_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test found hanging, the next one asks again; requests that were counted meanwhile are forgotten."""
    monkeypatch.setattr(redis, "_hung_until", float("-inf"))
    monkeypatch.setattr(bells._line, "_quiet_until", float("-inf"))
    monkeypatch.setattr(throttling, "_fallback", throttling._Fallback())


@pytest.fixture(autouse=True)
def fast_passwords(settings: Any) -> None:
    """Hashing for safety takes time that tests do not need."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def empty_redis() -> Iterator[None]:
    """No counted requests and no messages, before and after."""
    client().flushdb()
    yield
    client().flushdb()


def _user(name: str, **fields: Any) -> User:
    return User.objects.create_user(f"{name}@example.com", PASSWORD, username=name, **fields)


@pytest.fixture
def alice(db: None) -> User:
    """Owns what tests are about."""
    return _user("alice")


@pytest.fixture
def bob(db: None) -> User:
    """Another user."""
    return _user("bob")


@pytest.fixture
def admin(db: None) -> User:
    """Staff."""
    return _user("admin", is_staff=True, is_superuser=True)


@pytest.fixture
def api(db: None, empty_redis: None) -> Api:
    """Anonymous."""
    return Api()


@pytest.fixture
def as_user(db: None, empty_redis: None) -> Callable[..., Api]:
    """`as_user(alice)`: the API called with a fresh token of hers."""

    def make(user: User, base: str = "/api/v1/workflow_orchestration") -> Api:
        pair = log_in(login=user.email, password=PASSWORD, address="127.0.0.1", user_agent="tests")
        return Api(pair.access_token, base)

    return make


@pytest.fixture
def alice_api(as_user: Callable[..., Api], alice: User) -> Api:
    """The API as alice."""
    return as_user(alice)
