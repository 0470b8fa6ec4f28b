"""A random mix of faults for as long as asked; `make soak`."""

import os
import time
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import connection

from executions.models import ComponentRun
from executions.states import RunStatus
from tests.eventually import eventually
from tests.faults.harness import World, percentiles
from tests.faults.test_workers import recoveries

MINUTES = float(os.environ.get("APG_FAULT_SOAK_MINUTES", "0"))


@pytest.mark.skipif(MINUTES == 0, reason="only `make soak`")
def test_f43_everything_at_random(world: World, figure: Callable[[str, str], None]) -> None:
    lease = {"APG_LEASE_SECONDS": "15"}
    workers = [world.worker(2, **lease), world.worker(2, **lease)]
    workflows = [world.effects(4, seconds=0.05), world.fan(5, seconds=0.05), world.effects(2, seconds=0.3)]
    killed: list[tuple[float, str]] = []
    faults: Counter[str] = Counter()

    def kill_worker() -> None:
        place = world.random.randrange(len(workers))
        if workers[place].is_up() and (name := world.name_of(workers[place])):
            killed.append((world.database_now(), name))
            workers[place].kill()
            workers[place] = world.launch_worker(2, **lease)

    def kill_child() -> None:
        running = ComponentRun.objects.filter(execution__created_by=world.user, status=RunStatus.RUNNING, crashes=0)
        pids = [pid for worker in workers if worker.is_up() for pid in worker.pool()]
        held = [pid for pid in running.values_list("pid", flat=True) if pid in pids]
        if held:
            os.kill(world.random.choice(held), 9)

    def flush() -> None:
        world.servers.redis().flushall()

    def crash_valkey() -> None:
        world.servers.crash_valkey()
        world.servers.start_valkey()

    def crash_postgres() -> None:
        connection.close()
        world.servers.crash_postgres()
        world.servers.start_postgres()

    mix = [kill_worker] * 4 + [kill_child] * 2 + [flush] * 2 + [crash_valkey, crash_postgres]
    ends_at = time.monotonic() + MINUTES * 60
    while time.monotonic() < ends_at:
        for _ in range(world.random.randrange(1, 6)):
            world.try_execute(world.random.choice(workflows))
        until = time.monotonic() + world.random.uniform(0.3, 2)
        eventually(lambda until=until: time.monotonic() > until, interval=0.02)  # type: ignore[misc]
        fault = world.random.choice(mix)
        fault()
        faults[fault.__name__] += 1
    world.check(timeout=180)
    total = sum(faults.values())
    executions = len(world.acked)
    bounds = f"95% upper bound {3 / executions:.2%} an execution, {3 / total:.2%} a fault"
    what = f"{MINUTES:g} minutes, {executions} executions, faults {dict(faults)}"
    figure("soak", f"{what}: 0 lost, 0 recorded twice ({bounds})")
    figure("soak: SIGKILL of a worker until the next attempt starts", percentiles(recoveries(world, killed)))
