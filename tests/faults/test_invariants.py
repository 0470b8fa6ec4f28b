"""The checks themselves: each planted bug turns exactly its own check red."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest

from core.ids import to_uuid
from executions.models import ComponentRun
from tests.eventually import eventually
from tests.faults import invariants
from tests.faults.harness import Process, World
from tests.faults.invariants import Evidence

Plant = Callable[[Evidence], Evidence]


def sql(*statements: str) -> Plant:
    def plant(evidence: Evidence) -> Evidence:
        for statement in statements:
            evidence.connection.execute(statement.encode(), {"account": evidence.account})
        return evidence

    return plant


_ONE_EXECUTION = "(SELECT id FROM executions_execution WHERE created_by_id = %(account)s ORDER BY id LIMIT 1)"
_ONE_RUN = f"(SELECT id FROM executions_componentrun WHERE execution_id = {_ONE_EXECUTION} ORDER BY position LIMIT 1)"

PLANTS: dict[str, tuple[str, Plant]] = {
    "an acknowledged execution is not stored": (
        "I1",
        lambda evidence: replace(evidence, acked=[*evidence.acked, "00000000-0000-0000-0000-000000000000"]),
    ),
    "an execution never ends": (
        "I2",
        sql(f"UPDATE executions_execution SET status = 'running', completed_at = NULL WHERE id = {_ONE_EXECUTION}"),
    ),
    "a completion is recorded twice": (
        "I3",
        sql(
            f"UPDATE executions_execution SET sequence = sequence + 1 WHERE id = {_ONE_EXECUTION}",
            f"""INSERT INTO events_event (subject_id, workflow_id, owner_id, sequence, type, data)
                SELECT subject_id, workflow_id, owner_id, (SELECT max(sequence) + 1 FROM events_event
                       WHERE subject_id = {_ONE_EXECUTION}), type, data
                FROM events_event WHERE subject_id = {_ONE_EXECUTION} AND type = 'component.completed' LIMIT 1""",
        ),
    ),
    "an attempt is left out": (
        "I4",
        sql(f"UPDATE executions_componentrun SET attempt = attempt + 2 WHERE id = {_ONE_RUN}"),
    ),
    "a claim without a fence": (
        "I5",
        sql(
            f"""INSERT INTO fault_moves (run_id, old_status, status, old_attempt, attempt, worker, pid, crashes)
                SELECT {_ONE_RUN}, 'running', 'running', 1, 1, 'thief', 1, 0"""
        ),
    ),
    "an unconditional status update of a run": (
        "G5",
        sql(
            f"UPDATE executions_componentrun SET status = 'cancelled' WHERE id = {_ONE_RUN}",
            f"UPDATE executions_componentrun SET status = 'completed' WHERE id = {_ONE_RUN}",
        ),
    ),
    "an effect without an attempt": (
        "I6",
        lambda evidence: replace(evidence, calls={key: count + 1 for key, count in evidence.calls.items()}),
    ),
    "a gap in the ledger": (
        "I7",
        sql(f"DELETE FROM events_event WHERE subject_id = {_ONE_EXECUTION} AND type = 'component.started'"),
    ),
    "an unconditional status update": (
        "I7",
        sql(f"UPDATE executions_execution SET status = 'failed' WHERE id = {_ONE_EXECUTION}"),
    ),
    "more slots than the tier": (
        "I9",
        sql(
            f"""INSERT INTO fault_slots (account, execution_id, change)
                SELECT %(account)s, {_ONE_EXECUTION}, 1 FROM generate_series(1, 101)"""
        ),
    ),
    "a secret in a log": ("I11", lambda evidence: replace(evidence, logs=evidence.logs + evidence.canary)),
    "a secret in an event": (
        "I11",
        lambda evidence: sql(
            f"""UPDATE events_event SET data = data || '{{"x": "{evidence.canary}"}}'
                WHERE subject_id = {_ONE_EXECUTION}"""
        )(evidence),
    ),
    "messages that nobody takes": ("I12", lambda evidence: replace(evidence, queued_messages=3)),
    "a process that outlives its component": ("I13", lambda evidence: replace(evidence, strays=["1 sleep 300"])),
    "a 500": ("I14", lambda evidence: replace(evidence, answers=[200, 500])),
}


def test_each_planted_bug_turns_exactly_its_check_red(world: World) -> None:
    world.worker(2)
    for _ in range(3):
        world.execute(world.effects(3))
    world.check()
    assert {name for name, _ in PLANTS.values()} == set(invariants.CHECKS)
    with world.evidence() as whole, psycopg.connect(world.servers.database_url) as own:
        keys = {str(row["id"]) for row in whole.rows(f"SELECT run.id {invariants._RUNS}")}
        whole = replace(whole, connection=own, calls={key: n for key, n in whole.calls.items() if key in keys})
        assert invariants.broken(whole) == {}
        for bug, (name, plant) in PLANTS.items():
            found = invariants.broken(plant(whole))
            own.rollback()
            assert set(found) == {name}, (bug, found)
        assert invariants.broken(whole) == {}


@pytest.fixture
def restored(world: World) -> Iterator[None]:
    yield
    # Somebody sweeps again, and everything ends after all.
    world.worker(1)
    world.check()


def test_without_the_lease_sweep_a_lost_run_never_ends(world: World, restored: None) -> None:
    broken = {"APG_FAILPOINTS": "sweep_rescue_expired=raise", "APG_LEASE_SECONDS": "15"}
    victim = world.worker(1, **broken)
    world.execute(world.effects(1, seconds=8))
    run = eventually(lambda: ComponentRun.objects.filter(execution__created_by=world.user, status="running").first())
    assert run is not None
    victim.kill()
    other = world.worker(1, **broken)
    with connection_of(world) as own:
        query = "SELECT lease_until < now() - interval '3 seconds' FROM executions_componentrun WHERE id = %s::uuid"
        eventually(lambda: own.execute(query, [str(to_uuid(run.pk))]).fetchone() == (True,), timeout=60)
    # Somebody has looked for it since: a whole sweep, which is the second of those that end from now on.
    before = sweeps_that_failed(other)
    world.eventually(lambda: sweeps_that_failed(other) >= before + 2, timeout=60)
    with world.evidence() as evidence:
        assert set(invariants.broken(evidence)) == {"I2"}
    other.stop()


def sweeps_that_failed(worker: Process) -> int:
    return worker.text().count("Sweep failed: rescue_expired")


def connection_of(world: World) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(world.servers.database_url, autocommit=True)
