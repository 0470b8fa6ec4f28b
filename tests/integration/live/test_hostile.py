"""Clients that mean no good: what they send, what they ask for, and that they do not read (W3 to W8)."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socket import inet_aton

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from accounts.models import User
from core.ids import new_id
from events.models import Event
from executions.models import Execution
from executions.sockets import MAX_SUBSCRIPTIONS
from tests.eventually import eventually
from tests.integration.executions.conftest import Doorbells, linear, log, make_workflow, start, transform
from tests.integration.live.conftest import Dial, be_at_rest, is_silent, token_of, told_until_end
from tests.sockets import RawSocket, SocketClient, row_messages
from tests.web import Web, web_server

pytestmark = pytest.mark.django_db(transaction=True)

TEXT, CONTINUATION, BINARY, PING = 1, 0, 2, 9
MESSAGE = {"type": "subscribe", "id": "m1", "data": {"channel": "system"}}
DEEP = "[" * 5000 + "]" * 5000

# What is sent, and the fields that the answer names.
BAD_MESSAGES: dict[str, tuple[str, list[str | None]]] = {
    "no JSON": ("nonsense", []),
    "cut off": ('{"type": "ping"', []),
    "empty": ("", []),
    "a list": ("[]", []),
    "a word": ('"ping"', []),
    "null": ("null", []),
    "NaN": ('{"type": "ping", "id": NaN}', []),
    "a name twice": ('{"type": "ping", "type": "ping", "id": "m1"}', []),
    "a NUL": ('{"type": "ping", "id": "a\\u0000b"}', ["id"]),
    "a NUL in a channel": ('{"type": "ping", "id": "m1", "data": {"channel": "a\\u0000b"}}', ["data.channel"]),
    "half a character": ('{"type": "ping", "id": "\\ud800"}', ["id"]),
    "deep": (f'{{"type": "ping", "id": "m1", "data": {{"a": {DEEP}}}}}', []),
    "no type": ('{"id": "m1"}', ["type"]),
    "no id": ('{"type": "ping"}', ["id"]),
    "an empty message": ("{}", ["id", "type"]),
    "an unknown type": ('{"type": "publish", "id": "m1"}', ["type"]),
    "an id that is a number": ('{"type": "ping", "id": 1}', ["id"]),
    "an id too long": (json.dumps({"type": "ping", "id": "x" * 129}), ["id"]),
    "data that is no object": ('{"type": "ping", "id": "m1", "data": []}', ["data"]),
    "an unknown field": ('{"type": "ping", "id": "m1", "token": "x"}', ["token"]),
    "an unknown field of data": (json.dumps({**MESSAGE, "data": {"channel": "system", "x": 1}}), ["data.x"]),
    "no channel": (json.dumps({**MESSAGE, "data": {}}), ["data.channel"]),
    "no data": ('{"type": "subscribe", "id": "m1"}', ["data.channel"]),
    "an unknown channel": (json.dumps({**MESSAGE, "data": {"channel": "*"}}), ["data.channel"]),
    "no execution": (json.dumps({**MESSAGE, "data": {"channel": "execution"}}), ["data.execution_id"]),
    "no workflow": (json.dumps({**MESSAGE, "data": {"channel": "workflow"}}), ["data.workflow_id"]),
    "another's id": (
        json.dumps({**MESSAGE, "data": {"channel": "system", "workflow_id": new_id()}}),
        ["data.workflow_id"],
    ),
}

NO_JSON = {"a name twice", "deep"}


def test_w3_a_bad_message_is_answered_and_the_connection_stays(dial: Dial, alice: User) -> None:
    socket = dial(alice)
    for name, (text, fields) in BAD_MESSAGES.items():
        socket.raw(text)
        answer = socket.receive()
        assert (answer["type"], answer["data"]["code"]) == ("error", "VALIDATION_ERROR"), name
        assert sorted(problem["field"] for problem in answer["data"]["errors"]) == fields, name
        assert answer["id"] == ("m1" if '"id": "m1"' in text and name not in NO_JSON else ""), name
    assert is_silent(socket)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(BINARY, b"{}")], 1003),
        ([(TEXT, b"\xff\xfe")], 1007),
        ([(TEXT, b"x" * 70_000)], 1009),
        ([(3, b"")], 1002),
        ([(CONTINUATION, b"x")], 1002),
        ([(PING, b"x" * 126)], 1002),
    ],
    ids=["binary", "not UTF-8", "too long", "unknown opcode", "continues nothing", "long ping"],
)
def test_w3_a_frame_that_may_not_be_closes(
    dial: Dial, web: Web, alice: User, frames: list[tuple[int, bytes]], code: int
) -> None:
    with RawSocket(web.port, token_of(alice)) as socket:
        for opcode, payload in frames:
            socket.send(opcode, payload)
        assert socket.close_code() == code


def test_w3_ten_megabytes_are_refused_before_they_are_read(dial: Dial, web: Web, alice: User) -> None:
    with RawSocket(web.port, token_of(alice)) as socket:
        before = memory(web)
        try:
            socket.send(TEXT, b"x" * 10_000_000)
        except OSError:
            return
        assert socket.close_code() in {1009, None}
        assert memory(web) - before < 8


@pytest.mark.parametrize("piece", [b"", b"x"], ids=["empty", "tiny"])
def test_w3_a_message_in_endless_pieces_is_refused(dial: Dial, web: Web, alice: User, piece: bytes) -> None:
    with RawSocket(web.port, token_of(alice)) as socket:
        socket.send(TEXT, b"{", last=False)
        try:
            for _ in range(10_000):
                socket.send(CONTINUATION, piece, last=False)
        except OSError:
            return
        assert socket.close_code() in {1009, None}


def test_w3_compression_is_not_agreed_to(dial: Dial, web: Web, alice: User) -> None:
    with RawSocket(web.port, token_of(alice)) as socket:
        assert "101 Switching Protocols" in socket.head
        assert "extensions" not in socket.head.lower()


def test_w4_a_thousand_messages_a_second_are_too_many(dial: Dial, web: Web, alice: User, bob: User) -> None:
    other = dial(bob)
    with RawSocket(web.port, token_of(alice)) as socket:
        try:
            for _ in range(1000):
                socket.say("ping")
        except OSError:
            pass
        else:
            assert socket.close_code() in {4429, None}
    assert is_silent(other)


def test_w4_bad_messages_count_too(dial: Dial, alice: User) -> None:
    socket = dial(alice)
    with suppress(ConnectionClosed):
        for _ in range(150):
            socket.raw("nonsense")
    assert socket.close_code() == 4429


def test_w4_the_subscription_after_the_last_is_refused_and_the_others_stay(
    dial: Dial, alice: User, doorbells: Doorbells
) -> None:
    workflow = make_workflow(alice, linear(log("a")))
    ids = Execution.objects.bulk_create(
        [
            Execution(
                workflow=workflow, version=workflow.versions.get(), created_by=alice, status="queued",
                total_components=1, remaining=1,
            )
            for _ in range(MAX_SUBSCRIPTIONS + 1)
        ]
    )  # fmt: skip
    socket = dial(alice)
    answers = []
    for number, execution in enumerate(ids):
        answers.append(socket.subscribe("execution", execution.pk, f"s{number}"))
        if number == 20:
            # Within the rate of messages.
            pass_time(1.5)
    assert {answer["type"] for answer in answers[:MAX_SUBSCRIPTIONS]} == {"subscribed"}
    assert (answers[-1]["type"], answers[-1]["data"]["code"]) == ("error", "RATE_LIMIT_EXCEEDED")
    assert socket.subscribe("execution", ids[0].pk)["type"] == "subscribed"


def test_w4_the_same_subscription_twice_is_one(dial: Dial, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a")))
    socket = dial(alice)
    for _ in range(3):
        assert socket.subscribe("execution", execution.pk)["type"] == "subscribed"
    doorbells.work()
    numbers = [found["data"]["sequence"] for found in row_messages(told_until_end(socket))]
    assert numbers == list(range(1, Event.objects.filter(subject_id=execution.pk).count() + 1))
    assert is_silent(socket)


def test_w4_to_unsubscribe_from_what_never_was_is_no_error(dial: Dial, alice: User) -> None:
    socket = dial(alice)
    socket.send("unsubscribe", "u1", channel="execution", execution_id=new_id())
    answer = socket.receive()
    assert (answer["type"], answer["id"]) == ("unsubscribed", "u1")


IDS = ["*", "a.b c", "", "1", "x" * 10_000, "../..", "execution:*", "\u202e", "00000000-0000-0000-0000-00000000000"]


@pytest.mark.parametrize("channel", ["execution", "workflow"])
def test_w5_w8_what_is_hidden_or_absent_or_no_id_is_not_found_and_never_told(
    dial: Dial, alice: User, bob: User, doorbells: Doorbells, channel: str
) -> None:
    execution = start(alice, linear(log("a")))
    hidden = execution.pk if channel == "execution" else execution.workflow_id
    socket = dial(bob)
    answers = [socket.subscribe(channel, id_) for id_ in (hidden, new_id(), hidden.lower()[:-1] + "u", *IDS[1:2])]
    for id_ in IDS:
        socket.send("subscribe", "s1", channel=channel, **{f"{channel}_id": id_})
        answer = socket.receive()
        # Longer than an id can be is told as such.
        if answer["data"]["code"] != "VALIDATION_ERROR":
            answers.append(answer)
    assert len(answers) > 8
    told = {(found["type"], found["id"], json.dumps(found["data"])) for found in answers}
    error = {"code": "RESOURCE_NOT_FOUND", "error": f"{channel.capitalize()} not found", "errors": []}
    assert told == {("error", "s1", json.dumps(error))}
    doorbells.work()
    assert is_silent(socket)


def pass_time(seconds: float) -> None:
    """What is tested is time itself."""
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > until)


def memory(web: Web) -> float:
    """Of the server, in MB."""
    return float(psutil.Process(web.process.pid).memory_info().rss / 2**20)


@pytest.fixture
def big(alice: User, doorbells: Doorbells) -> Execution:
    """An execution whose replay is more than the 4 MiB that the system's own buffers may take."""
    execution = start(alice, linear(*(transform(f"c{number}", "{{ 'x' * 16000 }}") for number in range(330))))
    doorbells.work()
    return execution


