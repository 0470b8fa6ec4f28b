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

_TIMESTAMP = re.compile(rb'"timestamp":"([^"]+)"')


class Subscriber(asyncio.Protocol):
    """One connection; keeps when messages came and the bytes in which they say when they were true."""

    def __init__(self, token: str, subscribe: bytes | None) -> None:
        self.ready = asyncio.get_running_loop().create_future()
        self.came: list[tuple[float, bytes]] = []
        self.refused = b""
        self._token, self._subscribe = token, subscribe
        self._buffer = b""
        self._shook_hands = False
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
        now = time.time()
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
            else:
                self._transport.write(_masked(self._subscribe))
        while (frame := self._frame()) is not None:
            opcode, payload = frame
            if opcode == 9:
                self._transport.write(bytes([0x8A, 0x80 | len(payload)]) + b"\0\0\0\0" + payload)
            elif opcode == 1 and not self.ready.done():
                if b'"subscribed"' in payload:
                    self.ready.set_result(None)
                else:
                    self.ready.set_exception(AssertionError(payload[:300]))
            elif opcode == 1:
                self.came.append((now, payload))
            else:
                self.refused = payload

    def _frame(self) -> tuple[int, bytes] | None:
        """The next whole frame of the server's, which are not masked."""
        if len(self._buffer) < 2:
            return None
        length, start = self._buffer[1], 2
        if length == 126:
            length, start = int.from_bytes(self._buffer[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(self._buffer[2:10], "big"), 10
        if len(self._buffer) < start + length:
            return None
        opcode, payload = self._buffer[0] & 15, self._buffer[start : start + length]
        self._buffer = self._buffer[start + length :]
        return opcode, payload


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
    latencies: list[float] = []
    for subscriber in subscribers:
        assert not subscriber.refused, subscriber.refused
        for came, message in subscriber.came:
            match = _TIMESTAMP.search(message)
            # An update says where the execution is, not when something happened.
            if match and b"-progress" not in message[:120]:
                latencies.append((came - datetime.fromisoformat(match[1].decode()).timestamp()) * 1000)
    json.dump(latencies, sys.stdout)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), os.environ["SUBSCRIBER_TOKEN"], int(sys.argv[2]), sys.argv[3]))
