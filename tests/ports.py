"""Ports for processes that a test starts."""

import secrets
import socket

# Below those that systems give to whoever connects somewhere (from 32768 on with Linux): none of the connections of
# other tests can be at it by the time that it is listened at.
_LOWEST, _HIGHEST = 15_000, 32_000


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has."""
    while True:
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        with socket.socket() as probe:
            # As servers do: what was closed a moment ago is no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
