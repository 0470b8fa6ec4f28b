"""`make run`: start, watch and stop the whole platform on one machine (contract §13)."""

import ctypes
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from django.core.exceptions import ImproperlyConfigured
from rich.console import Console
from rich.panel import Panel

from config import demo, env
from config.embedded import (
    EmbeddedError,
    postgres_runs,
    start_postgres,
    start_valkey,
    stop_postgres,
    stop_valkey,
    valkey_runs,
)

ROOT = Path(__file__).resolve().parent.parent
_UP_SECONDS = 60
_STOP_SECONDS = 20
_MAX_BACKOFF_SECONDS = 30.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class StartError(Exception):
    """The platform cannot start; the message is the one sentence that says why."""


class StopRequestedError(Exception):
    """Ctrl-C, SIGTERM or SIGHUP."""


@dataclass(frozen=True)
class Server:
    """An embedded server of the data folder; starting one that runs finds it."""

    name: str
    variable: str
    start: Callable[[Path], str]
    stop: Callable[[Path], None]
    runs: Callable[[Path], bool]


# In the order in which they are started and stopped.
SERVERS = (
    Server("Valkey", "REDIS_URL", start_valkey, stop_valkey, valkey_runs),
    Server("PostgreSQL", "DATABASE_URL", start_postgres, stop_postgres, postgres_runs),
)


@dataclass
class Part:
    """One process of the platform: how it is started, and how often it had to be."""

    name: str
    command: list[str]
    process: "subprocess.Popen[bytes] | None" = None
    backoff_seconds: float = 1.0
    restart_at: float = 0.0


