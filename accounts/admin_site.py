"""The admin as a site of ours: its log-in, its log-out and one's own password are the platform's."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest
from django.urls import reverse

from accounts import audit
from accounts.audited_admin import admin_caller
from accounts.forms import AdminSignInForm, OwnPasswordForm, record_sign_out


class APGAdminSite(AdminSite):
    """The site of the admin, but for its first page, which tells of apps above (`config.admin_site`)."""

    login_form = AdminSignInForm
    site_header = "APG Workflow Orchestration"
    site_title = "APG admin"
    index_title = "Dashboard"
    site_url = None
    enable_nav_sidebar = True

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:
        def known(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            # Whoever came so far may use the admin. What services record for them is theirs.
            audit.identify(admin_caller(request))
            return view(request, *args, **kwargs)

        return super().admin_view(update_wrapper(known, view), cacheable)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        view = PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            success_url=reverse("admin:password_change_done", current_app=self.name),
            template_name="registration/password_change_form.html",
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return view(request)

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        record_sign_out(request)
        return super().logout(request, extra_context)
