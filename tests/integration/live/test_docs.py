"""docs/websocket.md: its example runs, and its numbers are the code's."""

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from accounts.models import User
from executions import pages, sockets
from executions.consumers import WorkflowSocket
from executions.hub import Hub
from tests.eventually import eventually
from tests.integration.executions.conftest import Doorbells, linear, log, start
from tests.integration.executions.test_waits import send, signal
from tests.integration.live.conftest import QUICK, Dial, token_of
from tests.unit.test_frames import MESSAGES
from tests.web import Web, web_server

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (Path(__file__).parents[3] / "docs" / "websocket.md").read_text()


def of_the_server(*names: str) -> list[int]:
    """Numbers of `config.web`, as a process of its own has them: whoever imports it is a web server from then on."""
    code = f"from config import web; print(*(int(getattr(web, name)) for name in {names}))"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    return [int(number) for number in done.stdout.split()]


def test_the_limits_are_the_codes_own() -> None:
    max_bytes, max_fragments, ping_seconds = of_the_server("_MAX_MESSAGE_BYTES", "_MAX_FRAGMENTS", "PING_SECONDS")
    for text in (
        f"{max_bytes // 1024} KB, {max_fragments} fragments",
        f"{sockets.MESSAGE_BURST} at once, {sockets.MESSAGES_A_SECOND} a second",
        f"| {sockets.MAX_SUBSCRIPTIONS} a connection |",
        f"waits for {Hub.SLOW_SECONDS:.0f} seconds",
        f"every {ping_seconds} seconds",
        f"within {WorkflowSocket.FIRST_MESSAGE_SECONDS:.0f} seconds",
        f"output is over {pages.MAX_OUTPUT_CHARS // 1024} KB",
        *(f"| {code} |" for code in (sockets.UNAUTHENTICATED, sockets.SLOW, sockets.TOO_MUCH)),
    ):
        assert text in PAGE, text


def test_every_message_is_in_the_table() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert {message for _, message in MESSAGES.values()} <= told


def test_the_python_example_goes_on_after_a_killed_server(
    web: Web, dial: Dial, alice: User, doorbells: Doorbells, tmp_path: Path
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    execution = start(alice, linear(log("a"), signal(), log("b")))
    doorbells.work()
    out = tmp_path / "out"
    with ExitStack() as stack:
        first, file = stack.enter_context(web_server(before=QUICK)), stack.enter_context(out.open("wb"))
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "APG_WS": f"ws://127.0.0.1:{first.port}/api/v1/ws",
            "APG_TOKEN": token_of(alice),
            "APG_EXECUTION": execution.pk,
        }
        client = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=file, stderr=file)
        stack.callback(client.wait)
        stack.callback(client.kill)
        eventually(lambda: "component_waiting" in out.read_text(), timeout=20)
        first.process.kill()
        first.process.wait()
        send(execution, alice, 1)
        doorbells.work()
        with web_server(before=QUICK, port=first.port):
            assert client.wait(30) == 0, out.read_text()
    lines = out.read_text().splitlines()
    started = [line for line in lines if line.startswith("component_started")]
    assert [re.findall(r'"component_id": "(\w+)"', line)[0] for line in started] == ["a", "wait", "b"]
    assert lines[-1].startswith("execution_update")
