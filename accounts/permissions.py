"""What a view asks of its caller before it runs."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.authentication import caller
from accounts.callers import Caller
from accounts.scopes import Scope
from core.errors import AuthenticationFailedError, NotAllowedError


class HasScope(BasePermission):
    """The scope that the view names for the method; `public` views are for anyone.

    `person_only` views want somebody logged in, `staff_only` ones a user who is staff.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Raises AuthenticationFailedError, NotAllowedError; ImproperlyConfigured for a view that says nothing."""
        if view.public:
            return True
        if not (view.scopes or view.any_scope or view.person_only):
            raise ImproperlyConfigured(f"{type(view).__name__} says not who may call it")
        if request.auth is None:
            raise AuthenticationFailedError
        found = caller(request)
        if view.person_only and not found.is_person:
            raise NotAllowedError("This needs a login; keys and applications may not")
        if view.staff_only and not found.user.is_staff:
            raise NotAllowedError("This is for staff")
        method = "GET" if request.method in {"HEAD", "OPTIONS"} else request.method
        scope = view.scopes.get(method)
        if scope is not None:
            require_scope(found, scope)
        return True


def require_scope(caller: Caller, scope: Scope) -> None:
    """For a view that needs a second scope, or one for some bodies only. Raises NotAllowedError."""
    if not caller.allows(scope):
        raise NotAllowedError(f"This needs the scope {scope}")
