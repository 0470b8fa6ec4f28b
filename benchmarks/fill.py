"""Fills a migrated, empty database by COPY: 200 owners, 10,000 workflows, 1,000,000 executions over two years."""

import argparse
import json
import os
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import django
import psycopg

from benchmarks.bulk_load import Copy, Database, WithoutIndexes, say

OWNERS, WORKFLOWS, EXECUTIONS = 200, 10_000, 1_000_000
BIG_OWNER_WORKFLOWS = 2_000
# Of the big owner's executions, those of one workflow; the rest of all executions is the other owners'.
HOT_SHARE, BIG_OWNER_SHARE = 0.1, 0.2
LOG_LINES = 20
AUDIT_SHARE = 0.25
SHARED_WITH_USER, SHARED_WITH_GROUP = 50, 50
SECRETS, API_KEYS = 500, 100
LONG_LOG_LINES = 10_000
DAYS = 730
SEED = 20
PASSWORD = "correct-horse-battery-staple"
BIG, SMALL, SHAREE, STAFF = "big@example.com", "small@example.com", "sharee@example.com", "staff@example.com"

COMPONENTS = (("start", "start"), ("fetch", "http_request"), ("shape", "transform"), ("store", "log"))
_CATEGORIES = ("data_processing", "automation", "reporting", "integration", "monitoring", "finance")
_TAGS = ("etl", "daily", "weekly", "customer_data", "critical", "test", "sync", "nightly", "legacy", "pii")
_WORDS = (
    *("customer", "order", "invoice", "report", "sync", "nightly", "import", "export", "clean", "merge", "ledger"),
    *("payment", "alert", "stock", "price", "audit", "backup", "mail", "webhook", "metric", "sensor", "log", "archive"),
    *("route", "score", "train", "approve", "enrich", "notify", "review"),
)
_TABLES = (
    "workflows_workflow",
    "workflows_workflowversion",
    "executions_execution",
    "executions_componentrun",
    "events_event",
    "accounts_auditentry",
)
_DEFINITION = {
    "components": [
        {"id": "start", "type": "start", "config": {"trigger_type": "manual"}},
        {"id": "fetch", "type": "http_request", "config": {"url": "https://api.example.com/items", "method": "GET"}},
        {"id": "shape", "type": "transform", "config": {"output": {"rows": "{{ components.fetch.output.body }}"}}},
        {"id": "store", "type": "log", "config": {"message": "stored"}},
    ],
    "connections": [
        {"source": "start", "target": "fetch", "type": "success"},
        {"source": "fetch", "target": "shape", "type": "success"},
        {"source": "shape", "target": "store", "type": "success"},
    ],
}


@dataclass(frozen=True)
class Workflow:
    """What its executions need to know of a workflow."""

    id: str
    owner: str
    version_id: str


@dataclass
class Filled:
    """The people and things that the measurements ask for, as UUID text."""

    owners: list[str] = field(default_factory=list)
    workflows: list[Workflow] = field(default_factory=list)
    shared: list[Workflow] = field(default_factory=list)
    hot: Workflow | None = None
    long_execution: str = ""


