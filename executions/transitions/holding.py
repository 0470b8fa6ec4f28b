"""What maintenance mode waits for: transactions that may have looked before it was switched on."""

from executions.transitions.statements import fetch_all

# Each transaction that writes to the table holds this lock from before its statement's snapshot is taken until its
# end; a statement whose lock is not granted yet has no snapshot yet.
_WRITERS = """
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
  AND relation = 'executions_execution'::regclass
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def writers() -> frozenset[str]:
    """The transactions that write to executions now: among them each that is about to admit one.

    A statement that begins after a commit sees it, so only those that are at it already can have missed it. Needs
    transactions at READ COMMITTED (Django's default).
    """
    return frozenset(row["virtualtransaction"] for row in fetch_all(_WRITERS, {}))