@pytest.fixture
def patient_web(transactional_db: None, empty_redis: None) -> Iterator[Web]:
    """A server that waits for who does not read for longer than others need to be told."""
    with web_server(before="Hub.SLOW_SECONDS = 6") as server:
        yield server


@pytest.fixture
def late_web(transactional_db: None, empty_redis: None) -> Iterator[Web]:
    """A server whose farewell can be read for long before the connection is cut."""
    with web_server(before="Hub.SLOW_SECONDS = 1.5; web._CLOSE_SECONDS = 30") as server:
        yield server


def replays(socket: RawSocket, execution: Execution) -> None:
    """Ask for the whole of it, again and again, and read nothing."""
    for _ in range(60):
        socket.say("subscribe", channel="execution", execution_id=execution.pk, since=0)


def test_w6_who_does_not_read_is_closed_and_costs_neither_memory_nor_others(
    dial: Dial, patient_web: Web, alice: User, bob: User, big: Execution, doorbells: Doorbells
) -> None:
    web = patient_web
    token = token_of(alice)
    other = dial(bob, port=web.port)
    with RawSocket(web.port, token, receive_buffer=4096) as warm:
        replays(warm, big)
        eventually(lambda: not connected(web, warm), timeout=60)
    before = memory(web)
    sockets = [RawSocket(web.port, token, receive_buffer=4096) for _ in range(5)]
    for socket in sockets:
        replays(socket, big)
    fast = start(bob, linear(log("a")))
    assert other.subscribe("execution", fast.pk)["type"] == "subscribed"
    doorbells.work()
    told_until_end(other)
    # It was told while they were all still waited for.
    assert all(connected(web, socket) for socket in sockets)
    eventually(lambda: not any(connected(web, socket) for socket in sockets), timeout=60)
    assert memory(web) - before < 16
    for socket in sockets:
        socket.socket.close()


