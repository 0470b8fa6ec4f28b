"""Who may see, change, publish and rate a template: one filter and one check, for every transport (contract §12)."""

from enum import StrEnum

from django.db.models import Q, QuerySet

from accounts.callers import Caller
from core.errors import NotAllowedError, NotFoundError
from core.types import JSONObject
from templates_app.models import Template


class Action(StrEnum):
    """What may be done with a template that is seen; making a workflow of it needs no more than that."""

    EDIT = "edit"
    DELETE = "delete"
    PUBLISH = "publish"
    RATE = "rate"


def visible_to(caller: Caller) -> QuerySet[Template]:
    """The published ones, the gallery's among them, and the caller's own; all of them for staff."""
    templates = Template.objects.all()
    return templates if caller.user.is_staff else templates.filter(Q(published=True) | Q(created_by=caller.user))


def get_visible(caller: Caller, template_id: str) -> Template:
    """One template with its owner. Raises NotFoundError, the same for absent and hidden ones."""
    template = visible_to(caller).select_related("created_by").filter(pk=template_id).first()
    if template is None:
        raise NotFoundError("Template not found")
    return template


def actions(caller: Caller, template: Template) -> frozenset[Action]:
    """What the caller may do with a template that they see.

    The gallery's are changed by nobody, since the next start would set them back; staff may hide them.
    """
    own = template.created_by_id == caller.user.pk
    allowed = set() if own else {Action.RATE}
    if template.gallery_key is None and (own or caller.user.is_staff):
        allowed |= {Action.EDIT, Action.DELETE}
    if caller.user.is_staff:
        allowed.add(Action.PUBLISH)
    return frozenset(allowed)


def require(caller: Caller, action: Action, template: Template) -> None:
    """Raises NotAllowedError unless the caller, who sees the template, may do this to it."""
    if action not in actions(caller, template):
        raise NotAllowedError(f"You may not {action} this template")


def permissions(caller: Caller, template: Template) -> JSONObject:
    """The `permissions` of a template's representation."""
    allowed = actions(caller, template)
    return {f"can_{action}": action in allowed for action in Action}
