"""Workflows in the admin, to look at; changing them goes through the API, which keeps versions and events."""

from django.contrib import admin
from django.http import HttpRequest

from workflows.models import Workflow, WorkflowVersion


class VersionInline(admin.TabularInline):  # type: ignore[type-arg]  # not generic at run time
    """The versions with their definitions."""

    model = WorkflowVersion
    readonly_fields = ("number", "definition", "created_by", "created_at")
    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Workflow | None = None) -> bool:
        return False


@admin.register(Workflow)
class WorkflowAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """List, search, look."""

    list_display = ("name", "created_by", "status", "version", "component_count", "updated_at")
    list_filter = ("status",)
    list_select_related = ("created_by",)
    search_fields = ("name", "created_by__email")
    inlines = (VersionInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Workflow | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Workflow | None = None) -> bool:
        return False
