"""Scripts in a real Celery worker, whose processes are forked: every limit holds, and nothing is left behind."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import psutil
import pytest

from accounts.models import User
from core.types import JSONObject
from executions.interventions import cancel_execution
from executions.models import ComponentRun, Execution
from executions.services import StartRequest, start_execution
from executions.states import FINAL_EXECUTION, ExecutionStatus, RunStatus
from tests.acceptance.test_crash import worker
from tests.eventually import START_SECONDS, eventually
from tests.integration.executions.conftest import linear, make_workflow

__all__ = ["worker"]

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

Start = Callable[[], "subprocess.Popen[bytes]"]


def script(code: str, **config: object) -> JSONObject:
    return {"id": "s", "type": "script", "config": {"code": code, **config}}


def begin(user: User, definition: JSONObject) -> Execution:
    return start_execution(workflow=make_workflow(user, definition), user=user, request=StartRequest()).execution


def sandboxes(of: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """The living sandboxes below a worker."""
    return [each for each in psutil.Process(of.pid).children(recursive=True) if is_sandbox(each)]


def is_sandbox(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.cmdline()[:1] == ["apg-script"])
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def started(worker: Start) -> Iterator["subprocess.Popen[bytes]"]:
    """One worker of two processes."""
    yield worker()


def test_scripts_end_each_in_its_way_and_the_worker_goes_on(alice: User, started: "subprocess.Popen[bytes]") -> None:
    User.objects.filter(pk=alice.pk).update(tier="enterprise")
    alice.refresh_from_db()
    cases = {
        "result = sum(range(1000))": ("completed", 499500),
        "while True: pass": ("failed", "TIMEOUT_ERROR"),
        "x = []\nwhile True: x.append('y' * 1000)": ("failed", "COMPONENT_ERROR"),
        "result = 10 ** 10 ** 9": ("failed", "COMPONENT_ERROR"),
        "result = 'x' * (2 * 1024 * 1024)": ("failed", "COMPONENT_ERROR"),
        "def f(): return f()\nresult = f()": ("failed", "COMPONENT_ERROR"),
        "result = open('/etc/passwd').read()": ("failed", "COMPONENT_ERROR"),
    }
    # Only what never ends by itself is told apart by its time; to fill the memory of a sandbox takes some.
    seconds = dict.fromkeys(cases, 30) | {"while True: pass": 1}
    begun = {code: begin(alice, linear(script(code, timeout_seconds=seconds[code]))) for code in cases}
    eventually(lambda: not Execution.objects.exclude(status__in=FINAL_EXECUTION).exists(), timeout=START_SECONDS)
    for code, (status, told) in cases.items():
        run = ComponentRun.objects.get(execution=begun[code])
        assert (run.status, run.attempt, run.crashes) == (status, 1, 0), (code, run.error)
        assert told == (run.output if status == "completed" else run.error["code"]), code
    # None of it cost a process.
    last = begin(alice, linear(script("result = 'still here'")))
    eventually(lambda: Execution.objects.get(pk=last.pk).status == ExecutionStatus.COMPLETED, timeout=30)
    assert sandboxes(started) == []


def test_cancel_and_timeout_end_a_script_at_once(alice: User, started: "subprocess.Popen[bytes]") -> None:
    endless = script("while True: pass", timeout_seconds=60)
    cancelled = begin(alice, linear(endless))
    eventually(lambda: sandboxes(started), timeout=START_SECONDS)
    cancel_execution(cancelled)
    eventually(lambda: Execution.objects.get(pk=cancelled.pk).status == ExecutionStatus.CANCELLED, timeout=30)
    assert sandboxes(started) == []
    timed = begin(alice, linear({**endless, "timeout_seconds": 1}))
    eventually(lambda: Execution.objects.get(pk=timed.pk).status == ExecutionStatus.FAILED, timeout=30)
    run = ComponentRun.objects.get(execution=timed)
    assert (run.error["code"], run.error["message"]) == ("TIMEOUT_ERROR", "Timed out after 1 s")
    assert sandboxes(started) == []


def test_a_killed_pool_process_takes_its_sandbox_along(alice: User, started: "subprocess.Popen[bytes]") -> None:
    begin(alice, linear(script("while True: pass", timeout_seconds=60)))
    eventually(lambda: ComponentRun.objects.filter(status=RunStatus.RUNNING).exists(), timeout=START_SECONDS)
    (sandbox,) = eventually(lambda: sandboxes(started), timeout=30)
    os.kill(sandbox.ppid(), signal.SIGKILL)
    eventually(lambda: not is_sandbox(sandbox), timeout=30)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
