"""What must hold in the store after every fault; one check each. A check gives what contradicts it, in words."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row

from executions.states import FINAL_EXECUTION, FINAL_RUN, RUN_MOVES, RunStatus

# What the triggers of the harness write: every move of a run, and every slot taken and given back.
HISTORY = """
CREATE TABLE IF NOT EXISTS fault_moves (
    id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), run_id uuid NOT NULL,
    old_status text, status text NOT NULL, old_attempt int, attempt int NOT NULL,
    worker text NOT NULL, pid int, crashes int NOT NULL
);
CREATE INDEX IF NOT EXISTS fault_moves_run ON fault_moves (run_id, id);
CREATE TABLE IF NOT EXISTS fault_slots (
    id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), account uuid NOT NULL,
    execution_id uuid NOT NULL, change int NOT NULL
);
CREATE OR REPLACE FUNCTION fault_record_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fault_moves (run_id, old_status, status, old_attempt, attempt, worker, pid, crashes)
    VALUES (NEW.id, OLD.status, NEW.status, OLD.attempt, NEW.attempt, NEW.worker, NEW.pid, NEW.crashes);
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION fault_record_slot() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.parent_run_id IS NULL AND NEW.admitted_at IS NOT NULL THEN
        IF TG_OP = 'INSERT' OR OLD.admitted_at IS NULL THEN
            INSERT INTO fault_slots (account, execution_id, change) VALUES (NEW.created_by_id, NEW.id, 1);
        END IF;
        IF TG_OP = 'UPDATE' AND OLD.completed_at IS NULL AND NEW.completed_at IS NOT NULL THEN
            INSERT INTO fault_slots (account, execution_id, change) VALUES (NEW.created_by_id, NEW.id, -1);
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER fault_moves AFTER UPDATE ON executions_componentrun FOR EACH ROW
    WHEN ((OLD.status, OLD.attempt, OLD.worker, OLD.pid)
        IS DISTINCT FROM (NEW.status, NEW.attempt, NEW.worker, NEW.pid))
    EXECUTE FUNCTION fault_record_move();
CREATE OR REPLACE TRIGGER fault_slots AFTER INSERT OR UPDATE ON executions_execution FOR EACH ROW
    EXECUTE FUNCTION fault_record_slot();
"""


@dataclass
class Evidence:
    """What the checks look at beside the database: all of one account, which is all of one test.

    `acked`: ids of executions that were accepted. `calls`: how often the effect ledger was called per key.
    `answers`: HTTP statuses seen. `logs`: what processes wrote. `strays`: processes left. `queued_messages`: left in
    the broker. `canary`: a secret that may be nowhere.
    """

    connection: "psycopg.Connection[Any]"
    account: str
    tier: int
    acked: Sequence[str] = ()
    calls: dict[str, int] = field(default_factory=dict)
    answers: Sequence[int] = ()
    logs: str = ""
    strays: Sequence[str] = ()
    queued_messages: int = 0
    canary: str = ""

    def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """Rows of a query that may name %(account)s."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(query.encode(), {"account": self.account, **parameters})
            return cursor.fetchall()


Check = Callable[[Evidence], Iterable[str]]
_RUNS = """FROM executions_componentrun AS run JOIN executions_execution AS execution ON execution.id = run.execution_id
    WHERE execution.created_by_id = %(account)s"""
_EVENTS = """FROM events_event AS event JOIN executions_execution AS execution ON execution.id = event.subject_id
    WHERE execution.created_by_id = %(account)s"""


def i1_accepted_is_stored(evidence: Evidence) -> Iterable[str]:
    """Accepted executions that are not stored."""
    stored = {
        str(row["id"]) for row in evidence.rows("SELECT id FROM executions_execution WHERE created_by_id = %(account)s")
    }
    return sorted(set(evidence.acked) - stored)


def i2_everything_ends(evidence: Evidence) -> Iterable[str]:
    """Executions and runs that have not ended."""
    for table, final, query in (
        ("execution", FINAL_EXECUTION, "SELECT id, status FROM executions_execution WHERE created_by_id = %(account)s"),
        ("run", FINAL_RUN, f"SELECT run.id, run.status {_RUNS}"),
    ):
        for row in evidence.rows(query):
            if row["status"] not in final:
                yield f"{table} {row['id']} is {row['status']}"


def i3_one_record(evidence: Evidence) -> Iterable[str]:
    """Runs whose completion was recorded more or less than once."""
    query = """
        SELECT run.id, run.status, count(event.id) AS records
        FROM executions_componentrun AS run
        JOIN executions_execution AS execution ON execution.id = run.execution_id
        LEFT JOIN events_event AS event ON event.subject_id = execution.id AND event.type = 'component.completed'
            AND event.data ->> 'component_id' = run.component_id
            AND (event.data ->> 'item_index')::int IS NOT DISTINCT FROM run.item_index
        WHERE execution.created_by_id = %(account)s
        GROUP BY run.id HAVING count(event.id) <> (run.status = 'completed')::int
    """
    return [f"run {row['id']} is {row['status']} with {row['records']} records" for row in evidence.rows(query)]


def i4_attempts_are_contiguous(evidence: Evidence) -> Iterable[str]:
    """Runs that skipped an attempt or went back."""
    query = f"SELECT move.* FROM fault_moves AS move JOIN (SELECT run.id {_RUNS}) AS own ON own.id = move.run_id"
    for row in evidence.rows(query):
        if row["attempt"] - row["old_attempt"] not in (0, 1):
            yield f"run {row['run_id']} went from attempt {row['old_attempt']} to {row['attempt']}"


