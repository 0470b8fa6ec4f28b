"""`GET /metrics`, for Prometheus: with the token of the settings, or for staff."""

import hmac

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views import View
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from accounts.authentication import CredentialAuthentication
from accounts.models import User
from accounts.permissions import require_scope
from accounts.scopes import Scope
from config import metrics_facts, metrics_text
from core.envelope import error_response
from core.errors import APGError, AuthenticationFailedError, NotAllowedError
from core.exception_handler import to_error


class MetricsView(View):
    """The text exposition; who is let in uses up no rate, who is not does.

    401 without a credential or with a bad one, 403 for who is not staff, or whose key or application lacks
    `system:read`.
    """

    # As a view of the API: counted when it is answered, if at all.
    counts_requests = True
    http_method_names = ("get", "head")

    def get(self, request: HttpRequest) -> HttpResponse:
        """All metrics."""
        try:
            require_reader(request)
        except (APGError, APIException) as error:
            return error_response(to_error(error))
        request.is_uncounted = True  # type: ignore[attr-defined]  # for accounts.throttling
        text = metrics_text.text(metrics_facts.tell())
        return HttpResponse(text, content_type=metrics_text.CONTENT_TYPE)

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        """Nothing of it is kept by anybody."""
        response = super().dispatch(request, *args, **kwargs)
        assert isinstance(response, HttpResponse), "as `get` returns"
        response["Cache-Control"] = "no-store"
        return response


def require_reader(request: HttpRequest) -> None:
    """Raises AuthenticationFailedError, rest_framework's AuthenticationFailed, NotAllowedError."""
    if _has_token(request):
        return
    found = CredentialAuthentication().authenticate(Request(request))
    if found is not None:
        user, caller = found
        if not user.is_staff:
            raise NotAllowedError("This is for staff")
        require_scope(caller, Scope.SYSTEM_READ)
        return
    # The session of the admin.
    if not isinstance(request.user, User):
        raise AuthenticationFailedError
    if not request.user.is_staff:
        raise NotAllowedError("This is for staff")


def _has_token(request: HttpRequest) -> bool:
    token: str = settings.METRICS_TOKEN
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return bool(token) and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
