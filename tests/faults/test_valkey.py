"""Valkey emptied, killed, frozen, full, read-only, and its clients cut off (F14 to F19)."""

import time
from collections.abc import Callable

import pytest

from executions.models import ComponentRun
from executions.states import RunStatus
from tests.eventually import eventually
from tests.faults.harness import World, repeating

Figure = Callable[[str, str], None]


def completed(world: World) -> int:
    return ComponentRun.objects.filter(execution__created_by=world.user, status=RunStatus.COMPLETED).count()


@pytest.fixture(autouse=True)
def valkey_again(world: World) -> object:
    """Whatever happened to it, the next test finds Valkey as it was."""
    yield
    world.servers.start_valkey()
    redis = world.servers.redis()
    redis.config_set("maxmemory", 0)
    redis.config_set("maxmemory-policy", "noeviction")
    redis.config_set("maxclients", 10000)
    redis.replicaof("NO", "ONE")


def move_or_wait(world: World, seconds: float) -> None:
    before, until = completed(world), time.monotonic() + seconds
    eventually(lambda: completed(world) > before or time.monotonic() > until)


def work_on_after(world: World, name: str, fault: Callable[[], None], figure: Figure, executions: int = 60) -> None:
    """Half the executions before the fault, half after; how long until work moved again, and until all was done."""
    workflow = world.effects(4, seconds=0.01)
    for _ in range(executions // 2):
        world.execute(workflow)
    world.worker(2)
    eventually(lambda: completed(world) > executions // 4, timeout=60, interval=0.01)
    fault()
    ended_at = time.monotonic()
    before = completed(world)
    for _ in range(executions // 2):
        world.execute(workflow)
    world.eventually(lambda: completed(world) > before + 2, timeout=40, interval=0.02)
    moved = time.monotonic() - ended_at
    world.check()
    figure(name, f"work moved {moved:.1f} s after, all was done {time.monotonic() - ended_at:.1f} s after, 1 trial")
    for process in world.processes:
        assert process.is_up(), process.text()[-2000:]


def test_f14_flushall_costs_seconds(world: World, figure: Figure) -> None:
    def flush() -> None:
        world.servers.redis().flushall()

    work_on_after(world, "FLUSHALL", flush, figure)


def test_f15_valkey_killed_five_times(world: World, figure: Figure) -> None:
    def fault() -> None:
        for _ in range(5):
            world.servers.crash_valkey()
            world.servers.start_valkey()
            move_or_wait(world, 1)

    work_on_after(world, "Valkey killed and restarted 5 times", fault, figure)


def test_f17_valkey_out_of_memory_and_evicting(world: World, figure: Figure) -> None:
    redis = world.servers.redis()

    def fault() -> None:
        redis.config_set("maxmemory", 1)
        for _ in range(5):
            world.execute(world.effects(2))
        redis.config_set("maxmemory-policy", "allkeys-lru")
        redis.config_set("maxmemory", "900kb")
        for _ in range(5):
            world.execute(world.effects(2))
        redis.config_set("maxmemory", 0)

    work_on_after(world, "Valkey full, then evicting", fault, figure)


def test_f18_valkey_read_only_for_a_while(world: World, figure: Figure) -> None:
    redis = world.servers.redis()

    def fault() -> None:
        redis.replicaof("127.0.0.1", "1")
        for _ in range(5):
            world.execute(world.effects(2))
        redis.replicaof("NO", "ONE")

    work_on_after(world, "Valkey read-only", fault, figure)


def test_f19_clients_cut_off_every_half_second(world: World) -> None:
    workflow = world.effects(6, seconds=0.05)
    for _ in range(40):
        world.execute(workflow)
    redis = world.servers.redis()
    redis.config_set("maxclients", 12)
    with repeating(0.5, lambda: redis.client_kill_filter(_type="normal", skipme=True)):
        world.worker(2)
        world.settle(timeout=240)
    world.check()
