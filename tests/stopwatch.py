"""Time that is counted only while this process could run, for bounds on what waits: a machine may stand still."""

import threading
import time
from types import TracebackType
from typing import Self

_STEP_SECONDS = 0.05


class Stopwatch:
    """`with Stopwatch() as watch:`; then `watch.total` is how long it took, and `watch.seconds` how long of it the
    process did not stand still.

    A thread wakes twenty times a second; what it slept longer than it asked for, nobody had.
    """

    def __init__(self) -> None:
        self.total = self.seconds = 0.0
        self._lost = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while True:
            began = time.monotonic()
            stopped = self._stopping.wait(_STEP_SECONDS)
            self._lost += max(0.0, time.monotonic() - began - _STEP_SECONDS)
            if stopped:
                return

    def __enter__(self) -> Self:
        self._thread.start()
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.total = time.monotonic() - self._began
        self._stopping.set()
        self._thread.join()
        self.seconds = self.total - self._lost
