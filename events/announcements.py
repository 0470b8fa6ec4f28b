"""Maintenance announced by staff, in the admin, or by switching maintenance mode on."""

from datetime import datetime

from django.db.models import Q, QuerySet
from django.utils import timezone

from core.times import iso
from core.types import JSONObject
from events.models import Announcement


def current() -> QuerySet[Announcement]:
    """Those that are not over, the soonest first."""
    return Announcement.objects.filter(Q(ends_at=None) | Q(ends_at__gt=timezone.now())).order_by("starts_at")


def announce(*, title: str, message: str, ends_at: datetime | None) -> Announcement:
    """Tell everybody of maintenance that begins now; `ends_at`: when it is expected to be over."""
    return Announcement.objects.create(title=title, message=message, starts_at=timezone.now(), ends_at=ends_at)


def end(announcement_id: str) -> None:
    """It is over now, whatever was expected; nothing if it is over already."""
    current().filter(pk=announcement_id).update(ends_at=timezone.now())


def data_of(announcement: Announcement) -> JSONObject:
    """As clients are told of it; `ends_at` is null where nobody knows yet."""
    return {
        "id": announcement.pk,
        "title": announcement.title,
        "message": announcement.message,
        "starts_at": iso(announcement.starts_at),
        "ends_at": iso(announcement.ends_at) if announcement.ends_at is not None else None,
    }
