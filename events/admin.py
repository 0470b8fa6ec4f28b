"""Announcements and the ledger in the admin."""

from django.contrib import admin

from accounts.audited_admin import AuditedAdmin
from accounts.big_lists import BigListAdmin
from events.models import Announcement, Event


@admin.register(Announcement)
class AnnouncementAdmin(AuditedAdmin):
    """Announce maintenance: whoever is connected is told at once, others when they connect."""

    list_display = ("title", "starts_at", "ends_at", "created_at")
    ordering = ("-starts_at",)


@admin.register(Event)
class EventAdmin(BigListAdmin):
    """The ledger, to look at: what happened to whom, in order."""

    list_display = ("id", "timestamp", "type", "subject_id", "sequence", "workflow_id")
    search_fields = ("pk", "subject_id")
    link_lookups = ("subject_id",)
