"""Pages of the admin whose changes are in the audit log; every page of ours is one of these."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from accounts import audit
from accounts.audit import Action
from accounts.groups import group_id
from accounts.models import User


class AuditedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Records what Django's own log of the admin records: who, which object, and the names of the changed fields."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        _record(Action.ADMIN_ADDED, request, obj, changes=message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        _record(Action.ADMIN_CHANGED, request, obj, changes=message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        for obj in queryset:
            _record(Action.ADMIN_DELETED, request, obj)
        return super().log_deletions(request, queryset)


class ReadOnlyAdmin(AuditedAdmin):
    """Pages to look at."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _record(action: Action, request: HttpRequest, obj: Model, **details: Any) -> None:
    actor = request.user
    assert isinstance(actor, User), "the admin is for who logged in"
    object_id = group_id(obj.pk) if isinstance(obj, Group) else None
    audit.record(action, obj, actor=actor, object_id=object_id, name=str(obj)[:200], **details)
