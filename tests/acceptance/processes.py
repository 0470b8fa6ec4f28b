"""The processes of docker-compose.yml by its own commands, without a container around them."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from config.demo import Client, DemoError
from tests.deployment import ROOT, Service, compose, image_environment
from tests.eventually import START_SECONDS, eventually
from tests.ports import free_port

EMAIL = "admin@example.com"
FINAL = {"completed", "failed", "cancelled"}


@contextmanager
def new_database(name: str, *, like: str = "template1") -> Iterator[str]:
    """The URL of a new database on the suite's server, empty or `like` another one; gone afterwards."""
    server = os.environ["DATABASE_URL"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(sql.Identifier, (name, like))))
        yield with_database(server, name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def with_database(url: str, name: str) -> str:
    """The URL with another database in it; an empty host stays."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


def valkey_database(number: int) -> str:
    """Another database of the suite's Valkey, which other tests empty none of."""
    url = os.environ["REDIS_URL"].partition("?")[0]
    return f"{url}?db={number}" if url.startswith("unix://") else f"{url.rstrip('/0123456789')}/{number}"


@dataclass
class Process:
    """A process of a service; the paths of its container are below a folder of its own."""

    service: Service
    environment: dict[str, str]
    popen: "subprocess.Popen[bytes]"
    log: Path

    def stop(self) -> int:
        """SIGTERM, as a container is stopped; the exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.exit_code()

    def exit_code(self) -> int:
        """After a SIGTERM, within the grace that the compose file gives."""
        return self.popen.wait(self.service.stop_grace_seconds)


@dataclass
class Platform:
    """The compose file's services, with its hosts and its container's paths replaced by those of this machine."""

    folder: Path
    database_url: str
    redis_url: str
    code: Path = ROOT
    more: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    running: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        subprocess.run([ROOT / "deploy" / "make_secrets.sh", self.folder / "secrets"], check=True)
        (self.folder / "data").mkdir(exist_ok=True)
        self.services = compose(
            APG_ADMIN_EMAIL=EMAIL, APG_HTTPS="false", APG_OUTBOUND_ALLOW="127.0.0.1/32", APG_LOG_LEVEL="WARNING"
        )

    def here(self, text: str, home: Path) -> str:
        """A text of the compose file as it is to be here; `home` stands for the container's /tmp."""
        here = {
            "/run/secrets": str(self.folder / "secrets"), "/tmp": str(home), "/data": str(self.folder / "data"),
            "0.0.0.0": "127.0.0.1", "127.0.0.1:8000": f"127.0.0.1:{self.port}",
        }  # fmt: skip
        text = re.sub(r"^/run/secrets|^/tmp|^/data|^0\.0\.0\.0$|127\.0\.0\.1:8000", lambda found: here[found[0]], text)
        return str(self.port) if text == "8000" else text

    def environment(self, service: Service, home: Path) -> dict[str, str]:
        """What a process of the service gets, and nothing of what the tests run with."""
        both = {**image_environment(), **service.environment}
        given = {name: self.here(value, home) for name, value in both.items()}
        return {
            **given,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            **self.more,
        }

    def run(self, name: str) -> "subprocess.CompletedProcess[str]":
        """A service that ends by itself."""
        service = self.services[name]
        return subprocess.run(
            service.command,
            cwd=self.code,
            env=self.environment(service, self.folder),
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, name: str) -> Process:
        """One more process of the service."""
        service = self.services[name]
        home = self.folder / f"{name}-{len(self.running)}"
        home.mkdir()
        environment = self.environment(service, home)
        command = [self.here(word, home) for word in service.command]
        with (home / "log").open("wb") as log:
            popen = subprocess.Popen(
                command, cwd=self.code, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        process = Process(service, environment, popen, home / "log")
        self.running.append(process)
        return process

    def is_healthy(self, process: Process) -> bool:
        """Whether the health check of the process's service passes."""
        assert process.popen.poll() is None, process.log.read_text()
        check = [self.here(word, process.log.parent) for word in process.service.check]
        done = subprocess.run(check, cwd=self.code, env=process.environment, capture_output=True, check=False)
        return done.returncode == 0

    def up(self, *names: str) -> dict[str, Process]:
        """Start one process of each, and wait until all are healthy."""
        started = {name: self.start(name) for name in names}
        for process in started.values():
            eventually(lambda process=process: self.is_healthy(process), START_SECONDS, 0.2)  # type: ignore[misc]
        return started

    def client(self) -> Client:
        """The administrator, logged in."""
        client = Client(f"http://127.0.0.1:{self.port}/api/v1")
        password = (self.folder / "secrets" / "admin_password").read_text().strip()
        client.token = client.call("POST", "/auth/login", {"username": EMAIL, "password": password})["access_token"]
        return client

    def database(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """A connection of its own, without transactions."""
        return psycopg.connect(self.database_url, autocommit=True)

    def down(self) -> None:
        """End what still runs, however it takes it."""
        for process in self.running:
            if process.popen.poll() is None:
                process.popen.terminate()
        for process in self.running:
            with suppress(subprocess.TimeoutExpired):
                process.popen.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(process.popen.pid, signal.SIGKILL)
            process.popen.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


def make_workflow(client: Client, name: str, components: list[Any]) -> str:
    """The id of a new workflow of these components in a row."""
    connections = [
        {"source": one["id"], "target": other["id"], "type": "success"} for one, other in pairwise(components)
    ]
    definition = {"components": components, "connections": connections}
    return str(client.call("POST", "/workflows", {"name": name, "definition": definition})["id"])


def execute(client: Client, workflow_id: str) -> str:
    """The id of a new execution."""
    return str(client.call("POST", f"/workflows/{workflow_id}/execute", {})["execution_id"])


def ended(client: Client, execution_id: str, *, timeout: float = 30) -> Any:
    """The execution, once it has ended."""

    def look() -> Any:
        try:
            found = client.call("GET", f"/executions/{execution_id}")
        except (OSError, DemoError):
            return None
        return found if found["status"] in FINAL else None

    return eventually(look, timeout=timeout, interval=0.1)
