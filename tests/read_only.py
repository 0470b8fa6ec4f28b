"""A PostgreSQL that is read-only for a moment, as in a fail-over."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

_REFUSE = """
CREATE SEQUENCE refused_writes;
CREATE FUNCTION refuse_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- What a sequence counts is not rolled back.
    IF nextval('refused_writes') <= TG_ARGV[0]::int THEN
        RAISE EXCEPTION 'cannot execute % in a read-only transaction', TG_OP USING ERRCODE = '25006';
    END IF;
    RETURN NEW;
END $$;
"""


@contextmanager
def read_only(write: str, *, times: int, when: str = "true") -> Iterator[None]:
    """Refuse so many writes, `INSERT ON table` or `UPDATE ON table`, the way a server does that is read-only."""
    table = write.split()[-1]
    with connection.cursor() as cursor:
        cursor.execute(_REFUSE)
        cursor.execute(
            f"CREATE TRIGGER refuse_write BEFORE {write} FOR EACH ROW WHEN ({when})"
            f" EXECUTE FUNCTION refuse_write('{times}')"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                f"DROP TRIGGER refuse_write ON {table}; DROP FUNCTION refuse_write; DROP SEQUENCE refused_writes"
            )