def test_w6_it_is_closed_with_4408(dial: Dial, late_web: Web, alice: User, big: Execution) -> None:
    web = late_web
    with RawSocket(web.port, token_of(alice), receive_buffer=4096) as socket:
        replays(socket, big)
        eventually(lambda: stands_still(web, socket), timeout=60)
        # Until the server's patience has ended, and long before it cuts the connection.
        pass_time(4)
        assert socket.close_code() == 4408


def unsent(web: Web, socket: RawSocket) -> int:
    """Bytes that the server's side of the connection holds for this one."""
    host, port = socket.socket.getsockname()
    peer = f"{int.from_bytes(inet_aton(host), 'little'):08X}:{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if remote == peer and local.endswith(f":{web.port:04X}"):
            return int(queues.partition(":")[0], 16)
    return 0


def stands_still(web: Web, socket: RawSocket) -> bool:
    """Whether the server has more for this one than the system's buffers take, and waits for it to be read.

    It was given all that goes into them once no more came for longer than the server may be kept from its work.
    """
    before = unsent(web, socket)
    for _ in range(10):
        pass_time(0.3)
        if before != unsent(web, socket):
            return False
    return before > 0


def connected(web: Web, socket: RawSocket) -> bool:
    """Whether the server has this connection."""
    try:
        mine = socket.socket.getsockname()
    except OSError:
        return False
    return any(one.raddr == mine for one in psutil.Process(web.process.pid).net_connections("tcp4"))


