"""The WebSocket in the sweep: every execution watched from its first event, by everybody; every message is a sink."""

import json
from collections.abc import Iterable
from typing import Any

from tests.acceptance.canary.calls import Calls
from tests.acceptance.canary.kinds import Kind
from tests.acceptance.canary.search import Sink
from tests.acceptance.canary.stack import Stack
from tests.sockets import SocketClient

# Fewer messages than a connection may send at once.
_AT_ONCE = 50


def play_sockets(calls: Calls, workflows: Iterable[str]) -> None:
    """What the owner, a viewer (or refused) and a key are told of all that there is; and tokens that are none."""
    for who in ("alice", "vera", "key"):
        wanted = [("execution", id_) for id_ in calls.executions] + [("workflow", id_) for id_ in workflows]
        for first in range(0, len(wanted), _AT_ONCE):
            some = wanted[first : first + _AT_ONCE]
            with SocketClient(calls.stack.socket_port, calls.tokens[who]) as socket:
                for number, (channel, id_) in enumerate(some):
                    data: dict[str, object] = {"channel": channel, f"{channel}_id": id_}
                    if channel == "execution":
                        data["since"] = 0
                    socket.send("subscribe", f"s{number}", **data)
                socket.send("subscribe", "system", channel="system")
                _keep(calls, socket, {"system", *(f"s{number}" for number in range(len(some)))})
    wrong = calls.values[Kind.WRONG_TOKEN]
    with SocketClient(calls.stack.socket_port, wrong) as socket:
        told, code = socket.until_closed()
        assert (told, code) == ([], 4401)
    with SocketClient(calls.stack.socket_port, calls.tokens["alice"]) as socket:
        bad: list[dict[str, object]] = [{"token": wrong}, {"token": [wrong]}, {"token": wrong, "x": 1}]
        for data in bad:
            socket.send("authenticate", **data)
            record(calls.stack, socket.receive())


def _keep(calls: Calls, socket: SocketClient, expected: set[str]) -> None:
    """The answer to each message of these ids, and whatever else comes until it is quiet for a second."""
    while True:
        try:
            message = socket.receive(10 if expected else 1)
        except TimeoutError:
            assert not expected
            return
        expected.discard(message["id"])
        record(calls.stack, message)


def record(stack: Stack, message: Any) -> None:
    """Search the message, too."""
    text = json.dumps(message, ensure_ascii=False).encode()
    stack.web.answers.append(Sink(f"the message {message['type']} of a WebSocket", text))
