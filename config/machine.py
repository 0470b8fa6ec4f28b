"""How busy this machine is: CPU, memory, disk, each 0.0–1.0."""

import time
from pathlib import Path
from threading import Lock

import psutil
from django.conf import settings

_WINDOW_SECONDS = 1.0


class _CpuMeter:
    """CPU in use since the last look, over a second at least: shorter windows show mostly the one who asks."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._at, self._busy, self._total = 0.0, 0.0, 0.0
        self._usage = 0.0
        self._look()

    def usage(self) -> float:
        """0.0–1.0 of all cores."""
        with self._lock:
            if time.monotonic() - self._at >= _WINDOW_SECONDS:
                self._look()
            return self._usage

    def _look(self) -> None:
        times = psutil.cpu_times()
        # Of Linux's columns guest time is in user time already.
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        busy = total - times.idle - getattr(times, "iowait", 0.0)
        if total > self._total:
            # Linux's times of idling may go back (proc(5)): more than all can seem busy, or less than none.
            self._usage = round(min(max((busy - self._busy) / (total - self._total), 0.0), 1.0), 4)
        self._at, self._busy, self._total = time.monotonic(), busy, total


# From the start of the process (at first: of the machine) to the first look, and so on.
_cpu = _CpuMeter()


def cpu_usage() -> float:
    """Of all cores, since the last time that somebody asked."""
    return _cpu.usage()


def memory_usage() -> float:
    """Of the machine's memory, what is not available."""
    return round(float(psutil.virtual_memory().percent) / 100, 4)


def disk_usage() -> float:
    """Of the disk that the data folder is on, or will be."""
    folder: Path = settings.DATA_DIR
    while not folder.exists():
        folder = folder.parent
    return round(float(psutil.disk_usage(str(folder)).percent) / 100, 4)
