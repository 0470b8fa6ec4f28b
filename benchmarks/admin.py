"""Whether the admin keeps its bar with a million executions: every list, page, filter and search it links to, by p95.

On the database of `benchmarks.million`, to which it adds a million deliveries, slots, idempotency keys and sessions.
"""

import argparse
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import unescape
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
from rich.console import Console

from benchmarks import fill
from benchmarks.bulk_load import say
from benchmarks.million import sequential_scans, served
from benchmarks.report import percentile
from benchmarks.stack import Database

BAR_MS = 200.0
SAMPLES, WARM_UP, TAKES = 20, 1, 4
MORE_ROWS = 1_000_000
_LIST = re.compile(r'href="(/admin/\w+/\w+/)"')
_FILTER = re.compile(r'<li[^>]*>\s*<a href="(\?[^"]+)"')
_PAGE = re.compile(r'<a href="(\?[^"]*)"[^>]*>[^<]*(Older|Oldest|Newer)[^<]*</a>')
_NUMBERED = re.compile(r'<a href="(\?[^"]*p=\d+[^"]*)"')
_OBJECT = re.compile(r'<t[hd] class="field-[^"]*"><a href="(/admin/\w+/\w+/([^/"]+)/change/)[^"]*"')
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@dataclass
class Cell:
    """One page, and what it took in milliseconds; a take is a series of samples."""

    group: str
    what: str
    path: str
    takes: list[list[float]] = field(default_factory=list)

    @property
    def best(self) -> list[float]:
        """The take with the lowest p95: the others were disturbed more."""
        return min(self.takes, key=lambda take: percentile(take, 95))

    @property
    def p95(self) -> float:
        return percentile(self.best, 95)


class Browser:
    """Staff who has logged in to the admin, on a keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=120)
        self._cookies: dict[str, str] = {}
        page = self.get("/admin/login/")[1]
        token = _TOKEN.findall(page)[-1]
        form = {"username": fill.STAFF, "password": fill.PASSWORD, "csrfmiddlewaretoken": token, "next": "/admin/"}
        self._ask("POST", "/admin/login/", urlencode(form))
        assert "sessionid" in self._cookies, "could not log in"

    def get(self, path: str) -> tuple[float, str]:
        """(milliseconds, page). Raises AssertionError for any status but 200."""
        started = time.perf_counter()
        status, body = self._ask("GET", path)
        took = (time.perf_counter() - started) * 1000
        assert status == 200, (path, status)
        return took, body

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        headers = {"Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"}
        # A connection each: the server closes what is idle between two takes.
        self._connection.close()
        self._connection.connect()
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        text = response.read().decode()
        for line in response.headers.get_all("Set-Cookie") or []:
            self._cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        return response.status, text


def cells(browser: Browser) -> Iterator[Cell]:
    """The dashboard; of every list its first page, those it links to, its filters, searches and an object's page."""
    yield Cell("dashboard", "whole", "/admin/")
    yield Cell("dashboard", "what is refreshed", "/admin/dashboard/")
    for path in sorted(set(_LIST.findall(browser.get("/admin/")[1]))):
        group = path.removeprefix("/admin/").strip("/")
        page = browser.get(path)[1]
        yield Cell(group, "first page", path)
        yield from _pages(group, path, page, browser)
        for query in dict.fromkeys(_FILTER.findall(page)):
            yield Cell(group, "filter", path + unescape(query))
        found = _OBJECT.search(page)
        if found:
            yield Cell(group, "object", found[1])
        if 'id="searchbar"' in page:
            terms = [fill.BIG, "nothing-like-it", *([found[2]] if found else [])]
            for term in terms:
                yield Cell(group, "search", f"{path}?q={quote(term)}")


def _pages(group: str, path: str, page: str, browser: Browser) -> Iterator[Cell]:
    """Deep in the list: its oldest page and the one before it, or its last number."""
    links = {name: path + unescape(query) for query, name in _PAGE.findall(page)}
    if "Oldest" in links:
        yield Cell(group, "second page", links["Older"])
        yield Cell(group, "deepest page", links["Oldest"])
        deep = {name: path + unescape(query) for query, name in _PAGE.findall(browser.get(links["Oldest"])[1])}
        yield Cell(group, "deep page", deep["Newer"])
    elif numbered := _NUMBERED.findall(page):
        yield Cell(group, "deepest page", path + unescape(numbered[-1]))


def add_more(database: Database) -> None:
    """Rows in the other tables that grow, spread over the fill's two years; once."""
    for name, statement in _MORE.items():
        row = database.execute(f"SELECT count(*) FROM (SELECT FROM {name} LIMIT 1000) AS counted").fetchone()
        if row == (1000,):
            continue
        say(f"{MORE_ROWS:,} rows into {name}")
        database.execute(statement, {"rows": MORE_ROWS, "days": fill.DAYS})
        database.execute(f"VACUUM ANALYZE {name}")


