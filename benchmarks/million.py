"""Whether lists, gets, statistics and search keep their bars with a million executions: p95 over real HTTP.

`--folder` is kept: the database is filled once, by `benchmarks.fill`.
"""

import argparse
import os
import random
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from itertools import product
from json import loads
from pathlib import Path
from urllib.parse import quote

import psycopg
from rich.console import Console

from benchmarks import fill
from benchmarks.report import percentile
from benchmarks.stack import Client, Database, manage
from config.embedded import start_postgres, start_valkey, stop_postgres, stop_valkey
from core.ids import from_uuid

SAMPLES, WARM_UP, TAKES = 20, 1, 8
LIST_MS, GET_MS, STATS_MS, SEARCH_MS = 50.0, 20.0, 100.0, 150.0
PAGE = 50
_IDLE_SECONDS = 3
# Each sort in one of its orders, and one in both: an index is read as well backwards.
_ORDERS = (("name", "asc"), ("created_at", "desc"), ("updated_at", "desc"), ("updated_at", "asc"))
BIG_TABLES = (
    "executions_execution",
    "executions_componentrun",
    "events_event",
    "accounts_auditentry",
    "workflows_workflowversion",
)
_WHO = {
    "an owner of 10 workflows": fill.SMALL,
    "an owner of 2,000 workflows": fill.BIG,
    "a sharee of 100 workflows": fill.SHAREE,
    "staff": fill.STAFF,
}


@dataclass
class Cell:
    """One request as one caller, and what it took in milliseconds; a take is a series of samples."""

    group: str
    who: str
    path: str
    bar: float
    takes: list[list[float]] = field(default_factory=list)

    @property
    def best(self) -> list[float]:
        """The take with the lowest p95: the others were disturbed more."""
        return min(self.takes, key=lambda take: percentile(take, 95))

    @property
    def p95(self) -> float:
        return percentile(self.best, 95)


