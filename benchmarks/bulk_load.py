"""Loading many rows into PostgreSQL fast: by COPY, and with the indexes made afterwards."""

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import psycopg

Database: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"


class Copy:
    """`with Copy(database, table, columns) as write`: COPY one row a call."""

    def __init__(self, database: Database, table: str, columns: str) -> None:
        self._context = database.cursor().copy(f"COPY {table} ({', '.join(columns.split())}) FROM STDIN")

    def __enter__(self) -> Callable[[Sequence[Any]], None]:
        return self._context.__enter__().write_row

    def __exit__(self, *about: Any) -> None:
        self._context.__exit__(*about)


class WithoutIndexes:
    """Indexes and keys of the big tables are dropped for the load and made again after it, as they were."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._again: list[str] = []

    def __enter__(self) -> None:
        database = self._database
        database.execute("SET session_replication_role = replica")
        database.execute("SET synchronous_commit = off")
        for table in ("executions_execution", "executions_componentrun", "events_event", "accounts_auditentry"):
            constraints = database.execute(
                "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
                "WHERE conrelid = %s::regclass AND contype IN ('u', 'f') ORDER BY contype",
                [table],
            ).fetchall()
            for name, definition in constraints:
                database.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
                valid = "" if definition.startswith("UNIQUE") else " NOT VALID"
                self._again.append(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}{valid}')
            indexes = database.execute(
                "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexname NOT LIKE '%%_pkey'",
                [table],
            ).fetchall()
            for name, definition in indexes:
                database.execute(f'DROP INDEX "{name}"')
                self._again.append(definition)

    def __exit__(self, *about: Any) -> None:
        if about[0] is None:
            self._database.execute("SET maintenance_work_mem = '1GB'")
            # Unique keys first, then indexes, then references.
            for statement in sorted(self._again, key=lambda text: "FOREIGN KEY" in text):
                say(statement[:110])
                self._database.execute(statement)
            self._database.execute("SET session_replication_role = origin")


def say(text: str) -> None:
    """Progress, with the time, on the standard error output."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)
