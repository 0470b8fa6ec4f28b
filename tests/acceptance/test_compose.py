"""docker-compose.yml: accepted by Compose, and its processes run by its own commands from what is in the image."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.acceptance.conftest import MakePlatform
from tests.acceptance.processes import EMAIL, Platform, Process, ended, execute, make_workflow
from tests.deployment import COMPOSE_FILE, compose, dockerfile
from tests.eventually import eventually
from tests.stand_ins import Request, Service, http_service

pytestmark = pytest.mark.acceptance

LIGHT = [
    {"id": "one", "type": "log", "config": {"message": "one"}},
    {"id": "two", "type": "end", "config": {"output": 2}},
]


@pytest.fixture(scope="module")
def platform(make_platform: MakePlatform) -> Platform:
    """Prepared by the file's own command, from what is in the image."""
    return make_platform(5)


@pytest.fixture(scope="module")
def processes(platform: Platform) -> dict[str, Process]:
    """One of each service, healthy by the checks of the compose file."""
    return platform.up(*(name for name in platform.services if name not in {"postgres", "valkey", "prepare"}))


class Held:
    """A service that answers when it is let to."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()

    def __call__(self, request: Request) -> tuple[int, Any]:
        assert self.may_answer.wait(60)
        return 200, {}


@pytest.fixture
def held() -> Iterator[tuple[Held, Service]]:
    answers = Held()
    with http_service(answers) as service:
        yield answers, service
        answers.may_answer.set()


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_compose_accepts_the_file_and_reads_it_as_these_tests_do() -> None:
    done = subprocess.run(
        ["docker-compose", "--file", COMPOSE_FILE, "config"],
        env={"PATH": "/usr/bin:/bin", "APG_ADMIN_EMAIL": EMAIL}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load(done.stdout)["services"]
    ours = compose(APG_ADMIN_EMAIL=EMAIL)
    assert read.keys() == ours.keys()
    for name, service in ours.items():
        assert read[name]["command"] == service.command
        given = read[name].get("environment", {})
        assert {key: str(value) for key, value in given.items()} == service.environment


def test_every_service_is_checked_restarted_limited_and_logs_within_bounds() -> None:
    for name, service in compose(APG_ADMIN_EMAIL=EMAIL).items():
        assert service.check or name == "prepare", name
        assert service.keys["restart"] == ("no" if name == "prepare" else "unless-stopped")
        assert service.keys["mem_limit"]
        assert service.keys["logging"]["options"]["max-size"]
        if name not in {"postgres", "valkey"}:
            assert service.keys["read_only"] is True
            assert service.keys["cap_drop"] == ["ALL"]
            assert service.keys["volumes"] == ["data:/data"]


def test_the_web_server_runs_and_is_checked_as_in_the_image() -> None:
    (command,) = [json.loads(each.text) for each in dockerfile() if each.name == "CMD"]
    (check,) = [each.text.partition("CMD ")[2] for each in dockerfile() if each.name == "HEALTHCHECK"]
    web = compose(APG_ADMIN_EMAIL=EMAIL)["web"]
    assert (command, json.loads(check)) == (web.command, web.check)


def test_preparing_again_changes_nothing(platform: Platform) -> None:
    with platform.database() as database:
        count = "SELECT (SELECT count(*) FROM accounts_user), (SELECT count(*) FROM django_migrations)"
        before = database.execute(count).fetchone()
        assert platform.run("prepare").returncode == 0
        assert database.execute(count).fetchone() == before


def test_an_execution_ends_and_every_service_is_healthy(platform: Platform, processes: dict[str, Process]) -> None:
    client = platform.client()
    workflow_id = make_workflow(client, "light", LIGHT)
    found = ended(client, execute(client, workflow_id))
    assert (found["status"], found["results"]) == ("completed", 2)
    eventually(lambda: all(platform.is_healthy(process) for process in processes.values()), timeout=60)
    # A worker's own check says that it goes round; its first heartbeat, which health counts, follows within a tick.
    # And a database that takes its time over the probe makes one answer of health a bad one.
    eventually(client.is_up, timeout=60)


def test_one_worker_more_takes_its_share(
    platform: Platform, processes: dict[str, Process], held: tuple[Held, Service]
) -> None:
    answers, service = held
    client = platform.client()
    waits = {"id": "wait", "type": "http_request", "config": {"url": service.url, "method": "GET", "timeout": 60}}
    workflow_id = make_workflow(client, "wide", [waits])
    at_once = int(
        processes["worker-io"].service.command[processes["worker-io"].service.command.index("--concurrency") + 1]
    )
    with platform.database() as database:
        running = "SELECT count(*), count(DISTINCT worker) FROM executions_componentrun WHERE status = 'running'"
        platform.up("worker-io")
        # More than one of them takes at once.
        ids = [execute(client, workflow_id) for _ in range(at_once + 2)]
        # A worker takes a few bells more than it has places; what waits there is rung again after five seconds.
        eventually(lambda: database.execute(running).fetchone() == (at_once + 2, 2), timeout=40)
    answers.may_answer.set()
    assert {ended(client, each)["status"] for each in ids} == {"completed"}


def test_sigterm_lets_a_worker_finish_what_it_runs_and_it_ends_with_0(
    platform: Platform, processes: dict[str, Process], held: tuple[Held, Service]
) -> None:
    answers, service = held
    client = platform.client()
    waits = {"id": "wait", "type": "http_request", "config": {"url": service.url, "method": "GET", "timeout": 60}}
    workers = [
        each for each in platform.running if each.service.name.startswith("worker") and each.popen.poll() is None
    ]
    execution_id = execute(client, make_workflow(client, "drained", [waits, *LIGHT]))
    eventually(lambda: service.seen, timeout=60)
    for each in workers:
        each.popen.terminate()
        eventually(lambda each=each: "Warm shutdown" in each.log.read_text(), timeout=60)  # type: ignore[misc]
    answers.may_answer.set()
    assert [each.exit_code() for each in workers] == [0] * len(workers)
    with platform.database() as database:
        (row,) = database.execute(
            "SELECT status, attempt, crashes FROM executions_componentrun WHERE component_id = 'wait'"
            " AND execution_id = (SELECT id FROM executions_execution ORDER BY created_at DESC LIMIT 1)"
        ).fetchall()
        assert row == ("completed", 1, 0)
        # They said goodbye.
        assert database.execute("SELECT count(*) FROM executions_worker").fetchone() == (0,)
    # What is left of the execution waits for a worker, and a new one goes on with it.
    platform.up("worker")
    assert ended(client, execution_id)["status"] == "completed"


def test_a_second_beat_does_no_harm(platform: Platform, processes: dict[str, Process]) -> None:
    platform.up("beat")
    client = platform.client()
    schedule = {"id": "start", "type": "start", "config": {"trigger_type": "schedule", "interval_seconds": 1}}
    workflow_id = make_workflow(client, "every second", [schedule, *LIGHT])
    client.call("POST", f"/workflows/{workflow_id}/activate", {})
    with platform.database() as database:
        slots = "SELECT count(*), count(DISTINCT slot_at) FROM workflows_slot"
        eventually(lambda: database.execute(slots).fetchone() >= (3, 3), timeout=20)  # type: ignore[operator]
        client.call("POST", f"/workflows/{workflow_id}/deactivate", {})
        all_of_them = database.execute(slots).fetchone()
        assert all_of_them is not None
        assert all_of_them[0] == all_of_them[1]


def test_every_service_stops_with_0_within_its_time(platform: Platform, processes: dict[str, Process]) -> None:
    codes = {process.log: process.stop() for process in platform.running if process.popen.poll() is None}
    assert set(codes.values()) == {0}, codes
