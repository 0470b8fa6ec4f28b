"""What live views cost and how fast they are: 200 subscribers, 1,000 idle sockets, and the engine watched by 50."""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil

from benchmarks.report import Figure, Report, percentile, show
from benchmarks.stack import Stack, chain, platform

SUBSCRIBERS, IDLE, WATCHERS = 200, 1000, 50
STEPS, STEP_SECONDS = 40, 0.05
ROUNDS = 5
# Chains in turn: this machine's speed drifts by more than what is looked for.
TURNS, CHAINS = 60, 8


class _Slow(BaseHTTPRequestHandler):
    """What each component asks, so that events come at the pace of real work."""

    def do_GET(self) -> None:
        time.sleep(STEP_SECONDS)  # the far end's work
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def _far_end() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


class Subscribers:
    """Connections of another process; `latencies` in milliseconds once they have been ended."""

    def __init__(self, stack: Stack, count: int, **data: str) -> None:
        self.latencies: list[float] = []
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.subscribers",
                str(stack.port),
                str(count),
                json.dumps(data) if data else "",
            ],
            env={**os.environ, "SUBSCRIBER_TOKEN": stack.token},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def end(self) -> None:
        """Hang up, and take what they saw."""
        out, _ = self._process.communicate(timeout=60)
        self.latencies = json.loads(out)


def _delays(stack: Stack) -> list[float]:
    """How late each of 200 subscribers of one execution was told of each event."""
    with _far_end() as url:
        steps = [{"id": f"c{n}", "type": "http_request", "config": {"url": url, "method": "GET"}} for n in range(STEPS)]
        gate = {"id": "gate", "type": "wait_for_signal", "config": {"signal": "go"}}
        links = [{"source": "gate", "target": "c0", "type": "success"}]
        links += [{"source": f"c{n}", "target": f"c{n + 1}", "type": "success"} for n in range(STEPS - 1)]
        workflow = stack.workflow("watched", [gate, *steps], links)
        client = stack.client()
        found: list[float] = []
        for _ in range(ROUNDS):
            execution = client.execute(workflow)
            subscribers = Subscribers(stack, SUBSCRIBERS, channel="execution", execution_id=execution)
            client.call("POST", f"/executions/{execution}/signals/go", {"data": None})
            with stack.database() as database:
                stack.wait_for(database, execution, 0.2)
            time.sleep(1)  # what is under way arrives, and is measured too
            subscribers.end()
            found += subscribers.latencies
        client.close()
    return found


def _idle_memory(stack: Stack) -> float:
    """MiB that 1,000 idle sockets add to the web process."""
    web = psutil.Process(stack.pids["web"])
    before = web.memory_full_info().uss
    subscribers = Subscribers(stack, IDLE)
    grown = web.memory_full_info().uss - before
    subscribers.end()
    return float(grown) / 2**20


def _chains(stack: Stack) -> list[float]:
    """Milliseconds of chains of 40, in turn without and with 50 who watch the workflow; the ratios of the medians."""
    workflow = stack.workflow("chain, watched", *chain(40))
    client = stack.client()
    for _ in range(3):
        stack.run(workflow, client)
    ratios = []
    for _ in range(TURNS):
        alone = statistics.median(stack.run(workflow, client) for _ in range(CHAINS))
        subscribers = Subscribers(stack, WATCHERS, channel="workflow", workflow_id=workflow)
        watched = statistics.median(stack.run(workflow, client) for _ in range(CHAINS))
        subscribers.end()
        ratios.append(watched / alone)
    client.close()
    return ratios


def measure(stack: Stack) -> Report:
    """Needs a platform."""
    delays = _delays(stack)
    return Report(
        "Live views",
        f"{SUBSCRIBERS} subscribers of one execution of {STEPS} requests of {STEP_SECONDS * 1000:.0f} ms in a row, "
        f"{ROUNDS} times, {len(delays):,} messages: from the row's time, which is before its commit, to the client's "
        f"read. {IDLE:,} sockets without a subscription. Chains of 40 light components, {CHAINS} alone and {CHAINS} "
        f"watched by {WATCHERS} subscribers of the workflow, in turn, {TURNS} times. The clients, one process, share "
        "the machine's two cores.",
        [
            Figure("row to received, p50", [min(delays), percentile(delays, 50), max(delays)], "ms", bar=15),
            Figure("row to received, p99", [min(delays), percentile(delays, 99), max(delays)], "ms", bar=100),
            Figure("memory of 1,000 idle sockets", [_idle_memory(stack)], "MiB", bar=150),
            Figure("chain of 40 watched by 50, of alone", _chains(stack), "", bar=1.05, digits=3),
        ],
    )


if __name__ == "__main__":
    with platform() as running:
        show(measure(running))
