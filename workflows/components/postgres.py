"""One statement on a PostgreSQL server that a user names: connection, deadline, caps, and values as JSON."""

import base64
import os
import re
import ssl
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from psycopg import errors, waiting
from psycopg.abc import PQGen
from psycopg.adapt import AdaptersMap, Buffer, Loader
from psycopg.conninfo import make_conninfo
from psycopg.generators import connect, fetch
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.types.json import Jsonb
from psycopg.types.string import TextLoader

from core.json_text import dumps
from core.types import JSONObject, JSONValue

T = TypeVar("T")
Wanted = TypeVar("Wanted")

_POLL_SECONDS = 0.1
# Of Debian and Alpine; of Fedora and its kin.
_TRUST_STORES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
# For each address, of so many at most, and all of them within the time of the call.
_CONNECT_SECONDS = 10
_MAX_ADDRESSES = 4
# To ask a server to give up a statement that nobody waits for any more.
_CANCEL_SECONDS = 1
# The server ends a slow statement itself, and says so; this much later it is left alone.
_GRACE_SECONDS = 1
# What another attempt may cure: connection lost, transaction rolled back for others, out of resources, locked,
# operator intervention; read-only, as in a fail-over, and two limits of time for what holds a transaction open.
_RETRIABLE_STATES = ("08", "40", "53", "55", "57", "25006", "25P03", "25P04")
_CREDENTIALS = re.compile(
    r"authentication failed|no pg_hba\.conf entry|does not exist|no password supplied|not permitted to log in"
    r"|permission denied for database|not currently accepting"
)
# What PostgreSQL writes itself is exact; Python's types for these would have to be turned into text again.
_AS_TEXT = (
    *("numeric", "date", "time", "timetz", "interval", "uuid", "inet", "cidr", "oid", "record"),
    *("int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange"),
    *("int4multirange", "int8multirange", "nummultirange", "datemultirange", "tsmultirange", "tstzmultirange"),
)


@dataclass(frozen=True, slots=True)
class Database:
    """Where to connect, and as whom. The password must not be told, so the whole is not printed."""

    host: str
    port: int
    user: str
    password: str
    name: str
    ssl_mode: str
    application_name: str

    def __repr__(self) -> str:
        return "Database()"


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows as JSON objects; the number of rows returned, or changed where the statement returns none."""

    rows: list[JSONObject]
    row_count: int


class QueryError(Exception):
    """The statement did not run, or its answer cannot be used; nothing of it is kept. Tells no credentials."""

    def __init__(
        self, message: str, *, permanent: bool = True, timed_out: bool = False, sqlstate: str | None = None
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.timed_out = timed_out
        self.sqlstate = sqlstate


def query(
    database: Database,
    addresses: Sequence[str],
    sql: str,
    values: Sequence[JSONValue],
    *,
    timeout_seconds: float,
    max_rows: int,
    max_bytes: int,
    on_progress: Callable[[], None],
) -> Answer:
    """Run one statement with `$1`… in a transaction of its own, on one of the checked addresses. Raises QueryError.

    The server is told the time limit; a server that does not keep to it is left when the time is over. `on_progress` is
    called ten times a second while it connects and works; what that raises ends the call and reaches the caller within
    about a second.
    """
    deadline = time.monotonic() + timeout_seconds
    connection = _connect(database, addresses[:_MAX_ADDRESSES], deadline, on_progress)
    try:
        connection.deadline = deadline + _GRACE_SECONDS
        connection.on_progress = on_progress
        with connection.cursor() as cursor:
            left = max(1, round((deadline - time.monotonic()) * 1000))
            cursor.execute("SELECT set_config('statement_timeout', $1, false)", [str(left)])
            cursor.execute(
                "SELECT set_config('intervalstyle', 'iso_8601', false), set_config('datestyle', 'ISO', false), "
                "set_config('bytea_output', 'hex', false)"
            )
            answer = _answer(cursor, sql, [_adapted(value) for value in values], max_rows, max_bytes)
        connection.commit()
        return answer
    except errors.QueryCanceled:
        raise QueryError(f"query: not done within {timeout_seconds:g} s", permanent=False, timed_out=True) from None
    except psycopg.Error as error:
        if time.monotonic() >= deadline:
            raise QueryError(
                f"query: no answer within {timeout_seconds:g} s", permanent=False, timed_out=True
            ) from None
        raise _refused(error) from None
    finally:
        connection.close()


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """Waits for the server until a deadline: one that says nothing must not hold a worker."""

    deadline: float | None = None
    on_progress: Callable[[], None] | None = None

    def __init__(self, pgconn: PGconn) -> None:
        super().__init__(pgconn)
        self.cursor_factory = _Cursor
        self._adapters = AdaptersMap(_adapters())

    def wait(self, gen: PQGen[Any], interval: float = _POLL_SECONDS, timeout: float | None = None) -> Any:
        if self.deadline is not None:
            left = max(0.0, self.deadline - time.monotonic())
            timeout = left if timeout is None else min(timeout, left)
        watched = gen if self.on_progress is None else _watched(gen, self.on_progress)
        return super().wait(watched, interval, timeout)

    def _try_cancel(self, *, timeout: float = _CANCEL_SECONDS) -> None:
        """The driver's own waits for five seconds, without a word in between."""
        super()._try_cancel(timeout=min(timeout, _CANCEL_SECONDS))


