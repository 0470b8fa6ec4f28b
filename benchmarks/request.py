"""What a request costs: GET of one workflow, and a bare DRF view on the same web process beside it, in requests/s."""

import re
import socket
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.report import Figure, Report, show
from benchmarks.stack import Stack, chain, platform

CONNECTIONS = 4
SECONDS = 2.0
ROUNDS = 9
WARM_UP = 2
BAR = 250
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def measure(stack: Stack) -> Report:
    """Needs a platform whose address `/bare` is the bare view (`benchmarks.settings`)."""
    workflow = stack.workflow("read", *chain(4))
    ours: list[float] = []
    bare: list[float] = []
    for round_ in range(WARM_UP + ROUNDS):
        # In turn: the machine's speed drifts.
        rates = _rate(stack, f"/api/v1/workflows/{workflow}"), _rate(stack, "/bare")
        if round_ >= WARM_UP:
            for samples, rate in zip((ours, bare), rates, strict=True):
                samples.append(rate)
    ratio = statistics.median(ours) / statistics.median(bare)
    return Report(
        "Requests to one web process",
        f"{ROUNDS} rounds of {SECONDS:.0f} s each after {WARM_UP} to warm up, in turn, over {CONNECTIONS} keep-alive "
        f"connections. GET of a workflow of 4 components, with authentication, throttle and envelope, reaches "
        f"{ratio:.2f} of what a bare DRF view without any of these, and without a query, reaches on the same process.",
        [
            Figure("GET one workflow", ours, "/s", bar=BAR, more_is_better=True),
            Figure("bare DRF view", bare, "/s"),
        ],
    )


def _rate(stack: Stack, path: str) -> float:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{stack.port}\r\nAuthorization: Bearer {stack.token}\r\n\r\n"
    ).encode()
    until = time.perf_counter() + SECONDS
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        started = time.perf_counter()
        done = sum(pool.map(lambda _: _ask(stack.port, request, until), range(CONNECTIONS)))
        return done / (time.perf_counter() - started)


def _ask(port: int, request: bytes, until: float) -> int:
    """Ask again and again until then; how often. Barely parses: the client must not take the server's CPU."""
    count = 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while time.perf_counter() < until:
            connection.sendall(request)
            answer = connection.recv(65536)
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), answer
            length = _LENGTH.search(head)
            assert length is not None, head
            missing = int(length[1]) - len(body)
            while missing > 0:
                missing -= len(connection.recv(65536))
            count += 1
    return count


if __name__ == "__main__":
    with platform() as running:
        show(measure(running))
