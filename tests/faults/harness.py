"""Servers, workers, a web server and an effect ledger of the suite's own, all of which may be killed at any time."""

import http.server
import itertools
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
from django.db import DatabaseError, connection
from redis import Redis

from accounts.models import User
from config.embedded import EmbeddedError, _is_postgres, _postmaster, _valkey, start_postgres, start_valkey
from core.ids import new_id, to_uuid
from core.types import JSONObject
from executions.models import ComponentRun, Execution, Worker
from executions.services import StartRequest, start_execution
from executions.states import FINAL_EXECUTION, FINAL_RUN
from tests.eventually import START_SECONDS, eventually
from tests.faults import invariants
from tests.ports import free_port
from workflows.components.base import Kind
from workflows.models import Workflow
from workflows.services import create_workflow

ROOT = Path(__file__).resolve().parent.parent.parent
MARK = "APG_FAULT_MARK"
QUIESCENCE_SECONDS = 60


def seed() -> int:
    """The run's seed: APG_FAULT_SEED, else a fixed one."""
    return int(os.environ.get("APG_FAULT_SEED", "20261125"))


class Ledger:
    """An HTTP server that counts what it was asked to do, by Idempotency-Key: the effects of components."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.started = threading.Condition()
        ledger = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                with ledger.started:
                    ledger.calls[self.headers.get("Idempotency-Key", "")] += 1
                    ledger.started.notify_all()
                # The far end is as slow as the component asks: that is what is killed in the middle.
                time.sleep(float(query.get("seconds", ["0"])[0]))
                with suppress(OSError):
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"{}")

            do_POST = do_GET  # noqa: N815 - its base class names it

            def log_message(self, *_: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, seconds: float = 0) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/?seconds={seconds}"


class Proxy:
    """A TCP proxy in front of a unix socket; `hold` lets nothing through and closes nothing."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.flowing = threading.Event()
        self.flowing.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(self.target)
            except OSError:
                near.close()
                far.close()
                continue
            self._sockets += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                self.flowing.wait()
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        one.close()

    def cut(self) -> None:
        """Close every connection."""
        for end in self._sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def close(self) -> None:
        self.flowing.set()
        self.cut()
        self.listener.close()


