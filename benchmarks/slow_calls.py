"""How long 64 HTTP calls of a second each take: in a worker of two processes, and in one of 64 threads beside it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from benchmarks.report import Figure, Report, show
from benchmarks.stack import CONCURRENCY, Stack, platform

CALLS = 64
RUNS = 5
_SECONDS = 1.0


@contextmanager
def slow_server() -> Iterator[str]:
    """The address of a server that answers after a second."""
    ports: list[int] = []
    up = threading.Event()
    loop = asyncio.new_event_loop()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(_SECONDS)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async def listen() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=256)
        ports.append(server.sockets[0].getsockname()[1])
        up.set()

    def serve() -> None:
        loop.run_until_complete(listen())
        loop.run_forever()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    up.wait()
    yield f"http://127.0.0.1:{ports[0]}/"
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def seconds(stack: Stack, url: str, runs: int) -> list[float]:
    """From before the POST to `completed`, after one to warm up."""
    call: dict[str, Any] = {"type": "http_request", "config": {"url": url, "method": "GET"}}
    workflow = stack.workflow("slow calls", [{"id": f"c{n}", **call} for n in range(CALLS)])
    return [stack.run(workflow) for _ in range(runs + 1)][1:]


def measure() -> Report:
    """Starts a platform for each case."""
    with slow_server() as url:
        with platform() as stack:
            processes = seconds(stack, url, 1)
        with platform(io_threads=CALLS) as stack:
            threads = seconds(stack, url, RUNS)
            memory = psutil.Process(stack.pids["io"]).memory_info().rss / 2**20
            with stack.database() as database:
                row = database.execute("SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL").fetchone()
            assert row is not None
    return Report(
        f"{CALLS} HTTP calls of a second each",
        f"{RUNS} runs after one to warm up (one run by processes); from before the POST to `completed`. Memory is the "
        "io worker's resident set afterwards, connections are those of the whole platform.",
        [
            Figure(f"a worker of {CONCURRENCY} processes", processes, "s"),
            Figure(f"a worker of {CALLS} threads for `io`", threads, "s", bar=2.5),
            Figure("its memory", [memory], "MiB"),
            Figure("connections to PostgreSQL", [float(row[0])], "", digits=0),
        ],
    )


if __name__ == "__main__":
    show(measure())
