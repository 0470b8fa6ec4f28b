"""OAuth applications in the admin: registered here, their secret shown once."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers
from oauth2_provider import admin as toolkit_admin

from accounts.audited_admin import AuditedAdmin
from accounts.oauth_models import OAuthAccessToken, OAuthApplication, OAuthGrant, OAuthRefreshToken, OAuthUnused

# Importing the toolkit's pages registers them: they would let staff make tokens by hand.
assert toolkit_admin
admin.site.unregister([OAuthApplication, OAuthGrant, OAuthAccessToken, OAuthRefreshToken, OAuthUnused])


@admin.register(OAuthApplication)
class ApplicationAdmin(AuditedAdmin):
    """Register, rename, give other redirect addresses, delete."""

    list_display = ("name", "client_id", "user", "client_type", "authorization_grant_type", "created")
    list_select_related = ("user",)
    list_filter = ("client_type", "authorization_grant_type")
    search_fields = ("name", "client_id", "user__email")
    autocomplete_fields = ("user",)
    fields = ("name", "client_id", "user", "client_type", "authorization_grant_type", "redirect_uris", "created")

    def get_readonly_fields(self, request: HttpRequest, obj: OAuthApplication | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("client_id", "created")
        return ("client_id", "created", "client_type", "authorization_grant_type")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        # Saving replaces the secret by its hash.
        obj.new_secret = obj.client_secret if not change and obj.is_confidential else None
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        # An answer of its own: a message would lie in a cookie or in the session table until it is read.
        response = TemplateResponse(
            request,
            "accounts/application_added.html",
            {**self.admin_site.each_context(request), "title": "Application registered", "application": obj},
        )
        add_never_cache_headers(response)
        return response