@dataclass
class Process:
    """A process of the suite's own, in its own session, with its log."""

    name: str
    popen: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def is_up(self) -> bool:
        return self.popen.poll() is None

    def everyone(self) -> list[psutil.Process]:
        """It, and all below it."""
        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def pool(self) -> list[int]:
        """A worker's pool processes."""
        return [child.pid for child in psutil.Process(self.pid).children()]

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL for it and its children at once, as when the machine dies."""
        for process in self.everyone():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.popen.wait(10)

    def freeze(self) -> None:
        for process in self.everyone():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def thaw(self) -> None:
        for process in self.everyone():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def stop(self, seconds: float = 60) -> int:
        if self.is_up():
            self.signal(signal.SIGTERM)
        return self.popen.wait(seconds)


@dataclass
class Servers:
    """PostgreSQL and Valkey on one folder."""

    folder: Path
    database_url: str = ""
    redis_url: str = ""

    def start(self) -> None:
        self.start_postgres()
        self.start_valkey()

    def start_postgres(self) -> None:
        """As `config.run` does: one that still recovers from a crash is asked again."""
        self.database_url = eventually(self._try_postgres, timeout=START_SECONDS)

    def _try_postgres(self) -> str:
        try:
            return start_postgres(self.folder)
        except EmbeddedError:
            return ""

    def start_valkey(self) -> None:
        self.redis_url = start_valkey(self.folder)

    def postgres_processes(self) -> list[psutil.Process]:
        pid = _postmaster(self.folder / "postgres")
        if pid is None or not _is_postgres(pid):
            return []
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]

    def crash_postgres(self) -> None:
        """As `pg_ctl stop -m immediate`: no checkpoint, no word to its clients."""
        processes = self.postgres_processes()
        processes[0].send_signal(signal.SIGQUIT)
        psutil.wait_procs(processes, 20)

    def freeze_postgres(self) -> None:
        for process in self.postgres_processes():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def thaw_postgres(self) -> None:
        for process in self.postgres_processes():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def valkey_process(self) -> psutil.Process:
        pid = _valkey(self.folder)
        assert pid is not None
        return psutil.Process(pid)

    def crash_valkey(self) -> None:
        process = self.valkey_process()
        process.kill()
        process.wait(10)

    def stop(self) -> None:
        self.thaw_postgres()
        for process in self.postgres_processes()[:1]:
            process.send_signal(signal.SIGINT)
            # It writes what it has in memory.
            with suppress(psutil.TimeoutExpired):
                process.wait(60)
            if process.is_running():
                process.kill()
        with suppress(AssertionError, psutil.Error):
            self.crash_valkey()

    def redis(self) -> "Redis":
        return Redis.from_url(self.redis_url, socket_timeout=5)

    def postgres_socket(self) -> str:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.database_url).query)
        return f"{query['host'][0]}/.s.PGSQL.5432"


# For a worker whose components are to be ended by what is tested alone: a machine that stands still for some seconds
# costs it no lease.
UNHURRIED = {"APG_LEASE_SECONDS": "60"}


@dataclass
class World:
    """One test's account, what it was promised, and the processes that it started."""

    servers: Servers
    ledger: Ledger
    folder: Path
    path: str
    random: random.Random
    user: User
    mark: str = field(default_factory=new_id)
    acked: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    canary: str = field(default_factory=lambda: secrets.token_hex(16))

    # --- processes

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "DATABASE_URL": self.servers.database_url,
            "REDIS_URL": self.servers.redis_url,
            "PYTHONPATH": self.path,
            "APG_LEASE_SECONDS": "5",
            "APG_DRAIN_SECONDS": "2",
            "APG_LOG_LEVEL": "WARNING",
            MARK: self.mark,
            **more,
        }

    def start(self, name: str, command: list[str], **environment: str) -> Process:
        log = self.folder / f"{name}-{new_id()}.log"
        with log.open("wb") as file:
            popen = subprocess.Popen(
                command, cwd=ROOT, env=self.environment(**environment), stdin=subprocess.DEVNULL,
                stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        process = Process(name, popen, log)
        self.processes.append(process)
        return process

    def launch_worker(self, processes: int = 2, **environment: str) -> Process:
        """A worker that may not be up yet."""
        command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-c", str(processes), "-l", "WARNING",
                   "--without-gossip", "--without-mingle", "--without-heartbeat"]  # fmt: skip
        return self.start("worker", command, **environment)

    def worker(self, processes: int = 2, **environment: str) -> Process:
        """A worker that consumes."""
        worker = self.launch_worker(processes, **environment)
        eventually(lambda: self.name_of(worker), timeout=START_SECONDS)
        return worker

    def name_of(self, worker: Process) -> str:
        assert worker.is_up(), worker.text()[-3000:]
        return Worker.objects.filter(name__contains=f":{worker.pid}:").values_list("name", flat=True).first() or ""

    def web(self, **environment: str) -> "tuple[Process, Client]":
        """The web server, and a client logged in as the account."""
        port = free_port()
        command = [sys.executable, "-m", "config.web", "--port", str(port)]
        process = self.start("web", command, **environment)
        client = Client(f"http://127.0.0.1:{port}/api/v1", self.answers)
        eventually(lambda: client.is_up(), timeout=START_SECONDS, interval=0.1)
        return process, client

    # --- work

    def workflow(self, *components: JSONObject, **settings: object) -> Workflow:
        """Components one after another."""
        ids = [component["id"] for component in components]
        connections = [{"source": a, "target": b, "type": "success"} for a, b in itertools.pairwise(ids)]
        definition: JSONObject = {
            "components": list(components), "connections": connections, "settings": settings,
            "parameters": [{"name": "canary", "type": "secret", "required": False}],
        }  # fmt: skip
        return self.store(definition)

    def store(self, definition: JSONObject) -> Workflow:
        return create_workflow(user=self.user, name=new_id(), definition=definition)

    def effects(self, length: int = 4, seconds: float = 0.02, **settings: object) -> Workflow:
        """A chain of calls to the ledger."""
        return self.workflow(*[self.effect(f"c{number}", seconds) for number in range(length)], **settings)

    def effect(self, id_: str, seconds: float = 0, **more: object) -> JSONObject:
        """A component whose effect is counted."""
        config = {"url": self.ledger.url(seconds), "method": "POST", "timeout": 60,
                  "headers": {"X-Canary": "{{ canary }}"}}  # fmt: skip
        return {"id": id_, "type": "http_request", "config": config, **more}

    def fan(self, width: int = 6, seconds: float = 0.02) -> Workflow:
        """One, many side by side, one."""
        middle = [self.effect(f"m{number}", seconds) for number in range(width)]
        return self.store({
            "components": [self.effect("first", seconds), *middle, self.effect("last", seconds)],
            "connections": [
                *({"source": "first", "target": one["id"], "type": "success"} for one in middle),
                *({"source": one["id"], "target": "last", "type": "success"} for one in middle),
            ],
            "parameters": [{"name": "canary", "type": "secret", "required": False}],
        })  # fmt: skip

    def poison(self, mode: str, **more: Any) -> JSONObject:
        """A component that misbehaves."""
        config = {"mode": mode, **more.pop("config", {})}
        return {"id": "poison", "type": "test_poison", "config": config, **more}

    def execute(self, workflow: Workflow, **request: Any) -> Execution:
        """An accepted execution."""
        execution = start_execution(
            workflow=workflow, user=self.user, request=StartRequest(parameters={"canary": self.canary}, **request)
        ).execution
        self.acked.append(execution.pk)
        return execution

    def try_execute(self, workflow: Workflow, **request: Any) -> Execution | None:
        """An execution, if it was accepted; None where the database was away."""
        try:
            return self.execute(workflow, **request)
        except DatabaseError:
            connection.close()
            return None

    # --- looking

    def unfinished(self) -> int:
        return Execution.objects.filter(created_by=self.user).exclude(status__in=FINAL_EXECUTION).count()

    def database_now(self) -> float:
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
            return float(cursor.fetchone()[0])

    def settle(self, timeout: float = QUIESCENCE_SECONDS) -> None:
        """Wait until all that was accepted has ended, and the broker is empty."""
        self.eventually(lambda: self.unfinished() == 0, timeout=timeout, interval=0.1)
        with suppress(AssertionError):
            eventually(lambda: self.queued_messages() == 0, timeout=timeout, interval=0.1)

    def eventually(self, probe: Callable[[], Any], timeout: float, interval: float = 0.05) -> Any:
        """As `eventually`; a failure tells what is left, and the end of each log."""
        try:
            return eventually(probe, timeout=timeout, interval=interval)
        except AssertionError:
            left = ComponentRun.objects.filter(execution__created_by=self.user).exclude(status__in=FINAL_RUN)
            facts = list(left.values_list("component_type", "status", "attempt", "crashes", "pid")[:20])
            logs = "".join(f"{process.name} {process.pid} up: {process.is_up()}\n{process.text()[-3000:]}\n"
                           for process in self.processes)  # fmt: skip
            raise AssertionError(f"after {timeout} s: {facts}\n{logs}") from None

    def queued_messages(self) -> int:
        redis = self.servers.redis()
        names = (key for queue in (*Kind, "apg") for key in redis.keys(f"{queue}*"))
        return sum(redis.llen(key) for key in names if redis.type(key) == b"list")

    @contextmanager
    def evidence(self) -> Iterator[invariants.Evidence]:
        """What the checks look at."""
        mine = {str(to_uuid(key)): count for key, count in self.ledger.calls.items() if key}
        with connect(self.servers) as own:
            yield invariants.Evidence(
                connection=own,
                account=str(to_uuid(self.user.pk)),
                tier=self.user.limits.concurrent_executions,
                acked=[str(to_uuid(id_)) for id_ in self.acked],
                calls=mine,
                answers=self.answers,
                logs="".join(process.text() for process in self.processes),
                queued_messages=self.queued_messages(),
                canary=self.canary,
            )

    def strays(self) -> list[str]:
        """Processes that carry this test's mark."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:100]}")
        return found

    def check(self, **settle: float) -> None:
        """Everything ended, nothing is left, and every invariant holds."""
        self.settle(**settle)
        with self.evidence() as evidence:
            found = invariants.broken(evidence)
        assert not found, invariants.told(found)

    def end(self) -> None:
        """Kill what was started, the parents alone: pools end with theirs, and nothing may be left."""
        for process in self.processes:
            if process.is_up():
                process.thaw()
                process.popen.kill()
            process.popen.wait(20)
        with suppress(AssertionError):
            eventually(lambda: not self.strays(), timeout=30)
        left = self.strays()
        for line in left:
            with suppress(psutil.Error):
                psutil.Process(int(line.split()[0])).kill()
        with connect(self.servers) as own:
            evidence = invariants.Evidence(own, str(to_uuid(self.user.pk)), 0, strays=left)
            assert not list(invariants.i13_no_process_left(evidence)), left


def connect(servers: Servers) -> "psycopg.Connection[Any]":
    """A connection of the suite's own, beside Django's."""
    return psycopg.connect(servers.database_url, autocommit=True, connect_timeout=60)


@dataclass
class Client:
    """The API over HTTP; every answer's status is kept."""

    base: str
    answers: list[int]
    token: str = ""

    def call(
        self, method: str, path: str, body: JSONObject | None = None, timeout: float = 10, **headers: str
    ) -> tuple[int, Any]:
        """(status, parsed body). Raises OSError where there is no answer."""
        sent = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, method=method, headers=sent, data=data)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                status, text = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        self.answers.append(status)
        return status, json.loads(text)

    def is_up(self) -> bool:
        try:
            return self.call("GET", "/health", timeout=5)[0] == 200
        except OSError:
            return False

    def log_in(self, user: User, password: str) -> None:
        status, body = self.call("POST", "/auth/login", {"username": user.email, "password": password})
        assert status == 200, body
        self.token = body["data"]["access_token"]


@contextmanager
def repeating(seconds: float, action: Any) -> Iterator[None]:
    """Do `action` every so often beside the block."""
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(seconds):
            with suppress(Exception):
                action()
        connection.close()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def percentiles(values: list[float]) -> str:
    """`p50 … p95 … max …` of seconds."""
    if not values:
        return "none"
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return f"n {len(ordered)}, p50 {at(0.5):.2f} s, p95 {at(0.95):.2f} s, max {ordered[-1]:.2f} s"
