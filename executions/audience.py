"""Who watches a topic, and when they are woken: at once, but in a burst of events five times a second."""

import asyncio
import time
from collections import deque

# Where there was more than this to tell, the next time is so long after: a worker of light components rings every 20 ms
# and has some thirty messages each time.
BURST_MESSAGES = 10
BURST_SECONDS = 0.2


class Watch:
    """One who watches: what has woken it, until it asks.

    `right`: (workflow id, user id); when the user sees the workflow no more, the watch is woken to find out.
    """

    def __init__(self, right: tuple[str, str] | None) -> None:
        self.right = right
        self._woken = asyncio.Event()
        self._subjects: dict[str, int | None] = {}
        self._messages: deque[str] = deque(maxlen=100)

    def wake(self, subject_id: str, sequence: int | None = None) -> None:
        """There is more about a subject, up to a sequence number where it is known."""
        note(self._subjects, subject_id, sequence)
        self._woken.set()

    def hand(self, message: str) -> None:
        """A message that is not in the ledger."""
        self._messages.append(message)
        self._woken.set()

    async def woken(self) -> tuple[dict[str, int | None], list[str]]:
        """Waits for the next reason: the subjects with more about them, and the messages handed over."""
        await self._woken.wait()
        self._woken.clear()
        subjects, self._subjects = self._subjects, {}
        messages = list(self._messages)
        self._messages.clear()
        return subjects, messages


class Audience:
    """Those who watch one topic."""

    def __init__(self) -> None:
        self.watches: set[Watch] = set()
        self._subjects: dict[str, int | None] = {}
        self._rests_until = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def wake(self, subject_id: str, sequence: int | None = None) -> None:
        """There is more about a subject: tell everybody, at once or with what the rest of a burst is about."""
        note(self._subjects, subject_id, sequence)
        if self._timer is None:
            wait = self._rests_until - time.monotonic()
            if wait > 0:
                self._timer = asyncio.get_running_loop().call_later(wait, self._tell)
            else:
                self._tell()

    def was_told(self, messages: int) -> None:
        """How much there was, the last time that somebody looked."""
        if messages > BURST_MESSAGES:
            self._rests_until = time.monotonic() + BURST_SECONDS

    def _tell(self) -> None:
        self._timer = None
        subjects, self._subjects = self._subjects, {}
        for watch in self.watches:
            for subject_id, sequence in subjects.items():
                watch.wake(subject_id, sequence)


def note(subjects: dict[str, int | None], subject_id: str, sequence: int | None) -> None:
    """There is more about a subject, up to a number; None, what a bell says, is newer than any number."""
    known = subjects.get(subject_id, -1)
    subjects[subject_id] = None if sequence is None or known is None else max(sequence, known)
