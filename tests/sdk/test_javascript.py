"""The JavaScript client (sdk/javascript): its own tests, and with them a server, a worker and the printed examples."""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
import yaml

from accounts.api_keys import create_api_key
from accounts.models import User
from executions import maintenance
from tests.conftest import PASSWORD
from tests.integration.executions.conftest import Doorbells
from tests.integration.live.conftest import be_at_rest, doorbells, only_legal_moves
from tests.oauth import register_service
from tests.web import Web, web_server
from webhooks import signing

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
                    maintenance.ring_unclaimed()
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
    stage.node("--test", "--test-timeout=60000", "test/live/cases.test.js", APG_KEYS=json.dumps(keys))


def test_its_own_tests_pass(tmp_path: Path) -> None:
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())))
    files = sorted(str(path) for path in (PACKAGE / "test").glob("*.test.js"))
    done = subprocess.run(
        ["node", "--test", "--test-timeout=20000", *files],
        env=os.environ | {"APG_OPENAPI": str(document)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture
def alice(transactional_db: None, settings: Any) -> User:
    """Somebody whose password the server itself can check."""
    settings.PASSWORD_HASHERS = ["accounts.hashers.Argon2Hasher"]
    return User.objects.create_user("alice@example.com", PASSWORD, username="alice")


def test_executions_are_followed_and_waited_for_with_every_credential(stage: Stage, alice: User) -> None:
    service = register_service(alice)
    oauth = {"clientId": service.id, "clientSecret": service.secret, "scopes": ["*"]}
    stage.node(
        "--test",
        "--test-timeout=30000",
        "test/live/follow.test.js",
        APG_KEY=create_api_key(owner=alice, name="sdk", permissions=["*"])[1],
        APG_LOGIN=json.dumps({"username": "alice", "password": PASSWORD}),
        APG_OAUTH=json.dumps(oauth),
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Somebody's project that has the package installed, as `npm pack` makes it of a fresh clone."""
    clone = tmp_path / "clone"
    shutil.copytree(PACKAGE, clone, ignore=shutil.ignore_patterns("node_modules", "build", "*.tgz"))
    npm("pack", "--silent", cwd=clone)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    [packed] = clone.glob("*.tgz")
    npm("install", "--offline", "--silent", "--no-audit", "--no-fund", str(packed), cwd=folder)
    return folder


def npm(*arguments: str, cwd: Path) -> None:
    """Runs npm, quietly."""
    done = subprocess.run(["npm", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_holds_what_is_needed_and_no_more(project: Path) -> None:
    package = project / "node_modules" / "@apg" / "workflow-client"
    assert {path.name for path in package.iterdir()} == {"LICENSE", "README.md", "package.json", "src", "types"}
    assert {path.suffix for path in (package / "src").rglob("*") if path.is_file()} == {".js"}
    assert {path.name for path in (project / "node_modules").iterdir()} == {"@apg", ".package-lock.json"}


def examples(text: str) -> list[str]:
    """The programs in a page of Markdown."""
    return re.findall(r"```(?:js|javascript)\n(.*?)```", text, re.DOTALL)


def run_example(stage: Stage, project: Path, code: str, key: str) -> list[str]:
    """What an example prints, with the address and the key in their places."""
    code = code.replace("https://your-domain.com/api/v1", stage.base_url).replace("your-api-key", key)
    (project / "example.js").write_text(code)
    return stage.node("example.js", cwd=project).splitlines()


def test_the_printed_example_runs(stage: Stage, project: Path) -> None:
    [code] = examples((ROOT / "docs" / "api-reference.md").read_text())
    printed = "\n".join(run_example(stage, project, code, key_of("alice")))
    assert printed.startswith("Execution update: {\n  type: 'execution_update'")
    assert "status: 'completed'" in printed


def test_the_examples_of_the_readme_run(stage: Stage, project: Path) -> None:
    quickstart, lists, following, errors, webhooks = examples((PACKAGE / "README.md").read_text())
    key = key_of("alice")
    assert run_example(stage, project, quickstart, key) == ["completed 42"]
    assert run_example(stage, project, lists, key) == ["0 of 0"]
    assert run_example(stage, project, following, key)[0] == "execution_update 1"
    assert run_example(stage, project, errors, key)[0].startswith("name ")
    body = json.dumps({"event": "execution.completed", "data": {"execution": {"id": "one"}}}).encode()
    headers = signing.headers(
        secrets=["your-webhook-secret"],
        body=body,
        event="execution.completed",
        webhook_id="w",
        delivery_id="d",
        timestamp=int(time.time()),
    )
    request = json.dumps({"method": "POST", "headers": headers, "body": body.decode()})
    call = f"console.log((await receive(new Request('http://x', {request}))).status);"
    assert run_example(stage, project, f"{webhooks}\n{call}", key) == ["execution.completed one", "204"]
