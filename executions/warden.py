"""The warden: a thread of the worker's parent that kills what does not stop by itself, and asks no database.

Ten times a second it looks at the worker's board: components past their deadline, told to let go and not letting
go, with too many processes or too much memory; leases that cannot be renewed; processes that outlived their
component. Why it killed is left for the keeper, which records it.
"""

import ctypes
import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import psutil
from django.conf import settings

from core import alive
from core.errors import ErrorCode
from executions import limits, pool
from executions.interrupts import Board, Doing
from executions.transitions.statements import RunKey

logger = logging.getLogger(__name__)

_SHUT_RDWR = 2
_libc = ctypes.CDLL(None)


class Verdict(Enum):
    """What becomes of the run of a process that was killed: another attempt, or a failure by its own doing."""

    RELEASE = "release"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Killed:
    """Why a process was killed, and in which run."""

    run_id: str
    verdict: Verdict
    message: str
    code: ErrorCode = ErrorCode.COMPONENT_ERROR
    at: float = field(default_factory=time.monotonic)


class Warden(threading.Thread):
    """Looks until stopped; a look that fails is logged and the next one tries again."""

    def __init__(self, board: Board) -> None:
        super().__init__(name="warden", daemon=True)
        self.stopping = threading.Event()
        self.verdicts: dict[int, Killed] = {}
        # What started in an outage cannot know of it.
        board.leases = time.monotonic(), time.monotonic()
        self.has_renewed = False
        self._board = board
        self._keeper: threading.Thread | None = None
        self._known = set(pool.strays())
        self._told: dict[tuple[int, str, int], float] = {}
        self._drain_until: float | None = None
        self._tick_began: float | None = None
        self._wrapper: Any = None

    # What the keeper and the signal handlers say; single assignments, which need no lock.

    def watch(self, keeper: threading.Thread) -> None:
        """End the worker if this thread ends before it should."""
        self._keeper = keeper

    @property
    def renewed_at(self) -> float:
        """When the leases began to run."""
        return self._board.leases[0]

    def renewed(self, asked_at: float) -> None:
        """The leases run from this moment."""
        renewed_at, back_at = self._board.leases
        if asked_at > renewed_at + _lease_is_lost_after():
            back_at = time.monotonic()
        self._board.leases = asked_at, back_at
        self.has_renewed = True

    def tick_began(self, wrapper: Any) -> None:
        """The keeper waits for answers on this database connection from now on."""
        self._wrapper = wrapper
        self._tick_began = time.monotonic()
        if not self.is_alive() and self.ident is not None and not self.stopping.is_set():
            die("The warden ended")

    def tick_ended(self) -> None:
        """The keeper got its answers."""
        self._tick_began = None

    def drain(self) -> None:
        """Components may go on for DRAIN_SECONDS; what still runs then is told to let go."""
        if self._drain_until is None:
            self._drain_until = time.monotonic() + settings.ENGINE["DRAIN_SECONDS"]

    def let_go(self, doing: Doing, grace_seconds: float) -> None:
        """Interrupt an attempt, and kill its process if it is still in it after the grace."""
        key = (doing.pid, doing.run_id, doing.attempt)
        if key not in self._told:
            self._told[key] = time.monotonic() + grace_seconds
            self._tell(doing)

    def _tell(self, doing: Doing) -> None:
        self._board.interrupt(doing)

    def forget(self, holding: set[int]) -> None:
        """Drop the verdicts on processes that hold nothing any more; not at once, for what they asked for last, and
        what the keeper asked before the verdict, may be answered later.
        """
        before = time.monotonic() - 2 * settings.ENGINE["LEASE_SECONDS"]
        for pid, killed in list(self.verdicts.items()):
            if pid not in holding and max(killed.at, self._board.leases[1]) < before:
                del self.verdicts[pid]

    def capacity(self) -> int:
        """How many components the worker runs at once."""
        return len(pool.pids())

    def lives(self, pid: int, key: RunKey) -> bool:
        """Whether a process that holds a run may still end it."""
        try:
            return bool(psutil.Process(pid).status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})
        except psutil.NoSuchProcess:
            return False

    # The look.

    def run(self) -> None:
        while not self.stopping.wait(settings.ENGINE["LOOK_SECONDS"]):
            try:
                alive.touch()
                self.look()
            except Exception:
                logger.exception("Warden failed", extra={"action": "warden_failed"})
        self._end_strays()

    def look(self) -> None:
        """See to every process once."""
        now = time.monotonic()
        if self._keeper is not None and not self._keeper.is_alive() and not self.stopping.is_set():
            die("The keeper ended")
        working = self._working()
        current = {(doing.pid, doing.run_id, doing.attempt) for doing in working}
        self._told = {key: at for key, at in self._told.items() if key in current}
        for doing in working:
            self._look_at(doing, now)
        self._look_at_keeper(now)
        self._end_strays()

    def _working(self) -> list[Doing]:
        mine = pool.pids()
        return [doing for doing in self._board.working() if doing.pid in mine]

    def _look_at(self, doing: Doing, now: float) -> None:
        kill_seconds = settings.ENGINE["KILL_SECONDS"]
        # A claim brings a lease of its own: what was claimed since, after an outage most likely, is none of those lost.
        if now > max(self.renewed_at, doing.task_since) + _lease_is_lost_after():
            return self._lease_lost(doing)
        if self._drain_until is not None and now > self._drain_until:
            self.let_go(doing, kill_seconds)
        if now > self._told.get((doing.pid, doing.run_id, doing.attempt), now):
            return self._kill(doing, Verdict.RELEASE, "It did not let go when told to; trying again")
        if not doing.run_id:
            # While PostgreSQL is away, there is nothing else that it could do.
            if now > max(doing.task_since, self._board.leases[1]) + settings.ENGINE["STUCK_SECONDS"]:
                if self._board.read(doing.place) != doing:
                    return None
                # Left to the keeper without a verdict, so it counts as a crash: it must not go on for ever.
                logger.error("Ending %s: it is stuck outside of a component", doing.pid)
                self._end(doing)
            return None
        if doing.deadline and now > doing.deadline + kill_seconds:
            # As when the deadline was raised in it: the same message.
            return self._kill(doing, Verdict.FAIL, "Timed out, and was killed", ErrorCode.TIMEOUT_ERROR)
        return self._look_below(doing)

    def _lease_lost(self, doing: Doing) -> None:
        self._kill(doing, Verdict.RELEASE, "Its lease could not be renewed; trying again")

    def _look_below(self, doing: Doing) -> None:
        """The processes that a component started."""
        most = settings.COMPONENT_LIMITS["PROCESSES"]
        below = limits.descendants(doing.pid, most + 1)
        if len(below) > most:
            message = f"The component started more than {most} processes"
            self._kill(doing, Verdict.FAIL, message)
        elif below and limits.use_more_than(below, settings.COMPONENT_LIMITS["MEMORY_MB"]):
            message = f"The component's processes use more than {settings.COMPONENT_LIMITS['MEMORY_MB']} MiB"
            self._kill(doing, Verdict.FAIL, message)

    def _kill(self, doing: Doing, verdict: Verdict, message: str, code: ErrorCode = ErrorCode.COMPONENT_ERROR) -> None:
        if self._board.read(doing.place) != doing:
            # It went on meanwhile.
            return
        if doing.pid not in self.verdicts:
            logger.warning("Ending %s: %s", doing.pid, message, extra={"action": "component_killed"})
        self.verdicts.setdefault(doing.pid, Killed(doing.run_id, verdict, message, code))
        self._end(doing)

    def _end(self, doing: Doing) -> None:
        limits.kill(doing.pid)

    def _look_at_keeper(self, now: float) -> None:
        """A connection that answers nothing would hold the keeper for ever: cut it, so that a new one is tried."""
        began, wrapper = self._tick_began, self._wrapper
        if began is None or now - began < settings.ENGINE["LEASE_SECONDS"] or wrapper is None:
            return
        with suppress(Exception):
            _libc.shutdown(wrapper.connection.pgconn.socket, _SHUT_RDWR)
            logger.error("Cut the keeper's connection: no answer", extra={"action": "keeper_cut"})

    def _end_strays(self) -> None:
        strays = [pid for pid in pool.strays() if pid not in self._known]
        if strays:
            logger.warning("Ending %s processes that outlived their component", len(strays))
            limits.end_strays(strays)


def _lease_is_lost_after() -> float:
    """Seconds after its last renewal at which a component is stopped: before others may take it over."""
    return float(settings.ENGINE["LEASE_SECONDS"]) * 2 / 3


def die(reason: str) -> None:
    """Leave at once; the pool dies with its parent, leases bring the work back, the supervisor the worker."""
    logger.critical("%s: this worker ends", reason, extra={"action": "worker_broken"})
    os._exit(70)
