"""A WebSocket client for tests: JSON messages in and out, and how the server closed."""

from __future__ import annotations

import json
import secrets
import socket
import struct
from collections.abc import Iterator
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

    def send(self, type_: str, message_id: str = "m1", /, **data: Any) -> None:
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

    def until_closed(self, seconds: float = SECONDS) -> tuple[list[Any], int | None]:
        """The messages before the end, and the code that the server closes with. Raises TimeoutError."""
        found: list[Any] = []
        try:
            while True:
                found.append(json.loads(self.connection.recv(timeout=seconds)))
        except ConnectionClosed as closed:
            return found, closed.rcvd.code if closed.rcvd else None

    def close_code(self, seconds: float = SECONDS) -> int | None:
        """The same without the messages."""
        return self.until_closed(seconds)[1]

    def cut(self) -> None:
        """Be gone without a word, as when the network is."""
        self.connection.socket.shutdown(socket.SHUT_RDWR)


class RawSocket:
    """A connection whose frames are made and read by hand: it answers no ping, and reads only when it is told to."""

    def __init__(self, port: int, token: str, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(SECONDS)
        self.socket.connect(("127.0.0.1", port))
        lines = [
            f"GET /api/v1/ws?token={token} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Extensions: permessage-deflate",
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.file = self.socket.makefile("rb", buffering=65536)
        self.head = b"".join(iter(self.file.readline, b"\r\n")).decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, opcode: int, payload: bytes, *, last: bool = True) -> None:
        """One masked frame."""
        mask = secrets.token_bytes(4)
        short, length = len(payload), b""
        if short > 125:
            short, length = (126, struct.pack("!H", short)) if short < 2**16 else (127, struct.pack("!Q", short))
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if len(payload) < 2**16 else payload
        self.socket.sendall(bytes([opcode | 0x80 * last, short | 0x80]) + length + mask + masked)

    def say(self, type_: str, **data: object) -> None:
        """A text message."""
        self.send(1, json.dumps({"type": type_, "id": "r1", "data": data}).encode())

    def receive(self, seconds: float = SECONDS) -> dict[str, Any]:
        """The next message. Raises TimeoutError, after which nothing can be read any more."""
        self.socket.settimeout(seconds)
        opcode, payload = next(frame for frame in self._frames() if frame[0] not in {9, 10})
        assert opcode == 1
        found = json.loads(payload)
        assert isinstance(found, dict)
        return found

    def close_code(self) -> int | None:
        """Reads up to the close frame; its code, None where the connection was cut."""
        for opcode, payload in self._frames():
            if opcode == 8:
                return int.from_bytes(payload[:2])
        return None

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        try:
            while head := self.file.read(2):
                length = head[1]
                if length >= 126:
                    length = int.from_bytes(self.file.read(2 if length == 126 else 8), "big")
                yield head[0] & 0xF, self.file.read(length)
        except ConnectionResetError:
            return


def row_messages(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are rows of the ledger, without the updates on how far an execution is."""
    return [found for found in messages if not found["id"].endswith("-progress")]
