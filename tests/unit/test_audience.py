"""When those who watch a topic are woken, and of what."""

import asyncio
import time

import pytest

from executions import audience
from executions.audience import BURST_MESSAGES, Audience, Watch, note


def _watched() -> tuple[Audience, list[Watch]]:
    watched, watches = Audience(), [Watch(None), Watch(None)]
    watched.watches.update(watches)
    return watched, watches


def test_a_bell_wakes_everybody_at_once() -> None:
    async def play() -> None:
        watched, watches = _watched()
        watched.was_told(BURST_MESSAGES)
        watched.wake("a")
        for watch in watches:
            assert await asyncio.wait_for(watch.woken(), 0.01) == ({"a": None}, [])

    asyncio.run(play())


def test_in_a_burst_bells_wait_and_wake_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "BURST_SECONDS", 0.05)

    async def play() -> None:
        watched, watches = _watched()
        began = time.monotonic()
        watched.was_told(BURST_MESSAGES + 1)
        for subject_id, sequence in (("a", 3), ("b", None), ("a", 2), ("b", 9)):
            watched.wake(subject_id, sequence)
        for watch in watches:
            assert await watch.woken() == ({"a": 3, "b": None}, [])
        assert time.monotonic() - began >= 0.05
        watched.wake("c")
        assert await asyncio.wait_for(watches[0].woken(), 0.01) == ({"c": None}, [])

    asyncio.run(play())


def test_who_comes_during_a_burst_is_woken_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "BURST_SECONDS", 0.5)

    async def play() -> None:
        watched, _ = _watched()
        watched.was_told(BURST_MESSAGES + 1)
        watched.wake("a", 1)
        late = Watch(None)
        watched.watches.add(late)
        assert await asyncio.wait_for(late.woken(), 30) == ({"a": 1}, [])

    asyncio.run(play())


@pytest.mark.parametrize(
    ("numbers", "known"), [((2, 5, 3), 5), ((None,), None), ((7, None), None), ((None, 7), None), ((0,), 0)]
)
def test_what_is_known_of_a_subject_is_the_newest(numbers: tuple[int | None, ...], known: int | None) -> None:
    subjects: dict[str, int | None] = {}
    for number in numbers:
        note(subjects, "a", number)
    assert subjects == {"a": known}
