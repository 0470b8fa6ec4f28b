"""What a view asks of its caller before it runs."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.authentication import caller
from core.errors import AuthenticationFailedError, NotAllowedError


class HasScope(BasePermission):
    """The scope that the view names for the method; `public` views are for anyone."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Raises AuthenticationFailedError, NotAllowedError; ImproperlyConfigured for a view that says nothing."""
        if view.public:
            return True
        if not (view.scopes or view.any_scope):
            raise ImproperlyConfigured(f"{type(view).__name__} says not who may call it")
        if request.auth is None:
            raise AuthenticationFailedError
        method = "GET" if request.method in {"HEAD", "OPTIONS"} else request.method
        scope = view.scopes.get(method)
        if scope is not None and not caller(request).allows(scope):
            raise NotAllowedError(f"This needs the scope {scope}")
        return True
