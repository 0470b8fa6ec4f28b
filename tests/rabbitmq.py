"""A RabbitMQ of a test's own, in a temporary folder and on ports of its own, that may be killed and started again."""

import os
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.eventually import eventually
from tests.ports import free_port

# Debian's, past the wrapper that changes the user.
PROGRAM = next(iter(sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))), None)
MISSING = "needs RabbitMQ: install the package rabbitmq-server (make test-packages)"


@dataclass
class RabbitMQ:
    """The server; what is durable outlives `kill`."""

    folder: Path
    port: int = field(default_factory=free_port)
    epmd_port: int = field(default_factory=free_port)
    dist_port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Start it, or start it again; returns when it takes connections."""
        environment = {
            **os.environ,
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"apg-test-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.folder / "config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        }
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [str(PROGRAM)], env=environment, stdout=output, stderr=output, start_new_session=True
            )
        eventually(self.answers, timeout=120, interval=0.1)

    def answers(self) -> bool:
        """Whether it speaks AMQP."""
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "output").read_text()[-2000:]
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as peer:
            peer.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(peer.recv(1))
        return False

    def kill(self) -> None:
        """SIGKILL, as when its machine dies."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        """Leave nothing: Erlang's port mapper left the process group."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.name() == "epmd" and process.environ().get("ERL_EPMD_PORT") == str(self.epmd_port):
                    process.kill()