class _Ids:
    """UUIDv7s of given times (RFC 9562 §5.7), as 32 hexadecimal digits."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def at(self, seconds: float) -> str:
        low = self._chance.getrandbits(74)
        number = (int(seconds * 1000) << 80) | (7 << 76) | ((low >> 62) << 64) | (2 << 62) | (low & (2**62 - 1))
        return f"{number:032x}"


def fill(url: str, *, executions: int = EXECUTIONS, log_lines: int = LOG_LINES) -> None:
    """Fill everything; takes minutes. The database must be migrated and empty; ends vacuumed and analysed."""
    with psycopg.connect(url, autocommit=True) as database:
        _fill(url, database, executions, log_lines)


def _fill(url: str, database: Database, executions: int, log_lines: int) -> None:
    chance = random.Random(SEED)
    ids = _Ids(chance)
    filled = Filled()
    now = time.time()
    _people(database, filled, ids, now)
    _workflows(database, filled, chance, ids, now)
    _shares(database, filled)
    with WithoutIndexes(database):
        _executions(url, database, filled, chance, ids, now, executions, log_lines)
        _audit(database, filled, chance, ids, now, int(executions * AUDIT_SHARE))
    for table in _TABLES:
        say(f"vacuum {table}")
        database.execute(f"VACUUM (ANALYZE, FREEZE) {table}")
    database.execute("VACUUM ANALYZE")


def _people(database: Database, filled: Filled, ids: _Ids, now: float) -> None:
    from django.contrib.auth.hashers import make_password  # noqa: PLC0415 - once Django is set up

    hashed = make_password(PASSWORD)
    named = [BIG, SMALL, *(f"owner{number}@example.com" for number in range(OWNERS - 2))]
    people = [*named, SHAREE, STAFF]
    made = {email: ids.at(now - (DAYS + 1) * 86400 + place) for place, email in enumerate(people)}
    with Copy(
        database,
        "accounts_user",
        "id email username password tier requests_per_hour concurrent_executions is_active is_staff is_superuser "
        "created_at",
    ) as write:
        for email, id_ in made.items():
            staff = "t" if email == STAFF else "f"
            write((id_, email, email, hashed, "custom", 10**8, 10**6, "t", staff, staff, _iso(now - DAYS * 86400)))
    filled.owners = [made[email] for email in named]
    database.execute("INSERT INTO auth_group (name) VALUES ('bench')")
    database.execute(
        "INSERT INTO accounts_user_groups (user_id, group_id) SELECT %s, id FROM auth_group", [uuid.UUID(made[SHAREE])]
    )
    for owner in (made[BIG], made[SMALL], made[SHAREE], made[STAFF]):
        with Copy(database, "accounts_secret", "id owner_id name sealed_value created_at updated_at") as write:
            for number in range(SECRETS):
                at = now - number
                write((ids.at(at), owner, f"SECRET_{number}", "\\x00", _iso(at), _iso(at)))
        with Copy(
            database, "accounts_apikey", "id owner_id name description prefix key_hash permissions created_at"
        ) as write:
            for number in range(API_KEYS):
                at = now - number
                write((ids.at(at), owner, f"key {number}", "", f"apg_{owner[-8:]}{number:04}", "\\x00", "{}", _iso(at)))


def _workflows(database: Database, filled: Filled, chance: random.Random, ids: _Ids, now: float) -> None:
    others = WORKFLOWS - BIG_OWNER_WORKFLOWS - 10
    weights = [chance.paretovariate(1.2) for _ in filled.owners[2:]]
    owners = [filled.owners[0]] * BIG_OWNER_WORKFLOWS + [filled.owners[1]] * 10
    owners += chance.choices(filled.owners[2:], weights, k=others)
    chance.shuffle(owners)
    definition = json.dumps(_DEFINITION)
    rows, versions = [], []
    for number, owner in enumerate(owners):
        at = now - DAYS * 86400 + number
        workflow = Workflow(ids.at(at), owner, ids.at(at))
        filled.workflows.append(workflow)
        name = f"{' '.join(chance.sample(_WORDS, 3))} {number}"
        description = " ".join(chance.choices(_WORDS, k=chance.randint(4, 30)))
        status = chance.choices(("active", "draft", "inactive", "archived"), (60, 25, 10, 5))[0]
        tags = "{" + ",".join(chance.sample(_TAGS, chance.randint(0, 3))) + "}"
        changed = _iso(at + chance.random() * (now - at))
        rows.append(
            (
                workflow.id,
                owner,
                name,
                description,
                status,
                chance.choice(_CATEGORIES),
                tags,
                5,
                1,
                4,
                _iso(at),
                changed,
            )
        )
        versions.append((workflow.version_id, workflow.id, 1, definition, owner, _iso(at)))
    columns = (
        "id created_by_id name description status category tags priority version component_count created_at updated_at"
    )
    with Copy(database, "workflows_workflow", columns) as write:
        for row in rows:
            write(row)
    with Copy(
        database, "workflows_workflowversion", "id workflow_id number definition created_by_id created_at"
    ) as write:
        for version in versions:
            write(version)
    filled.hot = next(workflow for workflow in filled.workflows if workflow.owner == filled.owners[0])


def _shares(database: Database, filled: Filled) -> None:
    """Of the hot workflow and of others, half with the user and half with a group; some with owners, too."""
    assert filled.hot is not None
    others = [workflow for workflow in filled.workflows if workflow is not filled.hot]
    with_user = [filled.hot, *others[: SHARED_WITH_USER - 1]]
    with_group = others[SHARED_WITH_USER : SHARED_WITH_USER + SHARED_WITH_GROUP]
    filled.shared = [*with_user, *with_group]
    one = "INSERT INTO workflows_share (id, workflow_id, {}, role, created_by_id, created_at)"
    for workflow in with_user:
        database.execute(
            one.format("user_id") + " SELECT uuidv7(), %s, id, 'operator', %s, now() FROM accounts_user "
            "WHERE email = %s",
            [uuid.UUID(workflow.id), uuid.UUID(workflow.owner), SHAREE],
        )
    for workflow in with_group:
        database.execute(
            one.format("group_id") + " SELECT uuidv7(), %s, id, 'viewer', %s, now() FROM auth_group",
            [uuid.UUID(workflow.id), uuid.UUID(workflow.owner)],
        )
    for place, workflow in enumerate(others[200:600]):
        grantee = filled.owners[2 + place % (OWNERS - 2)]
        if grantee != workflow.owner:
            database.execute(
                one.format("user_id") + " VALUES (uuidv7(), %s, %s, 'editor', %s, now())",
                [uuid.UUID(workflow.id), uuid.UUID(grantee), uuid.UUID(workflow.owner)],
            )


def _executions(
    url: str,
    database: Database,
    filled: Filled,
    chance: random.Random,
    ids: _Ids,
    now: float,
    count: int,
    log_lines: int,
) -> None:
    """In order of time, as they would have come; three connections, since COPY takes one table at a time."""
    assert filled.hot is not None
    big, small = filled.owners[:2]
    of_big = [workflow for workflow in filled.workflows if workflow.owner == big and workflow is not filled.hot]
    others = [workflow for workflow in filled.workflows if workflow.owner != big]
    weights = [0.2 if workflow.owner == small else chance.paretovariate(1.5) for workflow in others]
    hot, bigs = int(count * HOT_SHARE), int(count * BIG_OWNER_SHARE)
    chosen = [filled.hot] * hot + chance.choices(of_big, k=bigs - hot) + chance.choices(others, weights, k=count - bigs)
    chance.shuffle(chosen)
    span = DAYS * 86400 - 86400
    started = now - span
    with psycopg.connect(url, autocommit=True) as second, psycopg.connect(url, autocommit=True) as third:
        for connection in (second, third):
            connection.execute("SET synchronous_commit = off")
            connection.execute("SET session_replication_role = replica")
        chunk = 20_000
        for first in range(0, count, chunk):
            rows: tuple[list[str], list[str], list[str]] = ([], [], [])
            for place in range(first, min(first + chunk, count)):
                at = started + span * place / count
                _one(rows, chosen[place], at, chance, ids, log_lines, last=count - place <= 1000, filled=filled)
            for connection, (table, columns), lines in zip((database, second, third), _COPIED, rows, strict=True):
                with connection.cursor().copy(f"COPY {table} ({', '.join(columns.split())}) FROM STDIN") as copy:
                    copy.write("".join(lines))
            if first % 100_000 == 0:
                say(f"{first + chunk:,} of {count:,} executions")


_COPIED = (
    (
        "executions_execution",
        "id workflow_id workflow_owner_id version_id created_by_id status priority request_id parameters tags trigger "
        "results error total_components "
        "ended_components remaining sequence cpu_seconds memory_mb network_bytes scheduled_at created_at admitted_at "
        "started_at completed_at",
    ),
    (
        "executions_componentrun",
        "id execution_id component_id component_type position owner_id status taken_out output error changed_at "
        "started_at completed_at cpu_seconds memory_mb",
    ),
    ("events_event", "subject_id sequence workflow_id owner_id type data timestamp"),
)


def _one(
    rows: Sequence[list[str]],
    workflow: Workflow,
    at: float,
    chance: random.Random,
    ids: _Ids,
    log_lines: int,
    *,
    last: bool,
    filled: Filled,
) -> None:
    """One execution with its component runs and its ledger. Of the last thousand some have not ended."""
    draw = chance.random()
    status = "completed" if draw < 0.89 else "failed" if draw < 0.97 else "cancelled"
    if last and draw < 0.6:
        status = ("pending", "queued", "running")[int(draw * 5)]
    id_ = ids.at(at)
    waited, took = chance.expovariate(0.5), chance.expovariate(0.05)
    began, created = _iso(at + waited), _iso(at)
    ended = _iso(at + waited + took)
    due = _iso(at + 10 * 86400) if status == "pending" else _NULL
    done = {"completed": 4, "failed": 2, "cancelled": 1, "running": 1}.get(status, 0)
    final = status in {"completed", "failed", "cancelled"}
    error = '{"code": "COMPONENT_ERROR", "message": "503 from api.example.com", "component_id": "fetch"}'
    ran = status not in {"pending", "queued"}
    executions, runs, events = rows
    values = (
        *(id_, workflow.id, workflow.owner, workflow.version_id, workflow.owner, status, 5, id_),
        *('{"batch_size": 100}', "{}", '{"type": "manual"}'),
        *(_RESULTS if status == "completed" else _NULL, error if status == "failed" else _NULL),
        *(4, done, 0 if final else 4 - done, 10 + log_lines, 0.2, 64, 4096, due, created),
        *(began if ran else _NULL, began if ran else _NULL, ended if final else _NULL),
    )
    executions.append("\t".join(map(str, values)) + "\n")
    for position, (component, type_) in enumerate(COMPONENTS):
        state = "completed" if position < done else ("skipped" if final else "blocked")
        if status == "failed" and position == 1:
            state = "failed"
        over = state != "blocked"
        runs.append(
            f"{ids.at(at)}\t{id_}\t{component}\t{type_}\t{position}\t{workflow.owner}\t{state}\t"
            f"{'{' + str(position) + '}' if state == 'completed' and position < 3 else '{}'}\t"
            f"{_OUTPUT if state == 'completed' else _NULL}\t{error if state == 'failed' else _NULL}\t"
            f"{ended if over else created}\t{began if over else _NULL}\t{ended if over else _NULL}\t0.05\t64\n"
        )
    head = f"{workflow.id}\t{workflow.owner}\t"
    lines = log_lines
    if workflow is filled.hot and not filled.long_execution and final:
        filled.long_execution, lines = id_, LONG_LOG_LINES
    if not ran:
        return
    told: list[tuple[str, str]] = [("execution.started", "{}")]
    for position, (component, _) in enumerate(COMPONENTS[: max(done, 1)]):
        told.append(("component.started", f'{{"component_id": "{component}", "attempt": 1}}'))
        share = lines // 4 if lines != LOG_LINES else LOG_LINES // 4
        told += [
            (
                "log",
                f'{{"level": "{_LEVELS[(position + number) % 8]}", "component_id": "{component}", '
                f'"message": "Read page {number} of the source", "metadata": {{"rows": {number}}}}}',
            )
            for number in range(share)
        ]
        told.append(("component.completed", f'{{"component_id": "{component}", "attempt": 1}}'))
    if final:
        told.append((f"execution.{status}", f'{{"status": "{status}"}}'))
    for sequence, (type_, data) in enumerate(told, 1):
        events.append(f"{id_}\t{sequence}\t{head}{type_}\t{data}\t{began}\n")


_NULL = "\\N"
_RESULTS = '{"rows": 1500, "stored": true, "checksum": "b1946ac92492d2347c6235b4d2611184"}'
_OUTPUT = '{"status_code": 200, "body": {"items": 1500, "next": "https://api.example.com/items?page=2"}}'
_LEVELS = ("info", "info", "info", "debug", "info", "warning", "info", "error")


def _audit(database: Database, filled: Filled, chance: random.Random, ids: _Ids, now: float, count: int) -> None:
    """A quarter of the executions were started by hand; a log-in or a change for every tenth of them."""
    columns = "id at actor_id actor credential address request_id action object_type object_id details"
    with Copy(database, "accounts_auditentry", columns) as write:
        for place in range(count):
            at = now - DAYS * 86400 * (1 - place / count)
            workflow = chance.choice(filled.workflows)
            action, thing = "execution.started", "execution"
            if place % 10 == 0:
                action, thing = chance.choice(_CHANGES)
            write(
                (
                    ids.at(at),
                    _iso(at),
                    workflow.owner,
                    "somebody@example.com",
                    "session",
                    f"10.0.{chance.randrange(8)}.{chance.randrange(250)}",
                    ids.at(at),
                    action,
                    thing,
                    ids.at(at).upper()[:26],
                    "{}",
                )
            )


_CHANGES = (
    ("login.succeeded", "user"),
    ("login.refused", ""),
    ("workflow.updated", "workflow"),
    ("share.created", "share"),
    ("secret.created", "secret"),
)


def counts(database: Database) -> Iterator[tuple[str, int, int]]:
    """(table, rows, bytes with indexes) of what was filled."""
    for table in ("accounts_user", *_TABLES, "workflows_share", "accounts_secret", "accounts_apikey"):
        row = database.execute(f"SELECT count(*), pg_total_relation_size('{table}') FROM {table}").fetchone()
        assert row is not None
        yield table, int(row[0]), int(row[1])


def _iso(seconds: float) -> str:
    return str(datetime.fromtimestamp(seconds, UTC))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=EXECUTIONS)
    parser.add_argument("--log-lines", type=int, default=LOG_LINES, help="a component-run's share is a quarter")
    arguments = parser.parse_args()
    django.setup()
    fill(os.environ["DATABASE_URL"], executions=arguments.executions, log_lines=arguments.log_lines)
    with psycopg.connect(os.environ["DATABASE_URL"]) as connected:
        for name, rows, size in counts(connected):
            print(f"{name:28} {rows:12,} rows {size / 2**20:10,.0f} MiB")
