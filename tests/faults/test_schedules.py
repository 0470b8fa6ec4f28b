"""Schedules under kills: each slot once, whoever ticks (F12, F13; G10, I10)."""

import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models import F
from django.db.models.functions import Now

from executions.models import Execution
from tests.faults.harness import Process, World, percentiles
from workflows.models import Slot, Trigger
from workflows.services import update_workflow

SCHEDULES, BACKLOG_SECONDS, SLOTS = 50, 20, 2_000
SECOND = timedelta(seconds=1)


def beat(world: World) -> Process:
    """A beat as the platform's, one of any number."""
    name = f"beat-{len(world.processes)}"
    schedule = str(world.folder / f"{name}.schedule")
    command = ["-A", "config", "beat", "-l", "WARNING", "--pidfile=", "-s", schedule]
    return world.start(name, [sys.executable, "-m", "celery", *command])


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
    worker = world.worker(2)
    beats = [beat(world), beat(world)]
    faults = 0
    while (before := seen_to(world)) < SLOTS:
        victim = beats[faults % len(beats)] if beats else None
        if victim is None:
            # F12: none ticks; the workers' own sweep goes on.
            beats = [beat(world) for _ in range(2 if faults % 2 else 5)]
        elif faults % 4 == 0:
            victim.freeze()
        elif faults % 4 == 1:
            victim.thaw()
            victim.kill()
            beats.remove(victim)
        elif faults % 4 == 2:
            for each in beats:
                each.kill()
            beats = []
        else:
            worker.kill()
            worker = world.worker(2)
        faults += 1
        wanted = before + world.random.randrange(100, 300)
        world.eventually(lambda wanted=wanted: seen_to(world) >= min(wanted, SLOTS), timeout=60)  # type: ignore[misc]
    after = stop(world)
    for each in beats:
        each.thaw()
    world.check(timeout=120)
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
    world.check(timeout=120)
    assert judge(world, first, after) == (0, 0)
