"""Workers and their processes: killed, frozen, stopped (F1 to F7)."""

import os
import signal
import time
from collections.abc import Callable

import pytest
from django.db import connection

from executions.interventions import cancel_execution
from executions.models import ComponentRun, Execution, Worker
from executions.states import RunStatus
from tests.eventually import START_SECONDS, eventually
from tests.faults.harness import UNHURRIED, Process, World, percentiles, seed

Figure = Callable[[str, str], None]


def running(world: World) -> list[ComponentRun]:
    return list(ComponentRun.objects.filter(execution__created_by=world.user, status=RunStatus.RUNNING))


def test_f2_a_killed_pool_process_gives_its_component_to_another(world: World) -> None:
    world.worker(2, **UNHURRIED)
    # Long enough to be running still when it has been seen to run.
    world.execute(world.effects(3, seconds=4))
    run = eventually(lambda: next(iter(running(world)), None))
    assert run is not None
    assert run.pid is not None
    os.kill(run.pid, signal.SIGKILL)
    world.check()
    run.refresh_from_db()
    assert (run.status, run.attempt, run.crashes) == ("completed", 2, 1)


def test_f6_sigterm_drains_without_a_crash_count(world: World) -> None:
    # The one ends well within the drain, and the other well after it.
    worker = world.worker(2, APG_DRAIN_SECONDS="15", **UNHURRIED)
    quick = world.execute(world.workflow(world.poison("sleep", config={"seconds": 6})))
    slow = world.execute(world.workflow(world.poison("sleep", config={"seconds": 60, "again_seconds": 1})))
    eventually(lambda: len([run for run in running(world) if run.started_at]) == 2)
    worker.signal(signal.SIGTERM)
    other = world.worker(1, **UNHURRIED)
    assert worker.popen.wait(60) == 0
    assert other.is_up()
    world.check()
    attempts = {run.execution_id: (run.attempt, run.crashes) for run in ComponentRun.objects.filter(
        execution__in=[quick.pk, slow.pk])}  # fmt: skip
    assert attempts == {quick.pk: (1, 0), slow.pk: (2, 0)}
    assert Execution.objects.get(pk=slow.pk).status == "completed"


def test_f1_workers_killed_at_random_lose_and_double_nothing(world: World, figure: Figure) -> None:
    """Two workers at a time, one of them killed with all its processes at a random instant; APG_FAULT_KILLS times."""
    kills = int(os.environ.get("APG_FAULT_KILLS", "20"))
    chains, fans = world.effects(4, seconds=0.05), world.fan(5, seconds=0.05)
    lease = {"APG_LEASE_SECONDS": "15"}
    alive = [world.worker(2, **lease), world.worker(2, **lease)]
    starting: list[Process] = []
    killed: list[tuple[float, str]] = []
    for _ in range(kills):
        for _ in range(3):
            world.execute(world.random.choice([chains, fans]))
        wait = world.random.uniform(0.2, 1.2)
        until = time.monotonic() + wait
        eventually(lambda until=until: time.monotonic() > until, interval=0.01)  # type: ignore[misc]
        victim = alive.pop(world.random.randrange(len(alive)))
        name = world.name_of(victim)
        killed.append((world.database_now(), name))
        victim.kill()
        starting.append(world.launch_worker(2, **lease))
        if not alive:
            alive += starting
            starting = []
            for worker in alive:
                eventually(lambda worker=worker: world.name_of(worker), timeout=START_SECONDS)  # type: ignore[misc]
    eventually(lambda: world.unfinished() == 0, timeout=120, interval=0.2)
    world.check()
    recovered = recoveries(world, killed)
    executions = len(world.acked)
    figure("whole workers killed at random instants", f"{kills} kills, {executions} executions, 0 lost, 0 recorded "
           f"twice (95% upper bound {3 / kills:.1%} a kill)")  # fmt: skip
    extra = sum(world.ledger.calls[run.pk] - 1 for run in ComponentRun.objects.filter(execution__created_by=world.user))
    figure("invoked again after a kill", f"{extra} of {len(world.acked)} executions' components, {kills} kills")
    figure("SIGKILL of a worker until the next attempt starts, lease 15 s", percentiles(recovered))


