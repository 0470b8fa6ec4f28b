"""Receivers of webhooks in a process of their own: each path is an endpoint, /dead never answers.

Tells on standard output its port, then each request that came: when (Unix seconds), path, id of the delivery.
"""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@dataclass(frozen=True)
class Arrival:
    """One request."""

    at: float
    path: str
    delivery_id: str


@dataclass
class FarEnd:
    """The running process, and what has come to it."""

    url: str
    arrivals: list[Arrival] = field(default_factory=list)


@contextmanager
def far_end() -> Iterator[FarEnd]:
    """It, listening."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.far_end"], stdout=subprocess.PIPE, text=True)
    lines = process.stdout
    assert lines is not None
    far = FarEnd(f"http://127.0.0.1:{int(lines.readline())}")

    def listen() -> None:
        for line in lines:
            at, path, delivery_id = line.split()
            far.arrivals.append(Arrival(float(at), path, delivery_id))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield far
    finally:
        process.terminate()
        process.wait()
        listener.join()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:

    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lines = head.split("\r\n")
    path = lines[0].split(" ")[1]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    await reader.readexactly(int(headers.get("content-length", 0)))
    print(f"{time.time():.4f} {path} {headers['webhook-id']}", flush=True)
    if path == "/dead":
        await asyncio.sleep(3600)
    writer.write(_ANSWER)
    await writer.drain()
    writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
