"""OAuth 2 over HTTP: the four endpoints of contract §1 as RFC 6749, 7009 and 7662 want them, log in and log out."""

import json
import secrets
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.views import LoginView, LogoutView, redirect_to_login
from django.core.exceptions import BadRequest
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import View
from oauth2_provider.exceptions import FatalClientError, OAuthToolkitError
from oauth2_provider.settings import oauth2_settings
from oauth2_provider.views.mixins import OAuthLibMixin
from oauthlib.common import add_params_to_uri

from accounts import audit
from accounts.audit import Action
from accounts.forms import SignInForm, record_sign_out
from accounts.models import User
from accounts.oauth import introspected
from accounts.scopes import DESCRIPTIONS
from accounts.throttling import count_requests
from core.envelope import error_headers
from core.errors import APGError, BadRequestError, MethodNotAllowedError, RateLimitedError
from core.exception_handler import to_error

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="oauth"'}
# Where oauthlib gives no words.
_DESCRIPTIONS = {
    "invalid_request": "A parameter is missing",
    "invalid_client": "Unknown client, or its secret is missing or wrong",
    "invalid_grant": "The code or refresh token is unknown, used, expired, another client's or not for this request",
    "invalid_scope": "Ask for at least one known scope, or * for all, and on refresh for no more than was allowed",
    "unauthorized_client": "This client may not use this grant",
    "unsupported_grant_type": "The grant types are authorization_code, refresh_token and client_credentials",
}
_FORM_TYPE = "application/x-www-form-urlencoded"


class _Answering(View):
    """Every answer is counted as the caller's and kept by no cache; any exception becomes a refusal."""

    counts_requests = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            count_requests(request, 1)
            response = super().dispatch(request, *args, **kwargs)
        # What DRF's exception handler is for the other addresses.
        except Exception as exception:
            error = to_error(exception)
            response = self.refusal(_oauth_error(error.status), _words(error), error.status)
            _set_headers(response, error_headers(error))
            if isinstance(error, MethodNotAllowedError):
                response.headers["Allow"] = ", ".join(self.http_method_names).upper()
        _set_headers(response, {"Cache-Control": "no-store", "Pragma": "no-cache"})
        return response

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        raise MethodNotAllowedError

    def refusal(self, error: str, description: str, status: int) -> HttpResponse:
        """RFC 6749 §5.2."""
        response = JsonResponse({"error": error, "error_description": description}, status=status)
        _set_headers(response, _CHALLENGE if status == 401 else {})
        return response


