"""What processes count: exact numbers after something happened, added up over processes, and never twice."""

import os
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisConnectionError

from accounts.models import User
from accounts.throttling import Limit, take
from core import measures, metrics, metrics_sending
from core.metrics_sending import Sender
from executions import maintenance, triggers
from executions.models import ComponentRun, Execution
from tests.api import Api
from tests.integration.executions.conftest import Doorbells, linear, log, start, transform
from tests.integration.metrics.conftest import told
from tests.integration.triggers.conftest import move_back, schedule

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_counted")]


def test_an_execution_is_counted_from_its_acceptance_to_its_end(alice: User, doorbells: Doorbells) -> None:
    start(alice, linear(transform("a", 1), log("b")))
    assert told()["apg_executions_accepted_total", "manual"] == 1
    assert told()["apg_executions_started_total",] == 0
    doorbells.work()
    after = told()
    assert after["apg_executions_started_total",] == 1
    assert [after["apg_executions_ended_total", status] for status in measures.ENDS] == [1, 0, 0]
    assert after["apg_execution_seconds_count", "completed"] == 1
    assert after["apg_component_attempts_total", "completed", "transform"] == 1
    assert after["apg_component_attempts_total", "completed", "log"] == 1
    assert after["apg_component_seconds_count", "transform"] == 1
    # The second was kept by the worker that ended the first, and never queued.
    assert after["apg_queue_wait_seconds_count", "5", "default"] == 1
    assert after["apg_queue_wait_seconds_bucket", "+Inf", "5", "default"] == 1


def test_a_failure_is_counted_as_one(alice: User, doorbells: Doorbells) -> None:
    start(alice, linear({"id": "f", "type": "fail", "config": {"message": "no"}}))
    doorbells.work()
    after = told()
    assert after["apg_component_attempts_total", "failed", "fail"] == 1
    assert after["apg_executions_ended_total", "failed"] == 1


def test_a_wait_is_counted_as_one(alice: User, doorbells: Doorbells) -> None:
    start(alice, linear({"id": "d", "type": "delay", "config": {"seconds": 60}}))
    doorbells.work()
    after = told()
    assert after["apg_component_attempts_total", "waiting", "delay"] == 1
    assert ("apg_component_attempts_total", "completed", "delay") not in after
    assert after["apg_component_runs", "waiting"] == 1


def test_nobody_else_sends_what_these_tests_count() -> None:
    assert "metrics" not in {thread.name for thread in threading.enumerate()}, "some test imports config.asgi"


def test_a_sweep_s_finds_are_counted_by_sweep(alice: User) -> None:
    execution = start(alice, linear(log("a")))
    long_ago = timezone.now() - timedelta(hours=1)
    ComponentRun.objects.filter(execution=execution).update(rung_at=long_ago)
    maintenance.sweep()
    after = told()
    assert after["apg_sweep_finds_total", "ring_unclaimed"] == 1
    assert ("apg_sweep_finds_total", "rescue_expired") not in after


def test_a_refused_request_is_counted_by_its_limit() -> None:
    limit = Limit("login-account", 1, 60)
    assert take(limit, "x").allowed
    assert not take(limit, "x").allowed
    assert not take(limit, "x").allowed
    assert told()["apg_rate_limit_refusals_total", "login-account"] == 2


def test_requests_are_counted_by_route_and_never_by_address(api: Api, alice_api: Api) -> None:
    metrics.totals.take()
    alice_api.get("/workflows/01ARZ3NDEKTSV4RRFFQ69G5FAV")
    alice_api.get("/workflows/01ARZ3NDEKTSV4RRFFQ69G5FAW")
    Client().get("/nothing/of/the/kind?x=1")
    Client().generic("BREW", "/healthz")
    counted = {series: value for series, value in told().items() if series[0] == "apg_http_requests_total"}
    assert counted == {
        ("apg_http_requests_total", "GET", "/api/v1/workflow_orchestration/workflows/{workflow_id}", "404"): 2,
        ("apg_http_requests_total", "GET", "none", "404"): 1,
        ("apg_http_requests_total", "other", "/healthz", "200"): 1,
    }


def test_what_two_processes_count_is_added_up() -> None:
    measures.RESCUES.count()
    # A child of a fork begins with nothing, so that nothing is counted twice.
    child = os.fork()
    if not child:
        try:
            ours = metrics.totals.take()
            measures.RESCUES.count(amount=2)
            os._exit(0 if not ours and metrics_sending.sender.send() else 1)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert told()["apg_rescues_total",] == 3


def test_a_batch_whose_answer_was_lost_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sender, add = Sender(), metrics_sending._add

    def add_and_lose(*batch: Any) -> None:
        add(*batch)
        raise RedisConnectionError

    measures.RESCUES.count()
    monkeypatch.setattr(metrics_sending, "_add", add_and_lose)
    assert not sender.send()
    monkeypatch.setattr(metrics_sending, "_add", add)
    measures.RESCUES.count(amount=10)
    assert sender.send()
    assert told()["apg_rescues_total",] == 11


def test_while_valkey_is_away_a_process_goes_on_counting(settings: Any) -> None:
    url, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1/0"
    measures.RESCUES.count()
    assert not metrics_sending.sender.send()
    measures.RESCUES.count()
    assert not metrics_sending.sender.send()
    settings.REDIS_URL = url
    assert told()["apg_rescues_total",] == 2


def test_a_schedule_s_slots_are_counted_with_their_lateness_and_what_is_skipped_with_its_reason(alice: User) -> None:
    move_back(schedule(alice), 185)
    while triggers.fire_due():
        pass
    after = told()
    assert after["apg_schedule_slots_total", "started"] == 1
    slots = {series[1]: value for series, value in after.items() if series[0] == "apg_schedule_slots_total"}
    assert slots == {"superseded": 1, "started": 1, "overlap": 1}
    assert after["apg_schedule_lateness_seconds_count",] == 1
    assert Execution.objects.count() == 1
    assert after["apg_executions_accepted_total", "schedule"] == 1
