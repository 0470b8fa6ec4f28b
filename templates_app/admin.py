"""Templates in the admin, to look at; changing and publishing go through the API, which checks and records them."""

from django.contrib import admin

from accounts.audited_admin import ReadOnlyAdmin
from templates_app.models import Template


@admin.register(Template)
class TemplateAdmin(ReadOnlyAdmin):
    """List, search, look."""

    list_display = ("name", "created_by", "category", "complexity_level", "published", "usage_count", "rating")
    list_filter = ("published", "complexity_level", "category")
    list_select_related = ("created_by",)
    search_fields = ("name", "created_by__email")
