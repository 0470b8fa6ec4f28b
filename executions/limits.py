"""What a component may use, and what it used: limits of a pool process, its descendants, memory and CPU of an attempt.

Linux's /proc and prctl, since nothing less tells a component's daemons from other processes.
"""

import ctypes
import os
import resource
import signal
import time
from contextlib import suppress
from pathlib import Path

from django.conf import settings

_PR_SET_CHILD_SUBREAPER = 36
_MIB = 1024 * 1024
# More than this many above what the process began with, and it is replaced.
_LEAKED_FILES = 64
# What the engine may use beyond a component's limits.
_SPARE_FILES = 64
_SPARE_BYTES = 256 * _MIB

_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that none gets away (`setsid` or not)."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children(pid: int) -> list[int]:
    """The direct children of all threads of a process; empty if it is gone."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - ten times a second
        for thread in threads:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123
                found += map(int, file.read().split())
    except OSError:
        # It ended meanwhile.
        pass
    return found


def descendants(pid: int, limit: int = 100_000) -> list[int]:
    """All descendants of a process, parents first; stops at `limit`."""
    found: list[int] = []
    waiting = [pid]
    while waiting and len(found) < limit:
        below = children(waiting.pop())
        found += below
        waiting += below
    return found


def kill(pid: int) -> None:
    """SIGKILL, if the process is still there."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def end_strays(strays: list[int], seconds: float = 1.0) -> None:
    """Kill adopted processes with all below them, and reap those that are this process's children.

    What is stopped first cannot fork while the others are killed. Gives up after `seconds`; ask again then.
    """
    deadline = time.monotonic() + seconds
    for stray in strays:
        everyone = [stray, *descendants(stray)]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in everyone:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        with suppress(ChildProcessError):
            # waitpid(2) has no timeout, and one stuck in the kernel must not hold this process.
            while os.waitpid(stray, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
                time.sleep(0.001)
        if time.monotonic() > deadline:
            return


class PoolProcess:
    """The limits of this pool process, and its look at itself before and after each attempt."""

    def __init__(self) -> None:
        """Once in each pool process; lowers its limits for good."""
        adopt_orphans()
        _limit(resource.RLIMIT_CORE, 0, 0)
        self.hold(True)
        self._status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
        self._clear_refs = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
        self._first_free_file = _first_free_file()
        self.must_be_replaced = False

    def hold(self, strictly: bool) -> None:
        """Limit memory and files; less strictly after an attempt, so that one that used up all can be recorded."""
        files, memory = settings.COMPONENT_LIMITS["OPEN_FILES"], settings.COMPONENT_LIMITS["MEMORY_MB"] * _MIB
        _limit(resource.RLIMIT_NOFILE, files if strictly else files + _SPARE_FILES, files + _SPARE_FILES)
        # Not RLIMIT_AS: it counts address space that allocators and thread stacks only reserve.
        _limit(resource.RLIMIT_DATA, memory if strictly else memory + _SPARE_BYTES, memory + _SPARE_BYTES)

    def peak_memory_and_threads(self) -> tuple[int, int]:
        """Peak KiB since the last `reset_peak`, and the number of threads now."""
        text = os.pread(self._status, 8192, 0)
        return _number(text, b"VmHWM:"), _number(text, b"\nThreads:")

    def reset_peak(self) -> None:
        """Let the kernel count the peak anew (proc(5), clear_refs: 5)."""
        os.pwrite(self._clear_refs, b"5", 0)

    def look_back(self, threads_before: int) -> int:
        """After an attempt: its peak KiB. Marks the process for replacement if the attempt swelled or leaked."""
        peak, threads = self.peak_memory_and_threads()
        if threads > threads_before:
            # One that was just joined may still be leaving the kernel.
            time.sleep(0.002)
            threads = self.peak_memory_and_threads()[1]
        if (
            threads > threads_before
            or _first_free_file() > self._first_free_file + _LEAKED_FILES
            or peak > settings.COMPONENT_LIMITS["WORKER_MEMORY_MB"] * 1024
        ):
            self.must_be_replaced = True
        return peak


_process: PoolProcess | None = None


def install() -> None:
    """Limit this pool process; once, before its first task."""
    global _process  # noqa: PLW0603
    _process = PoolProcess()


def must_be_replaced() -> bool:
    """Whether this pool process should end before its next task."""
    return _process is not None and _process.must_be_replaced


class Meter:
    """Measures one attempt from where it is made; ends what processes the component left."""

    def __init__(self) -> None:
        self._cpu = time.thread_time() if _process is None else _cpu_seconds()
        self._threads = 0
        if _process is not None:
            _process.hold(True)
            _process.reset_peak()
            self._threads = _process.peak_memory_and_threads()[1]

    def stop(self) -> tuple[float, int]:
        """CPU seconds of the attempt with its processes, and its peak MiB.

        Of an attempt in a thread among others its own CPU, and no memory: what the process holds is everybody's.
        """
        if _process is None:
            return time.thread_time() - self._cpu, 0
        _process.hold(False)
        _end_children()
        return _cpu_seconds() - self._cpu, _process.look_back(self._threads) // 1024


def _end_children() -> None:
    """No process of an attempt outlives it, and those whose parents ended are this process's children by now."""
    # A file to read, where asking waitpid would do as well, but would reap what a component's own handler waits for.
    deadline = time.monotonic() + 5
    while (left := children(os.getpid())) and time.monotonic() < deadline:
        end_strays(left)


def _cpu_seconds() -> float:
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _first_free_file() -> int:
    """The lowest free descriptor: far cheaper than counting the open ones, and it rises with leaks."""
    number = os.dup(0)
    os.close(number)
    return number


def _limit(name: int, soft: int, hard: int) -> None:
    allowed = resource.getrlimit(name)[1]
    if allowed != resource.RLIM_INFINITY:
        soft, hard = min(soft, allowed), min(hard, allowed)
    resource.setrlimit(name, (soft, hard))


def _number(text: bytes, label: bytes) -> int:
    at = text.find(label)
    return int(text[at + len(label) :].split(None, 1)[0]) if at >= 0 else 0


def use_more_than(pids: list[int], limit_mb: int) -> bool:
    """Whether several processes together use more memory; what they share counts once."""
    page = resource.getpagesize()
    # The cheap sum counts shared pages in each; only where it says yes, the kernel is asked to divide them.
    if sum(_read_number(f"/proc/{pid}/statm", 1) for pid in pids) * page <= limit_mb * _MIB:
        return False
    return sum(_proportional_kib(pid) for pid in pids) > limit_mb * 1024


def _read_number(path: str, field: int) -> int:
    with suppress(OSError, IndexError, ValueError):
        return int(Path(path).read_text().split()[field])
    return 0


def _proportional_kib(pid: int) -> int:
    with suppress(OSError):
        return _number(Path(f"/proc/{pid}/smaps_rollup").read_bytes(), b"\nPss:")
    return 0
