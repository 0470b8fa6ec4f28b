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
from accounts.audit import Action
from accounts.audited_admin import AuditedAdmin
from accounts.big_lists import BigListAdmin, MadeFilter
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
class SessionAdmin(BigListAdmin):
    """Who is logged in, from where; ended here by the action."""

    list_display = ("user", "address", "created_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    list_filter = (MadeFilter,)
    search_fields = ("pk",)
    account_field = "user"
    link_lookups = ("user",)
    readonly_fields = ("user", "address", "user_agent", "created_at", "last_used_at", "expires_at", "revoked_at")
    exclude = ("refresh_id",)
    actions = ("end_sessions",)

    @admin.action(description="End the selected sessions", permissions=["operate"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        ended = 0
        for session in queryset.filter(revoked_at=None).select_related("user"):
            Session.objects.filter(pk=session.pk).update(revoked_at=timezone.now())
            self.log_change(request, session, "ended")
            ended += 1
        self.tell(request, done=f"Sessions ended: {ended}")


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


class ActionFilter(admin.SimpleListFilter):
    """What was done; the choices are those that there can be."""

    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(action), str(action)) for action in sorted(Action)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(action=self.value()) if self.value() in set(Action) else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(BigListAdmin):
    """Who did what, when, from where."""

    list_display = ("at", "actor", "action", "object_type", "object_id", "address", "credential")
    list_filter = (MadeFilter, ActionFilter)
    search_fields = ("pk", "address", "object_id")
    account_field = "actor_id"
    link_lookups = ("actor_id", "object_type", "object_id", "address")


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
