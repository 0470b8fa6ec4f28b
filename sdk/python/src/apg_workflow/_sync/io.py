"""What differs between threads and asyncio; `_async/io.py` has the same names."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from threading import Lock

import httpx
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection, connect

from apg_workflow.errors import ConnectionFailedError

HttpClient = httpx.Client
HttpTransport = httpx.BaseTransport
__all__ = ["HttpClient", "HttpTransport", "Lock", "Socket", "SocketClosedError", "sleep"]


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


class SocketClosedError(ConnectionFailedError):
    """The connection ended; with this code where the server gave one."""

    def __init__(self, close_code: int | None) -> None:
        super().__init__("The connection was lost" if close_code is None else f"The server hung up ({close_code})")
        self.close_code = close_code


class Socket:
    """One WebSocket connection."""

    def __init__(self, connection: ClientConnection, stack: contextlib.ExitStack) -> None:
        self._connection = connection
        self._stack = stack

    @classmethod
    def open(cls, address: str, headers: Mapping[str, str], *, timeout: float) -> Socket:
        """Raises ConnectionFailedError."""
        stack = contextlib.ExitStack()
        try:
            found = stack.enter_context(
                connect(address, additional_headers=headers, open_timeout=timeout, max_size=None)
            )
        except (OSError, InvalidHandshake, InvalidURI, EOFError) as error:
            raise ConnectionFailedError(f"No WebSocket connection: {error}") from error
        return cls(found, stack)

    def send(self, text: str) -> None:
        """Raises SocketClosedError."""
        try:
            self._connection.send(text)
        except ConnectionClosed as closed:
            raise SocketClosedError(closed.rcvd.code if closed.rcvd else None) from closed

    def receive(self, timeout: float | None) -> str:
        """The next message. Raises TimeoutError and SocketClosedError."""
        try:
            found = self._connection.recv(timeout)
        except ConnectionClosed as closed:
            raise SocketClosedError(closed.rcvd.code if closed.rcvd else None) from closed
        return found if isinstance(found, str) else found.decode()

    def close(self) -> None:
        """Hang up; once more does nothing."""
        with contextlib.suppress(OSError):
            self._stack.close()