def _watched(gen: Generator[Wanted, Any, T], on_progress: Callable[[], None]) -> Generator[Wanted, Any, T]:
    """The same conversation with the server, with a word in between whenever it was waited for."""
    ready: Any = None  # what starts a generator
    while True:
        try:
            wanted = gen.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result
        ready = yield wanted
        on_progress()


class _Cursor(psycopg.RawCursor[tuple[Any, ...]]):
    """Reads row by row, so that no more than the limit is ever held; takes statements without rows, too."""

    def _stream_fetchone_gen(self, first: bool) -> PQGen["PGresult | None"]:
        result = yield from fetch(self._pgconn)
        if result is None or result.status != ExecStatus.COMMAND_OK:
            return (yield from self._row_gen(result, first))
        self.pgresult = result
        self._rowcount = result.command_tuples or 0
        while (yield from fetch(self._pgconn)) is not None:
            pass
        return None

    def _row_gen(self, result: "PGresult | None", first: bool) -> PQGen["PGresult | None"]:
        if result is None:
            return None
        if result.status == ExecStatus.SINGLE_TUPLE:
            self.pgresult = result
            self._tx.set_pgresult(result, set_loaders=first)
            if first:
                self._make_row = self._make_row_maker()
            return result
        if result.status == ExecStatus.TUPLES_OK:
            self.pgresult = result
            while (yield from fetch(self._pgconn)) is not None:
                pass
            return None
        return self._raise_for_result(result)


def _connect(
    database: Database, addresses: Sequence[str], deadline: float, on_progress: Callable[[], None]
) -> _Connection:
    """To the first address that takes it; each has its share of the time that is left. Raises QueryError."""
    told = []
    until = deadline
    for attempts_left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        on_progress()
        began = time.monotonic()
        until = began + min((deadline - began) / attempts_left, _CONNECT_SECONDS)
        try:
            talk = _watched(connect(_conninfo(database, address)), on_progress)
            return _Connection(waiting.wait_conn(talk, interval=_POLL_SECONDS, timeout=max(0.0, until - began)))
        except psycopg.Error as error:
            told.append(str(error))
    # The driver's own messages name the user, the database and the address.
    if any(_CREDENTIALS.search(message) for message in told):
        raise QueryError("connection: the server refused the user, the password or the database")
    if time.monotonic() >= until:
        raise QueryError("connection: the server did not answer in time", permanent=False, timed_out=True)
    raise QueryError("connection: the server could not be connected to", permanent=False)


def _conninfo(database: Database, address: str) -> str:
    """What is not given would be read from this process's environment and home, so all is."""
    return make_conninfo(
        host=database.host,
        hostaddr=address,
        port=database.port,
        user=database.user,
        password=database.password,
        dbname=database.name,
        sslmode=database.ssl_mode,
        # Without checking a certificate, a file of authorities that is there would be one too many.
        sslrootcert=_authorities() if database.ssl_mode == "verify-full" else "/dev/null/none",
        sslcrl="",
        sslcertmode="disable",
        gssencmode="disable",
        passfile="/dev/null",
        options="",
        application_name=database.application_name,
        client_encoding="UTF8",
    )


