"""Queues by kind of work: which one a run waits in, who takes it from there, and where its messages go."""

import re
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from core.ids import to_uuid
from core.redis import client
from core.types import JSONObject
from executions import maintenance, runner
from executions.models import ComponentRun, Execution, Worker
from executions.states import RunStatus
from executions.transitions import running, turns
from executions.transitions.statements import Holder
from tests.integration.executions.conftest import Doorbells, linear, log, start, transform
from tests.integration.executions.test_loops import for_each
from workflows.components import registry
from workflows.components.base import Kind

pytestmark = pytest.mark.django_db(transaction=True)

TYPES = registry.known_types()
ONLY_IO = Holder("io", 1, (Kind.IO,))
ONLY_DEFAULT = Holder("default", 1, (Kind.DEFAULT,))


def call(id_: str, **more: object) -> JSONObject:
    """An http_request that is refused at once: nobody listens there."""
    return {"id": id_, "type": "http_request", "config": {"url": "http://127.0.0.1:9", "method": "GET"}, **more}


def script(id_: str) -> JSONObject:
    return {"id": id_, "type": "script", "config": {"code": "result = 1"}}


def queues_of(execution: Execution) -> dict[str, str]:
    return dict(ComponentRun.objects.filter(execution=execution).values_list("component_id", "queue"))


def rung(queue: str) -> int:
    """Messages of the usual priority that wait in a queue."""
    return int(client().llen(f"{queue}:5"))


