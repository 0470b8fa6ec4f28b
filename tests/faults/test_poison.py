"""Components that misbehave (F32 to F37): recorded as what they are, and nothing of them is left."""

import os
import time
from contextlib import suppress

import psutil
import pytest

from events.models import Event
from executions.interventions import cancel_execution
from executions.models import ComponentRun, Execution
from executions.states import RunStatus
from tests.eventually import eventually
from tests.faults.harness import UNHURRIED, Process, World

# mode: the run's end, and a part of its error's message.
TABLE: dict[str, tuple[str, str]] = {
    "memory": ("failed", "Out of memory"),
    "memory_error": ("failed", "Out of memory"),
    "recurse": ("failed", "RecursionError"),
    "files": ("failed", "OSError"),
    "threads": ("failed", ""),
    "system_exit": ("failed", "SystemExit"),
    "keyboard_interrupt": ("failed", "KeyboardInterrupt"),
    "generator_exit": ("failed", "GeneratorExit"),
    "bad_str": ("failed", "BadStringError"),
    "huge_message": ("failed", "ValueError"),
    "surrogate_message": ("failed", "ValueError"),
    "unpicklable": ("failed", "UnpicklableError"),
    "class_name": ("failed", "EEEE"),
    "failed_huge": ("failed", "(cut)"),
    "failed_bad": ("failed", "nul"),
    "no_outcome": ("failed", "no outcome"),
    "huge_output": ("failed", "Output has more than the 1048576 bytes"),
    "deep": ("failed", "Output"),
    "huge_integer": ("failed", "Output is not JSON"),
    "bytes": ("failed", "Output is not JSON"),
    "object": ("failed", "Output is not JSON"),
    "nan": ("completed", ""),
    "nul": ("completed", ""),
    "surrogate": ("completed", ""),
    "stdout": ("completed", ""),
    "million_lines": ("completed", ""),
    "bad_lines": ("completed", ""),
    "leak": ("completed", ""),
    "forked_copy": ("completed", ""),
    "grandchildren": ("completed", ""),
}


def the_run(execution: Execution) -> ComponentRun:
    return ComponentRun.objects.get(execution=execution, component_id="poison")


def sleepers(world: World) -> list[str]:
    return [line for line in world.strays() if "sleep 300" in line]


def resident_mb(worker: Process) -> float:
    sizes = []
    for process in worker.everyone():
        # A process of the pool may end between being found and being asked.
        with suppress(psutil.NoSuchProcess):
            sizes.append(float(process.memory_info().rss))
    return max(sizes) / 2**20


def test_f32_f35_f36_f37_each_misbehaviour_is_recorded_once_and_harms_nobody(world: World) -> None:
    worker = world.worker(2, APG_COMPONENT_MEMORY_MB="512", APG_COMPONENT_OPEN_FILES="256", APG_WORKER_MEMORY_MB="400",
                          **UNHURRIED)  # fmt: skip
    executions = {mode: world.execute(world.workflow(world.poison(mode))) for mode in TABLE}
    bystander = world.execute(world.effects(3))
    # Some take all that they are given.
    world.check(timeout=240)
    found: dict[str, tuple[str, str]] = {}
    for mode, (status, message) in TABLE.items():
        run = the_run(executions[mode])
        error = run.error or {}
        if (run.status, run.attempt, run.crashes) != (status, 1, 0) or message not in error.get("message", ""):
            found[mode] = (f"{run.status} {run.attempt} {run.crashes}", str(error)[:300])
        if run.status == RunStatus.FAILED and error["code"] != "COMPONENT_ERROR":
            found[mode] = ("code", str(error)[:300])
        assert len(str(error)) < 100_000
    assert not found, found
    assert Execution.objects.get(pk=bystander.pk).status == "completed"
    lines = Event.objects.filter(subject_id=executions["million_lines"].pk, type="log")
    assert lines.count() == 1001
    last = lines.order_by("-sequence").first()
    assert last is not None
    assert last.data["message"] == "999000 more log lines were dropped"
    eventually(lambda: not sleepers(world), timeout=30)
    # The swollen and the leaking were replaced, so the worker is as it was.
    eventually(lambda: resident_mb(worker) < 400, timeout=60)
    leaked = (the_run(executions["leak"]).output or {})["pid"]
    eventually(lambda: leaked not in worker.pool(), timeout=60)


