"""Many subscribers in one process: when each message came after it was true. Run by `benchmarks.live`.

Sockets by hand, and no message is parsed: the clients share the machine with what is measured.
"""

import asyncio
import json
import os
import re
import sys
import time
from base64 import b64encode
from datetime import datetime
from typing import Any

import uvloop

_TIMESTAMP = re.compile(rb'"timestamp":"([^"]+)"')


class Subscriber(asyncio.Protocol):
    """One connection; once it is ready it keeps what comes, and when, and looks at it in the end.

    No ping is answered: the server's first comes after twenty seconds.
    """

    def __init__(self, token: str, subscribe: bytes | None) -> None:
        self.ready = asyncio.get_running_loop().create_future()
        self._came: list[tuple[float, bytes]] = []
        self._token, self._subscribe = token, subscribe
        self._buffer = b""
        self._shook_hands = False

    def connection_made(self, transport: Any) -> None:
        # uvloop's is no asyncio.Transport.
        self._transport: asyncio.WriteTransport = transport
        key = b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /api/v1/ws?token={self._token} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if self.ready.done():
            self._came.append((time.time(), data))
            return
        self._buffer += data
        if not self._shook_hands:
            head, found, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            assert b" 101 " in head, head
            self._shook_hands = True
            if self._subscribe is None:
                self.ready.set_result(None)
                return
            self._transport.write(_masked(self._subscribe))
        answer, self._buffer = _frame(self._buffer)
        if answer is None:
            return
        if b'"subscribed"' in answer:
            self.ready.set_result(None)
        else:
            self.ready.set_exception(AssertionError(answer[:300]))

    def latencies(self) -> list[float]:
        """Milliseconds from when each event was true until the last byte of its message had come."""
        found: list[float] = []
        for came, data in self._came:
            self._buffer += data
            while True:
                message, self._buffer = _frame(self._buffer)
                if message is None:
                    break
                match = _TIMESTAMP.search(message)
                # An update says where the execution is, not when something happened.
                if match and b"-progress" not in message[:120]:
                    found.append((came - datetime.fromisoformat(match[1].decode()).timestamp()) * 1000)
        return found


def _frame(data: bytes) -> tuple[bytes | None, bytes]:
    """The first whole message of a server's, which are not masked, and what follows it."""
    if len(data) < 2:
        return None, data
    length, start = data[1], 2
    if length == 126:
        length, start = int.from_bytes(data[2:4], "big"), 4
    elif length == 127:
        length, start = int.from_bytes(data[2:10], "big"), 10
    if len(data) < start + length:
        return None, data
    assert data[0] == 0x81, data[:300]
    return data[start : start + length], data[start + length :]


def _masked(text: bytes) -> bytes:
    length = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + len(text).to_bytes(2, "big")
    # A mask of zeros is one, too.
    return b"\x81" + length + b"\0\0\0\0" + text


async def _main(port: int, token: str, count: int, data: str) -> None:
    subscribe = json.dumps({"type": "subscribe", "id": "s", "data": json.loads(data)}).encode() if data else None
    loop = asyncio.get_running_loop()
    subscribers = []
    for _ in range(count):
        _, subscriber = await loop.create_connection(lambda: Subscriber(token, subscribe), "127.0.0.1", port)
        await subscriber.ready
        subscribers.append(subscriber)
    print("ready", flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    latencies = [latency for subscriber in subscribers for latency in subscriber.latencies()]
    json.dump(latencies, sys.stdout)


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1]), os.environ["SUBSCRIBER_TOKEN"], int(sys.argv[2]), sys.argv[3]))
