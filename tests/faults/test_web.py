"""The web server: killed in the middle of an execute, and without an answering broker (F10, F16)."""

import time
from collections.abc import Callable

from core.ids import new_id
from executions.models import Execution
from tests.conftest import PASSWORD
from tests.eventually import eventually
from tests.faults.harness import World
from tests.stopwatch import Stopwatch

Figure = Callable[[str, str], None]


def test_f10_killed_around_the_commit_an_execute_is_whole_or_not_there(world: World, figure: Figure) -> None:
    chain = world.effects(1)
    path = f"/workflow_orchestration/workflows/{chain.pk}/execute"
    rounds = 6
    keys: list[str] = []
    for number in range(rounds):
        place = ("start_before_commit", "start_after_commit")[number % 2]
        breaking, client = world.web(APG_FAILPOINTS=f"{place}=kill")
        client.log_in(world.user, PASSWORD)
        keys.append(new_id())
        try:
            client.call("POST", path, {"parameters": {}}, Idempotency_Key=keys[-1])
            raise AssertionError("an answer came from a killed server")
        except OSError:
            pass
        breaking.popen.wait(10)
    _, client = world.web()
    client.log_in(world.user, PASSWORD)
    for key in keys:
        status, body = client.call("POST", path, {"parameters": {}}, Idempotency_Key=key)
        assert status in (200, 201, 202), body
        world.acked.append(body["data"]["execution_id"])
    assert Execution.objects.filter(created_by=world.user).count() == rounds
    world.worker(1)
    world.check()
    figure("web server killed around the commit of an execute", f"{rounds} kills: one execution a key")


def test_f16_a_frozen_broker_delays_no_answer_for_long(world: World, figure: Figure) -> None:
    world.worker(2)
    chain = world.effects(2)
    _, client = world.web()
    client.log_in(world.user, PASSWORD)
    path = f"/workflow_orchestration/workflows/{chain.pk}/execute"
    valkey = world.servers.valkey_process()
    valkey.suspend()
    took: list[float] = []
    try:
        for _ in range(3):
            for method, at, body in (
                ("POST", path, {"parameters": {}}),
                ("GET", "/workflows", None),
            ):
                asked_at = time.monotonic()
                status, answer = client.call(method, at, body, timeout=30)
                took.append(time.monotonic() - asked_at)
                assert status < 300, answer
                if method == "POST":
                    world.acked.append(answer["data"]["execution_id"])
    finally:
        valkey.resume()
    resumed_at = time.monotonic()
    world.check()
    drained = time.monotonic() - resumed_at
    shares = f"{len(took)} of {len(took)} accepted, slowest {max(took):.1f} s"
    figure("answers while Valkey is frozen", f"{shares}; all done {drained:.1f} s after it went on")
    eventually(lambda: client.call("GET", "/health")[0] == 200)


def test_health_answers_within_seconds_while_postgres_is_frozen(world: World, figure: Figure) -> None:
    _, client = world.web()
    client.log_in(world.user, PASSWORD)
    world.worker(1)
    eventually(lambda: client.call("GET", "/health")[1]["data"]["status"] == "healthy", timeout=30)
    took: list[float] = []
    world.servers.freeze_postgres()
    try:
        for _ in range(3):
            with Stopwatch() as watch:
                status, answer = client.call("GET", "/health", timeout=30)
            took.append(watch.seconds)
            assert (status, answer["data"]["status"]) == (503, "unhealthy")
            assert answer["data"]["components"]["redis"]["status"] == "healthy"
    finally:
        world.servers.thaw_postgres()
    assert max(took) < 4
    figure("health while PostgreSQL is frozen", f"slowest of {len(took)} answers {max(took):.1f} s")
    eventually(lambda: client.call("GET", "/health")[1]["data"]["status"] == "healthy", timeout=30)