_AGE = "make_interval(secs => -86400.0 * %(days)s * (1 - number::float8 / %(rows)s))"
_MORE = {
    "webhooks_webhook": """
        INSERT INTO webhooks_webhook (id, owner_id, url, events, sealed_secret, retry_policy, active, off_reason)
        SELECT uuidv7(), id, 'https://hooks.example.com/' || number, '{execution.completed}', '\\x00', '{}',
               number %% 20 <> 0, CASE WHEN number %% 20 = 0 THEN 'failures' ELSE '' END
        FROM (SELECT id, row_number() OVER () AS place FROM accounts_user) AS account,
             generate_series(1, 10) AS number
        WHERE %(rows)s > 0 AND %(days)s > 0
    """,
    "webhooks_delivery": f"""
        INSERT INTO webhooks_delivery (id, webhook_id, event, payload, status, claims, attempts, created_at,
                                       completed_at)
        SELECT uuidv7({_AGE}), hooks.ids[1 + number %% cardinality(hooks.ids)], 'execution.completed', '{{}}',
               CASE WHEN number %% 50 = 0 THEN 'failed' ELSE 'succeeded' END, 1, 1, now() + {_AGE}, now() + {_AGE}
        FROM generate_series(1, %(rows)s) AS number, (SELECT array_agg(id) AS ids FROM webhooks_webhook) AS hooks
    """,
    "workflows_trigger": """
        INSERT INTO workflows_trigger (id, workflow_id, component_id, type, live, config, created_at, next_at)
        SELECT uuidv7(), id, 'start', 'schedule', TRUE, '{"cron": "0 3 * * *", "interval_seconds": null,
               "timezone": "UTC", "overlap": "skip", "catchup": "latest", "catchup_window_seconds": 86400}', now(),
               now() + interval '1 day'
        FROM workflows_workflow WHERE status = 'active' AND %(rows)s > 0 AND %(days)s > 0
    """,
    "workflows_slot": f"""
        INSERT INTO workflows_slot (trigger_id, slot_at, execution_id)
        SELECT triggers.ids[1 + number %% cardinality(triggers.ids)], now() + {_AGE}, uuidv7({_AGE})
        FROM generate_series(1, %(rows)s) AS number, (SELECT array_agg(id) AS ids FROM workflows_trigger) AS triggers
        ORDER BY number ON CONFLICT DO NOTHING
    """,
    "executions_idempotencykey": """
        INSERT INTO executions_idempotencykey (user_id, key, request_digest, execution_id, created_at)
        SELECT created_by_id, id::text, '\\x00', id, created_at FROM executions_execution
        WHERE %(days)s > 0 ORDER BY executions_execution.id LIMIT %(rows)s
    """,
    "accounts_session": f"""
        INSERT INTO accounts_session (id, user_id, refresh_id, user_agent, created_at, last_used_at, expires_at)
        SELECT uuidv7({_AGE}), accounts.ids[1 + number %% cardinality(accounts.ids)], uuidv7(), 'bench',
               now() + {_AGE}, now() + {_AGE}, now() + {_AGE}
        FROM generate_series(1, %(rows)s) AS number, (SELECT array_agg(id) AS ids FROM accounts_user) AS accounts
    """,
}


def measure(browser: Browser, only: str) -> list[Cell]:
    """All cells; those over the bar again later, as the machine may have been busy."""
    found = [cell for cell in cells(browser) if only in cell.group]
    for round_ in range(TAKES):
        again = [cell for cell in found if not cell.takes or cell.p95 > BAR_MS]
        Console(stderr=True).print(f"take {round_ + 1}: {len(again)} pages")
        for cell in again:
            cell.takes.append([browser.get(cell.path)[0] for _ in range(WARM_UP + SAMPLES)][WARM_UP:])
    return found


def markdown(found: Sequence[Cell]) -> str:
    """A row for each list: its pages' medians, and the worst p95 with its address."""
    rows = ["| list | pages measured | median | worst p95 | bar | within | the worst page |", "|" + " --- |" * 7]
    groups: dict[str, list[Cell]] = defaultdict(list)
    for cell in found:
        groups[cell.group].append(cell)
    for group, members in groups.items():
        worst = max(members, key=lambda cell: cell.p95)
        over = sum(cell.p95 > BAR_MS for cell in members)
        median = statistics.median(statistics.median(cell.best) for cell in members)
        within = "yes" if not over else f"NO, {over} over"
        rows.append(
            f"| {group} | {len(members)} | {median:.1f} ms | {worst.p95:.1f} ms | ≤ {BAR_MS:.0f} ms | {within} | "
            f"{worst.what}: `{worst.path}` |"
        )
    return "\n".join(rows)


def main() -> None:
    """Fill if need be, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("var/million"), help="where the filled database is kept")
    parser.add_argument("--only", default="", help="lists whose name has this, for a closer look")
    parser.add_argument("--pages", action="store_true", help="print every page over half of the bar, too")
    arguments = parser.parse_args()
    with served(arguments.folder.resolve()) as (port, url), psycopg.connect(url, autocommit=True) as database:
        add_more(database)
        before = sequential_scans(database)
        found = measure(Browser(port), arguments.only)
        after = sequential_scans(database)
        print(markdown(found))
        if arguments.pages:
            for cell in sorted(found, key=lambda cell: -cell.p95):
                if cell.p95 > BAR_MS / 2:
                    print(f"{cell.p95:8.1f} {statistics.median(cell.best):8.1f} {cell.what:14} {cell.path}")
        scanned = {name: after[name] - before[name] for name in after if after[name] > before[name]}
        print(f"Sequential scans of big tables while measuring: {scanned or 'none'}")


if __name__ == "__main__":
    main()