class Caller:
    """A keep-alive connection that tells how long an answer took."""

    def __init__(self, port: int, email: str) -> None:
        token = Client(port).call("POST", "/auth/login", {"username": email, "password": fill.PASSWORD})["access_token"]
        self._headers = {"Authorization": f"Bearer {token}"}
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self._used_at = time.monotonic()

    def get(self, path: str) -> tuple[float, bytes]:
        """(milliseconds, body). Raises AssertionError for any status but 200."""
        if time.monotonic() - self._used_at > _IDLE_SECONDS:
            # The server closes what is idle; http.client opens it again by itself.
            self._connection.close()
        started = time.perf_counter()
        self._connection.request("GET", "/api/v1" + path, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        took = (time.perf_counter() - started) * 1000
        self._used_at = time.monotonic()
        assert response.status == 200, (path, response.status, body[:500])
        return took, body


@contextmanager
def served(folder: Path) -> Iterator[tuple[int, str]]:
    """PostgreSQL and Valkey on the folder, filled, and one web process; (its port, the database's URL)."""
    folder.mkdir(parents=True, exist_ok=True)
    web: subprocess.Popen[bytes] | None = None
    try:
        url = start_postgres(folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = {
            **os.environ,
            "DATABASE_URL": url,
            "REDIS_URL": start_valkey(folder),
            "APG_DATA_DIR": str(folder),
            "APG_SECRET_KEY": secrets.token_urlsafe(48),
            "APG_LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        manage(environment, "migrate")
        with psycopg.connect(url) as database:
            empty = database.execute("SELECT NOT EXISTS (SELECT FROM accounts_user)").fetchone() == (True,)
        if empty:
            subprocess.run([sys.executable, "-m", "benchmarks.fill"], env=environment, check=True)
        # No worker runs here, whose sweep would do it.
        manage(environment, "shell", "-c", "from executions.maintenance import seal_days\nwhile seal_days(): pass")
        web = subprocess.Popen([sys.executable, "-m", "config.web", "--port", str(port)], env=environment)
        _wait_until_up(port)
        yield port, url
    finally:
        if web is not None:
            web.send_signal(signal.SIGTERM)
            web.wait(timeout=30)
        stop_valkey(folder)
        stop_postgres(folder)


def _wait_until_up(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError, HTTPException):
            Client(port).call("GET", "/health")
            return
        time.sleep(0.2)  # between two looks whether the server answers
    raise TimeoutError("the web process did not come up within 60 s")


@dataclass(frozen=True)
class Things:
    """What the paths name."""

    users: dict[str, str]
    hot: str
    own: dict[str, str]
    long_execution: str


def find(database: Database) -> Things:
    """What there is in the filled database."""
    people = list(_WHO.values())
    users = {
        str(email): from_uuid(id_)
        for email, id_ in database.execute("SELECT email, id FROM accounts_user WHERE email = ANY(%s)", [people])
    }
    # The one with the most executions, of which the first that ended tells the most.
    row = database.execute(
        "SELECT workflow_id FROM executions_execution GROUP BY workflow_id ORDER BY count(*) DESC LIMIT 1"
    ).fetchone()
    assert row is not None
    first = database.execute(
        "SELECT id FROM executions_execution WHERE workflow_id = %s AND completed_at IS NOT NULL ORDER BY id LIMIT 1",
        row,
    ).fetchone()
    assert first is not None
    small = database.execute(
        "SELECT workflow_id FROM executions_execution AS execution JOIN accounts_user AS account "
        "ON account.id = execution.workflow_owner_id WHERE account.email = %s LIMIT 1",
        [fill.SMALL],
    ).fetchone()
    assert small is not None
    hot = from_uuid(row[0])
    own = dict.fromkeys(people, hot) | {fill.SMALL: from_uuid(small[0])}
    return Things(users, hot, own, from_uuid(first[0]))


def cells(things: Things) -> Iterator[Cell]:
    """Every list × filter × order, the gets, statistics and search; the pages are added when the total is known."""
    big = things.users[fill.BIG]
    now = datetime.now(UTC)
    month, year = (quote((now - timedelta(days=days)).isoformat()) for days in (30, 365))
    for who, email in _WHO.items():
        staff, hot, workflow = email == fill.STAFF, email != fill.SMALL, things.own[email]
        filters = ["", f"workflow_id={workflow}", f"user_id={big if hot else things.users[email]}"]
        filters += [
            f"status={status}" for status in ("pending", "queued", "running", "completed", "failed", "cancelled")
        ]
        filters += [f"{name}={at}" for name in ("start_date", "end_date") for at in (month, year)]
        yield from (Cell("executions", who, f"/executions?{query}", LIST_MS) for query in filters)
        filters = ["", "category=finance", "status=active", "status=archived", "tags=etl", "tags=etl,daily"]
        filters += [
            f"created_by={big if hot else things.users[email]}",
            "search=invoice",
            "search=e",
            "search=nothing%25",
        ]
        for query, (sort, order) in product(filters, _ORDERS):
            group, bar = ("workflows, search", SEARCH_MS) if "search" in query else ("workflows", LIST_MS)
            yield Cell(group, who, f"/workflows?{query}&sort={sort}&order={order}", bar)
        for name in ("secrets", "auth/api-keys", "templates"):
            yield Cell(name, who, f"/{name}?", LIST_MS)
        yield Cell("versions", who, f"/workflows/{workflow}/versions?", LIST_MS)
        if email != fill.SHAREE:
            yield Cell("shares", who, f"/workflows/{workflow}/shares?", LIST_MS)
        yield Cell("get workflow", who, f"/workflows/{workflow}", GET_MS)
        yield Cell("get workflow with include_stats", who, f"/workflows/{workflow}?include_stats=true", GET_MS)
        yield Cell("stats", who, "/stats", STATS_MS)
        if hot:
            one = f"/executions/{things.long_execution}"
            yield Cell("get execution", who, one, GET_MS)
            yield from (
                Cell("logs", who, f"{one}/logs?{query}", LIST_MS) for query in ("", "level=error", "component_id=fetch")
            )
            yield from (Cell("events", who, f"{one}/events?{query}", LIST_MS) for query in ("", "since=5000"))
            yield Cell("component runs", who, f"{one}/components?", LIST_MS)
        if staff:
            filters = [
                "",
                "action=execution.started",
                "action=share.created",
                f"actor_id={big}",
                "object_type=execution",
            ]
            filters += [
                "object_type=share",
                "object_id=nothing",
                "address=10.0.1.7",
                f"start_date={month}",
                f"end_date={year}",
            ]
            yield from (Cell("audit", who, f"/audit?{query}", LIST_MS) for query in filters)
            filters = ["", "search=owner1", "tier=custom", "tier=free", "is_active=true", "is_staff=true"]
            yield from (Cell("users", who, f"/auth/users?{query}", LIST_MS) for query in filters)
            yield Cell("groups", who, "/auth/groups?", LIST_MS)


def pages(cell: Cell, caller: Caller) -> Iterator[Cell]:
    """The cell itself, or for a list its first, middle and deepest page."""
    if "?" not in cell.path or "include_stats" in cell.path:
        yield cell
        return
    total = loads(caller.get(cell.path)[1])["metadata"]["total_count"]
    for offset in sorted({0, total // 2, max(total - PAGE, 0)}):
        yield Cell(cell.group, cell.who, f"{cell.path}&limit={PAGE}&offset={offset}", cell.bar)


def take(cell: Cell, caller: Caller) -> None:
    """Measure one take of a cell."""
    cell.takes.append([caller.get(cell.path)[0] for _ in range(WARM_UP + SAMPLES)][WARM_UP:])


def measure(port: int, things: Things, only: str, minutes: float) -> list[Cell]:
    """All cells, in a random order; those over the bar again later, as the machine may have been busy.

    After so many minutes nothing is taken again.
    """
    until = time.monotonic() + minutes * 60
    callers = {who: Caller(port, email) for who, email in _WHO.items()}
    chosen = [cell for cell in cells(things) if only in cell.group]
    found = [page for cell in chosen for page in pages(cell, callers[cell.who])]
    random.Random(fill.SEED).shuffle(found)
    for round_ in range(TAKES):
        again = [cell for cell in found if not cell.takes or cell.p95 > cell.bar]
        Console(stderr=True).print(f"take {round_ + 1}: {len(again)} cells")
        for cell in again:
            if cell.takes and time.monotonic() > until:
                return found
            take(cell, callers[cell.who])
    return found


def sequential_scans(database: Database) -> dict[str, int]:
    """How often each big table has been read from end to end so far, as PostgreSQL counts it."""
    time.sleep(1.5)  # backends hand their counts on once a second
    return {
        str(name): int(count)
        for name, count in database.execute(
            "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname = ANY(%s)", [list(BIG_TABLES)]
        )
    }


def markdown(found: Sequence[Cell]) -> str:
    """A row for each list and caller: its cells' medians, and the worst p95 with its request."""
    rows = ["| what | as | requests | median | worst p95 | bar | within | the worst request | taken more than once |"]
    rows.append("|" + " --- |" * 9)
    groups: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in found:
        groups[cell.group, cell.who].append(cell)
    order = list(_WHO)
    for (group, who), members in sorted(groups.items(), key=lambda item: (item[0][0], order.index(item[0][1]))):
        worst = max(members, key=lambda cell: cell.p95)
        over = sum(cell.p95 > cell.bar for cell in members)
        median = statistics.median(statistics.median(cell.best) for cell in members)
        again = sum(len(cell.takes) > 1 for cell in members)
        within = "yes" if not over else f"NO, {over} over"
        rows.append(
            f"| {group} | {who} | {len(members)} | {median:.1f} ms | {worst.p95:.1f} ms | ≤ {worst.bar:.0f} ms | "
            f"{within} | `{worst.path}` | {again} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Fill if need be, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("var/million"), help="where the filled database is kept")
    parser.add_argument("--only", default="", help="groups whose name has this, for a closer look")
    parser.add_argument("--minutes", type=float, default=30, help="take nothing again after so long")
    parser.add_argument("--cells", action="store_true", help="print every request over half of its bar, too")
    arguments = parser.parse_args()
    with served(arguments.folder.resolve()) as (port, url), psycopg.connect(url, autocommit=True) as database:
        with psycopg.connect(url) as other:
            things = find(other)
        before = sequential_scans(database)
        found = measure(port, things, arguments.only, arguments.minutes)
        after = sequential_scans(database)
        for name, rows, size in fill.counts(database):
            print(f"{name:28} {rows:12,} rows {size / 2**20:10,.0f} MiB")
        print(markdown(found))
        if arguments.cells:
            for cell in sorted(found, key=lambda cell: cell.bar - cell.p95):
                if cell.p95 > cell.bar / 2:
                    print(f"{cell.p95:8.1f} {statistics.median(cell.best):8.1f} {cell.who:28} {cell.path}")
        scanned = {name: after[name] - before[name] for name in after if after[name] > before[name]}
        print(f"Sequential scans of big tables while measuring: {scanned or 'none'}")


if __name__ == "__main__":
    main()
