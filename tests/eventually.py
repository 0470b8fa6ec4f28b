"""Waiting on a condition, never on the clock."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# How soon a process is up, or PostgreSQL has recovered, is nobody's promise.
START_SECONDS = 180


def eventually(probe: Callable[[], T], timeout: float = 10, interval: float = 0.05) -> T:
    """The first true value of `probe`. Raises AssertionError with the last one after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s; last value: {value!r}")
        time.sleep(interval)
    return value
