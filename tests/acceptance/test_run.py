"""`make run` as its user meets it: served with a finished demo, stopped clean, started again."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from config.demo import Client, DemoError
from config.embedded import stop_postgres, stop_valkey
from tests.acceptance.processes import execute, make_workflow
from tests.eventually import START_SECONDS, eventually
from tests.ports import free_port

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty data folder of its own, and nothing of it left afterwards."""
    made = Path(tempfile.mkdtemp(prefix="apg-run-"))
    yield made
    stop_valkey(made)
    stop_postgres(made)
    shutil.rmtree(made, ignore_errors=True)


def environment(folder: Path, port: int) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "APG_DATA_DIR": str(folder), "APG_PORT": str(port)}


def start(folder: Path, port: int, **more: str) -> "subprocess.Popen[bytes]":
    with (folder / "output").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "config.run"],
            cwd=ROOT, env={**environment(folder, port), **more}, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip


def output(folder: Path) -> str:
    return (folder / "output").read_text()


def processes_of(folder: Path) -> dict[psutil.Process, str]:
    """What runs for the folder, with its command line."""
    found = {}
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if process.environ().get("APG_DATA_DIR") == str(folder) or str(folder) in line:
                found[process] = line or process.name()
        except psutil.Error:
            continue
    return {process: line for process, line in found.items() if "pytest" not in line}


def refused(folder: Path, port: int, **more: str) -> str:
    """The one sentence of a start that is refused with code 2."""
    done = subprocess.run(
        [sys.executable, "-m", "config.run"],
        cwd=ROOT, env={**environment(folder, port), **more}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


def readme_walk(folder: Path, port: int) -> list[str]:
    """What the README's curl walk prints when it is pasted, at this instance's address and data."""
    (walk,) = (
        block
        for block in re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        if "BASE=" in block
    )
    here = walk.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace("$(cat var/", f"$(cat {folder}/")
    done = subprocess.run(["bash", "-eu", "-c", here], capture_output=True, text=True, timeout=180, check=True)
    return done.stdout.strip().splitlines()


# None of it calls the web server, which is killed as well; and none ends before it is told to.
TOLD_TO_END = [
    {"id": "first", "type": "transform", "config": {"output": 1}},
    {"id": "wait", "type": "wait_for_signal", "config": {"signal": "go"}},
    {"id": "last", "type": "end", "config": {"output": {"told": "{{ wait.output }}"}}},
]


def work_resumes_after_every_part_was_killed(folder: Path, client: Client) -> None:
    """kill -9 of servers, web, workers and beat: each is named and started again, what was accepted still ends."""
    workflow_id = make_workflow(client, "told to end", TOLD_TO_END)
    accepted = [execute(client, workflow_id) for _ in range(5)]
    for process, line in processes_of(folder).items():
        if "config.run" not in line:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    for name in ("Valkey", "PostgreSQL", "web", "worker", "webhooks", "beat"):
        eventually(lambda name=name: f"{name} ended" in output(folder), timeout=60)  # type: ignore[misc]

    def have_ended(*executions: str) -> bool:
        try:
            for id_ in executions:
                status = client.call("GET", f"/executions/{id_}")["status"]
                assert status != "failed"
                if status != "completed":
                    # Told more than once if an answer is lost, which does no harm.
                    client.call("POST", f"/executions/{id_}/signals/go", {"data": "now"})
                    return False
        except (OSError, DemoError, ValueError):
            return False
        return True

    eventually(lambda: have_ended(*accepted), timeout=START_SECONDS, interval=0.2)
    found = [client.call("GET", f"/executions/{id_}")["results"] for id_ in accepted]
    assert found == [{"told": "now"}] * 5
    later = execute(client, workflow_id)
    eventually(lambda: have_ended(later), timeout=60, interval=0.2)


def test_run_serves_stops_clean_and_finds_its_data_again(folder: Path) -> None:
    port = free_port()
    first = start(folder, port)
    eventually(lambda: "is served" in output(folder), timeout=START_SECONDS)
    assert re.search(r"end\s+│ completed", output(folder)), output(folder)
    assert "http_request" in output(folder)
    assert "Another instance" in refused(folder, free_port())
    client = Client(f"http://127.0.0.1:{port}/api/v1")
    login = {"username": "admin@example.com", "password": (folder / "administrator_password").read_text()}
    client.token = client.call("POST", "/auth/login", login)["access_token"]
    (demo,) = client.call("GET", "/executions")
    assert demo["status"] == "completed"
    gallery = client.call("GET", "/templates?limit=100")
    assert len(gallery) >= 12
    assert (folder / "administrator_password").stat().st_mode & 0o777 == 0o600
    assert readme_walk(folder, port) == ["{'greeting': 'Hello, world!'}", "Hello, world!"]

    work_resumes_after_every_part_was_killed(folder, client)

    first.send_signal(signal.SIGTERM)
    assert first.wait(40) == 0
    eventually(lambda: processes_of(folder) == {})

    second = start(folder, port)
    eventually(lambda: output(folder).count("is served") == 2, timeout=START_SECONDS)
    client.token = client.call("POST", "/auth/login", login)["access_token"]
    # And the demo that it has run again.
    assert demo in client.call("GET", f"/executions?workflow_id={demo['workflow_id']}")
    assert client.call("GET", "/templates?limit=100") == gallery

    # kill -9: the children go with it, the servers may stay, and the next start finds them.
    second.kill()
    second.wait()
    # The web server ends what it is at first, and has the port for so long.
    eventually(lambda: not any("config.web" in line for line in processes_of(folder).values()), timeout=60)
    third = start(folder, port)
    eventually(lambda: output(folder).count("is served") == 3, timeout=START_SECONDS)
    third.send_signal(signal.SIGINT)
    assert third.wait(40) == 0
    eventually(lambda: processes_of(folder) == {})


def test_behind_tls_it_serves_the_proxy_alone(folder: Path) -> None:
    port = free_port()
    run = start(folder, port, APG_HTTPS="true", APG_TRUSTED_PROXIES="127.0.0.1")
    eventually(lambda: "is served" in output(folder), timeout=START_SECONDS)
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    for headers, status in (({}, 301), ({"X-Forwarded-Proto": "https"}, 401)):
        connection.request("GET", "/api/v1/components/", headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()
    run.send_signal(signal.SIGTERM)
    assert run.wait(40) == 0
    eventually(lambda: processes_of(folder) == {})


def test_a_port_in_use_is_one_sentence(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} on 127.0.0.1 cannot be used" in refused(folder, port)


def test_an_unwritable_data_folder_is_one_sentence(folder: Path) -> None:
    (folder / "file").write_text("")
    assert "Cannot write the data folder" in refused(folder / "file" / "below", free_port())


def test_a_database_of_another_major_version_is_one_sentence(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("15\n")
    assert "made by PostgreSQL 15" in refused(folder, free_port())


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("APG_PORT", "many", "APG_PORT must be an integer"),
        ("DATABASE_URL", "mysql://x/y", "DATABASE_URL must start with postgresql://"),
        ("APG_OUTBOUND_ALLOW", "10.0.0.0/99", "APG_OUTBOUND_ALLOW"),
        ("APG_SECRET_KEY", "changeme" * 6, "APG_SECRET_KEY is a placeholder"),
        ("APG_HTTPS", "true", "APG_HTTPS needs APG_TRUSTED_PROXIES"),
    ],
)
def test_a_bad_setting_is_one_sentence(folder: Path, variable: str, value: str, sentence: str) -> None:
    assert sentence in refused(folder, free_port(), **{"APG_SECRET_KEY": secrets.token_hex(32), variable: value})
