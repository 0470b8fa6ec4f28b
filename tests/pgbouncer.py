"""The real PgBouncer in front of the tests' PostgreSQL, pooling transactions."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tests.eventually import eventually

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needed = pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not installed: apt-get install pgbouncer")

_SETTINGS = """
[databases]
* = host={host} port={port} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 200
admin_users = {user}
logfile = {folder}/log
"""


@contextmanager
def pgbouncer(database_url: str, folder: Path, *, size: int) -> Iterator[str]:
    """Its URL of the same database, with `size` connections for all its clients together."""
    url = urlsplit(database_url)
    query = parse_qs(url.query)
    host = query.get("host", [url.hostname or "127.0.0.1"])[0]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = int(probe.getsockname()[1])
    password = f" password={url.password}" if url.password else ""
    values = {"host": host, "port": url.port or 5432, "user": url.username or "postgres", "password": password}
    (folder / "pgbouncer.ini").write_text(_SETTINGS.format(**values, listen=listen, size=size, folder=folder))
    # It does not run as root; the tests' PostgreSQL does not either, and lets nobody else in.
    owner = Path(host).stat().st_uid if host.startswith("/") and os.geteuid() == 0 else os.geteuid()
    os.chown(folder, owner, -1)
    folder.parent.chmod(0o755)
    assert PROGRAM is not None
    process = subprocess.Popen(
        [PROGRAM, "-q", folder / "pgbouncer.ini"], user=owner, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    found = f"postgresql://{values['user']}@127.0.0.1:{listen}{url.path}"

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
