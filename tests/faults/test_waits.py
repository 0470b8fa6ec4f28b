"""Loops, children and waits under kills: what resumes elsewhere loses and doubles nothing (F1, F2, F14)."""

import os
import signal
from collections import Counter
from contextlib import suppress

from core.types import JSONObject
from executions.interventions import send_signal
from executions.models import ComponentRun, Execution
from executions.states import RunStatus
from tests.eventually import eventually
from tests.faults.harness import World
from workflows.models import Workflow

ITEMS = 6


def everything(world: World) -> Workflow:
    """A loop with effects and pauses in its items, a child, and a signal that is sent before anybody waits."""
    child = world.effects(2)
    body: JSONObject = {
        "items": list(range(ITEMS)),
        "max_concurrency": 3,
        "components": [world.effect("each", 0.03), {"id": "rest", "type": "delay", "config": {"seconds": 0.3}}],
        "connections": [{"source": "each", "target": "rest"}],
    }
    return world.workflow(
        {"id": "loop", "type": "for_each", "config": body},
        {"id": "child", "type": "sub_workflow", "config": {"workflow_id": child.pk, "parameters": {"canary": "x"}}},
        {"id": "wait", "type": "wait_for_signal", "config": {"signal": "go"}},
        world.effect("last"),
    )


def begin(world: World, workflow: Workflow, count: int) -> list[str]:
    begun = []
    for _ in range(count):
        execution = world.execute(workflow)
        send_signal(execution=execution, user=world.user, name="go", data="now")
        begun.append(execution.pk)
    return begun


def as_expected(world: World, begun: list[str]) -> None:
    world.check()
    ended = Execution.objects.filter(pk__in=begun)
    assert Counter(ended.values_list("status", flat=True)) == {"completed": len(begun)}
    runs = ComponentRun.objects.filter(execution__in=begun, component_id="each", status=RunStatus.COMPLETED)
    assert runs.count() == ITEMS * len(begun)
    assert Execution.objects.filter(parent_run__execution__in=begun, status="completed").count() == len(begun)


def test_f1_f14_loops_children_and_signals_survive_kills_and_an_emptied_broker(world: World) -> None:
    begun = begin(world, everything(world), 8)
    for fault in range(6):
        worker = world.worker(2)
        before = ComponentRun.objects.filter(execution__created_by=world.user, status=RunStatus.COMPLETED).count()
        eventually(
            lambda before=before: (
                world.unfinished() == 0  # type: ignore[misc]
                or ComponentRun.objects.filter(execution__created_by=world.user, status=RunStatus.COMPLETED).count()
                > before + world.random.randrange(3, 15)
            ),
            timeout=60,
        )
        worker.kill()
        if fault % 2:
            world.servers.redis().flushall()
    world.worker(2)
    as_expected(world, begun)


def test_f2_pool_processes_killed_in_items_cost_attempts_of_those_alone(world: World) -> None:
    begun = begin(world, everything(world), 3)
    world.worker(2)
    running = ComponentRun.objects.filter(execution__created_by=world.user, status=RunStatus.RUNNING)
    for _ in range(5):
        eventually(lambda: world.unfinished() == 0 or running.exists(), timeout=60)
        pid = running.values_list("pid", flat=True).first()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    as_expected(world, begun)
