"""Pages of the admin whose changes are in the audit log; every page of ours is one of these."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_permission_codename
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst, slugify

from accounts import audit
from accounts.audit import Action
from accounts.callers import Caller
from accounts.groups import group_id
from accounts.models import User
from accounts.scopes import Scope

CREDENTIAL = "admin"
# Messages lie in a cookie until they are shown.
_MAX_TOLD = 10


def admin_user(request: HttpRequest) -> User:
    """Who has logged in to the admin."""
    assert isinstance(request.user, User), "the admin is for who logged in"
    return request.user


def admin_caller(request: HttpRequest) -> Caller:
    """The same as services know callers; the audit log tells by `credential` that it was done in the admin."""
    return Caller(admin_user(request), frozenset(Scope), CREDENTIAL)


def badge(state: str) -> SafeString:
    """A state as lists show it, in its colour (`accounts/admin.css`)."""
    return format_html('<span class="status status-{}">{}</span>', slugify(state), state)


class AuditedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Records what Django's own log of the admin records: who, which object, and the names of the changed fields.

    Actions go through the services that REST calls, which record what they do; `APGAdminSite` has told the audit log
    who is asking. An action with `permissions=["operate"]` is for who has Django's permission to change such objects,
    whether or not the page lets anybody edit them.
    """

    # Each choice of a filter would be counted, and the whole table beside what was found.
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    list_per_page = 50

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        found = super().get_changelist_instance(request)
        if not found.is_popup:
            found.title = capfirst(str(self.opts.verbose_name_plural))
        return found

    def name_of(self, obj: Any) -> str:
        """What an object is called where people are asked about it."""
        return str(obj)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        codename = get_permission_codename("change", self.opts)
        return admin_user(request).has_perm(f"{self.opts.app_label}.{codename}")

    def ask(
        self, request: HttpRequest, chosen: QuerySet[Any], *, action: str, question: str, effect: str, button: str
    ) -> TemplateResponse | None:
        """A page that asks whether the action is really meant; None once that has been answered.

        `action` is the name of the admin's action, `effect` says what cannot be undone.
        """
        if request.POST.get("confirmed") == "yes":
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": question,
            "opts": self.opts,
            "objects": [(each.pk, self.name_of(each)) for each in chosen],
            "action": action,
            "effect": effect,
            "button": button,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/ask.html", context)

    def tell(self, request: HttpRequest, *, done: str, failed: Sequence[str] = ()) -> None:
        """Say what an action has done, and of each object with which it failed, why."""
        for each in failed[:_MAX_TOLD]:
            self.message_user(request, f"Not done: {each}", messages.WARNING)
        if len(failed) > _MAX_TOLD:
            self.message_user(request, f"And {len(failed) - _MAX_TOLD} more that failed", messages.WARNING)
        self.message_user(request, done, messages.WARNING if failed else messages.SUCCESS)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *more: Any) -> Any:
        key = self.opts.pk
        assert key is not None, "every model has one"
        post = request.POST.copy()
        post.setlist(ACTION_CHECKBOX_NAME, [text for text in post.getlist(ACTION_CHECKBOX_NAME) if _is_key(key, text)])
        request.POST = post  # type: ignore[assignment]  # what is no key would be an error of the server
        return super().response_action(request, queryset, *more)

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
    object_id = group_id(obj.pk) if isinstance(obj, Group) else None
    audit.record(action, obj, actor=admin_user(request), object_id=object_id, name=str(obj)[:200], **details)


def _is_key(key: Any, text: str) -> bool:
    try:
        key.to_python(text)
    except ValidationError:
        return False
    return True
