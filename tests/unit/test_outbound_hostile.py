"""Slow and hostile peers: the deadline and the caps hold, and what was open is closed."""

import contextlib
import gzip
import itertools
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.outbound import OutboundError, OutboundPolicy, checked_addresses
from tests.stand_ins import unreachable_port
from tests.stopwatch import Stopwatch
from tests.unit.outbound_peers import fetch, peer, redirect, response

HEAD = b"HTTP/1.1 200 OK\r\n"


def failure(url: str, method: str = "GET", **options: Any) -> tuple[OutboundError, Stopwatch]:
    with Stopwatch() as watch, pytest.raises(OutboundError) as caught:
        fetch(url, method, **options)
    return caught.value, watch


def drip(data: bytes, every_seconds: float = 0.05) -> Callable[[socket.socket], None]:
    """Send one byte at a time, each well within any timeout per read."""

    def play(connection: socket.socket) -> None:
        gone = threading.Event()
        for number in itertools.count():
            connection.sendall(data[number : number + 1] or b"x")
            gone.wait(every_seconds)

    return play


def stall(connection: socket.socket) -> None:
    """Say nothing until the client hangs up."""
    with contextlib.suppress(OSError):
        while connection.recv(65536):
            pass


def endless(first: bytes, then: Callable[[], Iterator[bytes]]) -> Callable[[socket.socket], None]:
    def play(connection: socket.socket) -> None:
        connection.sendall(first)
        for data in then():
            connection.sendall(data)

    return play


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def reset_in_body(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 100\r\n\r\nabc")
    reset(connection)


@pytest.mark.parametrize(
    "answer",
    [
        stall,
        drip(HEAD + b"Content-Length: 1000\r\n\r\n"),
        drip(HEAD + b"X-Long: "),
        endless(HEAD + b"Content-Length: 1000\r\n\r\n", lambda: iter(())),
    ],
    ids=["silent", "one byte at a time", "endless header one byte at a time", "ends early"],
)
def test_deadline_is_for_the_whole_call(answer: Callable[[socket.socket], None]) -> None:
    def play(connection: socket.socket) -> None:
        answer(connection)
        stall(connection)

    with peer(play) as far:
        error, watch = failure(far.url(), timeout_seconds=0.6)
    assert (error.kind, error.permanent) == ("timeout", False)
    assert str(error) == "no full answer within 0.6 s: 127.0.0.1"
    assert watch.total >= 0.6
    assert watch.seconds < 1.5
    assert error.bytes_sent == len(far.requests[0])


def test_deadline_spans_redirects() -> None:
    def slow_redirect(connection: socket.socket) -> None:
        threading.Event().wait(0.25)
        connection.sendall(redirect("/again"))

    with peer(slow_redirect) as far:
        error, watch = failure(far.url(), timeout_seconds=0.6)
    assert error.kind == "timeout"
    assert watch.seconds < 1.5


def test_deadline_covers_the_tls_handshake() -> None:
    with peer(stall, read_request=False) as far:
        error, watch = failure(far.url().replace("http:", "https:"), timeout_seconds=0.4)
    assert error.kind == "timeout"
    assert watch.seconds < 1.5


def test_deadline_covers_an_upload_that_nobody_reads() -> None:
    def never_read(_: socket.socket) -> None:
        done.wait(10)

    done = threading.Event()
    with peer(never_read, read_request=False) as far:
        error, watch = failure(far.url(), "POST", body=b"x" * 30_000_000, timeout_seconds=0.6)
        done.set()
    assert error.kind == "timeout"
    assert 0 < error.bytes_sent < 30_000_000
    assert watch.seconds < 2


@pytest.mark.parametrize("ask", ["send", "checked_addresses"])
def test_deadline_covers_a_lookup_that_hangs(ask: str) -> None:
    def hanging(*_: Any, **__: Any) -> Any:
        done.wait(10)
        raise socket.gaierror

    done = threading.Event()
    with Stopwatch() as watch, pytest.raises(OutboundError) as caught:
        if ask == "send":
            fetch("http://slow.example/", timeout_seconds=0.4, resolver=hanging)
        else:
            checked_addresses("slow.example", 5432, policy=OutboundPolicy(), timeout_seconds=0.4, resolver=hanging)
    assert caught.value.kind == "timeout"
    assert watch.seconds < 1.5
    done.set()


def let_go_after(seconds: float) -> Callable[[], None]:
    """A progress hook that ends the call after so long."""
    until = time.monotonic() + seconds

    def hook() -> None:
        if time.monotonic() > until:
            raise CancelledError

    return hook


def test_a_lookup_that_hangs_is_let_go_of() -> None:
    def hanging(*_: Any, **__: Any) -> Any:
        done.wait(10)
        raise socket.gaierror

    done = threading.Event()
    with Stopwatch() as watch, pytest.raises(CancelledError):
        checked_addresses(
            "slow.example", 5432, policy=OutboundPolicy(), timeout_seconds=10, resolver=hanging,
            on_progress=let_go_after(0.3),
        )  # fmt: skip
    assert watch.seconds < 1.5
    done.set()


def test_a_connection_that_nobody_takes_is_let_go_of() -> None:
    with unreachable_port() as port:
        with Stopwatch() as watch, pytest.raises(CancelledError):
            fetch(f"http://127.0.0.1:{port}/", timeout_seconds=30, on_progress=let_go_after(0.3))
        assert watch.seconds < 1.5


ENDLESS_HINTS = itertools.repeat(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 20)
MANY_HEADERS = HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(257)) + b"\r\n"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (endless(HEAD, lambda: (b"X-%d: y\r\n" % number for number in itertools.count())), "headers are too large"),
        (endless(HEAD + b"X: ", lambda: itertools.repeat(b"y" * 1000)), "headers are too large"),
        (endless(b"", lambda: ENDLESS_HINTS), "answer is too large"),
        (MANY_HEADERS, "too many headers"),
    ],
    ids=["endless headers", "endless header", "endless interim answers", "257 headers"],
)
def test_head_of_the_answer_is_bounded(answer: Any, message: str) -> None:
    with peer(answer) as far:
        error, _ = failure(far.url(), max_response_bytes=1000)
    assert (error.kind, error.permanent) == ("too_large", True)
    assert message in str(error)
    assert error.bytes_received < 1_000_000


