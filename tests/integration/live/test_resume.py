"""Nothing is lost and nothing comes twice: replay, cut connections, lost bells, and servers that go away (F14, W6)."""

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection
from redis import Redis

from accounts.models import User
from config.embedded import start_valkey, stop_valkey
from core.redis import client
from events import bells
from events.models import Event
from executions import pages, runner
from executions.models import Execution
from executions.services import StartRequest, start_execution
from executions.states import FINAL_EXECUTION
from executions.transitions.statements import Holder
from tests.eventually import eventually
from tests.integration.executions.conftest import Doorbells, linear, log, make_workflow, start, transform
from tests.integration.executions.test_waits import send, signal
from tests.integration.live.conftest import QUICK, Dial, is_silent, token_of, told_until_end
from tests.sockets import RawSocket, SocketClient, row_messages
from tests.stopwatch import Stopwatch
from tests.web import Web, web_server

pytestmark = pytest.mark.django_db(transaction=True)


def numbers(messages: list[dict[str, Any]]) -> list[int]:
    return [found["data"]["sequence"] for found in row_messages(messages)]


def last_number(execution: Execution) -> int:
    return Event.objects.filter(subject_id=execution.pk).count()


@pytest.fixture
def ran(alice: User, doorbells: Doorbells) -> Execution:
    """An execution that has ended."""
    execution = start(alice, linear(log("a"), log("b"), log("c")))
    doorbells.work()
    execution.refresh_from_db()
    return execution


def test_since_replays_what_follows_the_number_and_nothing_else(dial: Dial, alice: User, ran: Execution) -> None:
    socket = dial(alice)
    answer = socket.subscribe("execution", ran.pk, since=4)
    assert answer["data"]["sequence"] == ran.sequence
    assert numbers(told_until_end(socket)) == list(range(5, ran.sequence + 1))
    assert is_silent(socket)


