"""Thousands of idle sockets of one process, which answer pings and do nothing else: `python -m … PORT COUNT`."""

import os
import resource
import selectors
import socket
import sys
from base64 import b64encode

_SECONDS = 30.0


def _opened(port: int, token: str) -> socket.socket:
    """A socket after its handshake."""
    opened = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
    opened.sendall(
        f"GET /api/v1/ws?token={token} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = opened.recv(4096)
        assert piece, "closed in the handshake"
        answer += piece
    assert b" 101 " in answer, answer[:200]
    return opened


def _answer_pings(selector: selectors.BaseSelector, wait: float) -> None:
    for key, _ in selector.select(wait):
        asked = key.fileobj
        assert isinstance(asked, socket.socket)
        data = asked.recv(4096)
        if not data:
            selector.unregister(asked)
        elif data[0] == 0x89:
            # The answer to a ping, masked with zeros.
            asked.sendall(bytes([0x8A, 0x80 | data[1]]) + b"\0\0\0\0" + data[2 : 2 + data[1]])


def _main(port: int, count: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    selector = selectors.DefaultSelector()
    for number in range(count):
        selector.register(_opened(port, os.environ["CROWD_TOKEN"]), selectors.EVENT_READ)
        if number % 50 == 0:
            _answer_pings(selector, 0)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        _answer_pings(selector, 1.0)


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]))