def i5_no_two_holders(evidence: Evidence) -> Iterable[str]:
    """Runs that changed hands while they were running."""
    query = f"""SELECT move.* FROM fault_moves AS move JOIN (SELECT run.id {_RUNS}) AS own ON own.id = move.run_id
        WHERE move.old_status = 'running' AND move.status = 'running'"""
    return [f"run {row['run_id']} was taken from its holder by {row['worker']}" for row in evidence.rows(query)]


def g5_legal_moves(evidence: Evidence) -> Iterable[str]:
    """Runs that moved against the table of legal moves."""
    query = f"SELECT move.* FROM fault_moves AS move JOIN (SELECT run.id {_RUNS}) AS own ON own.id = move.run_id"
    for row in evidence.rows(query):
        if row["status"] not in {row["old_status"], *RUN_MOVES[RunStatus(row["old_status"])]}:
            yield f"run {row['run_id']} went from {row['old_status']} to {row['status']}"


def i6_effects(evidence: Evidence) -> Iterable[str]:
    """Components invoked more often than they had attempts, so without any fault; or recorded without a call."""
    if not evidence.calls:
        return
    for row in evidence.rows(f"SELECT run.id, run.attempt, run.status {_RUNS} AND run.component_type = 'http_request'"):
        calls = evidence.calls.get(str(row["id"]), 0)
        if calls > row["attempt"]:
            yield f"run {row['id']}: {calls} calls in {row['attempt']} attempts"
        if row["status"] == "completed" and calls == 0:
            yield f"run {row['id']} is completed and was never called"


def i7_events_tell_all(evidence: Evidence) -> Iterable[str]:
    """Ledgers with a gap, without exactly one end, or with an end that is not the row's."""
    query = """
        SELECT execution.id, execution.status, execution.sequence, count(event.id) AS events,
               max(event.sequence) AS last,
               array_agg(event.type ORDER BY event.sequence) FILTER (
                   WHERE event.type IN ('execution.completed', 'execution.failed', 'execution.cancelled')) AS ends
        FROM executions_execution AS execution LEFT JOIN events_event AS event ON event.subject_id = execution.id
        WHERE execution.created_by_id = %(account)s
        GROUP BY execution.id
    """
    for row in evidence.rows(query):
        if not row["events"] == row["last"] == row["sequence"]:
            yield f"execution {row['id']}: {row['events']} events up to {row['last']}, numbered to {row['sequence']}"
        if row["status"] in FINAL_EXECUTION and row["ends"] != [f"execution.{row['status']}"]:
            yield f"execution {row['id']} is {row['status']} and told {row['ends']}"


def i9_tier_holds(evidence: Evidence) -> Iterable[str]:
    """Instants at which the account ran more than its tier allows."""
    query = """SELECT at, running FROM (
        SELECT at, sum(change) OVER (ORDER BY id) AS running FROM fault_slots WHERE account = %(account)s
    ) AS counted WHERE running > %(tier)s LIMIT 5"""
    return [f"{row['running']} ran at {row['at']}" for row in evidence.rows(query, tier=evidence.tier)]


def i11_secret_stays_in(evidence: Evidence) -> Iterable[str]:
    """Places where the canary is."""
    if not evidence.canary:
        return
    if evidence.canary in evidence.logs:
        yield "a log"
    if evidence.rows(f"SELECT 1 {_EVENTS} AND event.data::text LIKE %(like)s", like=f"%{evidence.canary}%"):
        yield "an event"
    for column in ("parameters", "results", "error", "trigger"):
        query = f"SELECT 1 FROM executions_execution WHERE created_by_id = %(account)s AND {column}::text LIKE %(like)s"
        if evidence.rows(query, like=f"%{evidence.canary}%"):
            yield f"an execution's {column}"
    if evidence.rows(f"SELECT 1 {_RUNS} AND (run.output::text LIKE %(like)s OR run.error::text LIKE %(like)s)",
                     like=f"%{evidence.canary}%"):  # fmt: skip
        yield "a run's output or error"


def i12_nothing_left_to_send(evidence: Evidence) -> Iterable[str]:
    """Messages that nobody took."""
    if evidence.queued_messages:
        yield f"{evidence.queued_messages} messages"


def i13_no_process_left(evidence: Evidence) -> Iterable[str]:
    """Processes that outlived what started them."""
    return evidence.strays


def i14_no_500(evidence: Evidence) -> Iterable[str]:
    """Answers that say a bug was met."""
    return [f"answer {status}" for status in evidence.answers if status == 500 or status > 503]


CHECKS: dict[str, Check] = {
    "I1": i1_accepted_is_stored,
    "I2": i2_everything_ends,
    "I3": i3_one_record,
    "I4": i4_attempts_are_contiguous,
    "I5": i5_no_two_holders,
    "G5": g5_legal_moves,
    "I6": i6_effects,
    "I7": i7_events_tell_all,
    "I9": i9_tier_holds,
    "I11": i11_secret_stays_in,
    "I12": i12_nothing_left_to_send,
    "I13": i13_no_process_left,
    "I14": i14_no_500,
}


def broken(evidence: Evidence) -> dict[str, list[str]]:
    """The invariants that do not hold, with what contradicts them."""
    found = {name: list(check(evidence)) for name, check in CHECKS.items()}
    return {name: faults for name, faults in found.items() if faults}


def told(found: dict[str, list[str]]) -> str:
    """The broken invariants, cut to what a person reads."""
    return json.dumps({name: faults[:10] for name, faults in found.items()}, indent=1)
