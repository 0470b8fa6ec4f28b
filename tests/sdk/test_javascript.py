"""The JavaScript client (sdk/javascript): its own tests, and with them a server, a worker and the printed examples."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue

import pytest

from accounts.api_keys import create_api_key
from accounts.models import User
from tests.conftest import PASSWORD
from tests.integration.executions.conftest import Doorbells
from tests.integration.live.conftest import be_at_rest, doorbells, only_legal_moves
from tests.web import Web, web_server

__all__ = ["doorbells", "only_legal_moves"]

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not on this machine")

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "sdk" / "javascript"
CASES = [case["name"] for case in json.loads((ROOT / "sdk" / "cases.json").read_text())["cases"]]


class Stage:
    """A server that can be restarted on its port, and a worker that runs components while a script runs."""

    def __init__(self, stack: ExitStack, doorbells: Doorbells) -> None:
        self._outer = stack
        self._doorbells = doorbells
        self._server = stack.enter_context(ExitStack())
        self._web: Web = self._server.enter_context(web_server())
        self._asked: Queue[threading.Event] = Queue()
        self.control = stack.enter_context(_control(self._asked))

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._web.port}/api/v1"

    def node(self, *arguments: str, cwd: Path = PACKAGE, **environment: str) -> str:
        """What Node prints; fails with it unless all is well."""
        variables = {"APG_BASE_URL": self.base_url, "APG_CONTROL": self.control, **environment}
        printed: list[str] = []
        with subprocess.Popen(
            ["node", *arguments],
            cwd=cwd,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            reader = threading.Thread(target=lambda: printed.extend(process.stdout or ()))
            reader.start()
            try:
                while reader.is_alive():
                    self._doorbells.work()
                    self._restart_where_asked()
                    reader.join(0.02)
            finally:
                if reader.is_alive():
                    process.kill()
                reader.join()
        assert process.returncode == 0, "".join(printed)
        return "".join(printed)

    def _restart_where_asked(self) -> None:
        try:
            done = self._asked.get_nowait()
        except Empty:
            return
        port = self._web.port
        self._server.close()
        self._web = self._server.enter_context(web_server(port=port))
        done.set()


@pytest.fixture
def stage(doorbells: Doorbells) -> Iterator[Stage]:
    """At rest again when the tables are emptied."""
    with ExitStack() as stack:
        yield Stage(stack, doorbells)
        be_at_rest()


@contextmanager
def _control(asked: "Queue[threading.Event]") -> Iterator[str]:
    """The address at which a script asks for a restart, which is answered once the server is there again."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            done = threading.Event()
            asked.put(done)
            self.send_response(200 if done.wait(60) else 504)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not among the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def key_of(name: str) -> str:
    """An API key of a new user's."""
    user = User.objects.create_user(f"{name}@example.com", PASSWORD, username=name)
    return create_api_key(owner=user, name="sdk", permissions=["*"])[1]


def test_the_shared_cases_pass(stage: Stage) -> None:
    keys = {name: key_of(f"user-{number}") for number, name in enumerate(CASES)}
    stage.node("--test", "test/live/cases.test.js", APG_KEYS=json.dumps(keys))
