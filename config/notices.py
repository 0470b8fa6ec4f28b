"""What those are told who watch the system: announced maintenance, and to staff what ails the platform."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from datetime import datetime

from django.db import Error as DatabaseError
from django.utils import timezone
from redis.exceptions import RedisError

from config import machine, probes
from core.amqp import BrokerAwayError
from core.ids import new_id
from events import announcements
from events.models import Announcement
from executions.frames import Notice, notification_frame
from executions.hub import EVERYBODY, STAFF, Hub

ANNOUNCEMENT_SECONDS = 2.0
ALERT_SECONDS = 5.0
_PROBE_SECONDS = 2.0
_DISK_FULL = 0.95

# By what ails: what staff are told when it begins.
_WORDS = {
    "database": "PostgreSQL does not answer: nothing can be started or recorded",
    "redis": "Redis does not answer: executions start later than they could, and live views lag",
    "broker": "RabbitMQ does not answer: components start later than they could",
    "workers": "No worker is alive: executions wait until one is started",
    "queues": "A queue is served by no worker: components of its kind wait; health says which",
    "disk": f"The disk is more than {_DISK_FULL:.0%} full",
}


async def tell_announcements(hub: Hub) -> None:
    """Tell everybody who watches of maintenance as it is announced; runs for ever."""
    while True:
        await asyncio.sleep(ANNOUNCEMENT_SECONDS)
        for found in await hub.in_thread(_announced_since, hub.watched_since):
            if found.pk in hub.announced:
                continue
            hub.announced.add(found.pk)
            data = announcements.data_of(found)
            notice = Notice("maintenance_scheduled", found.title, found.message, data, found.created_at)
            hub.tell(EVERYBODY, notification_frame(found.pk, notice))


async def tell_alerts(hub: Hub) -> None:
    """Tell staff who watch when something begins to ail the platform, and when it is over; runs for ever.

    What goes on already is in `hub.alerts`, for those who come later.
    """
    while True:
        if hub.watched(STAFF):
            now = frozenset(await asyncio.to_thread(lambda: list(_ailments())))
            for what in sorted(now ^ hub.alerts.keys()):
                message = notification_frame(new_id(), _alert(what, begun=what in now))
                hub.tell(STAFF, message)
                if what in now:
                    hub.alerts[what] = message
                else:
                    del hub.alerts[what]
        else:
            hub.alerts.clear()
        await asyncio.sleep(ALERT_SECONDS)


def _alert(what: str, *, begun: bool) -> Notice:
    title = f"Alert: {what}" if begun else f"Over: {what}"
    message = _WORDS[what] if begun else f"No longer so: {_WORDS[what]}"
    return Notice("system_alert", title, message, {"component": what, "resolved": not begun}, timezone.now())


def _ailments() -> Iterator[str]:
    """What ails the platform now, as this process sees it."""
    asked_database, asked_redis, asked_broker = probes.database.ask(), probes.redis.ask(), probes.ask_broker()
    deadline = time.monotonic() + _PROBE_SECONDS
    try:
        facts = asked_database.result(_PROBE_SECONDS)
        if not facts.workers:
            yield "workers"
        elif facts.unserved:
            yield "queues"
    except (DatabaseError, TimeoutError, CancelledError):
        yield "database"
    try:
        asked_redis.result(max(deadline - time.monotonic(), 0))
    except (RedisError, TimeoutError, CancelledError):
        yield "redis"
    try:
        if asked_broker is not None:
            asked_broker.result(max(deadline - time.monotonic(), 0))
    except (BrokerAwayError, TimeoutError, CancelledError):
        yield "broker"
    if machine.disk_usage() > _DISK_FULL:
        yield "disk"


def _announced_since(moment: datetime) -> list[Announcement]:
    return list(announcements.current().filter(created_at__gte=moment).order_by("pk"))
