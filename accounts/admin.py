"""Users, sessions and the names of secrets in the admin."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

from accounts import oauth_admin as oauth_admin  # registers the applications
from accounts.forms import AdminSignInForm
from accounts.models import Secret, Session, User

admin.site.login_form = AdminSignInForm


@admin.register(User)
class APGUserAdmin(UserAdmin):  # type: ignore[type-arg]  # not generic at run time
    """List, search, tier, active."""

    list_display = ("email", "username", "tier", "is_active", "is_staff", "created_at")
    list_filter = ("tier", "is_active", "is_staff")
    search_fields = ("email", "username")
    ordering = ("email",)
    readonly_fields = ("id", "created_at", "last_login")
    fieldsets = (
        (None, {"fields": ("id", "email", "username", "password")}),
        ("Limits", {"fields": ("tier", "requests_per_hour", "concurrent_executions")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Times", {"fields": ("created_at", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "username", "password1", "password2", "tier")}),)


@admin.register(Session)
class SessionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Who is logged in, from where."""

    list_display = ("user", "address", "created_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    readonly_fields = ("user", "address", "user_agent", "created_at", "last_used_at", "expires_at", "revoked_at")
    exclude = ("refresh_id",)


@admin.register(Secret)
class SecretAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Which secrets there are; their values are set over the API and shown nowhere."""

    list_display = ("name", "owner", "created_at", "updated_at")
    list_select_related = ("owner",)
    search_fields = ("name", "owner__email")
    readonly_fields = ("name", "owner", "created_at", "updated_at")
    exclude = ("sealed_value",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