@pytest.mark.parametrize("mode", ["segfault", "exit", "kill"])
def test_f33_three_deaths_of_its_process_fail_the_component(world: World, mode: str) -> None:
    world.worker(2, **UNHURRIED)
    execution = world.execute(world.workflow(world.poison(mode)))
    bystander = world.execute(world.effects(3))
    world.check()
    run = the_run(execution)
    assert (run.status, run.attempt) == ("failed", 3)
    assert run.error["message"] == "The worker process died 3 times while running this component"
    assert Execution.objects.get(pk=bystander.pk).status == "completed"


def test_f34_what_ignores_its_deadline_is_killed_and_timed_out(world: World) -> None:
    world.worker(2, **UNHURRIED)
    modes = {"loop": {}, "swallow": {}, "sleep_in_c": {}, "grandchildren": {"seconds": 60}}
    executions = {
        mode: world.execute(world.workflow(world.poison(mode, config=config, timeout_seconds=1)))
        for mode, config in modes.items()
    }
    retried = world.execute(
        world.workflow(
            world.poison("swallow", timeout_seconds=1, retry_policy={"max_attempts": 2, "initial_delay_seconds": 0.1})
        )
    )
    world.check()
    for mode, execution in executions.items():
        run = the_run(execution)
        assert (mode, run.status, run.attempt, run.crashes) == (mode, "failed", 1, 0)
        assert run.error["code"] == "TIMEOUT_ERROR", (mode, run.error)
    run = the_run(retried)
    assert (run.status, run.attempt, run.crashes, run.error["code"]) == ("failed", 2, 0, "TIMEOUT_ERROR")
    eventually(lambda: not sleepers(world), timeout=30)


def test_f34_a_cancel_interrupts_and_then_kills(world: World) -> None:
    world.worker(2, **UNHURRIED)
    gentle = world.execute(world.workflow(world.poison("sleep", config={"seconds": 60})))
    stubborn = world.execute(world.workflow(world.poison("swallow")))
    eventually(lambda: ComponentRun.objects.filter(execution__in=[gentle, stubborn], status="running").count() == 2)
    asked_at = time.monotonic()
    cancel_execution(gentle)
    cancel_execution(stubborn)
    eventually(lambda: Execution.objects.get(pk=gentle.pk).status == "cancelled", timeout=30)
    gentle_seconds = time.monotonic() - asked_at
    eventually(lambda: Execution.objects.get(pk=stubborn.pk).status == "cancelled", timeout=30)
    assert time.monotonic() - asked_at > gentle_seconds
    world.check()
    assert {the_run(gentle).status, the_run(stubborn).status} == {"cancelled"}


def test_f35_a_fork_bomb_is_ended_with_all_its_processes(world: World) -> None:
    world.worker(2, APG_COMPONENT_PROCESSES="32", **UNHURRIED)
    execution = world.execute(world.workflow(world.poison("fork_bomb")))
    bystander = world.execute(world.effects(3))
    world.check()
    run = the_run(execution)
    assert (run.status, run.attempt, run.crashes) == ("failed", 1, 0)
    assert run.error["message"] == "The component started more than 32 processes"
    assert Execution.objects.get(pk=bystander.pk).status == "completed"
    eventually(lambda: len(world.strays()) <= 4, timeout=60)


def test_a_process_killed_with_its_component_leaves_none_behind(world: World) -> None:
    world.worker(1, **UNHURRIED)
    execution = world.execute(world.workflow(world.poison("grandchildren", config={"seconds": 60})))
    eventually(lambda: len(sleepers(world)) >= 3, timeout=30)
    run = the_run(execution)
    assert run.pid is not None
    assert psutil.pid_exists(run.pid)
    os.kill(run.pid, 9)
    eventually(lambda: the_run(execution).attempt == 2, timeout=60)
    cancel_execution(execution)
    world.check()
    eventually(lambda: not sleepers(world), timeout=30)
