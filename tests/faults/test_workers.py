"""Workers and their processes: killed, frozen, stopped (F1 to F7)."""

import os
import signal
from collections.abc import Callable

from executions.models import ComponentRun, Execution
from executions.states import RunStatus
from tests.eventually import eventually
from tests.faults.harness import World

Figure = Callable[[str, str], None]


def running(world: World) -> list[ComponentRun]:
    return list(ComponentRun.objects.filter(execution__created_by=world.user, status=RunStatus.RUNNING))


def test_f2_a_killed_pool_process_gives_its_component_to_another(world: World) -> None:
    world.worker()
    world.execute(world.effects(3, seconds=0.5))
    run = eventually(lambda: next(iter(running(world)), None))
    assert run is not None
    assert run.pid is not None
    os.kill(run.pid, signal.SIGKILL)
    world.check()
    run.refresh_from_db()
    assert (run.status, run.attempt, run.crashes) == ("completed", 2, 1)


def test_f6_sigterm_drains_without_a_crash_count(world: World) -> None:
    worker = world.worker(2)
    quick = world.execute(world.workflow(world.poison("sleep", config={"seconds": 1})))
    slow = world.execute(world.workflow(world.poison("sleep", config={"seconds": 6})))
    eventually(lambda: len(running(world)) == 2)
    other = world.worker(1)
    worker.signal(signal.SIGTERM)
    assert worker.popen.wait(20) == 0
    assert other.is_up()
    world.check()
    attempts = {run.execution_id: (run.attempt, run.crashes) for run in ComponentRun.objects.filter(
        execution__in=[quick.pk, slow.pk])}  # fmt: skip
    assert attempts == {quick.pk: (1, 0), slow.pk: (2, 0)}
    assert Execution.objects.get(pk=slow.pk).status == "completed"
