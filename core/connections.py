"""Connections to PostgreSQL that are kept from request to request, or from task to task; and whether it is away."""

import select

from django.db import InterfaceError, InternalError, OperationalError, connections

# Internal errors to psycopg: a server that is read-only, as in a fail-over, and a session that it ended because of how
# long its transaction took.
_AWAY_STATES = ("25006", "25P03", "25P04")


def is_away(error: Exception) -> bool:
    """Whether an error of Django's says that PostgreSQL cannot do its work now, rather than that ours is wrong."""
    if isinstance(error, InternalError):
        return getattr(error.__cause__, "sqlstate", None) in _AWAY_STATES
    return isinstance(error, OperationalError | InterfaceError)


def drop_dead_connections() -> None:
    """Let go of this thread's connections that the server has closed; before a request or a task.

    Costs no round trip: an idle connection has nothing to read but the server's goodbye.
    """
    for connection in connections.all(initialized_only=True):
        raw = connection.connection
        if raw is not None and (raw.closed or _is_readable(raw.fileno())):
            connection.close()


def _is_readable(descriptor: int) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(0))
