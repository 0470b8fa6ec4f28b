"""What differs between asyncio and threads; `_sync/io.py` has the same names."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import Lock
from collections.abc import Mapping

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from apg_workflow.errors import ConnectionFailedError

HttpClient = httpx.AsyncClient
HttpTransport = httpx.AsyncBaseTransport
__all__ = ["HttpClient", "HttpTransport", "Lock", "Socket", "SocketClosedError", "sleep"]


async def sleep(seconds: float) -> None:
    """Wait."""
    await asyncio.sleep(seconds)


class SocketClosedError(ConnectionFailedError):
    """The connection ended; with this code where the server gave one."""

    def __init__(self, close_code: int | None) -> None:
        super().__init__("The connection was lost" if close_code is None else f"The server hung up ({close_code})")
        self.close_code = close_code


class Socket:
    """One WebSocket connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, address: str, headers: Mapping[str, str], *, timeout: float) -> Socket:
        """Raises ConnectionFailedError."""
        try:
            found = await connect(address, additional_headers=headers, open_timeout=timeout, max_size=None)
        except (asyncio.TimeoutError, OSError, InvalidHandshake, InvalidURI, EOFError) as error:
            raise ConnectionFailedError(f"No WebSocket connection: {error}") from error
        return cls(found)

    async def send(self, text: str) -> None:
        """Raises SocketClosedError."""
        try:
            await self._connection.send(text)
        except ConnectionClosed as closed:
            raise SocketClosedError(closed.rcvd.code if closed.rcvd else None) from closed

    async def receive(self, timeout: float | None) -> str:
        """The next message. Raises TimeoutError and SocketClosedError."""
        try:
            found = await asyncio.wait_for(self._connection.recv(), timeout)
        except asyncio.TimeoutError:
            # Before Python 3.11 that is another class.
            raise TimeoutError from None
        except ConnectionClosed as closed:
            raise SocketClosedError(closed.rcvd.code if closed.rcvd else None) from closed
        return found if isinstance(found, str) else found.decode()

    async def close(self) -> None:
        """Hang up; once more does nothing."""
        with contextlib.suppress(OSError):
            await self._connection.close()
