"""Users, groups, sessions, keys, the names of secrets and the audit log in the admin."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts import oauth_admin as oauth_admin  # registers the applications
from accounts.access_end import end_access
from accounts.api_keys import delete_api_key
from accounts.audit import Action
from accounts.audited_admin import AuditedAdmin, admin_user
from accounts.big_lists import BigListAdmin, MadeFilter
from accounts.models import ApiKey, AuditEntry, Secret, Session, Tier, User
from accounts.users import update_user
from core.errors import APGError

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
    actions = ("to_free", "to_pro", "to_enterprise")
    add_fieldsets = ((None, {"fields": ("email", "username", "password1", "password2", "tier")}),)

    # As over the API: whoever is no superuser makes none, themselves included, and leaves superusers alone.
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.readonly_fields if _is_superuser(request) else (*self.readonly_fields, "is_superuser", "groups")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may_touch(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may_touch(request, obj) and super().has_delete_permission(request, obj)

    @admin.action(description="Set tier: free", permissions=["operate"])
    def to_free(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Its own limits, of a custom tier, go."""
        self._set_tier(request, queryset, Tier.FREE)

    @admin.action(description="Set tier: pro", permissions=["operate"])
    def to_pro(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """The same."""
        self._set_tier(request, queryset, Tier.PRO)

    @admin.action(description="Set tier: enterprise", permissions=["operate"])
    def to_enterprise(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """The same."""
        self._set_tier(request, queryset, Tier.ENTERPRISE)

    def _set_tier(self, request: HttpRequest, queryset: QuerySet[User], tier: Tier) -> None:
        done, failed = 0, []
        changes = {"tier": tier.value, "requests_per_hour": None, "concurrent_executions": None}
        for user in queryset.exclude(tier=tier):
            try:
                update_user(user=user, by=admin_user(request), changes=changes)
                done += 1
            except APGError as error:
                failed.append(f"{user.email}: {error.message}")
        self.tell(request, done=f"Users now of the tier {tier.value}: {done}", failed=failed)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if obj.tier != Tier.CUSTOM:
            # As over the API, only that tier has numbers of its own.
            obj.requests_per_hour = obj.concurrent_executions = None
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
    """Which keys there are; revoked here, made over the API by their owners."""

    list_display = ("prefix", "name", "owner", "expires_at", "last_used_at")
    list_select_related = ("owner",)
    search_fields = ("prefix", "name", "owner__email")
    readonly_fields = (
        *("prefix", "name", "description", "owner", "permissions"),
        *("created_at", "expires_at", "last_used_at"),
    )
    exclude = ("key_hash",)
    actions = ("revoke",)

    def name_of(self, obj: ApiKey) -> str:
        return f"{obj.name} ({obj.prefix}…) of {obj.owner}"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        # The same under another name, past the service.
        actions.pop("delete_selected", None)
        return actions

    @admin.action(description="Revoke the chosen keys", permissions=["delete"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> TemplateResponse | None:
        """No request with them passes any more."""
        asked = self.ask(
            request,
            queryset.select_related("owner"),
            action="revoke",
            question="Revoke these API keys?",
            effect="Requests with them are refused at once, for good. Their owners can make new ones.",
            button="Revoke",
        )
        if asked is not None:
            return asked
        done, failed = 0, []
        for key in queryset.select_related("owner"):
            try:
                delete_api_key(owner=key.owner, key_id=key.pk)
                done += 1
            except APGError as error:
                failed.append(f"{key.name}: {error.message}")
        self.tell(request, done=f"API keys revoked: {done}", failed=failed)
        return None


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
