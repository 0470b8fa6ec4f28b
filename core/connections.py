"""Connections to PostgreSQL that are kept from request to request, or from task to task; and whether it is away."""

import logging
import select

import psycopg
from django.db import Error, InterfaceError, InternalError, OperationalError, connection, connections

logger = logging.getLogger(__name__)

# Internal errors to psycopg: a server that is read-only, as in a fail-over, and a session that it ended because of how
# long its transaction took.
_AWAY_STATES = ("25006", "25P03", "25P04")
# Operational errors of one statement: deadlocks, limits of size, locks not to be had, and limits of time.
_OF_ONE_STATEMENT = ("40", "54", "55", "57014")


def may_pass(error: Exception) -> bool:
    """Whether an error of Django's says that PostgreSQL could not do this now, rather than that ours is wrong."""
    if isinstance(error, InternalError):
        return _state(error) in _AWAY_STATES
    return isinstance(error, OperationalError | InterfaceError)


def is_away(error: Exception) -> bool:
    """Whether it says that PostgreSQL could do nothing else now either."""
    return may_pass(error) and not _state(error).startswith(_OF_ONE_STATEMENT)


def is_held(error: Exception) -> bool:
    """Whether it says that somebody else's lock was in the way, for longer than was to be waited."""
    return isinstance(error.__cause__, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected)


def _state(error: Exception) -> str:
    """The SQLSTATE; empty where there was no connection to say one."""
    return getattr(error.__cause__, "sqlstate", None) or ""


def tick_failed(name: str, error: Exception) -> None:
    """A turn of a thread that takes one after another ended so: say why, and have the next one start afresh."""
    if isinstance(error, Error):
        # Whatever state the connection is in, the next tick opens a new one.
        connection.close()
    if is_held(error):
        logger.warning("%s waits for a lock", name, extra={"action": f"{name.lower()}_waits"})
    elif is_away(error):
        logger.warning("%s cannot reach PostgreSQL: %s", name, type(error).__name__)
    else:
        logger.error("%s tick failed", name, exc_info=error, extra={"action": f"{name.lower()}_failed"})


def drop_dead_connections() -> None:
    """Let go of this thread's connections that the server has closed; before a request or a task.

    Costs no round trip: an idle connection has nothing to read but the server's goodbye.
    """
    for kept in connections.all(initialized_only=True):
        raw = kept.connection
        if raw is not None and (raw.closed or _is_readable(raw.fileno())):
            kept.close()


def _is_readable(descriptor: int) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(0))
