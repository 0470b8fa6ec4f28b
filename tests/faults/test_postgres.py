"""PostgreSQL restarted, frozen, its connections cut, its tables locked (F20, F21, F22, F25)."""

import random
import time
from collections.abc import Callable, Iterator

import pytest
from django.db import DatabaseError, connection

from executions.models import ComponentRun
from executions.states import RunStatus
from tests.conftest import PASSWORD
from tests.eventually import eventually
from tests.faults.harness import Proxy, World, connect, percentiles, repeating

Figure = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def postgres_again(world: World) -> Iterator[None]:
    """Whatever happened to it, the next test finds PostgreSQL as it was."""
    yield
    connection.close()
    world.servers.thaw_postgres()
    world.servers.start_postgres()


def wait(seconds: float) -> None:
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > until, timeout=seconds + 5, interval=0.02)


def completed(world: World) -> int:
    try:
        return ComponentRun.objects.filter(execution__created_by=world.user, status=RunStatus.COMPLETED).count()
    except DatabaseError:
        connection.close()
        return 0


def running(world: World) -> int:
    return ComponentRun.objects.filter(execution__created_by=world.user, status=RunStatus.RUNNING).count()


def all_up(world: World) -> None:
    for process in world.processes:
        assert process.is_up(), process.text()[-3000:]


def test_f20_postgres_crashes_again_and_again(world: World, figure: Figure) -> None:
    chain = world.effects(4, seconds=0.05)
    world.worker(2)
    _, client = world.web()
    client.log_in(world.user, PASSWORD)
    crashes = 4
    recovered: list[float] = []
    answered: list[float] = []
    for _ in range(crashes):
        for _ in range(6):
            world.try_execute(chain)
        wait(world.random.uniform(0.2, 1.5))
        connection.close()
        world.servers.crash_postgres()
        asked_at = time.monotonic()
        client.call("POST", f"/workflow_orchestration/workflows/{chain.pk}/execute", {}, timeout=20)
        answered.append(time.monotonic() - asked_at)
        wait(world.random.uniform(0, 1))
        world.servers.start_postgres()
        up_at, before = time.monotonic(), completed(world)
        world.try_execute(chain)
        eventually(lambda before=before: completed(world) > before, timeout=60)  # type: ignore[misc]
        recovered.append(time.monotonic() - up_at)
    world.check(timeout=90)
    all_up(world)
    statuses = sorted(set(world.answers))
    assert set(statuses) <= {200, 201, 202, 503}, statuses
    shown = ", ".join(f"{seconds:.1f}" for seconds in sorted(recovered))
    figure("PostgreSQL crashed and restarted, until work moves", f"{shown} s ({crashes} crashes, answers {statuses})")
    figure("answer 503 while PostgreSQL is down", percentiles(answered))


def test_f21_components_stop_before_leases_that_cannot_be_renewed_end(world: World) -> None:
    # Between a component's end, at two thirds of it, and its own lies time for PostgreSQL to thaw in.
    worker = world.worker(2, APG_LEASE_SECONDS="30")
    execution = world.execute(world.workflow(world.poison("sleep", config={"seconds": 60, "again_seconds": 1})))
    bystander = world.execute(world.effects(2))
    eventually(lambda: running(world) >= 1)
    run = execution.runs.get()
    eventually(lambda: ComponentRun.objects.get(pk=run.pk).status == "running")
    pid = ComponentRun.objects.values_list("pid", flat=True).get(pk=run.pk)
    connection.close()
    world.servers.freeze_postgres()
    assert pid in worker.pool()
    eventually(lambda: pid not in worker.pool(), timeout=40)
    world.servers.thaw_postgres()
    world.check(timeout=180)
    all_up(world)
    run.refresh_from_db()
    assert (run.status, run.attempt, run.crashes) == ("completed", 2, 0)
    assert set(bystander.runs.values_list("status", flat=True)) == {"completed"}


def test_f21_a_fleet_that_was_cut_off_for_longer_than_its_leases_counts_no_crash(world: World) -> None:
    """Each worker knows why what it held ended, and comes before those who only see that leases passed."""
    workers = [world.worker(2, APG_LEASE_SECONDS="24") for _ in range(2)]
    for _ in range(4):
        world.execute(world.workflow(world.poison("sleep", config={"seconds": 60, "again_seconds": 1})))
    eventually(lambda: running(world) == 4)
    pids = set(ComponentRun.objects.filter(execution__created_by=world.user).values_list("pid", flat=True))
    connection.close()
    world.servers.freeze_postgres()
    wait(25)
    eventually(lambda: pids.isdisjoint(pid for worker in workers for pid in worker.pool()), timeout=30)
    world.servers.thaw_postgres()
    world.check(timeout=180)
    all_up(world)
    runs = ComponentRun.objects.filter(execution__created_by=world.user)
    assert set(runs.values_list("status", "attempt", "crashes")) == {("completed", 2, 0)}


def test_f21_a_connection_that_answers_nothing_is_given_up(world: World) -> None:
    """A proxy that holds everything: no error ever comes."""
    proxy = Proxy(world.servers.postgres_socket())
    url = f"postgresql://postgres@127.0.0.1:{proxy.port}/apg"
    worker = world.worker(2, APG_LEASE_SECONDS="4", DATABASE_URL=url)
    for _ in range(4):
        world.execute(world.effects(3, seconds=0.3))
    eventually(lambda: completed(world) > 1)
    proxy.flowing.clear()
    wait(8)
    # What was held is lost, and new connections get through.
    proxy.cut()
    proxy.flowing.set()
    world.check(timeout=90)
    assert worker.is_up()
    assert worker.stop() == 0
    proxy.close()


def test_f22_backends_terminated_at_random(world: World) -> None:
    chance = random.Random(world.random.random())
    world.worker(2)
    chain = world.effects(5, seconds=0.02)
    with connect(world.servers) as killer:

        def terminate() -> None:
            query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            pids = [row[0] for row in killer.execute(query).fetchall()]
            if pids:
                killer.execute("SELECT pg_terminate_backend(%s)", [chance.choice(pids)])

        with repeating(0.1, terminate):
            for _ in range(40):
                world.try_execute(chain)
                wait(0.1)
    connection.close()
    world.check(timeout=90)
    all_up(world)


def test_f25_tables_locked_by_somebody_else(world: World) -> None:
    world.worker(2, APG_LEASE_SECONDS="4")
    chain = world.effects(4, seconds=0.1)
    for _ in range(10):
        world.execute(chain)
    eventually(lambda: completed(world) > 2)
    with connect(world.servers) as other, other.transaction():
        other.execute("LOCK TABLE executions_componentrun IN ACCESS EXCLUSIVE MODE")
        wait(6)
    world.check(timeout=90)
    all_up(world)
