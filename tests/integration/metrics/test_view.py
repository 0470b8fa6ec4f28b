"""`GET /metrics`: who may read it, what it answers, and that it answers whoever is away."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from accounts.api_keys import create_api_key
from accounts.models import User
from accounts.scopes import Scope
from accounts.services import log_in
from config import metrics_facts
from core import measures, metrics
from core.metrics_sending import Sender
from core.redis import client
from tests.conftest import PASSWORD
from tests.contract.access_table import METRICS_READERS
from tests.contract.access_world import LIKE, Credentials, make_world
from tests.integration.metrics.conftest import TOKEN, WAIT_SECONDS, parsed
from tests.stopwatch import Stopwatch

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nothing_counted")]


@pytest.fixture
def token(settings: Any) -> str:
    settings.METRICS_TOKEN = TOKEN
    return TOKEN


def get(credential: str = "", **more: str) -> Any:
    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    return Client().get("/metrics", headers={**headers, **more})


def test_with_the_token_everything_is_told_as_text_that_nobody_keeps(token: str, alice: User) -> None:
    measures.RESCUES.count()
    response = get(token)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    found = parsed(response.content.decode())
    assert found["apg_up", "postgresql"] == found["apg_up", "valkey"] == 1
    assert found["apg_rescues_total",] == 1
    assert found["apg_executions", "running"] == 0
    assert 0 < found["apg_disk_used_ratio",] < 1
    assert [series for series in found if series[0] == "apg_build_info"]


def test_it_uses_up_nobody_s_rate_but_that_of_who_is_refused(token: str) -> None:
    response = get(token)
    assert "X-RateLimit-Limit" not in response.headers
    assert client().keys("apg:rate:*") == []
    response = get("wrong" * 8)
    assert response.status_code == 401
    assert response.headers["X-RateLimit-Remaining"] == "999"
    assert response.headers["Cache-Control"] == "no-store"


def test_a_staff_s_rate_is_not_used_up_either(admin: User) -> None:
    access = log_in(login=admin.email, password=PASSWORD, address="127.0.0.1", user_agent="t").access_token
    client().flushdb()
    assert get(access).status_code == 200
    assert client().keys("apg:rate:*") == []


def test_a5_who_may_read_it(token: str) -> None:
    world = make_world(Scope.SYSTEM_READ)
    assert {LIKE.get(caller, caller) for caller in world.callers} == set(METRICS_READERS)
    for caller, credentials in world.callers.items():
        client().flushdb()
        check_reader(caller, credentials, METRICS_READERS[LIKE.get(caller, caller)])


def test_a_key_of_staff_needs_the_scope(token: str, admin: User) -> None:
    for permissions, status in (([Scope.SYSTEM_READ], 200), ([Scope.EXECUTION_READ], 403)):
        _, key = create_api_key(owner=admin, name="k", permissions=list(permissions))
        check_reader("staff's key", Credentials(key=key), status)


def check_reader(caller: str, credentials: Credentials, status: int) -> None:
    headers = {}
    if credentials.token:
        headers["Authorization"] = f"Bearer {credentials.token}"
    if credentials.key:
        headers["X-API-Key"] = credentials.key
    response = Client().get("/metrics", headers=headers)
    assert response.status_code == status, caller
    if status != 200:
        assert b"apg_" not in response.content
        assert ("WWW-Authenticate" in response.headers) == (status == 401)


def test_the_session_of_the_admin_is_enough_and_that_of_another_is_not(admin: User, alice: User) -> None:
    browser = Client()
    browser.force_login(admin)
    assert browser.get("/metrics").status_code == 200
    browser.force_login(alice)
    assert browser.get("/metrics").status_code == 403


@pytest.mark.parametrize(
    "given", ["", "Bearer ", "Bearer", "Basic " + TOKEN, "Bearer " + TOKEN[:-1], "Bearer " + TOKEN + "x"]
)
def test_nothing_but_the_token_itself_is_the_token(token: str, given: str) -> None:
    assert get(Authorization=given).status_code == 401


def test_without_a_token_in_the_settings_an_empty_one_opens_nothing(settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    assert get(Authorization="Bearer ").status_code == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_is_only_read(token: str, method: str) -> None:
    assert Client().generic(method, "/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == 405


def test_without_valkey_what_postgresql_knows_is_told(token: str, settings: Any) -> None:
    url, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1/0"
    found = parsed(get(token).content.decode())
    settings.REDIS_URL = url
    assert (found["apg_up", "postgresql"], found["apg_up", "valkey"]) == (1, 0)
    assert found["apg_workers",] == 0
    assert not [series for series in found if series[0].startswith("apg_executions_ended")]


@pytest.fixture
def frozen_postgres(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that takes a question and never answers."""

    thawed = threading.Event()

    def ask() -> Any:
        thawed.wait()
        return []

    monkeypatch.setattr(metrics_facts._postgresql, "_ask", ask)
    yield
    thawed.set()
    metrics_facts._postgresql._probe.ask().result(10)


def test_with_a_frozen_postgresql_the_token_still_opens_and_the_answer_comes_in_two_seconds(
    token: str, frozen_postgres: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert WAIT_SECONDS < 2
    monkeypatch.setattr(metrics_facts, "WAIT_SECONDS", 0.3)
    measures.RESCUES.count()
    with Stopwatch() as watch:
        found = parsed(get(token).content.decode())
    assert watch.seconds < 2
    assert (found["apg_up", "postgresql"], found["apg_up", "valkey"]) == (0, 1)
    assert found["apg_rescues_total",] == 1
    assert ("apg_workers",) not in found


def test_whoever_asks_again_at_once_gets_the_same_answer(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    ask = metrics_facts._postgresql._ask

    def count() -> Any:
        asked.append(1)
        return ask()

    monkeypatch.setattr(metrics_facts._postgresql, "_ask", count)
    for _ in range(5):
        assert get(token).status_code == 200
    assert len(asked) == 1


def test_every_process_s_gauges_are_added_up_or_the_largest_is_told(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "asked", {})
    for name, sockets, age in (("a", 3, 0.5), ("b", 4, 9.0)):
        sender = Sender()
        sender.name = name
        measures.SOCKETS.tell(lambda sockets=sockets: sockets)  # type: ignore[misc]
        measures.LIVE_LOOK_AGE_SECONDS.tell(lambda age=age: age)  # type: ignore[misc]
        assert sender.send()
    monkeypatch.setattr(metrics, "asked", {})
    found = parsed(get(token).content.decode())
    assert found["apg_sockets_open",] == 7
    assert found["apg_live_look_age_seconds",] == 9


def test_a_process_that_says_nothing_more_is_forgotten(token: str) -> None:
    now = client().time()[0]
    client().hset("apg:metrics:gauges", "gone", f'{now - 16} {{"apg_sockets_open":5}}')
    client().hset("apg:metrics:gauges", "there", f'{now - 10} {{"apg_sockets_open":2}}')
    assert parsed(get(token).content.decode())["apg_sockets_open",] == 2
    assert client().hexists("apg:metrics:gauges", "gone") == 0
