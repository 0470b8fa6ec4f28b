"""Users, groups, sessions, keys, the names of secrets and the audit log in the admin."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts import oauth_admin as oauth_admin  # registers the applications
from accounts.access_end import end_access
from accounts.audited_admin import AuditedAdmin, ReadOnlyAdmin
from accounts.models import ApiKey, AuditEntry, Secret, Session, User

admin.site.unregister(Group)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def _may_touch(request: HttpRequest, user: User | None) -> bool:
    return user is None or not user.is_superuser or _is_superuser(request)


@admin.register(Group)
class APGGroupAdmin(AuditedAdmin, GroupAdmin):
    """Teams, which workflows are shared with."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if _is_superuser(request) else ("permissions",)


@admin.register(User)
class APGUserAdmin(AuditedAdmin, UserAdmin):  # type: ignore[type-arg]  # not generic at run time
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

    # As over the API: whoever is no superuser makes none, themselves included, and leaves superusers alone.
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.readonly_fields if _is_superuser(request) else (*self.readonly_fields, "is_superuser", "groups")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may_touch(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may_touch(request, obj) and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "is_active" in form.changed_data and not obj.is_active:
            end_access(obj)


@admin.register(Session)
class SessionAdmin(AuditedAdmin):
    """Who is logged in, from where; ended here by the action."""

    list_display = ("user", "address", "created_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    readonly_fields = ("user", "address", "user_agent", "created_at", "last_used_at", "expires_at", "revoked_at")
    exclude = ("refresh_id",)
    actions = ("end_sessions",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description="End the selected sessions", permissions=["change"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        for session in queryset.filter(revoked_at=None).select_related("user"):
            Session.objects.filter(pk=session.pk).update(revoked_at=timezone.now())
            self.log_change(request, session, "ended")


@admin.register(ApiKey)
class ApiKeyAdmin(AuditedAdmin):
    """Which keys there are; deleted here, made over the API by their owners."""

    list_display = ("prefix", "name", "owner", "expires_at", "last_used_at")
    list_select_related = ("owner",)
    search_fields = ("prefix", "name", "owner__email")
    readonly_fields = (
        *("prefix", "name", "description", "owner", "permissions"),
        *("created_at", "expires_at", "last_used_at"),
    )
    exclude = ("key_hash",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what, when, from where."""

    list_display = ("at", "actor", "action", "object_type", "object_id", "address", "credential")
    list_filter = ("action", "object_type")
    search_fields = ("actor", "object_id", "request_id")
    ordering = ("-id",)
    # Counting all of a table that only grows would cost more than the page.
    show_full_result_count = False


@admin.register(Secret)
class SecretAdmin(AuditedAdmin):
    """Which secrets there are; their values are set over the API and shown nowhere."""

    list_display = ("name", "owner", "created_at", "updated_at")
    list_select_related = ("owner",)
    search_fields = ("name", "owner__email")
    readonly_fields = ("name", "owner", "created_at", "updated_at")
    exclude = ("sealed_value",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
