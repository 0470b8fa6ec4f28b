"""The whole platform on loopback for a benchmark: real servers, one web process, one worker of two processes."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TypeAlias

import psycopg

from config.embedded import start_postgres, start_valkey, stop_postgres, stop_valkey
from core.ids import to_uuid
from tests.pgbouncer import pgbouncer

Database: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"

CONCURRENCY = 2
EMAIL, _PASSWORD = "bench@example.com", secrets.token_urlsafe(16)
_API = "/api/v1"
_IDLE_SECONDS = 30
_QUIET = ("--loglevel", "warning", "--without-gossip", "--without-mingle", "--without-heartbeat")


class RefusedError(Exception):
    """The platform answered with an error; the message has its status and body."""


class Client:
    """One keep-alive connection to the REST API; not for several threads at once."""

    def __init__(self, port: int, token: str = "") -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self.token = token
        self._used_at = time.monotonic()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """`data` of the answer. Raises RefusedError."""
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if time.monotonic() - self._used_at > _IDLE_SECONDS:
            # The server closes what is idle for long; http.client opens it again by itself.
            self._connection.close()
        self._used_at = time.monotonic()
        sent = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path if path.startswith("/api") else _API + path, sent, headers)
        response = self._connection.getresponse()
        text = response.read()
        if response.status >= 400:
            raise RefusedError(f"{method} {path}: {response.status} {text[:500].decode()}")
        return json.loads(text)["data"]

    def execute(self, workflow_id: str) -> str:
        """Start an execution; its id."""
        return str(self.call("POST", f"/workflows/{workflow_id}/execute", {})["execution_id"])

    def execute_batch(self, workflow_id: str, count: int) -> None:
        """Start `count` executions in one request. Raises RefusedError unless all are accepted."""
        body = {"executions": [{"workflow_id": workflow_id}] * count, "atomic": True}
        answer = self.call("POST", "/api/v2/workflows/execute-batch", body)
        if answer["summary"]["failed"]:
            raise RefusedError(f"execute-batch: {answer['results'][0]}")

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


@dataclass
class Stack:
    """Where the platform answers, what it consists of, and how to ask it."""

    port: int
    redis_url: str
    database_url: str
    environment: dict[str, str]
    pids: dict[str, int] = field(default_factory=dict)
    token: str = ""

    def client(self) -> Client:
        """A connection of its own, logged in."""
        return Client(self.port, self.token)

    def database(self) -> "Database":
        """A connection of its own to PostgreSQL, without transactions."""
        return psycopg.connect(self.database_url, autocommit=True)

    def workflow(self, name: str, components: Sequence[Any], connections: Sequence[Any] = ()) -> str:
        """The id of a new workflow."""
        definition = {"components": list(components), "connections": list(connections)}
        client = self.client()
        try:
            return str(client.call("POST", "/workflows", {"name": name, "definition": definition})["id"])
        finally:
            client.close()

    def run(self, workflow_id: str, client: Client | None = None) -> float:
        """Seconds from just before the POST to the execution's `completed_at`; both clocks are this machine's."""
        used = client or self.client()
        started = time.time()
        execution_id = used.execute(workflow_id)
        while True:
            # The end is read off the execution; asking more often would only take CPU from what is measured.
            time.sleep(0.02)
            execution = used.call("GET", f"/executions/{execution_id}")
            if execution["completed_at"] is not None:
                if client is None:
                    used.close()
                if execution["status"] != "completed":
                    raise RefusedError(f"execution {execution_id} {execution['status']}: {execution['error']}")
                return datetime.fromisoformat(execution["completed_at"]).timestamp() - started

    def wait_for(self, database: "Database", execution_id: str, poll_seconds: float = 0.02) -> None:
        """Until the execution has completed. Raises RefusedError if it ended in another way."""
        while True:
            row = database.execute(_ENDED, [to_uuid(execution_id)], prepare=True).fetchone()
            if row is not None:
                if row[0] != "completed":
                    raise RefusedError(f"execution {execution_id} {row[0]}")
                return
            # The row is all there is to see; the caller weighs the figure's grain against the CPU it takes.
            time.sleep(poll_seconds)

    def wait_until_idle(self) -> None:
        """Until no execution that has its slot is left."""
        with self.database() as database:
            while database.execute(_ANY_ACTIVE).fetchone() is not None:
                # Between two measurements: nobody waits for the exact moment.
                time.sleep(0.02)

    def wait_for_all(self, workflow_id: str) -> float:
        """Until every execution of the workflow has completed; when (Unix seconds) the last one did.

        Raises RefusedError if one ended in another way.
        """
        self.wait_until_idle()
        with self.database() as database:
            row = database.execute(_LAST_END, [to_uuid(workflow_id)]).fetchone()
        assert row is not None
        if row[1]:
            raise RefusedError(f"{row[1]} executions did not complete")
        return float(row[0])


_ENDED = "SELECT status FROM executions_execution WHERE id = %s AND completed_at IS NOT NULL"
# As the partial index of taken slots has it: the cost does not grow with what is stored.
_ANY_ACTIVE = """
SELECT 1 FROM executions_execution
WHERE admitted_at IS NOT NULL AND completed_at IS NULL AND parent_run_id IS NULL LIMIT 1
"""
_LAST_END = """
SELECT extract(epoch FROM max(completed_at)), count(*) FILTER (WHERE status <> 'completed')
FROM executions_execution WHERE workflow_id = %s
"""


def chain(length: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """`length` light components in a row, `log` and `transform` in turn, each handing its output on."""
    components = [light(index) for index in range(length)]
    connections = [{"source": f"c{i}", "target": f"c{i + 1}", "type": "success"} for i in range(length - 1)]
    return components, connections


def light(index: int) -> dict[str, Any]:
    """A component that does next to nothing but is rendered and recorded like any other."""
    if index % 2:
        return {"id": f"c{index}", "type": "transform", "config": {"output": {"n": index, "from": "{{ input }}"}}}
    return {"id": f"c{index}", "type": "log", "config": {"message": "component {{ execution.id }}"}}


def plain_worker() -> list[str]:
    """The command of a plain Celery worker, the yardstick, of as many processes as the platform's."""
    return _celery("benchmarks.plain_celery", "-Q", "plain")


