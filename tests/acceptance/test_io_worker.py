"""A worker of many threads for components that wait for others: as many at once, and the guarantees of processes."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from accounts.secret_store import create_secret
from core.types import JSONObject
from executions.interventions import cancel_execution
from executions.models import ComponentRun, Execution, Worker
from executions.services import StartRequest, start_execution
from executions.states import ExecutionStatus, RunStatus
from tests.eventually import START_SECONDS, eventually
from tests.integration.executions.conftest import linear, log, make_workflow
from tests.stand_ins import unreachable_port
from tests.stopwatch import Stopwatch
from workflows.components import registry

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

Start = Callable[..., "subprocess.Popen[bytes]"]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class SlowServer:
    """Answers HTTP after the seconds that its path names, or once so many wait as `together-` in it says.

    Knows whether it was asked to wait, and whether a connection was closed on it.
    """

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self.listener.getsockname()[1])
        self.asked = threading.Event()
        self.hung_up = threading.Event()
        self.waiting = 0
        self.changed = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: socket.socket) -> None:
        with peer, suppress(OSError):
            asked = peer.recv(65536)
            if not asked:
                return
            path = asked.split(b" ", 2)[1].strip(b"/").decode()
            if path.startswith("together-"):
                self._wait_for_others(int(path.removeprefix("together-")))
                peer.sendall(ANSWER)
                return
            peer.settimeout(float(path))
            self.asked.set()
            try:
                if peer.recv(1) == b"":
                    self.hung_up.set()
                    return
            except TimeoutError:
                peer.sendall(ANSWER)

    def _wait_for_others(self, count: int) -> None:
        """None of them is answered before all of them wait."""
        with self.changed:
            self.waiting += 1
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.waiting >= count)


@pytest.fixture
def server() -> Iterator[SlowServer]:
    """Somebody to wait for."""
    slow = SlowServer()
    yield slow
    slow.listener.close()


@pytest.fixture
def unreachable() -> Iterator[int]:
    """A port of every local address that takes no connection and refuses none, as behind a firewall that drops."""
    with unreachable_port() as port:
        yield port


@pytest.fixture
def stubborn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder for PYTHONPATH that brings the plug-in, which this process knows, too."""
    info = tmp_path / "apg_test_stubborn-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: apg-test-stubborn\nVersion: 1\n")
    entry = "test_stubborn = tests.acceptance.stubborn:Stubborn"
    (info / "entry_points.txt").write_text(f"[{registry.ENTRY_POINT_GROUP}]\n{entry}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry._plug_ins.cache_clear()
    yield str(tmp_path)
    monkeypatch.undo()
    registry._plug_ins.cache_clear()


@pytest.fixture
def start(empty_redis: None, tmp_path: Path) -> Iterator[Start]:
    """`start(threads, APG_…=…)`: a worker of threads on the test's own database, once it serves."""
    started: list[subprocess.Popen[bytes]] = []
    head, _, query = os.environ["DATABASE_URL"].partition("?")
    url = f"{head.rpartition('/')[0]}/{connection.settings_dict['NAME']}?{query}"

    def run(threads: int, **environment: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-Q", "io", "--pool", "threads",
                   "-c", str(threads), "-l", "WARNING", "--without-gossip", "--without-mingle"]  # fmt: skip
        with (tmp_path / "worker.log").open("ab") as log_file:
            process = subprocess.Popen(
                command,
                env={**os.environ, "DATABASE_URL": url, **environment},
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,
            )
        started.append(process)
        eventually(lambda: Worker.objects.filter(name__contains=f":{process.pid}:").exists(), START_SECONDS)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
    sys.stdout.write((tmp_path / "worker.log").read_text())


def call(id_: str, port: int, seconds: float | str, **more: object) -> JSONObject:
    url = f"http://127.0.0.1:{port}/{seconds}"
    return {"id": id_, "type": "http_request", "config": {"url": url, "method": "GET", "timeout": 120}, **more}


def wait_stubbornly(id_: str, **more: object) -> JSONObject:
    return {"id": id_, "type": "test_stubborn", "config": {}, **more}


def ask(id_: str, **more: object) -> JSONObject:
    return {"id": id_, "type": "database_query", "config": {"connection": "db", "query": "SELECT 1"}, **more}


def begin(user: User, definition: JSONObject) -> Execution:
    return start_execution(workflow=make_workflow(user, definition), user=user, request=StartRequest()).execution


def running(execution: Execution) -> bool:
    return execution.runs.filter(status=RunStatus.RUNNING).exists()


def status_of(execution: Execution) -> str:
    return Execution.objects.get(pk=execution.pk).status


def test_many_wait_beside_each_other_and_each_may_be_cancelled(
    alice: User, start: Start, server: SlowServer, tmp_path: Path
) -> None:
    worker = start(64, APG_DRAIN_SECONDS="1")
    facts = Worker.objects.get()
    assert (facts.queues, facts.processes) == (["io"], 64)
    calls = [call(f"c{n}", server.port, "together-64") for n in range(64)]
    execution = begin(alice, {"components": calls})
    eventually(lambda: status_of(execution) == ExecutionStatus.COMPLETED, timeout=60)
    runs = list(execution.runs.all())
    assert {(run.status, run.attempt, run.crashes) for run in runs} == {(RunStatus.COMPLETED, 1, 0)}
    assert len({run.pid for run in runs}) == 64

    endless = begin(alice, linear(call("a", server.port, 60)))
    assert server.asked.wait(30)
    cancel_execution(endless)
    with Stopwatch() as watch:
        eventually(lambda: status_of(endless) == ExecutionStatus.CANCELLED, timeout=30)
        assert server.hung_up.wait(30)
    assert watch.seconds < 3
    assert "It did not let go" not in (tmp_path / "worker.log").read_text()

    timed = begin(alice, linear(call("a", server.port, 60, timeout_seconds=1)))
    eventually(lambda: status_of(timed) == ExecutionStatus.FAILED, timeout=30)
    assert timed.runs.get().error == {"code": "TIMEOUT_ERROR", "message": "Timed out after 1 s"}

    left = begin(alice, linear(call("a", server.port, 60), log("b")))
    eventually(lambda: running(left))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(40) == 0
    run = left.runs.get(component_id="a")
    assert (run.status, run.attempt, run.crashes, run.released) == (RunStatus.QUEUED, 2, 0, 1)
    assert not Worker.objects.exists()


def test_after_kill_9_another_worker_takes_over(alice: User, start: Start, server: SlowServer) -> None:
    first = start(4, APG_LEASE_SECONDS="15")
    execution = begin(alice, linear(call("a", server.port, 8)))
    eventually(lambda: running(execution))
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    # With a lease that it can renew on any machine: the second attempt is to be the last.
    start(4)
    eventually(lambda: status_of(execution) == ExecutionStatus.COMPLETED, timeout=90)
    run = execution.runs.get()
    assert (run.attempt, run.crashes) == (2, 1)


def test_threads_that_do_not_come_back_are_given_up_and_cost_a_worker_that_has_too_many(
    alice: User, start: Start, server: SlowServer, stubborn: str
) -> None:
    worker = start(8, APG_DRAIN_SECONDS="5", PYTHONPATH=stubborn)
    first = begin(alice, linear(wait_stubbornly("a", timeout_seconds=1)))
    eventually(lambda: status_of(first) == ExecutionStatus.FAILED, timeout=60)
    run = first.runs.get()
    assert (run.error, run.attempt, run.crashes) == (
        {"code": "TIMEOUT_ERROR", "message": "Timed out, and was killed"}, 1, 0,
    )  # fmt: skip
    # The others go on beside it.
    beside = begin(alice, linear(call("a", server.port, 0.1)))
    eventually(lambda: status_of(beside) == ExecutionStatus.COMPLETED, timeout=60)
    second = begin(alice, linear(wait_stubbornly("a", timeout_seconds=1)))
    eventually(lambda: status_of(second) == ExecutionStatus.FAILED, timeout=60)
    assert second.runs.get().crashes == 0
    # The two come back in ten minutes: it waits for neither.
    assert worker.wait(60) == 75
    assert not ComponentRun.objects.exclude(status__in=("completed", "failed")).exists()


def test_addresses_that_nobody_answers_at_cost_no_thread(alice: User, start: Start, unreachable: int) -> None:
    create_secret(owner=alice, name="db", value=f"postgresql://u:p@127.0.0.1:{unreachable}/d")
    start(8, APG_DRAIN_SECONDS="5")
    lone = {"timeout_seconds": 1}
    calls = [call(f"c{n}", unreachable, 1, **lone) for n in range(4)]
    # The first that fails is not to take away what still waits for a thread.
    settings = {"on_failure": "continue"}
    components = [*calls, *(ask(f"q{n}", **lone) for n in range(4))]
    execution = begin(alice, {"components": components, "settings": settings})
    eventually(lambda: status_of(execution) == ExecutionStatus.FAILED, timeout=30)
    assert not running(execution)
    errors = [run.error for run in execution.runs.all()]
    assert errors == [{"code": "TIMEOUT_ERROR", "message": "Timed out after 1 s"}] * 8
    assert Worker.objects.get().processes == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--pool", "threads"), "A worker of threads serves the queue io alone"),
        (
            ("-Q", "io", "--pool", "threads", "-c", "1025"),
            "A worker has 1024 processes or threads at most, not 1025: start several workers",
        ),
        (("-c", "2000"), "A worker has 1024 processes or threads at most, not 2000: start several workers"),
        (("--autoscale", "1500,2"), "A worker has 1024 processes or threads at most, not 1500: start several workers"),
    ],
)
def test_a_worker_that_could_not_keep_its_promises_does_not_start(options: tuple[str, ...], message: str) -> None:
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", *options]
    done: Any = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