def test_a_run_waits_in_the_queue_of_its_types_kind(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a"), call("b"), script("c")))
    assert queues_of(execution) == {"a": "default", "b": "io", "c": "script"}


def test_what_waits_for_others_is_io_and_users_code_is_script() -> None:
    kinds = {type_: registry.kind_of(type_) for type_ in TYPES}
    assert {type_ for type_, kind in kinds.items() if kind == Kind.SCRIPT} == {"script"}
    io = {"http_request", "notification", "database_query"}
    assert {type_ for type_, kind in kinds.items() if kind == Kind.IO} == io
    assert registry.kind_of("not installed here") == Kind.DEFAULT


def test_runs_of_a_loop_wait_in_the_queue_of_their_kind(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(for_each([1], call("inner"))))
    runner.run_component(execution.runs.get().pk, 1, ONLY_DEFAULT)
    inner = ComponentRun.objects.get(component_id="inner")
    assert (inner.queue, inner.status) == ("io", RunStatus.QUEUED)
    assert rung("io") == 1


def test_a_worker_takes_nothing_from_a_queue_that_it_does_not_serve(alice: User, doorbells: Doorbells) -> None:
    run = start(alice, linear(log("a"))).runs.get()
    assert running.claim(run.pk, 1, ONLY_IO, TYPES) is None
    assert running.claim(run.pk, 1, ONLY_IO, TYPES, jump=True) is None
    assert turns.next_in_turn(TYPES, ONLY_IO.queues) == []
    run.refresh_from_db()
    assert run.status == RunStatus.QUEUED
    assert running.claim(run.pk, 1, ONLY_DEFAULT, TYPES) is not None


def test_what_is_queued_elsewhere_is_nobodys_turn_here(alice: User, bob: User, doorbells: Doorbells) -> None:
    start(bob, linear(log("urgent")), priority=10)
    run = start(alice, linear(call("a"))).runs.get()
    assert turns.next_in_turn(TYPES, ONLY_IO.queues) == [(run.pk, 1)]
    ComponentRun.objects.update(changed_at="2000-01-01T00:00:00Z")
    assert not turns.others_wait(5, alice.pk, ONLY_IO.queues)
    assert turns.others_wait(5, alice.pk, ONLY_DEFAULT.queues)
    assert running.claim(run.pk, 1, ONLY_IO, TYPES) is not None


def test_over_several_queues_the_most_urgent_goes_first(alice: User, doorbells: Doorbells) -> None:
    late = [start(alice, linear(component), priority=priority) for component, priority in
            ((log("a"), 5), (script("b"), 7), (call("c"), 6))]  # fmt: skip
    order = []
    for _ in late:
        [(run_id, attempt), *_] = turns.next_in_turn(TYPES, tuple(Kind))
        order.append(ComponentRun.objects.get(pk=run_id).component_id)
        assert running.claim(run_id, attempt, Holder("all", 1), TYPES)
    assert order == ["b", "c", "a"]


def test_a_worker_goes_on_with_a_successor_only_in_a_queue_that_it_serves(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a"), transform("b", 1), script("c"), log("d")))
    runner.run_component(execution.runs.get(component_id="a").pk, 1, ONLY_DEFAULT)
    assert dict(execution.runs.values_list("component_id", "status")) == {
        "a": "completed", "b": "completed", "c": "queued", "d": "blocked",
    }  # fmt: skip
    assert (rung("default"), rung("script")) == (1, 1)


def test_of_several_successors_it_keeps_the_one_that_it_serves(alice: User, doorbells: Doorbells) -> None:
    definition = {
        "components": [log("a"), script("b"), log("c")],
        "connections": [{"source": "a", "target": target, "type": "success"} for target in ("b", "c")],
    }
    execution = start(alice, definition)
    runner.run_component(execution.runs.get(component_id="a").pk, 1, ONLY_DEFAULT)
    assert dict(execution.runs.values_list("component_id", "status")) == {
        "a": "completed", "b": "queued", "c": "completed",
    }  # fmt: skip


def test_a_row_whose_queue_is_not_its_types_kind_any_more_is_not_kept(alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a"), log("b")))
    execution.runs.filter(component_id="b").update(queue="script")
    runner.run_component(execution.runs.get(component_id="a").pk, 1, ONLY_DEFAULT)
    assert execution.runs.get(component_id="b").status == RunStatus.QUEUED
    assert rung("script") == 1


def test_the_sweep_rings_in_the_queue_of_the_run(alice: User, doorbells: Doorbells) -> None:
    start(alice, linear(call("a")))
    client().flushdb()
    ComponentRun.objects.update(rung_at="2000-01-01T00:00:00Z")
    assert maintenance.ring_unclaimed() == 1
    assert (rung("io"), rung("default")) == (1, 0)


def test_the_sweep_rings_for_no_queue_that_no_worker_alive_serves(alice: User, doorbells: Doorbells) -> None:
    start(alice, linear(call("a")))
    Worker.objects.create(name="w1", queues=["default", "script"])
    ComponentRun.objects.update(rung_at="2000-01-01T00:00:00Z")
    client().flushdb()
    assert maintenance.ring_unclaimed() == 0
    assert rung("io") == 0
    Worker.objects.create(name="w2", queues=["io"])
    assert maintenance.ring_unclaimed() == 1
    assert rung("io") == 1


def test_finding_whose_turn_it_is_does_not_read_the_queue(alice: User, doorbells: Doorbells) -> None:
    run = start(alice, linear(log("a"))).runs.get()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO executions_componentrun (id, execution_id, component_id, component_type, position, status, "
            "owner_id, priority, rung_at, queue) SELECT uuidv7(), execution_id, 'c' || n, component_type, n, status, "
            "owner_id, 9, rung_at, CASE WHEN n %% 2 = 0 THEN 'default' ELSE 'script' END "
            "FROM executions_componentrun, generate_series(1, 10000) AS n WHERE id = %s",
            [to_uuid(run.pk)],
        )
        cursor.execute("ANALYZE executions_componentrun")
        parameters: dict[str, Any] = {"types": list(TYPES), "queues": [str(kind) for kind in Kind], "owners": 1000}
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {turns._NEXT_IN_TURN}", parameters)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    read = [float(rows) for rows in re.findall(r"actual rows=([\d.]+)", plan)]
    assert read, plan
    assert max(read) <= 10, plan
