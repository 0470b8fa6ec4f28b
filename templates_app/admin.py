"""Templates in the admin, to look at; changing and publishing go through the API, which checks and records them."""

from django.contrib import admin
from django.http import HttpRequest

from templates_app.models import Template


@admin.register(Template)
class TemplateAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """List, search, look."""

    list_display = ("name", "created_by", "category", "complexity_level", "published", "usage_count", "rating")
    list_filter = ("published", "complexity_level", "category")
    list_select_related = ("created_by",)
    search_fields = ("name", "created_by__email")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Template | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Template | None = None) -> bool:
        return False
