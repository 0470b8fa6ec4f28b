"""Who waits for whom in PostgreSQL."""

from django.db import connection


def waiting() -> int:
    """How many clients of the test's database wait for a lock; PostgreSQL's own processes are not among them."""
    with connection.cursor() as cursor:
        # Within a transaction, who there is would be what it was at the first look.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND datname = current_database() AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])
