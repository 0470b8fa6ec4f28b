"""Connections to PostgreSQL that are kept from request to request, or from task to task."""

import select

from django.db import connections


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
