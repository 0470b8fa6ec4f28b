"""Maintenance announced by staff, in the admin."""

from django.db.models import QuerySet
from django.utils import timezone

from core.times import iso
from core.types import JSONObject
from events.models import Announcement


def current() -> QuerySet[Announcement]:
    """Those that are not over, the soonest first."""
    return Announcement.objects.filter(ends_at__gt=timezone.now()).order_by("starts_at")


def data_of(announcement: Announcement) -> JSONObject:
    """As clients are told of it."""
    return {
        "id": announcement.pk,
        "title": announcement.title,
        "message": announcement.message,
        "starts_at": iso(announcement.starts_at),
        "ends_at": iso(announcement.ends_at),
    }