def test_replay_goes_over_into_live(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a"), signal(), log("b")))
    doorbells.work()
    socket = dial(alice)
    socket.subscribe("execution", execution.pk, since=0)
    before = [socket.receive() for _ in range(3)]
    send(execution, alice, 1)
    doorbells.work()
    assert numbers([*before, *told_until_end(socket)]) == list(range(1, last_number(execution) + 1))


def test_since_the_last_number_of_an_ended_execution_tells_nothing(dial: Dial, alice: User, ran: Execution) -> None:
    socket = dial(alice)
    assert socket.subscribe("execution", ran.pk, since=ran.sequence)["type"] == "subscribed"
    assert is_silent(socket)


@pytest.mark.parametrize("since", [-1, "4", 1.5, True, None, 2**31])
def test_a_since_that_is_no_number_names_the_field(dial: Dial, alice: User, ran: Execution, since: Any) -> None:
    socket = dial(alice)
    answer = socket.subscribe("execution", ran.pk, "bad", since=since)
    assert (answer["type"], answer["id"], answer["data"]["code"]) == ("error", "bad", "VALIDATION_ERROR")
    assert [problem["field"] for problem in answer["data"]["errors"]] == ["data.since"]
    assert is_silent(socket)


def test_a_since_beyond_the_end_is_refused_with_the_last_number(dial: Dial, alice: User, ran: Execution) -> None:
    socket = dial(alice)
    answer = socket.subscribe("execution", ran.pk, since=ran.sequence + 1)
    assert answer["type"] == "error"
    (problem,) = answer["data"]["errors"]
    assert (problem["field"], str(ran.sequence) in problem["message"]) == ("data.since", True)
    assert is_silent(socket)


@pytest.mark.parametrize("channel", ["workflow", "system"])
def test_only_executions_take_since(dial: Dial, alice: User, ran: Execution, channel: str) -> None:
    socket = dial(alice)
    subject = ran.workflow_id if channel == "workflow" else None
    answer = socket.subscribe(channel, subject, since=1)
    assert (answer["type"], answer["data"]["errors"][0]["field"]) == ("error", "data.since")


def test_a_replay_longer_than_a_page_is_whole(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(*(log(f"c{number}") for number in range(90))))
    doorbells.work()
    assert last_number(execution) > pages.LIMIT
    socket = dial(alice)
    socket.subscribe("execution", execution.pk, since=0)
    assert numbers(told_until_end(socket)) == list(range(1, last_number(execution) + 1))


def test_a_replay_with_more_text_than_a_page_holds_is_whole(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    big = "{{ 'x' * 15000 }}"
    execution = start(alice, linear(*(transform(f"c{number}", big) for number in range(25))))
    doorbells.work()
    socket = dial(alice)
    socket.subscribe("execution", execution.pk, since=0)
    found = told_until_end(socket)
    assert numbers(found) == list(range(1, last_number(execution) + 1))
    assert sum(len(one["data"].get("output_data") or "") for one in found) == 25 * 15000
    assert sum(one["id"].endswith("-progress") for one in found) == 0


def test_200_connections_cut_at_random_miss_nothing_and_hear_nothing_twice(
    web: Web, dial: Dial, alice: User, doorbells: Doorbells
) -> None:
    chance = random.Random(20261125)
    token = token_of(alice)
    # Somebody stays, so that the server goes on listening.
    dial(token=token)
    # Side by side, so that each is a hop of its own.
    executions = [start(alice, {"components": [log(f"c{n}") for n in range(50)]}) for _ in range(4)]
    told: dict[str, list[int]] = {execution.pk: [] for execution in executions}
    cuts = threading.Semaphore(0)

    def work() -> None:
        """A hop for each cut, so that the work lasts as long as the cutting does."""
        try:
            doorbells.receive()
            while doorbells.waiting:
                cuts.acquire()
                run = doorbells.waiting.pop(chance.randrange(len(doorbells.waiting)))
                runner.run_component(run.run_id, run.attempt, Holder("test", 1))
                doorbells.receive()
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    for _ in range(200):
        cuts.release()
        id_ = chance.choice(list(told))
        with RawSocket(web.port, token) as socket:
            since = told[id_][-1] if told[id_] else 0
            socket.say("subscribe", channel="execution", execution_id=id_, since=since)
            assert socket.receive()["type"] == "subscribed"
            with suppress(TimeoutError):
                for _ in range(chance.randrange(16)):
                    told[id_] += numbers([socket.receive(0.03)])
    heard_while_cutting = sum(map(len, told.values()))
    cuts.release(10_000)
    worker.join(60)
    assert not worker.is_alive()
    assert all(status in FINAL_EXECUTION for status in Execution.objects.values_list("status", flat=True))
    for execution in executions:
        with SocketClient(web.port, token) as whole:
            last = last_number(execution)
            since = told[execution.pk][-1] if told[execution.pk] else 0
            whole.subscribe("execution", execution.pk, since=since)
            while (told[execution.pk] or [0])[-1] < last:
                told[execution.pk] += numbers([whole.receive()])
        assert told[execution.pk] == list(range(1, last + 1))
    assert heard_while_cutting > 200


def test_a_commit_that_writes_to_the_ledger_rings(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    heard: Any = client().pubsub()  # type: ignore[no-untyped-call]  # redis-py's is untyped
    with heard:
        heard.subscribe(bells.channel())
        doorbells.work()
        found: set[bytes] = set()

        def rung() -> bool:
            message = heard.get_message(ignore_subscribe_messages=True, timeout=0.1)
            found.update([message["data"]] if message else [])
            return any(execution.pk.encode() in bell for bell in found)

        eventually(rung)


@pytest.fixture
def silent_bells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody hears them: they are rung in another house."""
    monkeypatch.setattr(bells, "GROUP", "elsewhere")


@pytest.mark.parametrize("channel", ["execution", "workflow", "system"])
def test_without_bells_a_look_at_the_ledger_tells_within_two_seconds(
    dial: Dial, alice: User, doorbells: Doorbells, silent_bells: None, channel: str
) -> None:
    execution = start(alice, linear(log("a")))
    socket = dial(alice)
    subject = {"execution": execution.pk, "workflow": execution.workflow_id}.get(channel)
    assert socket.subscribe(channel, subject)["type"] == "subscribed"
    doorbells.work()
    with Stopwatch() as watch:
        message = socket.receive(30)
    assert watch.seconds < 2.5
    assert message["data"].get("execution_id", message["data"].get("data", {}).get("execution_id")) == execution.pk


def test_f14_flushall_silences_nothing(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    socket = dial(alice)
    socket.subscribe("execution", execution.pk)
    doorbells.receive()
    client().flushall()
    doorbells.work()
    assert numbers(told_until_end(socket)) == list(range(1, last_number(execution) + 1))


def test_a_valkey_that_dies_and_comes_back_loses_nothing(
    own_valkey: tuple[Path, str], doorbells: Doorbells, alice: User
) -> None:
    folder, url = own_valkey
    with web_server(before=QUICK, REDIS_URL=url) as server, SocketClient(server.port, token_of(alice)) as socket:
        execution = start(alice, linear(log("a"), signal("first", "1"), log("b"), signal("second", "2"), log("c")))
        socket.subscribe("execution", execution.pk)
        doorbells.work()
        found = [socket.until("component_waiting", 30)]
        stop_valkey(folder)
        send(execution, alice, 1, "1")
        doorbells.work()
        found.append(socket.until("component_waiting", 30))
        assert start_valkey(folder) == url
        redis = Redis.from_url(url)
        eventually(lambda: redis.pubsub_numsub(bells.channel())[0][1] == 1)
        send(execution, alice, 1, "2")
        doorbells.work()
        told_until_end(socket)
        assert [one["data"]["component_id"] for one in found] == ["first", "second"]
        assert "Traceback" not in server.log.read_text()


def cut_off_postgres() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            # And wait until they are gone.
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("channel", ["execution", "workflow"])
def test_a_view_outlives_the_connections_to_postgres(
    dial: Dial, alice: User, doorbells: Doorbells, channel: str
) -> None:
    execution = start(alice, linear(log("a"), signal(), log("b")))
    socket = dial(alice)
    socket.subscribe(channel, execution.pk if channel == "execution" else execution.workflow_id)
    doorbells.work()
    found = [socket.receive() for _ in range(2)]
    cut_off_postgres()
    send(execution, alice, 1)
    doorbells.work()
    found += told_until_end(socket)
    assert numbers(found) == list(range(1, last_number(execution) + 1))
    other = dial(alice)
    assert other.subscribe("execution", execution.pk)["type"] == "subscribed"


@contextmanager
def no_new_connections() -> Iterator[None]:
    """PostgreSQL lets nobody in anew, and whoever was in is out but for this test."""
    name = connection.settings_dict["NAME"]
    url = urlsplit(os.environ["DATABASE_URL"])
    address = f"postgresql://{url.netloc}/postgres" + (f"?{url.query}" if url.query else "")
    with psycopg.connect(address, autocommit=True) as other:
        other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        try:
            cut_off_postgres()
            yield
        finally:
            other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())


def test_what_happens_while_the_server_cannot_reach_postgres_is_told_afterwards(
    dial: Dial, alice: User, doorbells: Doorbells, silent_bells: None
) -> None:
    execution = start(alice, linear(log("a"), signal(), log("b")))
    socket = dial(alice)
    socket.subscribe("workflow", execution.workflow_id)
    doorbells.work()
    found = [socket.until("component_waiting")]
    with no_new_connections():
        send(execution, alice, 1)
        doorbells.work()
        # Looks have failed meanwhile.
        assert not_told(socket, 2.5)
    found += told_until_end(socket)
    assert numbers(found) == list(range(numbers(found)[0], last_number(execution) + 1))


@pytest.mark.parametrize("channel", ["workflow", "system"])
def test_what_had_ended_before_postgres_was_away_for_a_minute_is_not_told_again(
    alice: User, doorbells: Doorbells, silent_bells: None, empty_redis: None, tmp_path: Path, channel: str
) -> None:
    workflow = make_workflow(alice, linear(log("a")))

    def run() -> str:
        execution = start_execution(workflow=workflow, user=alice, request=StartRequest({})).execution
        doorbells.work()
        return str(execution.pk)

    def ended() -> str:
        """The execution that is told to have ended."""
        data = told_until_end(socket)[-1]["data"] if channel == "workflow" else socket.receive()["data"]["data"]
        return str(data["execution_id"])

    minute = tmp_path / "a-minute-later"
    clock = f"""
import os, time
_now = time.monotonic
time.monotonic = lambda: _now() + 60 * os.path.exists({str(minute)!r})
"""
    with (
        web_server(before=clock, APG_LOG_LEVEL="WARNING") as server,
        SocketClient(server.port, token_of(alice)) as socket,
        connection.cursor() as cursor,
    ):
        socket.subscribe(channel, workflow.pk if channel == "workflow" else None)
        before = run()
        assert ended() == before
        cursor.execute("ALTER TABLE events_event RENAME TO elsewhere")
        try:
            eventually(lambda: "Live views wait" in server.log.read_text())
            minute.touch()
        finally:
            cursor.execute("ALTER TABLE elsewhere RENAME TO events_event")
        # Each by a look of its own, for which the last seconds are still those from before.
        for _ in range(3):
            after = run()
            assert ended() == after
        assert is_silent(socket)


def not_told(socket: SocketClient, seconds: float) -> bool:
    """Whether no row comes for so long."""
    until = time.monotonic() + seconds
    with suppress(TimeoutError):
        while (left := until - time.monotonic()) > 0:
            if row_messages([socket.receive(left)]):
                return False
    return True