@pytest.mark.parametrize(
    "answer",
    [
        response(b"x" * 1001),
        endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", lambda: itertools.repeat(b"4\r\nwxyz\r\n")),
        endless(HEAD + b"\r\n", lambda: itertools.repeat(b"x" * 5000)),
        response(gzip.compress(b"x" * 1001), Content_Encoding="gzip"),
    ],
    ids=["one byte over", "endless chunks", "endless without length", "one byte over when unpacked"],
)
def test_body_over_the_cap_is_too_large(answer: Any) -> None:
    with peer(answer) as far:
        error, _ = failure(far.url(), max_response_bytes=1000)
    assert (error.kind, error.permanent) == ("too_large", True)
    assert str(error) == "answer is over 1000 bytes: 127.0.0.1"


def test_body_at_the_cap_is_read() -> None:
    with peer(response(b"x" * 1000), response(gzip.compress(b"x" * 1000), Content_Encoding="gzip")) as far:
        assert len(fetch(far.url(), max_response_bytes=1000).body) == 1000
        assert len(fetch(far.url(), max_response_bytes=1000).body) == 1000


def test_compression_bomb_is_not_unpacked_beyond_the_cap() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    with peer(response(bomb, Content_Encoding="gzip")) as far:
        tracemalloc.start()
        error, _ = failure(far.url(), max_response_bytes=500_000)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert error.kind == "too_large"
    assert peak < 4_000_000


@pytest.mark.parametrize("answer", [reset, reset_in_body, b""], ids=["at once", "in the body", "hangs up"])
def test_broken_connection_is_no_answer(answer: Any) -> None:
    with peer(answer) as far:
        error, _ = failure(far.url())
    assert (error.kind, error.permanent) == ("connect", False)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6 secret-banner\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Length: 20\r\n\r\n0123456789",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_unsound_answer_is_a_protocol_error_that_repeats_none_of_it(answer: bytes) -> None:
    with peer(answer) as far:
        error, _ = failure(far.url())
    assert (error.kind, error.permanent, str(error)) == ("protocol", False, "answer is not sound HTTP: 127.0.0.1")


class CancelledError(OSError):
    """What a caller's hook raises; an OSError, so that it can't be mistaken for the socket's."""


@pytest.mark.parametrize("read_request", [True, False], ids=["while reading", "while writing"])
def test_hook_ends_a_call_that_waits(read_request: bool) -> None:
    def cancel_later() -> None:
        if time.monotonic() > started + 0.3:
            raise CancelledError

    def wait(connection: socket.socket) -> None:
        if read_request:
            stall(connection)
        else:
            done.wait(10)

    done = threading.Event()
    body = b"" if read_request else b"x" * 30_000_000
    with peer(wait, read_request=read_request) as far:
        started = time.monotonic()
        with Stopwatch() as watch, pytest.raises(CancelledError):
            fetch(far.url(), "POST", body=body, timeout_seconds=30, on_progress=cancel_later)
        assert watch.seconds < 1.5
        done.set()


def test_hook_is_told_of_each_chunk() -> None:
    calls = itertools.count()
    with peer(response(b"x" * 900_000)) as far:
        fetch(far.url(), on_progress=lambda: (next(calls), None)[1])
    assert next(calls) > 900_000 // 65536
