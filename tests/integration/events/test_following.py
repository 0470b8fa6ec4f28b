"""Reading the ledger to its end while others write it: nothing missed, nothing twice."""

import random
import threading
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.ids import new_id, to_uuid
from events.event_types import EventType
from events.following import Advance, advance, begin
from events.models import Event, Follower
from tests.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)

Database: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"
TYPES = (EventType.EXECUTION_COMPLETED, EventType.EXECUTION_FAILED)
_INSERT = """
INSERT INTO events_event (subject_id, sequence, workflow_id, owner_id, type, data)
VALUES (%s, 1, %s, %s, %s, {data}) RETURNING id
"""
_WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def _connect() -> Database:
    parameters = connection.get_connection_params()
    wanted = {name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if name in parameters}
    return psycopg.connect(**wanted)


@pytest.fixture
def one() -> Iterator[Database]:
    """A connection of somebody else."""
    with _connect() as other:
        yield other


@pytest.fixture
def two() -> Iterator[Database]:
    """And of a third."""
    with _connect() as other:
        yield other


@pytest.fixture(autouse=True)
def follower(transactional_db: None) -> None:
    """It begins before the test's own events."""
    begin("test")


def _write(database: Database, type_: str = "execution.completed", data: str = "'{}'") -> int:
    ids = [to_uuid(new_id()) for _ in range(3)]
    row = database.execute(_INSERT.format(data=data).encode(), [*ids, type_]).fetchone()
    assert row is not None
    return int(row[0])


def _read(limit: int = 500) -> list[int]:
    seen: list[int] = []
    advance("test", types=TYPES, handle=lambda rows: seen.extend(row.pk for row in rows), limit=limit)
    return seen


def _position() -> int:
    return Follower.objects.get(pk="test").position


def test_a_follower_begins_at_the_end_of_the_ledger(one: Database) -> None:
    last = _write(one)
    one.commit()
    seen: list[Sequence[Event]] = []
    assert advance("new", types=TYPES, handle=seen.append) == Advance(0, more=False)
    assert Follower.objects.get(pk="new").position == last
    assert not seen


def test_rows_of_the_asked_types_come_once_and_in_order(one: Database) -> None:
    first, _, second = _write(one), _write(one, "log"), _write(one, "execution.failed")
    _write(one, "component.started")
    one.commit()
    assert _read() == [first, second]
    assert _read() == []


def test_a_full_batch_leaves_the_rest_for_the_next_call(one: Database) -> None:
    written = [_write(one) for _ in range(3)]
    one.commit()
    assert advance("test", types=TYPES, handle=lambda rows: None, limit=2) == Advance(2, more=True)
    assert _read(limit=2) == written[2:]


def test_an_older_transaction_that_commits_late_is_not_missed(one: Database, two: Database) -> None:
    begun = _position()
    late = _write(one)
    early = _write(two)
    two.commit()
    assert late < early
    assert _read() == []
    assert _position() == begun
    one.commit()
    assert _read() == [late, early]


def test_an_older_transaction_that_is_rolled_back_holds_nothing_up_for_longer(one: Database, two: Database) -> None:
    _write(one)
    early = _write(two)
    two.commit()
    assert _read() == []
    one.rollback()
    assert _read() == [early]


def test_an_id_taken_by_a_statement_that_has_no_transaction_id_yet_is_waited_for(one: Database, two: Database) -> None:
    # The id is the row's first column; the last waits for a lock, before the row is written.
    # The first id after a checkpoint is logged together with the 32 after it, for which its taker gets a transaction
    # id: it is taken here, not by the writer.
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
        cursor.execute("SELECT nextval(pg_get_serial_sequence('events_event', 'id'))")
    two.execute("SELECT pg_advisory_lock(7)")
    two.commit()
    written: list[int] = []
    data = "CASE WHEN pg_advisory_xact_lock(7)::text = 'x' THEN 'null' ELSE '{{}}' END::jsonb".replace("{{}}", "{}")
    writer = threading.Thread(target=lambda: written.append(_write(one, data=data)))
    writer.start()
    eventually(lambda: two.execute(_WAITING).fetchone() == (1,))
    xid = two.execute("SELECT backend_xid FROM pg_stat_activity WHERE pid = %s", [one.info.backend_pid])
    assert xid.fetchone() == (None,), "the writer has no transaction id, so no snapshot tells of it"
    early = _write(two)
    two.commit()
    assert _read() == []
    two.execute("SELECT pg_advisory_unlock(7)")
    two.commit()
    writer.join()
    one.commit()
    assert written[0] < early
    assert _read() == [*written, early]


