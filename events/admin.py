"""Announcements in the admin; the ledger is read through the API."""

from django.contrib import admin

from accounts.audited_admin import AuditedAdmin
from events.models import Announcement


@admin.register(Announcement)
class AnnouncementAdmin(AuditedAdmin):
    """Announce maintenance: whoever is connected is told at once, others when they connect."""

    list_display = ("title", "starts_at", "ends_at", "created_at")
    ordering = ("-starts_at",)