def recoveries(world: World, killed: list[tuple[float, str]]) -> list[float]:
    """Seconds from each kill to the claim of the next attempt of each run that the worker held."""
    query = """
        SELECT extract(epoch FROM claimed.at)::float8 - %s
        FROM fault_moves AS lost
        CROSS JOIN LATERAL (
            SELECT at FROM fault_moves AS later
            WHERE later.run_id = lost.run_id AND later.id > lost.id AND later.status = 'running'
            ORDER BY later.id LIMIT 1
        ) AS claimed
        WHERE lost.worker = %s AND lost.old_status = 'running' AND lost.status = 'queued'
    """
    found: list[float] = []
    with connection.cursor() as cursor:
        for at, name in killed:
            cursor.execute(query, [at, name])
            found += [row[0] for row in cursor.fetchall()]
    return found


def test_child_crash_recovery(world: World, figure: Figure) -> None:
    world.worker(3, **UNHURRIED)
    workflow = world.workflow(world.poison("sleep", config={"seconds": 60}))
    took: list[float] = []
    for _ in range(8):
        execution = world.execute(workflow)
        run = execution.runs.get()

        def is_running(run: ComponentRun = run) -> bool:
            run.refresh_from_db()
            return run.status == RunStatus.RUNNING

        eventually(is_running)
        assert run.pid is not None
        killed_at = time.monotonic()
        os.kill(run.pid, signal.SIGKILL)
        eventually(lambda run=run: is_running(run) and run.attempt == 2, timeout=30, interval=0.01)  # type: ignore[misc]
        took.append(time.monotonic() - killed_at)
        cancel_execution(execution)
    world.check()
    figure("SIGKILL of a pool process until the next attempt starts", percentiles(took))


@pytest.mark.parametrize(
    "place",
    ["after_claim", "before_run", "after_run", "before_finish", "after_finish", "after_publish", "mid_fan_out",
     "before_complete"],
)  # fmt: skip
def test_f3_f4_a_process_killed_at_a_named_place(world: World, place: str) -> None:
    """Each pool process may die at this place; what they leave is picked up."""
    world.worker(2, APG_FAILPOINTS=f"{place}=kill:0.1", APG_FAILPOINT_SEED=str(seed()))
    # Whatever kills the first one's parent, there is another.
    world.worker(1)
    workflow = world.fan(4, seconds=0)
    for _ in range(6):
        world.execute(workflow)
    world.settle(timeout=90)
    ended = Execution.objects.filter(created_by=world.user)
    # Three deaths of one component's process fail it, by design; the invariants hold all the same.
    assert set(ended.values_list("status", flat=True)) <= {"completed", "failed"}
    world.check()


def test_f5_a_frozen_worker_is_fenced_and_stops_its_old_attempt(world: World) -> None:
    frozen = world.worker(1, APG_LEASE_SECONDS="15")
    execution = world.execute(world.effects(2, seconds=4))
    eventually(lambda: len(running(world)) == 1)
    first = running(world)[0]
    eventually(lambda: world.ledger.calls[first.pk] == 1)
    frozen.freeze()
    # Its lease is that of a machine on which nothing is late: the second attempt is to be the last.
    world.worker(1, APG_LEASE_SECONDS="60")
    eventually(lambda: ComponentRun.objects.get(pk=first.pk).attempt == 2, timeout=60)
    eventually(lambda: ComponentRun.objects.get(pk=first.pk).status == "completed", timeout=60)
    frozen.thaw()
    world.check()
    first.refresh_from_db()
    assert (first.status, first.attempt, first.crashes) == ("completed", 2, 1)
    assert Execution.objects.get(pk=execution.pk).status == "completed"
    # It works on.
    world.execute(world.effects(2))
    world.check()
    assert frozen.is_up()


@pytest.mark.parametrize(
    "signals", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGQUIT,), (signal.SIGTERM, signal.SIGQUIT)]
)
def test_f7_told_to_stop_twice_or_at_once(world: World, signals: tuple[int, ...]) -> None:
    worker = world.worker(2, **UNHURRIED)
    for _ in range(3):
        world.execute(world.effects(2, seconds=3))
    eventually(lambda: len(running(world)) == 2)
    for number in signals:
        worker.signal(number)
    worker.popen.wait(60)
    world.worker(2)
    world.check()
    assert not ComponentRun.objects.filter(execution__created_by=world.user, crashes__gt=0).exists()


def test_a_worker_tells_what_it_can_do(world: World) -> None:
    worker = world.worker(3)
    row = Worker.objects.get(name=world.name_of(worker))
    assert row.processes == 3
    assert "http_request" in row.component_types
    assert "test_poison" in row.component_types
    assert worker.stop() == 0
    assert not Worker.objects.filter(pk=row.pk).exists()
