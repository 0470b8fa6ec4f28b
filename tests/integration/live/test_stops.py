"""The server stops, or is killed, with many clients (F11, G15)."""

import signal as signals

import pytest

from accounts.models import User
from core.redis import client
from events import bells
from events.models import Event
from executions.models import Execution
from tests.eventually import eventually
from tests.integration.executions.conftest import Doorbells, linear, log, start, transform
from tests.integration.executions.test_waits import send, signal
from tests.integration.live.conftest import Dial, token_of, told_until_end
from tests.integration.live.test_hostile import connected, replays, stands_still
from tests.sockets import RawSocket, SocketClient, row_messages
from tests.web import web_server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def big(alice: User, doorbells: Doorbells) -> Execution:
    """An execution whose replays are more than the system's own buffers take."""
    execution = start(alice, linear(*(transform(f"c{number}", "{{ 'x' * 16000 }}") for number in range(60))))
    doorbells.work()
    return execution


def test_a_server_that_is_stopped_says_so_to_all_without_waiting_for_who_reads_nothing(
    alice: User, big: Execution
) -> None:
    token = token_of(alice)
    with web_server(before="web._CLOSE_SECONDS = 3600") as server:
        sockets = [SocketClient(server.port, token) for _ in range(20)]
        for socket in sockets:
            assert socket.subscribe("system")["type"] == "subscribed"
        with RawSocket(server.port, token, receive_buffer=4096) as slow:
            replays(slow, big)
            eventually(lambda: stands_still(server, slow), timeout=60)
            server.process.send_signal(signals.SIGTERM)
            assert [socket.close_code() for socket in sockets] == [1012] * 20
            assert connected(server, slow)
        for socket in sockets:
            socket.close()


def test_a_server_that_is_stopped_is_gone_in_seconds_though_one_reads_nothing(alice: User, big: Execution) -> None:
    with web_server() as server, RawSocket(server.port, token_of(alice), receive_buffer=4096) as slow:
        replays(slow, big)
        eventually(lambda: stands_still(server, slow), timeout=60)
        server.process.send_signal(signals.SIGTERM)
        assert server.process.wait(12) in {0, -signals.SIGTERM}
        assert "Traceback" not in server.log.read_text()


def test_f11_g15_after_a_kill_clients_go_on_where_they_were(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a"), signal(), log("b")))
    doorbells.work()
    token, told = token_of(alice), []
    with web_server() as server:
        sockets = [SocketClient(server.port, token) for _ in range(40)]
        for socket in sockets:
            socket.subscribe("execution", execution.pk, since=0)
            told.append([socket.receive() for _ in range(3)])
        server.process.kill()
        for socket in sockets:
            assert socket.close_code() is None
            socket.close()
    send(execution, alice, 1)
    doorbells.work()
    last = Event.objects.filter(subject_id=execution.pk).count()
    for before in told:
        socket = dial(token=token)
        socket.subscribe("execution", execution.pk, since=before[-1]["data"]["sequence"])
        rows = row_messages(before + told_until_end(socket))
        assert [found["data"]["sequence"] for found in rows] == list(range(1, last + 1))
    assert client().pubsub_numsub(bells.channel())[0][1] == 1
