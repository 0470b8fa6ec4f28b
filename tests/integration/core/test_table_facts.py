"""PostgreSQL looks at tables that have grown fast, before its autovacuum does."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from django.db import DatabaseError, connection

from core.prepared_statement import fetch_all
from core.table_facts import analyze_young_tables, estimated_rows
from tests.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def table() -> Iterator[str]:
    """A table of its own, that autovacuum leaves alone."""
    with connection.cursor() as cursor:
        cursor.execute('CREATE TABLE "Young one" (n int) WITH (autovacuum_enabled = false)')
        yield "Young one"
        cursor.execute('DROP TABLE "Young one"')


def add(table: str, count: int) -> None:
    """Rows, and wait until PostgreSQL has counted them."""
    before = changes(table)
    with connection.cursor() as cursor:
        cursor.execute(f'INSERT INTO "{table}" SELECT generate_series(1, %s)', [count])
        cursor.execute("SELECT pg_stat_force_next_flush()")
    eventually(lambda: changes(table) == before + count)


def changes(table: str) -> int:
    sql = "SELECT pg_stat_get_mod_since_analyze(to_regclass(quote_ident(%(table)s))) AS changes"
    return int(fetch_all(sql, {"table": table})[0]["changes"])


def test_a_table_is_looked_at_when_it_has_multiplied(table: str) -> None:
    add(table, 1000)
    assert table not in analyze_young_tables()
    assert estimated_rows(table) == -1
    add(table, 1)
    assert table in analyze_young_tables()
    assert estimated_rows(table) == 1001
    add(table, 5005)
    assert table not in analyze_young_tables()
    add(table, 1)
    assert table in analyze_young_tables()
    assert estimated_rows(table) == 6007


def test_a_large_table_is_left_to_autovacuum(table: str) -> None:
    add(table, 100_000)
    assert table in analyze_young_tables()
    add(table, 600_000)
    assert table not in analyze_young_tables()


def test_a_table_that_somebody_else_looks_at_is_left_out(table: str) -> None:
    add(table, 1001)
    other = connection.copy()
    with closing(other), other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f'LOCK TABLE "{table}" IN SHARE UPDATE EXCLUSIVE MODE')
        analyze_young_tables()
        assert estimated_rows(table) == -1
        # Who hangs up without a word may hold it a moment longer.
        cursor.execute("ROLLBACK")
    analyze_young_tables()
    assert estimated_rows(table) == 1001


def test_an_error_of_a_statement_is_django_s() -> None:
    with pytest.raises(DatabaseError, match="division by zero"):
        fetch_all("SELECT 1 / %(by)s::int AS n", {"by": 0})
