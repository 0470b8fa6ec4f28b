"""Everything through PgBouncer that pools transactions, with fewer connections than there are clients."""

import re
from collections.abc import Iterator

import psycopg
import pytest

from tests.acceptance.conftest import MakePlatform
from tests.acceptance.processes import Platform, ended, execute, make_workflow
from tests.pgbouncer import needed, pgbouncer

pytestmark = [pytest.mark.acceptance, needed]

# Web 8 and its probe, two workers of 3, webhooks 34: more than these.
POOL = 4
FAN = 12


@pytest.fixture(scope="module")
def platform(make_platform: MakePlatform) -> Iterator[Platform]:
    """On PgBouncer, its database prepared through it again."""
    made = make_platform(6, APG_PGBOUNCER="true")
    folder = made.folder / "pgbouncer"
    folder.mkdir()
    with pgbouncer(made.database_url, folder, size=POOL) as url:
        made.database_url = url
        done = made.run("prepare")
        assert done.returncode == 0, done.stderr
        made.up("web", "worker", "worker-io", "webhooks", "beat")
        yield made
        made.down()


# What is said where Valkey, which is not behind PgBouncer, takes its time.
OF_VALKEY = (
    "Bells are silent: ", "Messages not sent, the sweep will ring again: ", "Metrics wait for Redis: ",
    "Rates are counted by this process alone: ", "celery.beat [-] Message Error: ",
)  # fmt: skip


def errors(platform: Platform) -> list[str]:
    """Records of the logs, each with its traceback, that tell of an error."""
    records = [
        record for process in platform.running
        for record in re.split(r"^(?=\d{4}-\d\d-\d\d \d\d:)", process.log.read_text(), flags=re.MULTILINE)
    ]  # fmt: skip
    return [
        record for record in records
        if ("ERROR" in record or "Error" in record) and not any(message in record for message in OF_VALKEY)
    ]  # fmt: skip


def test_executions_end_through_a_pool_smaller_than_its_clients(platform: Platform) -> None:
    client = platform.client()
    chain = [{"id": f"c{n}", "type": "log", "config": {"message": f"{n}"}} for n in range(10)]
    waits = {"id": "pause", "type": "delay", "config": {"seconds": 1}}
    workflow_id = make_workflow(
        client, "through", [*chain, waits, {"id": "last", "type": "log", "config": {"message": "l"}}]
    )
    ids = [execute(client, workflow_id) for _ in range(FAN)]
    assert [ended(client, each)["status"] for each in ids] == ["completed"] * FAN
    with platform.database() as database:
        twice = "SELECT count(*) FROM executions_componentrun WHERE status <> 'completed' OR attempt <> 1"
        assert database.execute(twice).fetchone() == (0,)
    assert errors(platform) == []


def test_no_server_connection_keeps_a_lock_timeout_or_a_prepared_statement_of_ours(platform: Platform) -> None:
    # Each of the pool's connections is asked: as many clients as it has, all in a transaction at once.
    clients = [psycopg.connect(platform.database_url, prepare_threshold=None) for _ in range(POOL - 1)]
    try:
        for each in clients:
            assert each.execute("SHOW lock_timeout").fetchone() == ("0",)
            assert each.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
    finally:
        for each in clients:
            each.close()
