"""database_query on the test PostgreSQL: values, limits, refusals, and what an error must not tell."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from core.errors import ErrorCode
from core.outbound import checked_addresses
from core.outbound_policy import OutboundPolicy
from core.types import JSONObject
from tests.stand_ins import first_connection_only, postgres_over_tcp, postgres_over_tls, unreachable_port
from tests.stopwatch import Stopwatch
from tests.unit.components.context import context, run
from tests.unit.outbound_peers import certificate_for
from workflows.components.base import Completed, Failed
from workflows.components.database import DatabaseQuery
from workflows.components.postgres import Answer, Database, QueryError
from workflows.components.postgres import query as query_at
from workflows.components.sql_binds import BindError, bind
from workflows.expressions import References


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres_over_tcp() as url:
        yield url


def query(url: str, sql: str, parameters: JSONObject | None = None, **more: Any) -> Completed | Failed:
    policy = more.pop("policy", OutboundPolicy(allow=("127.0.0.1/32",)))
    secrets = {"db": url}
    given = replace(context(policy=policy), secret=secrets.__getitem__)
    outcome = run("database_query", {"connection": "db", "query": sql, "parameters": parameters or {}, **more}, given)
    assert isinstance(outcome, Completed | Failed)
    return outcome


def rows(url: str, sql: str, parameters: JSONObject | None = None, **more: Any) -> Any:
    outcome = query(url, sql, parameters, **more)
    assert isinstance(outcome, Completed), outcome
    assert set(outcome.output) == {"rows", "row_count"}
    return outcome.output["rows"]


def failure(url: str, sql: str = "SELECT 1", parameters: JSONObject | None = None, **more: Any) -> Failed:
    outcome = query(url, sql, parameters, **more)
    assert isinstance(outcome, Failed), outcome
    return outcome


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1::smallint", 1), ("9007199254740993::bigint", 9007199254740993), ("1.5::float8", 1.5),
        ("'NaN'::float8", "NaN"), ("'-Infinity'::float4", "-Infinity"), ("1.10::numeric", "1.10"), ("true", True),
        ("NULL::int", None), ("'text'::text", "text"), ("DATE '2026-01-31'", "2026-01-31"),
        ("TIMESTAMP '2026-01-31 10:00:00.5'", "2026-01-31T10:00:00.5"),
        ("TIMESTAMPTZ '2026-01-31 10:00:00+00' AT TIME ZONE 'UTC'", "2026-01-31T10:00:00"),
        ("'infinity'::timestamptz", "infinity"), ("INTERVAL '1 day 2 hours'", "P1DT2H"),
        ("decode('00ff', 'hex')", "AP8="), ("'{\"a\": [1]}'::jsonb", {"a": [1]}), ("'[null]'::json", [None]),
        ("ARRAY[1, NULL, 3]", [1, None, 3]), ("ARRAY[1.10::numeric]", ["1.10"]), ("int4range(1, 3)", "[1,3)"),
        ("'127.0.0.1'::inet", "127.0.0.1"), ("'6f1c0a54-9e1f-4ef7-8d37-3d8f4b6cbb0a'::uuid",
                                             "6f1c0a54-9e1f-4ef7-8d37-3d8f4b6cbb0a"),
        ("ROW(1, 'a')", "(1,a)"),
    ],
)  # fmt: skip
def test_values_are_json(url: str, expression: str, value: Any) -> None:
    assert rows(url, f"SELECT {expression} AS v") == [{"v": value}]


def test_binds_carry_each_kind_of_value(url: str) -> None:
    sql = """
        SELECT CAST(:t AS text) AS t, CAST(:n AS int) + 1 AS n, CAST(:b AS bool) AS b, CAST(:z AS int) AS z,
               CAST(:o AS jsonb) -> 'k' AS o, 2 = ANY(:l) AS l, CAST(:m AS jsonb) AS m, :t AS again -- :not_one
    """
    values = {"t": "it's; DROP", "n": 4, "b": True, "z": None, "o": {"k": [1]}, "l": [1, 2], "m": [{"a": 1}, "x"]}
    assert rows(url, sql, values) == [
        {
            "t": "it's; DROP",
            "n": 5,
            "b": True,
            "z": None,
            "o": [1],
            "l": True,
            "m": [{"a": 1}, "x"],
            "again": "it's; DROP",
        }
    ]


@pytest.mark.parametrize("mode", ["", "?sslmode=prefer", "?sslmode=require"])
def test_a_server_that_speaks_tls_is_spoken_to_in_it(url: str, tmp_path: Path, mode: str) -> None:
    context, _ = certificate_for("db.example", tmp_path)
    with postgres_over_tls(url, context) as (over_tls, begun):
        assert rows(over_tls + mode, "SELECT 1 AS one") == [{"one": 1}]
        assert begun == ["tls"]


def test_a_certificate_is_checked_by_the_systems_trust_store_where_that_is_asked(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = certificate_for("db.example", tmp_path)
    with postgres_over_tls(url, context) as (over_tls, _):
        port = urlsplit(over_tls).port or 0
        user = urlsplit(url).username or ""
        database = Database("db.example", port, user, "", urlsplit(url).path[1:], "verify-full", "test")
        other = replace(database, host="other.example")
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert ask(database, ["127.0.0.1"], timeout_seconds=10).rows == [{"?column?": 1}]
        with pytest.raises(QueryError, match="could not be connected to"):
            ask(other, ["127.0.0.1"], timeout_seconds=10)
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(QueryError, match="could not be connected to"):
            ask(database, ["127.0.0.1"], timeout_seconds=10)


def test_a_list_of_whole_and_broken_numbers_is_an_array(url: str) -> None:
    for type_ in ("numeric", "float8"):
        sql = f"SELECT n::text AS n FROM (VALUES (10::{type_}), (12.5), (13)) AS t (n) WHERE n = ANY(:numbers)"
        assert rows(url, sql, {"numbers": [10, 12.5]}) == [{"n": "10"}, {"n": "12.5"}]


def test_bytes_are_base64_however_the_server_would_write_them(url: str) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as database:
        database.execute("ALTER DATABASE apg SET bytea_output = 'escape'")
        try:
            assert rows(url, "SELECT convert_to('abcdef', 'UTF8') AS v, '\\x00'::bytea AS z") == [
                {"v": "YWJjZGVm", "z": "AA=="}
            ]
        finally:
            database.execute("ALTER DATABASE apg RESET bytea_output")


def test_a_statement_without_rows_counts_what_it_changed_and_is_committed(url: str) -> None:
    assert query(url, "CREATE TABLE IF NOT EXISTS q_test (id int)") == Completed({"rows": [], "row_count": 0})
    try:
        inserted = query(url, "INSERT INTO q_test SELECT generate_series(1, :n)", {"n": 3})
        assert inserted == Completed({"rows": [], "row_count": 3})
        assert query(url, "DELETE FROM q_test WHERE id > 1 RETURNING id") == Completed(
            {"rows": [{"id": 2}, {"id": 3}], "row_count": 2}
        )
        # Too many rows, or a failure in the middle: nothing is kept.
        too_many = failure(url, "INSERT INTO q_test VALUES (7), (8) RETURNING id", max_rows=1)
        assert too_many.message == "query: more than 1 rows; add LIMIT to the query or raise max_rows"
        assert rows(url, "SELECT id FROM q_test") == [{"id": 1}]
    finally:
        query(url, "DROP TABLE q_test")


def test_as_many_rows_as_the_limit_pass_and_one_more_fails(url: str) -> None:
    assert len(rows(url, "SELECT generate_series(1, 5) AS n", max_rows=5)) == 5
    assert failure(url, "SELECT generate_series(1, 100000000) AS n", max_rows=5).permanent


def test_rows_larger_than_an_output_fail(url: str) -> None:
    found = failure(url, "SELECT repeat('x', 6000) AS t FROM generate_series(1, 2)")
    assert (found.message, found.permanent) == (
        "query: the rows have more than 10000 bytes as JSON; select less", True
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "message", "state"),
    [
        ("SELEC 1", 'query: syntax error at or near "SELEC"', "42601"),
        ("SELECT 1; SELECT 2", "query: cannot insert multiple commands into a prepared statement", "42601"),
        ("SELECT * FROM nowhere_at_all", 'query: relation "nowhere_at_all" does not exist', "42P01"),
        ("SELECT 1/0", "query: division by zero", "22012"),
        ("COPY (SELECT 1) TO STDOUT", "query: ", None),
    ],
)
def test_what_postgresql_refuses_is_permanent(url: str, sql: str, message: str, state: str | None) -> None:
    found = failure(url, sql)
    assert found.message.startswith(message)
    assert (found.permanent, found.details.get("sqlstate")) == (True, state)


@pytest.mark.parametrize(
    ("state", "permanent"), [("25006", False), ("25P03", False), ("25P04", False), ("25001", True)]
)
def test_a_server_that_is_read_only_or_ends_long_transactions_may_be_asked_again(
    url: str, state: str, permanent: bool
) -> None:
    found = failure(url, f"DO $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{state}'; END $$")
    assert (found.permanent, found.details) == (permanent, {"sqlstate": state})


def test_two_columns_of_one_name_are_refused(url: str) -> None:
    assert failure(url, "SELECT 1 AS a, 2 AS a").message == "query: two columns are called a; name them apart with AS"


def test_a_slow_statement_is_over_time_and_may_be_tried_again(url: str) -> None:
    with Stopwatch() as watch:
        found = failure(url, "SELECT pg_sleep(30)", timeout=1)
    assert (found.code, found.permanent) == (ErrorCode.TIMEOUT_ERROR, False)
    assert found.message == "query: not done within 1 s"
    assert watch.seconds < 3


@pytest.mark.parametrize("answer", [b"", b"S"])
def test_a_server_that_says_nothing_is_left(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def accept() -> None:
            client, _ = server.accept()
            client.sendall(answer)
            held.append(client)

        threading.Thread(target=accept, daemon=True).start()
        with Stopwatch() as watch:
            found = failure(f"postgresql://u:p@127.0.0.1:{server.getsockname()[1]}/d", timeout=2)
        assert not found.permanent
        assert watch.seconds < 6
        held[0].close()


class LetGoError(BaseException):
    """What a checkpoint raises."""


def let_go_after(seconds: float) -> Callable[[], None]:
    until = time.monotonic() + seconds

    def checkpoint() -> None:
        if time.monotonic() > until:
            raise LetGoError

    return checkpoint


def let_go(url: str, sql: str = "SELECT 1") -> float:
    """The seconds that a statement takes to end when its attempt is told to let go after 0.3; the best of three."""
    return min(_let_go(url, sql) for _ in range(3))


def _let_go(url: str, sql: str) -> float:
    started = time.monotonic()
    given = replace(context(), secret={"db": url}.__getitem__, checkpoint=let_go_after(0.3))
    with pytest.raises(LetGoError):
        run("database_query", {"connection": "db", "query": sql}, given)
    return time.monotonic() - started


def test_connecting_ends_when_the_attempt_lets_go() -> None:
    with unreachable_port() as port:
        assert let_go(f"postgresql://u:p@127.0.0.1:{port}/d") < 1


def test_looking_up_the_host_ends_when_the_attempt_lets_go(monkeypatch: pytest.MonkeyPatch) -> None:
    def hanging(*_: Any, **__: Any) -> Any:
        done.wait(10)
        raise socket.gaierror

    done = threading.Event()
    monkeypatch.setitem(checked_addresses.__kwdefaults__ or {}, "resolver", hanging)
    assert let_go("postgresql://u:p@slow.example/d") < 1
    done.set()


def test_many_addresses_that_nobody_answers_at_share_the_time() -> None:
    with unreachable_port() as port:
        database = Database("h", port, "u", "p", "d", "prefer", "a")
        with Stopwatch() as watch, pytest.raises(QueryError) as caught:
            ask(database, [f"127.0.0.{n}" for n in range(1, 51)], timeout_seconds=1)
    assert (str(caught.value), caught.value.timed_out) == ("connection: the server did not answer in time", True)
    assert watch.total > 0.9
    assert watch.seconds < 2


def test_no_more_than_four_addresses_are_tried() -> None:
    with socket.create_server(("127.0.0.5", 0)) as fifth, ExitStack() as held:
        fifth.setblocking(False)
        for number in range(1, 5):
            # Bound, so that nobody else listens there.
            held.enter_context(socket.socket()).bind((f"127.0.0.{number}", fifth.getsockname()[1]))
        database = Database("h", fifth.getsockname()[1], "u", "p", "d", "prefer", "a")
        with pytest.raises(QueryError, match="could not be connected to"):
            ask(database, [f"127.0.0.{n}" for n in range(1, 6)], timeout_seconds=5)
        with pytest.raises(BlockingIOError):
            fifth.accept()


def ask(database: Database, addresses: list[str], *, timeout_seconds: float) -> Answer:
    return query_at(
        database, addresses, "SELECT 1", [], timeout_seconds=timeout_seconds, max_rows=1, max_bytes=100,
        on_progress=lambda: None,
    )  # fmt: skip


def test_a_server_that_cannot_be_asked_to_cancel_is_left_within_two_seconds(url: str) -> None:
    with first_connection_only(url) as narrow:
        assert let_go(narrow, "SELECT pg_sleep(30)") < 2


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("mysql://u:hunter2@h/d", "holds a URL that starts with mysql://; supported are postgresql:// and postgres://"),
        ("hunter2", "holds no database URL; supported are postgresql:// and postgres://"),
        ("postgresql://u:hunter2@/d", "must name one host, as in postgresql://user:password@host:5432/name"),
        ("postgresql://u:hunter2@a,b/d", "must name one host, as in postgresql://user:password@host:5432/name"),
        ("postgresql://h/d", "must name a user and a database, as in postgresql://user:password@host:5432/name"),
        ("postgresql://u:hunter2@h", "must name a user and a database, as in postgresql://user:password@host:5432/name"),
        ("postgresql://u:hun#ter2@h/d", "has a # in its URL; in a password, write it as %23"),
        ("postgresql://u:hunter2@h:x/d", "holds no URL that can be read"),
        ("postgresql://u:hunter2@h/d?passfile=/etc/x", "has a URL parameter other than sslmode and application_name"),
        ("postgresql://u:hunter2@h/d?host=/tmp", "has a URL parameter other than sslmode and application_name"),
        ("postgresql://u:hunter2@h/d?sslmode=maybe",
         "has another sslmode than disable, prefer, require, verify-full"),
    ],
)  # fmt: skip
def test_a_secret_that_is_no_usable_url_is_told_without_repeating_it(secret: str, message: str) -> None:
    found = failure(secret)
    assert found == Failed(f"connection: the secret db {message}", permanent=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "[::1]"])
def test_private_addresses_are_refused(host: str) -> None:
    found = failure(f"postgresql://u:hunter2@{host}:5432/d", policy=OutboundPolicy())
    assert found == Failed(f"connection: address is not allowed: {host.strip('[]')}", permanent=True)


def test_nothing_of_the_url_stands_in_an_error_of_the_connection(url: str) -> None:
    found = failure("postgresql://someone:hunter2@127.0.0.1:1/somewhere")
    assert found == Failed("connection: the server could not be connected to", permanent=False)
    found = failure(url.rpartition("/")[0] + "/no_such_database")
    assert found == Failed("connection: the server refused the user, the password or the database", permanent=True)


def test_the_environment_lends_no_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=77MB")
    monkeypatch.setenv("PGAPPNAME", "not-this")
    assert rows(
        url, "SELECT current_setting('work_mem') <> '77MB' AS own, current_setting('application_name') AS n"
    ) == [{"own": True, "n": "apg-workflow"}]


def test_a_missing_secret_is_named() -> None:
    outcome = run("database_query", {"connection": "nope", "query": "SELECT 1"})
    assert outcome == Failed("connection: there is no secret called nope", permanent=True)


@pytest.mark.parametrize(
    ("sql", "parameters", "message"),
    [
        ("SELECT :a", {}, "parameters.a: expected a value for :a of the query"),
        ("SELECT 1", {"b": 2}, "parameters.b: expected a name that the query binds as :b"),
        ("SELECT 'x", {}, "query: a quoted text does not end"),
        ("SELECT $1", {}, "query: $1 is no bind; write :name"),
    ],
)
def test_binds_and_parameters_must_belong_together(url: str, sql: str, parameters: JSONObject, message: str) -> None:
    assert failure(url, sql, parameters) == Failed(message, permanent=True)


@pytest.mark.parametrize(
    ("sql", "bound", "names"),
    [
        ("SELECT :a, :b, :a", "SELECT $1, $2, $1", ("a", "b")),
        ("SELECT a::int, :a::int", "SELECT a::int, $1::int", ("a",)),
        ("SELECT ':a', ':''a', :b", "SELECT ':a', ':''a', $1", ("b",)),
        ("SELECT E'\\':a', :b", "SELECT E'\\':a', $1", ("b",)),
        ("SELECT 'a\\', :b", "SELECT 'a\\', $1", ("b",)),
        ('SELECT ":a""x" , :b', 'SELECT ":a""x" , $1', ("b",)),
        ("SELECT $$:a$$, $t$:a$$ $t$, :b", "SELECT $$:a$$, $t$:a$$ $t$, $1", ("b",)),
        ("SELECT 1 -- :a\n, :b", "SELECT 1 -- :a\n, $1", ("b",)),
        ("SELECT /* :a /* :b */ :c */ :d", "SELECT /* :a /* :b */ :c */ $1", ("d",)),
        ("SELECT x[1:n], x[:n]", "SELECT x[1:n], x[$1]", ("n",)),
        ("SELECT f(a := :b)", "SELECT f(a := $1)", ("b",)),
        ("SELECT a$1 FROM t", "SELECT a$1 FROM t", ()),
        ("SELECT nameE'x', :b", "SELECT nameE'x', $1", ("b",)),
        ("SELECT '100%' LIKE :p", "SELECT '100%' LIKE $1", ("p",)),
        ("SELECT j @? '$.a', :b", "SELECT j @? '$.a', $1", ("b",)),
        ("", "", ()),
    ],
)
def test_binds_are_found_past_quotes_comments_and_casts(sql: str, bound: str, names: tuple[str, ...]) -> None:
    found = bind(sql)
    assert (found.sql, found.names) == (bound, names)


@pytest.mark.parametrize("sql", ["'", '"', "E'\\'", "$$ :a", "$a$ $b$", "/* /* */", "$2"])
def test_what_does_not_end_is_refused(sql: str) -> None:
    with pytest.raises(BindError):
        bind(sql)


def test_the_secret_it_names_is_known_before_it_runs() -> None:
    component = DatabaseQuery()
    assert component.reads({"connection": "db", "query": ""}) == References(secrets=frozenset({"db"}))
    assert component.reads({"connection": "{{ which }}", "query": ""}) == References(all_secrets=True)
