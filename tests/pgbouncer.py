"""The real PgBouncer in front of the tests' PostgreSQL, pooling transactions."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tests.deployment import ROOT
from tests.eventually import eventually
from tests.ports import free_port

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needed = pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not installed: apt-get install pgbouncer")

# Of this machine, in the place of the page's.
_HERE = """
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
logfile = {folder}/log
"""


def _settings(folder: Path, where: str, listen: int, size: int) -> str:
    """Those of docs/operations/pgbouncer.md with another server, port and size of the pool."""
    page = (ROOT / "docs" / "operations" / "pgbouncer.md").read_text()
    printed = page.partition("```ini\n")[2].partition("```")[0]
    text = printed.replace("apg = host=postgres port=5432 dbname=apg", f"* = {where}")
    text = text.replace("default_pool_size = 20", f"default_pool_size = {size}")
    assert f"* = {where}" in text
    assert f"default_pool_size = {size}" in text
    return text + _HERE.format(listen=listen, folder=folder)


@contextmanager
def pgbouncer(database_url: str, folder: Path, *, size: int) -> Iterator[str]:
    """Its URL of the same database, with `size` connections for all its clients together."""
    url = urlsplit(database_url)
    query = parse_qs(url.query)
    host = query.get("host", [url.hostname or "127.0.0.1"])[0]
    listen = free_port()
    user = url.username or "postgres"
    where = f"host={host} port={url.port or 5432} user={user}" + (f" password={url.password}" if url.password else "")
    (folder / "pgbouncer.ini").write_text(_settings(folder, where, listen, size))
    # It does not run as root; the tests' PostgreSQL does not either, and lets nobody else in.
    owner = Path(host).stat().st_uid if host.startswith("/") and os.geteuid() == 0 else os.geteuid()
    os.chown(folder, owner, -1)
    folder.parent.chmod(0o755)
    assert PROGRAM is not None
    process = subprocess.Popen(
        [PROGRAM, "-q", folder / "pgbouncer.ini"], user=owner, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    found = f"postgresql://{user}@127.0.0.1:{listen}{url.path}"

    def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            with psycopg.connect(found, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    try:
        eventually(answers)
        yield found
    finally:
        process.terminate()
        process.wait(10)