@dataclass
class Supervisor:
    """The processes on one data folder."""

    folder: Path
    host: str
    port: int
    console: Console
    environment: dict[str, str]
    parts: list[Part] = field(default_factory=list)
    lock: "IO[str] | None" = None
    servers: list[Server] = field(default_factory=list)

    def start(self) -> tuple[str, str]:
        """Servers, database, processes; the administrator's e-mail and password. Raises StartError."""
        self._take_folder()
        _check_port(self.host, self.port)
        self._default("APG_SECRET_KEY", lambda: self._kept("secret_key", lambda: secrets.token_urlsafe(48)))
        email = self._default("APG_ADMIN_EMAIL", lambda: "admin@example.com")
        password = self._default(
            "APG_ADMIN_PASSWORD", lambda: self._kept("administrator_password", lambda: secrets.token_urlsafe(12))
        )
        self._start_servers()
        # Well within _STOP_SECONDS.
        self._default("APG_DRAIN_SECONDS", lambda: "10")
        self._default("APG_OUTBOUND_ALLOW", lambda: f"127.0.0.1:{self.port}")
        self._prepare()
        self.parts = _parts(self.host, self.port)
        for part in self.parts:
            self._launch(part)
        return email, password

    def _take_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.folder / "logs").mkdir(exist_ok=True)
            self.lock = (self.folder / "lock").open("w")
        except OSError as error:
            raise StartError(f"Cannot write the data folder {self.folder}: {error.strerror}") from None
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StartError(
                f"Another instance runs on the data folder {self.folder}; choose another APG_DATA_DIR"
            ) from None

    def _default(self, name: str, make: Callable[[], str]) -> str:
        """The variable's value, which is made where neither it nor its file is given."""
        if env.given(name):
            return env.text(name, "")
        return self.environment.setdefault(name, make())

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        """A value made once and kept in the data folder, readable by its owner alone."""
        path = self.folder / name
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(make())
        return path.read_text()

    def _start_servers(self) -> None:
        try:
            for server in SERVERS:
                if not env.given(server.variable):
                    self.servers.append(server)
                    self.environment[server.variable] = server.start(self.folder)
        except EmbeddedError as error:
            raise StartError(str(error)) from None

    def _prepare(self) -> None:
        done = subprocess.run(
            [sys.executable, "manage.py", "prepare"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            (self.folder / "logs" / "prepare.log").write_text(done.stderr)
            reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no reason given"
            reason = reason.removeprefix("django.core.exceptions.ImproperlyConfigured: ")
            raise StartError(f"The database could not be prepared: {reason}")

    def _launch(self, part: Part) -> None:
        path = self.folder / "logs" / f"{part.name}.log"
        with path.open("ab") as log:
            part.process = subprocess.Popen(
                part.command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl; no thread of ours holds a lock here
            )

    def watch(self) -> NoReturn:
        """Restart what dies, and say so. Raises StopRequestedError when asked to stop."""
        while True:
            for server in self.servers:
                self._look_after_server(server)
            for part in self.parts:
                self.look_after(part)
            time.sleep(0.2)

    def _look_after_server(self, server: Server) -> None:
        if server.runs(self.folder):
            return
        self.console.print(f"[yellow]{server.name} ended; starting it again[/]")
        try:
            server.start(self.folder)
        except EmbeddedError as error:
            # What the dead one leaves behind may take a moment to go; the next round tries again.
            self.console.print(f"[yellow]{error}[/]")
            time.sleep(1)

    def look_after(self, part: Part) -> None:
        """Start the part again if it has died, after a growing pause, and say so."""
        if part.process is not None and part.process.poll() is not None:
            code = part.process.returncode
            self.console.print(
                f"[yellow]{part.name} ended with code {code}; starting it again in {part.backoff_seconds:g} s "
                f"(log: {self.folder / 'logs' / (part.name + '.log')})[/]"
            )
            _kill_group(part.process)
            part.process = None
            part.restart_at = time.monotonic() + part.backoff_seconds
            part.backoff_seconds = min(part.backoff_seconds * 2, _MAX_BACKOFF_SECONDS)
        if part.process is None and time.monotonic() >= part.restart_at:
            self._launch(part)

    def stop(self) -> None:
        """End everything that was started: processes first, then their servers; nothing is left."""
        running = [part.process for part in self.parts if part.process is not None]
        for process in running:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(deadline - time.monotonic(), 0.1))
            _kill_group(process)
        for server in self.servers:
            server.stop(self.folder)


def _parts(host: str, port: int) -> list[Part]:
    celery = [sys.executable, "-m", "celery", "-A", "config"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    workers = str(env.integer("APG_WORKER_PROCESSES", 2, low=1, high=256))
    return [
        Part("web", [sys.executable, "-m", "config.web", "--host", host, "--port", str(port)]),
        Part("worker", [*celery, "worker", "--concurrency", workers, "--loglevel", "WARNING", *quiet]),
        Part(
            "webhooks",
            [sys.executable, "-m", "celery", "-A", "config.webhooks_worker", "worker", "--loglevel", "WARNING", *quiet],
        ),
        Part("beat", [*celery, "beat", "--loglevel", "WARNING", "--pidfile", ""]),
    ]


def _die_with_parent() -> None:
    # A killed supervisor takes its children with it; the servers stay, and the next start finds them.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartError(
                f"Port {port} on {host} cannot be used ({error.strerror}); choose another APG_PORT"
            ) from None


def _request_stop(number: int, frame: FrameType | None) -> NoReturn:
    # Once is enough: a second Ctrl-C must not interrupt the stopping.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    raise StopRequestedError


def _serve(supervisor: Supervisor) -> None:
    console = supervisor.console
    email, password = supervisor.start()
    base = f"http://{'127.0.0.1' if supervisor.host == '0.0.0.0' else supervisor.host}:{supervisor.port}"  # noqa: S104
    client = demo.Client(f"{base}/api/v1")
    # Then plain HTTP is led to the proxy in front, by which the demo has no way in.
    https = env.boolean("APG_HTTPS", default=False)
    deadline = time.monotonic() + _UP_SECONDS
    while not (_accepts(supervisor.host, supervisor.port) if https else client.is_up()):
        for part in supervisor.parts:
            supervisor.look_after(part)
        if time.monotonic() > deadline:
            raise StartError(f"The platform did not answer on {base}; see {supervisor.folder / 'logs'}")
        time.sleep(0.1)
    if env.boolean("APG_DEMO", default=True) and not https:
        try:
            demo.run(client, email, password, console)
        except (demo.DemoError, OSError) as error:
            console.print(f"[red]The demo did not finish: {error}[/]")
    lines = [
        f"API     {base}/api/v1/workflow_orchestration",
        f"Health  {base}/api/v1/health",
        f"Admin   {base}/admin/",
        f"Login   {email}  {password}",
        f"Data    {supervisor.folder}",
    ]
    console.print(Panel("\n".join(lines), title="APG Workflow Orchestration is served; Ctrl-C stops it", expand=False))
    supervisor.watch()


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def main() -> int:
    """Run until told to stop. 0 after a clean stop, 2 with one sentence on stderr when it cannot start."""
    console = Console(soft_wrap=True)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _request_stop)
    supervisor: Supervisor | None = None
    try:
        supervisor = Supervisor(
            folder=env.folder("APG_DATA_DIR", ROOT / "var"),
            host=env.text("APG_HOST", "127.0.0.1"),
            port=env.integer("APG_PORT", 8000, low=1, high=65535),
            console=console,
            environment={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
        )
        supervisor.environment["APG_DATA_DIR"] = str(supervisor.folder)
        _serve(supervisor)
    except StopRequestedError:
        console.print("Stopping …")
    except (StartError, ImproperlyConfigured) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    finally:
        if supervisor is not None:
            supervisor.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