def test_there_being_always_somebody_who_writes_does_not_hold_it_up(one: Database, two: Database) -> None:
    first = _write(one)
    assert _read() == []
    second = _write(two)
    one.commit()
    # Whoever was writing at the first look is done, so what they wrote can be read; the other one still writes.
    assert _read() == [first]
    third = _write(one)
    two.commit()
    assert _read() == [second]
    one.commit()
    assert _read() == [third]


def test_a_long_transaction_that_writes_elsewhere_holds_nothing_up(one: Database, two: Database) -> None:
    one.execute("CREATE TEMPORARY TABLE elsewhere AS SELECT 1")
    one.execute("SELECT count(*) FROM events_event")
    written = _write(two)
    two.commit()
    assert _read() == [written]


def test_a_handler_that_fails_leaves_the_follower_where_it_was(one: Database) -> None:
    written = _write(one)
    one.commit()
    begun = _position()

    def fail(rows: Sequence[Event]) -> None:
        Follower.objects.create(name="made by the handler", position=0)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        advance("test", types=TYPES, handle=fail)
    assert _position() == begun
    assert not Follower.objects.filter(pk="made by the handler").exists()
    assert _read() == [written]


def test_two_processes_do_not_advance_one_follower_at_once(one: Database, two: Database) -> None:
    written = _write(one)
    one.commit()
    two.execute("SELECT 1 FROM events_follower WHERE name = 'test' FOR UPDATE")
    assert _read() == []
    two.rollback()
    assert _read() == [written]


def test_long_stretches_of_other_types_are_skipped_in_bounded_steps(
    one: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.following.MAX_SCANNED", 10)
    for _ in range(15):
        _write(one, "log")
    written = _write(one)
    one.commit()
    begun = _position()
    assert advance("test", types=TYPES, handle=lambda rows: None) == Advance(0, more=True)
    assert _position() == begun + 10
    assert _read() == [written]


def test_idle_it_asks_one_question_and_writes_nothing(one: Database) -> None:
    _write(one)
    one.commit()
    _read()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert _read() == []
    asked = [query["sql"] for query in queries if query["sql"] not in {"BEGIN", "COMMIT"}]
    assert len(asked) == 1
    assert asked[0].strip().startswith("SELECT")


def test_under_many_writers_it_sees_exactly_what_was_committed() -> None:
    committed: set[int] = set()
    lock = threading.Lock()
    writing = [True]

    def write(seed: int) -> None:
        chance = random.Random(seed)
        with _connect() as database:
            for _ in range(60):
                ids = [_write(database, chance.choice(("execution.completed", "log"))) for _ in range(2)]
                kept = {row[0] for row in database.execute(_KEPT, [ids]).fetchall()}
                database.execute("SELECT pg_sleep(%s)", [chance.random() / 200])
                if chance.random() < 0.2:
                    database.rollback()
                    continue
                database.commit()
                with lock:
                    committed.update(kept)

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(6)]
    for writer in writers:
        writer.start()
    seen: list[int] = []
    while writing[0]:
        writing[0] = any(writer.is_alive() for writer in writers)
        seen += _read(limit=20)
    eventually(lambda: not seen.extend(_read()) and len(seen) >= len(committed))  # type: ignore[func-returns-value]
    assert seen == sorted(committed)


_KEPT = "SELECT id FROM events_event WHERE id = ANY(%s) AND type = 'execution.completed'"