def _authorities() -> str:
    """The file of the system's trust store. The driver brings its own OpenSSL, whose store is empty."""
    known = ssl.get_default_verify_paths().cafile
    return known or next(filter(os.path.exists, _TRUST_STORES), "system")


def _answer(cursor: psycopg.Cursor[Any], sql: str, values: list[Any], max_rows: int, max_bytes: int) -> Answer:
    rows: list[JSONObject] = []
    names: list[str] = []
    size = 0
    for row in cursor.stream(sql, values):
        names = names or _names(cursor)
        if len(rows) == max_rows:
            raise QueryError(f"query: more than {max_rows} rows; add LIMIT to the query or raise max_rows")
        rows.append(dict(zip(names, row, strict=True)))
        size += len(dumps(rows[-1])) + 1
        if size > max_bytes:
            raise QueryError(f"query: the rows have more than {max_bytes} bytes as JSON; select less")
    return Answer(rows, len(rows) if cursor.description else max(0, cursor.rowcount))


def _names(cursor: psycopg.Cursor[Any]) -> list[str]:
    names = [column.name for column in cursor.description or ()]
    for name in names:
        if names.count(name) > 1:
            raise QueryError(f"query: two columns are called {name[:100]}; name them apart with AS")
    return names


def _adapted(value: JSONValue) -> Any:
    """A list of plain values goes as an array, what holds objects as jsonb."""
    if isinstance(value, dict):
        return Jsonb(value)
    if isinstance(value, list) and _holds_objects(value):
        return Jsonb(value)
    if isinstance(value, list) and {int, float} <= set(map(type, _leaves(value))):
        # JSON writes 10.0 as 10 where it likes, and an array has one type.
        return _as_decimals(value)
    return value


def _holds_objects(value: list[JSONValue]) -> bool:
    return any(isinstance(item, dict) or (isinstance(item, list) and _holds_objects(item)) for item in value)


def _leaves(value: list[JSONValue]) -> Iterator[JSONValue]:
    for item in value:
        if isinstance(item, list):
            yield from _leaves(item)
        else:
            yield item


def _as_decimals(value: list[JSONValue]) -> list[Any]:
    return [
        _as_decimals(item) if isinstance(item, list)
        # Its shortest form, as JSON has it.
        else Decimal(repr(item)) if type(item) in {int, float}
        else item
        for item in value
    ]  # fmt: skip


def _refused(error: psycopg.Error) -> QueryError:
    if error.sqlstate is None:
        # The driver's own: a value that PostgreSQL has no type for, or a connection that broke.
        if isinstance(error, psycopg.OperationalError):
            return QueryError("query: the connection was lost", permanent=False)
        return QueryError(f"query: {str(error)[:500]}")
    retriable = error.sqlstate.startswith(_RETRIABLE_STATES)
    message = (error.diag.message_primary or type(error).__name__)[:1000]
    return QueryError(f"query: {message}", permanent=not retriable, sqlstate=error.sqlstate)


class _Time(Loader):
    """A timestamp as ISO 8601 with a T; infinity stays a word."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode().replace(" ", "T", 1)


class _Bytes(Loader):
    """bytea as base64."""

    def load(self, data: Buffer) -> str:
        return base64.b64encode(bytes.fromhex(bytes(data)[2:].decode())).decode()


class _Float(Loader):
    """A number, or the word for what JSON has no number for."""

    def load(self, data: Buffer) -> float | str:
        text = bytes(data).decode()
        return text if text.lstrip("-") in {"NaN", "Infinity"} else float(text)


@lru_cache(maxsize=1)
def _adapters() -> AdaptersMap:
    adapters = AdaptersMap(psycopg.adapters)
    for name in _AS_TEXT:
        adapters.register_loader(name, TextLoader)
    for name, loader in (("timestamp", _Time), ("timestamptz", _Time), ("bytea", _Bytes)):
        adapters.register_loader(name, loader)
    for name in ("float4", "float8"):
        adapters.register_loader(name, _Float)
    return adapters