_WEBHOOKS_WORKER = [sys.executable, "-m", "celery", "-A", "config.webhooks_worker", "worker", *_QUIET]


def _celery(app: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", app, "worker", "-c", str(CONCURRENCY), *_QUIET, *more]


@contextmanager
def platform(*, plain: bool = False, webhooks: bool = False, pool: int = 0, io_threads: int = 0) -> Iterator[Stack]:
    """Start everything in a temporary folder; leave nothing behind.

    With `plain` also the yardstick's worker, with `webhooks` the one that sends those, to this machine too. With `pool`
    the processes reach PostgreSQL through PgBouncer and so many connections. With `io_threads` what waits for others
    has a worker of that many threads, and the other one serves the other queues.
    """
    folder = Path(tempfile.mkdtemp(prefix="apg-bench-"))
    processes: dict[str, subprocess.Popen[bytes]] = {}
    between = ExitStack()
    try:
        redis_url = start_valkey(folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = {
            **os.environ,
            "DATABASE_URL": start_postgres(folder),
            "REDIS_URL": redis_url,
            "APG_DATA_DIR": str(folder),
            "APG_SECRET_KEY": secrets.token_urlsafe(48),
            "APG_ADMIN_EMAIL": EMAIL,
            "APG_ADMIN_PASSWORD": _PASSWORD,
            "APG_LOG_LEVEL": "WARNING",
            "APG_OUTBOUND_ALLOW": "127.0.0.1/32",
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            **({"APG_OUTBOUND_ALLOW": "127.0.0.1/32"} if webhooks else {}),
        }
        os.environ["REDIS_URL"] = redis_url  # for benchmarks.plain_celery in this process
        manage(environment, "migrate")
        manage(environment, "ensure_admin")
        unlimited = (
            "from accounts.models import User; "
            "User.objects.update(tier='custom', requests_per_hour=10**8, concurrent_executions=10**6)"
        )
        manage(environment, "shell", "-c", unlimited)
        if pool:
            (folder / "pgbouncer").mkdir()
            url = between.enter_context(pgbouncer(environment["DATABASE_URL"], folder / "pgbouncer", size=pool))
            environment |= {"DATABASE_URL": url, "APG_PGBOUNCER": "true"}
        commands = {
            "web": [sys.executable, "-m", "config.web", "--port", str(port)],
            "worker": _celery("config", *(("-Q", "default,script") if io_threads else ())),
            **({"io": _celery("config", "-Q", "io", "-P", "threads", "-c", str(io_threads))} if io_threads else {}),
            **({"plain": plain_worker()} if plain else {}),
            **({"webhooks": _WEBHOOKS_WORKER} if webhooks else {}),
        }
        for name, command in commands.items():
            # Celery greets on standard output, which is for the figures.
            processes[name] = subprocess.Popen(
                command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL
            )
        pids = {name: process.pid for name, process in processes.items()}
        stack = Stack(port, redis_url, environment["DATABASE_URL"], environment, pids)
        _wait_until_served(stack)
        login = {"username": EMAIL, "password": _PASSWORD}
        stack.token = stack.client().call("POST", "/auth/login", login)["access_token"]
        yield stack
    finally:
        for process in processes.values():
            os.killpg(process.pid, signal.SIGTERM)
        for process in processes.values():
            process.wait(timeout=30)
        between.close()
        stop_valkey(folder)
        stop_postgres(folder)
        shutil.rmtree(folder, ignore_errors=True)


def manage(environment: dict[str, str], *arguments: str) -> None:
    """Run a management command. Raises CalledProcessError."""
    subprocess.run([sys.executable, "manage.py", *arguments], env=environment, check=True, capture_output=True)


def _wait_until_served(stack: Stack) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        client = stack.client()
        with suppress(OSError, HTTPException, RefusedError):
            if client.call("GET", "/health")["components"]["workflow_engine"]["status"] == "healthy":
                return
        client.close()
        time.sleep(0.2)
    raise TimeoutError("the platform did not come up within 60 s")
