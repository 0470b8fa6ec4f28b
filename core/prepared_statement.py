"""SQL written by hand, prepared on Django's connection, with parameters by name."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import psycopg
from django.db import connection
from psycopg.rows import TupleRow, dict_row

_PLACEHOLDER = re.compile(r"%(?:\((\w+)\)s|%|.?)")


def fetch_all(sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run one statement with `%(name)s` in it; its rows. Database errors come as Django's.

    Django's connections read jsonb as text, here too.
    """
    connection.ensure_connection()
    raw = cast("psycopg.Connection[TupleRow]", connection.connection)
    text, names = numbered(sql)
    with connection.wrap_database_errors, psycopg.RawCursor(raw, row_factory=dict_row) as cursor:
        cursor.execute(text, [parameters[name] for name in names], prepare=True)
        return cursor.fetchall()


@cache
def numbered(sql: str) -> tuple[bytes, tuple[str, ...]]:
    """The statement with `$1`, `$2`… as PostgreSQL has them, and whose values these are, by name.

    Raises ValueError for a % that starts no placeholder.

    psycopg does the same, and keeps nothing of statements over 4 KiB, which those of a hop are. Kept for ever: for the
    program's own statements, not for such as are put together of what comes in.
    """
    names: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        if found[1] is None:
            raise ValueError(f"A % that is no placeholder, at {found.start()}: write %%")
        return f"${names.setdefault(found[1], len(names) + 1)}"

    text = _PLACEHOLDER.sub(number, sql)
    return text.encode(), tuple(names)
