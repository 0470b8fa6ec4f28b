"""What PostgreSQL's catalogue says of tables: about how many rows they have, and how large they are; no row is read."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from psycopg import sql


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table of the database; `rows` is as of its last ANALYZE, -1 before the first. `size` counts its indexes too."""

    name: str
    rows: int
    size_bytes: int


def estimated_rows(table: str) -> int:
    """About how many rows the table has, as of its last ANALYZE; -1 before the first."""
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, [table])
        row = cursor.fetchone()
    assert row is not None, "an aggregate has a row"
    return int(row[0])


def largest_tables(count: int) -> Sequence[TableFacts]:
    """The largest tables of the application, the largest first."""
    with connection.cursor() as cursor:
        cursor.execute(_LARGEST, [count])
        return [TableFacts(str(name), int(rows), int(size)) for name, rows, size in cursor.fetchall()]


def database_size_bytes() -> int:
    """Of the whole database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        row = cursor.fetchone()
    assert row is not None, "a function's result"
    return int(row[0])


def analyze_young_tables() -> Sequence[str]:
    """Let PostgreSQL look at tables that have multiplied since it last did and are not large yet; their names.

    Autovacuum does so once a minute. Until then a new installation keeps the plans that were made while its tables were
    empty, of which some read all that there is: within the first minute starts took ten times as long. Forbids a
    transaction, in which the locks would be held until its end; a table that somebody else looks at is left out.
    """
    assert not connection.in_atomic_block
    with connection.cursor() as cursor:
        cursor.execute(_YOUNG, {"rows": _YOUNG_ROWS, "changes": _MIN_CHANGES, "times": _CHANGES_A_ROW})
        names = [str(name) for (name,) in cursor.fetchall()]
        for name in names:
            cursor.execute(sql.SQL("ANALYZE (SKIP_LOCKED) {}").format(sql.Identifier(name)))
    return names


# From here on a minute is no long time. Tables of a few pages are read as fast as an index of them. An execution is
# changed some six times, so a table is looked at again when it has about doubled.
_YOUNG_ROWS, _MIN_CHANGES, _CHANGES_A_ROW = 100_000, 1_000, 5
_YOUNG = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_has_role(relowner, 'USAGE')
  AND reltuples < %(rows)s
  AND pg_stat_get_mod_since_analyze(oid) > greatest(%(changes)s, %(times)s * reltuples)
"""
# A partitioned table has its rows in its parts.
_ROWS = """
SELECT coalesce(sum(part.reltuples) FILTER (WHERE part.reltuples >= 0), -1)::bigint
FROM pg_class AS whole
LEFT JOIN pg_inherits ON pg_inherits.inhparent = whole.oid
JOIN pg_class AS part ON part.oid = coalesce(pg_inherits.inhrelid, whole.oid)
WHERE whole.oid = to_regclass(quote_ident(%s))
"""
_LARGEST = """
SELECT relname, reltuples::bigint, pg_total_relation_size(oid) AS size
FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
ORDER BY size DESC, relname
LIMIT %s
"""
