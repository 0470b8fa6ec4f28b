"""Schedules under kills: each slot once, whoever ticks (F12, F13; G10, I10)."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models import F
from django.db.models.functions import Now

from executions.models import Execution
from tests.eventually import START_SECONDS, eventually
from tests.faults.harness import Process, World, percentiles
from workflows.models import Slot, Trigger
from workflows.services import update_workflow

SCHEDULES, BACKLOG_SECONDS, SLOTS = 50, 20, 2_000
SECOND = timedelta(seconds=1)


def beats(world: World, count: int) -> list[Process]:
    """So many beats as the platform's, all of which tick."""
    started = {}
    for _ in range(count):
        name = f"beat-{len(world.processes)}"
        command = ["-A", "config", "beat", "-l", "WARNING", "--pidfile="]
        alive = world.folder / f"{name}.alive"
        started[alive] = world.start(name, [sys.executable, "-m", "celery", *command], APG_ALIVE_FILE=str(alive))
    eventually(lambda: all(alive.exists() for alive in started), timeout=START_SECONDS)
    return list(started.values())


class Fleet:
    """Beats and a worker, and what happens to them; none of it needs more than what the one before it leaves."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.worker = world.worker(2)
        self.beats = beats(world, 2)

    def freeze_a_beat(self) -> None:
        """It ticks no more, and holds what it holds."""
        self.world.random.choice(self.beats).freeze()

    def kill_a_beat(self) -> None:
        """The frozen one or another."""
        self.beats.pop(self.world.random.randrange(len(self.beats))).kill()

    def kill_the_worker(self) -> None:
        """With all its processes; another takes over."""
        self.worker.kill()
        self.worker = self.world.worker(2)

    def kill_every_beat(self) -> None:
        """F12: none ticks; the worker's own sweep goes on."""
        for each in self.beats:
            each.kill()
        self.beats.clear()

    def start_five_beats(self) -> None:
        """F12: five tick."""
        self.beats += beats(self.world, 5)

    def freeze_the_worker(self) -> None:
        """For longer than its lease, while another works; then it goes on with what is not its own any more."""
        frozen, self.worker = self.worker, self.world.worker(2)
        frozen.freeze()
        until = time.monotonic() + 7
        eventually(lambda: time.monotonic() > until, timeout=30)
        frozen.thaw()
        assert frozen.stop() == 0

    FAULTS = (freeze_a_beat, kill_a_beat, kill_the_worker, kill_every_beat, start_five_beats, freeze_the_worker)


def make_schedules(world: World) -> dict[str, datetime]:
    """Schedules of every second that nobody has seen to for a while; the first open slot of each."""
    for _ in range(SCHEDULES):
        config = {"trigger_type": "schedule", "interval_seconds": 1, "overlap": "allow", "catchup": "all"}
        workflow = world.store({"components": [{"id": "start", "type": "start", "config": config}]})
        update_workflow(workflow=workflow, user=world.user, changes={"status": "active"})
    mine = Trigger.objects.filter(workflow__created_by=world.user)
    back = timedelta(seconds=BACKLOG_SECONDS)
    mine.update(anchor_at=F("anchor_at") - back, next_at=F("next_at") - back)
    return dict(mine.values_list("pk", "next_at"))


def seen_to(world: World) -> int:
    return Slot.objects.filter(trigger__workflow__created_by=world.user).count()


def stop(world: World) -> dict[str, datetime]:
    """No further slot is started; the first open one of each schedule."""
    mine = Trigger.objects.filter(workflow__created_by=world.user)
    mine.update(paused_at=Now())
    return dict(mine.values_list("pk", "next_at"))


def judge(world: World, first: dict[str, datetime], after: dict[str, datetime]) -> tuple[int, int]:
    """(slots missed, slots or executions too many) of those that were due before each schedule was stopped."""
    missed = more = 0
    for trigger_id, begin in first.items():
        due = {begin + SECOND * number for number in range((after[trigger_id] - begin) // SECOND)}
        found = Counter(Slot.objects.filter(trigger=trigger_id).values_list("slot_at", flat=True))
        missed += len(due - found.keys())
        more += sum(found.values()) - len(due & found.keys())
    slots = set(Slot.objects.filter(trigger__in=first).values_list("execution_id", flat=True))
    made = set(Execution.objects.filter(created_by=world.user).values_list("pk", flat=True))
    return missed + len(slots - made), more + len(made - slots)


def test_f12_f13_two_thousand_slots_with_killed_beats_and_workers(
    world: World, figure: Callable[[str, str], None]
) -> None:
    first = make_schedules(world)
    fleet = Fleet(world)
    done: Counter[str] = Counter()
    while seen_to(world) < SLOTS or len(done) < len(Fleet.FAULTS):
        before = seen_to(world)
        fault = Fleet.FAULTS[done.total() % len(Fleet.FAULTS)]
        fault(fleet)
        done[fault.__name__] += 1
        wanted = before + world.random.randrange(100, 300)
        world.eventually(lambda wanted=wanted: seen_to(world) >= wanted, timeout=120)  # type: ignore[misc]
    after = stop(world)
    for each in fleet.beats:
        each.thaw()
    world.check(timeout=400)
    assert set(done) == {fault.__name__ for fault in Fleet.FAULTS}
    faults = done.total()
    assert faults >= 6
    assert judge(world, first, after) == (0, 0)
    figure("slots, faults, missed, doubled", f"{seen_to(world)}, {faults}, 0, 0")
    late = Execution.objects.filter(created_by=world.user).values_list("created_at", "trigger__slot_at")
    lateness = [(at - datetime.fromisoformat(slot)).total_seconds() for at, slot in late]
    figure("lateness of those slots, the backlog included", percentiles(lateness))


def test_f12_without_any_beat_the_workers_fire(world: World) -> None:
    first = make_schedules(world)
    world.worker(2)
    world.eventually(lambda: seen_to(world) >= 10 * SCHEDULES, timeout=60)
    after = stop(world)
    world.check(timeout=400)
    assert judge(world, first, after) == (0, 0)
