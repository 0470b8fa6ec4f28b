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
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from config.embedded import start_postgres, start_valkey, stop_postgres, stop_valkey

CONCURRENCY = 2
_EMAIL, _PASSWORD = "bench@example.com", secrets.token_urlsafe(16)


@dataclass
class Stack:
    """Where the platform answers, and how to ask it."""

    base: str
    redis_url: str
    token: str = ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """`data` of the answer; raises urllib.error.HTTPError with the body in its message."""
        request = urllib.request.Request(
            self.base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                **({"Authorization": f"Bearer {self.token}"} if self.token else {}),
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            error.msg = error.read().decode()[:500]
            raise

    def workflow(self, name: str, components: list[Any], connections: list[Any]) -> str:
        """The id of a new workflow."""
        definition = {"components": components, "connections": connections}
        created = self.call("POST", "/workflows", {"name": name, "definition": definition})
        return str(created["id"])

    def run(self, workflow_id: str) -> float:
        """Seconds from just before the POST to the execution's `completed_at`; both clocks are this machine's."""
        started = time.time()
        execution_id = self.call("POST", f"/workflows/{workflow_id}/execute", {})["execution_id"]
        while True:
            # The end is read off the execution; asking more often would only take CPU from what is measured.
            time.sleep(0.02)
            execution = self.call("GET", f"/executions/{execution_id}")
            if execution["completed_at"] is not None:
                assert execution["status"] == "completed", execution["error"]
                return _timestamp(execution["completed_at"]) - started


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@contextmanager
def platform(extra_workers: list[list[str]] | None = None) -> Iterator[Stack]:
    """Start everything in a temporary folder, and leave nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix="apg-bench-"))
    processes: list[subprocess.Popen[bytes]] = []
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
            "APG_ADMIN_EMAIL": _EMAIL,
            "APG_ADMIN_PASSWORD": _PASSWORD,
            "APG_LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        for command in ("migrate", "ensure_admin"):
            subprocess.run([sys.executable, "manage.py", command], env=environment, check=True, capture_output=True)
        subprocess.run(
            [
                sys.executable,
                "manage.py",
                "shell",
                "-c",
                "from accounts.models import User; "
                "User.objects.update(tier='custom', requests_per_hour=10**8, concurrent_executions=10**6)",
            ],
            env=environment,
            check=True,
            capture_output=True,
        )
        commands = [
            [
                sys.executable,
                "-m",
                "uvicorn",
                "config.asgi:application",
                "--port",
                str(port),
                "--log-level",
                "warning",
                "--lifespan",
                "off",
            ],
            [
                sys.executable,
                "-m",
                "celery",
                "-A",
                "config",
                "worker",
                "-c",
                str(CONCURRENCY),
                "-l",
                "warning",
                "--without-gossip",
                "--without-mingle",
                "--without-heartbeat",
            ],
            *(extra_workers or []),
        ]
        processes = [subprocess.Popen(command, env=environment, start_new_session=True) for command in commands]
        stack = Stack(f"http://127.0.0.1:{port}/api/v1", redis_url)
        _wait_until_served(stack)
        login = {"username": _EMAIL, "password": _PASSWORD}
        stack.token = stack.call("POST", "/auth/login", login)["access_token"]
        yield stack
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGTERM)
        for process in processes:
            process.wait(timeout=30)
        stop_valkey(folder)
        stop_postgres(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_served(stack: Stack) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if stack.call("GET", "/health")["components"]["workflow_engine"]["status"] == "healthy":
                return
        except (OSError, urllib.error.HTTPError):
            pass
        time.sleep(0.2)
    raise TimeoutError("the platform did not come up within 60 s")
