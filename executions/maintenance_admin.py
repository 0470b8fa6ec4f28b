"""Maintenance mode in the admin: one page."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.audited_admin import AuditedAdmin, admin_user
from core.errors import APGError
from executions import maintenance_mode
from executions.models import MaintenanceMode


class MaintenanceForm(forms.Form):
    """What is told when it is switched on."""

    message = forms.CharField(
        required=False,
        max_length=maintenance_mode.MAX_MESSAGE_CHARS,
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
        help_text="Everybody who watches is told.",
    )
    minutes = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=maintenance_mode.MAX_MINUTES,
        label="Expected to take, in minutes",
        help_text="Told, and ends nothing by itself. Empty: until further notice.",
    )


@admin.register(MaintenanceMode)
class MaintenanceModeAdmin(AuditedAdmin):
    """One page: whether it is on, what is under way, and the switch."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.switch)
        return [path("", view, name="executions_maintenancemode_changelist")]

    def switch(self, request: HttpRequest) -> HttpResponse:
        """The page, and what its buttons do."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = MaintenanceForm(request.POST if request.POST.get("switch") == "on" else None)
        if request.method == "POST":
            if not self.has_operate_permission(request):
                raise PermissionDenied
            if request.POST.get("switch") == "off" or form.is_valid():
                self._switch(request, form)
                return HttpResponseRedirect(request.path)
        mode = maintenance_mode.current()
        context = {
            **self.admin_site.each_context(request),
            "title": "Maintenance mode",
            "opts": self.opts,
            "mode": mode,
            "load": maintenance_mode.load(),
            "form": form,
            "may_operate": self.has_operate_permission(request),
        }
        return TemplateResponse(request, "executions/maintenance.html", context)

    def _switch(self, request: HttpRequest, form: MaintenanceForm) -> None:
        user = admin_user(request)
        try:
            if request.POST.get("switch") == "off":
                maintenance_mode.switch_off(actor=user)
                self.message_user(request, "Maintenance mode is off: what waits starts now", messages.SUCCESS)
                return
            minutes = form.cleaned_data["minutes"]
            until = None if minutes is None else timezone.now() + timedelta(minutes=minutes)
            maintenance_mode.switch_on(actor=user, message=form.cleaned_data["message"], until=until)
            self.message_user(request, "Maintenance mode is on: no new execution starts", messages.SUCCESS)
        except APGError as error:
            self.message_user(request, error.message, messages.ERROR)
