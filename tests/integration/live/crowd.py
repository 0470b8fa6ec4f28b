"""Thousands of idle sockets of one process, which answer pings and do nothing else: `python -m … PORT COUNT`."""

import asyncio
import os
import resource
import sys
from base64 import b64encode

_AT_ONCE = 50


class _Idle(asyncio.Protocol):
    def __init__(self, token: str) -> None:
        self.ready = asyncio.get_running_loop().create_future()
        self._token = token
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /api/v1/ws?token={self._token} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if not self.ready.done():
            assert b" 101 " in data, data[:200]
            self.ready.set_result(None)
        elif data[0] == 0x89:
            # A ping; its answer is masked with zeros.
            self._transport.write(bytes([0x8A, 0x80 | data[1]]) + b"\0\0\0\0" + data[2 : 2 + data[1]])

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("closed in the handshake"))


async def _main(port: int, count: int) -> None:
    token, loop = os.environ["CROWD_TOKEN"], asyncio.get_running_loop()
    turns = asyncio.Semaphore(_AT_ONCE)

    async def open_one() -> None:
        async with turns:
            _, idle = await loop.create_connection(lambda: _Idle(token), "127.0.0.1", port)
            await idle.ready

    await asyncio.gather(*(open_one() for _ in range(count)))
    await asyncio.Event().wait()


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
