"""Who watches a topic, and when they are woken: at once, but in a burst of bells ten times a second."""

import asyncio
import time
from collections import deque

# Bells of one topic of which each is heard within this time of the last but one are a burst: a worker that has always
# more to tell rings every 20 ms.
CLOSE_SECONDS = 0.045
BURST_SECONDS = 0.1


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
        self._heard_at: deque[float] = deque([float("-inf")] * 2, maxlen=2)
        self._woken_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def wake(self, subject_id: str, sequence: int | None = None) -> None:
        """There is more about a subject: tell everybody, at once or with what the rest of a burst is about."""
        note(self._subjects, subject_id, sequence)
        now = time.monotonic()
        wait = put_off(self._heard_at[0], self._woken_at, now)
        self._heard_at.append(now)
        if self._timer is not None:
            return
        if wait > 0:
            self._timer = asyncio.get_running_loop().call_later(wait, self._tell)
        else:
            self._tell()

    def _tell(self) -> None:
        self._timer = None
        self._woken_at = time.monotonic()
        subjects, self._subjects = self._subjects, {}
        for watch in self.watches:
            for subject_id, sequence in subjects.items():
                watch.wake(subject_id, sequence)


def put_off(last_but_one_at: float, woken_at: float, now: float) -> float:
    """Seconds until those who watch are woken because of a bell that is heard now; not above 0: at once.

    `last_but_one_at`: when the bell before the last one was heard; `woken_at`: when they were woken last.
    """
    return woken_at + BURST_SECONDS - now if now - last_but_one_at < CLOSE_SECONDS else 0.0


def note(subjects: dict[str, int | None], subject_id: str, sequence: int | None) -> None:
    """There is more about a subject, up to a number; None, what a bell says, is newer than any number."""
    known = subjects.get(subject_id, -1)
    subjects[subject_id] = None if sequence is None or known is None else max(sequence, known)
