"""Workflows in the admin, to look at; changing them goes through the API, which keeps versions and events."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.audited_admin import ReadOnlyAdmin
from workflows.models import Share, Workflow, WorkflowVersion


class VersionInline(admin.TabularInline):  # type: ignore[type-arg]  # not generic at run time
    """The versions with their definitions, as they may be shown."""

    model = WorkflowVersion
    readonly_fields = ("number", "definition", "created_by", "created_at")
    exclude = ("sealed_definition",)
    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ShareInline(admin.TabularInline):  # type: ignore[type-arg]  # not generic at run time
    """Whom it is shared with."""

    model = Share
    fk_name = "workflow"
    readonly_fields = ("user", "group", "role", "created_by", "created_at")
    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Workflow)
class WorkflowAdmin(ReadOnlyAdmin):
    """List, search, look."""

    list_display = ("name", "created_by", "status", "version", "component_count", "updated_at")
    list_filter = ("status",)
    list_select_related = ("created_by",)
    search_fields = ("name", "created_by__email")
    inlines = (ShareInline, VersionInline)
