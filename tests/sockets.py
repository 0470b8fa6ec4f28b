"""A WebSocket client for tests: JSON messages in and out, and how the server closed."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

SECONDS = 10.0


class SocketClient:
    """One connection to `/api/v1/ws` of a server on this machine."""

    def __init__(self, port: int, token: str | None = None, *, path: str = "/api/v1/ws", **options: Any) -> None:
        query = "" if token is None else f"?token={token}"
        options = {"compression": None, "max_size": None, **options}
        self._opened = connect(f"ws://127.0.0.1:{port}{path}{query}", **options)
        self.connection: ClientConnection = self._opened.__enter__()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._opened.__exit__(None, None, None)

    def send(self, type_: str, message_id: str = "m1", **data: Any) -> None:
        """A message in the reference's format."""
        message: dict[str, Any] = {"type": type_, "id": message_id}
        self.raw(json.dumps(message | ({"data": data} if data else {})))

    def raw(self, text: str | bytes) -> None:
        """Whatever it is."""
        self.connection.send(text)

    def receive(self, seconds: float = SECONDS) -> dict[str, Any]:
        """The next message. Raises TimeoutError."""
        found = json.loads(self.connection.recv(timeout=seconds))
        assert isinstance(found, dict)
        return found

    def until(self, type_: str, seconds: float = SECONDS) -> dict[str, Any]:
        """The next message of a type; others before it are dropped."""
        while True:
            found = self.receive(seconds)
            if found["type"] == type_:
                return found

    def subscribe(self, channel: str, subject_id: str | None = None, message_id: str = "s1", **more: Any) -> Any:
        """Subscribe; the answer."""
        data = {"channel": channel, **({f"{channel}_id": subject_id} if subject_id else {}), **more}
        self.send("subscribe", message_id, **data)
        return self.receive()

    def close_code(self, seconds: float = SECONDS) -> int | None:
        """The code that the server closes with; messages before it are dropped. Raises TimeoutError."""
        try:
            while True:
                self.connection.recv(timeout=seconds)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
