"""Kill every worker in the middle, empty the broker, start new workers: nothing is lost, nothing done twice."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import psutil
import pytest
from django.db import connection

from accounts.models import User
from core.redis import client
from events.models import Event
from executions.models import ComponentRun, Execution, Worker
from executions.services import StartRequest, start_execution
from executions.states import FINAL_EXECUTION, ExecutionStatus, RunStatus
from tests.eventually import START_SECONDS, eventually
from tests.integration.executions.conftest import linear, log, make_workflow, transform

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

EXECUTIONS = 20
LENGTH = 30


@pytest.fixture
def worker(empty_redis: None) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """`worker()` starts a Celery worker of two processes on the test's own database."""
    started: list[subprocess.Popen[bytes]] = []
    url = os.environ["DATABASE_URL"]
    name = connection.settings_dict["NAME"]
    head, _, query = url.partition("?")
    environment = {**os.environ, "DATABASE_URL": f"{head.rpartition('/')[0]}/{name}?{query}"}

    def start(**more: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-c", "2", "-l", "ERROR",
                   "--without-gossip", "--without-mingle", "--without-heartbeat"]  # fmt: skip
        process = subprocess.Popen(command, env={**environment, **more}, start_new_session=True)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def completed() -> int:
    return ComponentRun.objects.filter(status=RunStatus.COMPLETED).count()


def test_kill_9_of_all_workers_and_an_emptied_broker_lose_and_double_nothing(
    alice: User, worker: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    User.objects.filter(pk=alice.pk).update(tier="enterprise")
    alice.refresh_from_db()
    steps = [log(f"c{n}") if n % 2 else transform(f"c{n}", "{{ range(2000) | sum }}") for n in range(LENGTH)]
    workflow = make_workflow(alice, linear(*steps))
    # Slow enough that the kill finds much to do, however late it comes.
    first = worker(APG_FAILPOINTS="before_run=sleep:0.05")
    accepted = [
        start_execution(workflow=workflow, user=alice, request=StartRequest()).execution.pk for _ in range(EXECUTIONS)
    ]
    eventually(lambda: completed() > EXECUTIONS * LENGTH // 10, timeout=START_SECONDS, interval=0.005)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    client().flushdb()
    done_before = completed()
    assert done_before < EXECUTIONS * LENGTH, "killed too late to prove anything"
    second = worker()
    eventually(lambda: Worker.objects.filter(name__contains=f":{second.pid}:").exists(), timeout=START_SECONDS)
    # G1: from here on a minute is enough.
    eventually(
        lambda: Execution.objects.filter(status__in=FINAL_EXECUTION).count() == EXECUTIONS, timeout=60, interval=0.1
    )
    ended = Execution.objects.filter(pk__in=accepted)
    assert Counter(ended.values_list("status", flat=True)) == {ExecutionStatus.COMPLETED: EXECUTIONS}
    for execution_id in accepted:
        events = list(Event.objects.filter(subject_id=execution_id).order_by("sequence"))
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        done = Counter(event.data["component_id"] for event in events if event.type == "component.completed")
        assert done == {f"c{n}": 1 for n in range(LENGTH)}
        assert [event.type for event in events].count("execution.completed") == 1


def test_a_killed_pool_process_is_seen_at_once_and_its_component_runs_again(
    alice: User, worker: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    execution = start_execution(
        workflow=make_workflow(alice, linear(slow("a"), log("b"))), user=alice, request=StartRequest()
    ).execution
    worker()
    run = execution.runs.filter(component_id="a", status=RunStatus.RUNNING)
    pid = eventually(lambda: run.values_list("pid", flat=True).first(), timeout=START_SECONDS)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    again = eventually(lambda: run.filter(attempt=2).first(), timeout=30)
    assert again is not None
    assert again.crashes == 1
    # By its death, and not by the end of its lease.
    told = Event.objects.filter(subject_id=execution.pk, type="log").values_list("data__message", flat=True)
    assert list(told) == ["The worker process died; trying again"]


def slow(id_: str) -> dict[str, object]:
    """A component that is still running when it is looked at: nobody answers at a backlogged port."""
    return {"id": id_, "type": "http_request", "config": {"url": f"http://127.0.0.1:{_silent_port()}", "method": "GET"}}


def _silent_port() -> int:
    import socket

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    _listeners.append(listener)
    return int(listener.getsockname()[1])


_listeners: list[object] = []


def test_cancel_stops_a_running_component(alice: User, worker: Callable[..., "subprocess.Popen[bytes]"]) -> None:
    from executions.interventions import cancel_execution

    execution = start_execution(
        workflow=make_workflow(alice, linear(slow("a"), log("b"))), user=alice, request=StartRequest()
    ).execution
    worker()
    running = execution.runs.filter(status=RunStatus.RUNNING)
    pid = eventually(lambda: running.values_list("pid", flat=True).first(), timeout=START_SECONDS)
    assert cancel_execution(execution).status == ExecutionStatus.RUNNING
    eventually(lambda: Execution.objects.get(pk=execution.pk).status == ExecutionStatus.CANCELLED, timeout=30)
    # It let go: what does not is killed, ten seconds after the cancel.
    assert psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    assert dict(execution.runs.values_list("component_id", "status")) == {"a": "cancelled", "b": "cancelled"}