def test_w6_a_flood_of_pings_whose_pongs_nobody_reads_fills_no_memory(dial: Dial, web: Web, alice: User) -> None:
    before = memory(web)
    with RawSocket(web.port, token_of(alice), receive_buffer=4096) as socket:
        socket.socket.settimeout(0.5)
        try:
            for _ in range(100_000):
                socket.send(PING, b"x" * 100)
        except OSError:
            pass
        assert memory(web) - before < 8


def test_w7_who_answers_no_ping_is_cut_and_who_does_stays(
    transactional_db: None, empty_redis: None, alice: User
) -> None:
    token = token_of(alice)
    with web_server(before="web.PING_SECONDS = 6") as server, SocketClient(server.port, token) as socket:
        assert is_silent(socket)
        dialled_at = time.monotonic()
        with RawSocket(server.port, token) as silent:
            silent.socket.settimeout(60)
            assert silent.close_code() in {1011, None}
            # A ping after so many seconds, and as long again for its pong; the other one's timer is the same.
            assert 11.9 < time.monotonic() - dialled_at < 15
        assert is_silent(socket)


def test_w2_a_token_is_in_no_log_at_any_level_nor_on_a_command_line(
    transactional_db: None, empty_redis: None, alice: User
) -> None:
    first, second = token_of(alice), token_of(alice)
    with web_server(before="", APG_LOG_LEVEL="DEBUG") as server:
        with SocketClient(server.port, first) as socket:
            assert is_silent(socket)
            line = Path(f"/proc/{server.process.pid}/cmdline").read_text()
        with SocketClient(server.port) as socket:
            socket.send("authenticate", token=second)
            assert socket.receive()["type"] == "authenticated"
            socket.send("authenticate", token=second, x=second)
            assert second not in json.dumps(socket.receive())
        with SocketClient(server.port, first + "x") as socket:
            assert socket.close_code() == 4401
        be_at_rest()
        text = server.log.read_text() + line
    for token in (first, second):
        for piece in token.split("."):
            assert piece not in text
    assert "Traceback" not in text