def _set_headers(response: HttpResponseBase, headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        response.headers[name] = value


def _words(error: APGError) -> str:
    if isinstance(error, RateLimitedError):
        return f"Too many requests. Try again in {error.retry_after} seconds."
    return error.message


def _oauth_error(status: int) -> str:
    if status in {429, 503}:
        return "temporarily_unavailable"
    return "server_error" if status == 500 else "invalid_request"


@method_decorator(csrf_exempt, name="dispatch")
@method_decorator(sensitive_post_parameters(), name="dispatch")
class _ClientEndpoint(OAuthLibMixin, _Answering):  # type: ignore[misc]  # the toolkit has no types
    """An endpoint for programs, which send a form and read JSON."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        _check_form(request)
        return self.answer(request)

    @abstractmethod
    def answer(self, request: HttpRequest) -> HttpResponse:
        """What the endpoint says to a form that can be read."""

    def as_sent(self, body: str | None, status: int) -> HttpResponse:
        """An answer of oauthlib, without its headers: those are of other schemes and for other origins."""
        if status >= 400:
            said = json.loads(body or "{}")
            return self.refusal(
                said["error"], said.get("error_description") or _DESCRIPTIONS.get(said["error"], ""), status
            )
        return HttpResponse(body or "", status=status, content_type="application/json")


def _check_form(request: HttpRequest) -> None:
    """Raises BadRequestError: credentials belong into the body, each parameter once (RFC 6749 §2.3.1, §3.2)."""
    if request.content_type != _FORM_TYPE:
        raise BadRequestError(f"Content-Type must be {_FORM_TYPE}")
    if request.GET:
        raise BadRequestError("Parameters belong into the body, none into the address")
    try:
        form = request.POST
    except BadRequest:
        raise BadRequestError("The body must be UTF-8") from None
    for name, values in form.lists():
        if len(values) > 1:
            raise BadRequestError(f"The parameter {name[:40]} stands there twice")


class TokenView(_ClientEndpoint):
    """`POST oauth/token` (RFC 6749 §3.2)."""

    def answer(self, request: HttpRequest) -> HttpResponse:
        # A refusal is an answer, not an exception: what a reuse revokes is committed.
        with transaction.atomic():
            _, _, body, status = self.create_token_response(request)
        return self.as_sent(body, status)


class RevokeTokenView(_ClientEndpoint):
    """`POST oauth/revoke_token` (RFC 7009)."""

    def answer(self, request: HttpRequest) -> HttpResponse:
        _, _, body, status = self.create_revocation_response(request)
        return self.as_sent(body, status)


class IntrospectView(_ClientEndpoint):
    """`POST oauth/introspect` (RFC 7662): for confidential clients, about tokens of their own."""

    def answer(self, request: HttpRequest) -> HttpResponse:
        application = self.get_oauthlib_core().authenticated_client(request)
        if application is None:
            return self.refusal("invalid_client", "The client's id and secret are needed", 401)
        token = request.POST.get("token")
        if not token:
            raise BadRequestError("Missing token parameter.")
        return JsonResponse(introspected(application=application, token=token))


class _Page(_Answering):
    """A page for people: no script, nothing from elsewhere, in nobody's frame."""

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.nonce = secrets.token_urlsafe(16)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(request, *args, **kwargs)
        # No form-action: browsers apply it to the way back to the application, too.
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; style-src 'nonce-{self.nonce}'; base-uri 'none'; frame-ancestors 'none'"
        )
        return response

    def page(self, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
        return render(self.request, f"accounts/{template}.html", {**context, "nonce": self.nonce}, status=status)

    def refusal(self, error: str, description: str, status: int) -> HttpResponse:
        if "text/html" not in self.request.headers.get("Accept", ""):
            return super().refusal(error, description, status)
        return self.page("oauth_error", {"error": error, "error_description": description}, status)


class AuthorizeView(OAuthLibMixin, _Page):  # type: ignore[misc]  # the toolkit has no types
    """`oauth/authorize` (RFC 6749 §4.1.1): asks a person; GET shows, POST decides. Both check the same address."""

    http_method_names = ["get", "head", "post"]

    def get(self, request: HttpRequest) -> HttpResponse:
        try:
            scopes, asked = self.validate_authorization_request(request)
        except OAuthToolkitError as error:
            return self._refused(error)
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        context = {
            "application": asked["request"].client,
            "scopes": [text for scope, text in DESCRIPTIONS.items() if scope in scopes],
            "destination": urlsplit(asked["redirect_uri"]).netloc,
            "here": request.get_full_path(),
        }
        return self.page("consent", context)

    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            scopes, asked = self.validate_authorization_request(request)
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            decision = request.POST.get("decision")
            if decision not in {"allow", "deny"}:
                raise BadRequestError("The decision must be allow or deny")
            uri = self._decided(scopes, asked, allow=decision == "allow")
        except OAuthToolkitError as error:
            return self._refused(error)
        return HttpResponseRedirect(uri)

    def _decided(self, scopes: list[str], asked: dict[str, Any], *, allow: bool) -> str:
        """Where the browser is sent. Raises OAuthToolkitError where nothing was allowed."""
        with transaction.atomic():
            uri, _, _, _ = self.create_authorization_response(
                request=self.request,
                scopes=" ".join(scopes),
                credentials={name: value for name, value in asked.items() if name != "request"},
                allow=allow,
            )
            application, user = asked["request"].client, self.request.user
            assert isinstance(user, User), "asked before"
            action = Action.OAUTH_ALLOWED if allow else Action.OAUTH_DENIED
            audit.record(action, application, actor=user, name=application.name, scopes=scopes)
        return str(uri)

    def _refused(self, error: OAuthToolkitError) -> HttpResponse:
        reason = error.oauthlib_error
        # Nobody is sent to an address before it is known to be the client's.
        if isinstance(error, FatalClientError) or not reason.redirect_uri:
            return self.refusal(reason.error, reason.description, reason.status_code)
        issuer = oauth2_settings.oauth2_authorization_server_issuer(self.request)
        return HttpResponseRedirect(add_params_to_uri(reason.in_uri(reason.redirect_uri), [("iss", issuer)]))


class SignInView(_Page, LoginView):
    """`oauth/login`: the log-in page, for everybody."""

    http_method_names = ["get", "head", "post"]
    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    next_page = "sign-in"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(nonce=self.nonce, **kwargs)

    def form_invalid(self, form: Any) -> HttpResponse:
        response = super().form_invalid(form)
        if form.retry_after is not None:
            response.status_code = 429
            response.headers["Retry-After"] = str(form.retry_after)
        return response


class SignOutView(_Page, LogoutView):  # type: ignore[misc]  # its `dispatch` says nothing of other answers
    """`POST oauth/logout`: ends the browser's session; tokens live on."""

    http_method_names = ["post"]
    next_page = "sign-in"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        record_sign_out(request)
        return super().post(request, *args, **kwargs)
