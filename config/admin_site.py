"""The admin's site with its first page, the dashboard."""

from typing import Any

from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path

from accounts.admin_site import APGAdminSite
from accounts.audited_admin import admin_caller
from config import dashboard


class DashboardSite(APGAdminSite):
    """Named in `config.admin_config`; pages register themselves with it as `admin.site`."""

    def get_urls(self) -> list[URLPattern | URLResolver]:
        # Before Django's own, which end with one that takes everything.
        return [path("dashboard/", self.admin_view(self.panels), name="dashboard_panels"), *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        context = {**self.each_context(request), "title": self.index_title, "subtitle": None, **(extra_context or {})}
        request.current_app = self.name
        return TemplateResponse(request, "config/dashboard.html", {**context, **_read(request)})

    def panels(self, request: HttpRequest) -> TemplateResponse:
        """What of the dashboard changes; its script asks for it again and again."""
        return TemplateResponse(request, "config/dashboard_panels.html", _read(request))


def _read(request: HttpRequest) -> dict[str, Any]:
    return dashboard.panels(admin_caller(request))
