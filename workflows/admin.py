"""Workflows in the admin, to look at and to switch on and off; other changes go through the API."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.audited_admin import ReadOnlyAdmin, admin_user, badge
from core.errors import APGError
from workflows.models import Share, Workflow, WorkflowStatus, WorkflowVersion
from workflows.queries import current_version
from workflows.services import update_workflow

_VERSIONS = 50


class VersionInline(admin.TabularInline):  # type: ignore[type-arg]  # not generic at run time
    """The newest versions; there may be very many, and of a megabyte each."""

    model = WorkflowVersion
    fields = readonly_fields = ("number", "created_by", "created_at")
    ordering = ("-number",)
    can_delete = False
    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkflowVersion]:
        newest = super().get_queryset(request).filter(number__gt=F("workflow__version") - _VERSIONS)
        return newest.defer("definition", "sealed_definition").select_related("created_by")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ShareInline(admin.TabularInline):  # type: ignore[type-arg]  # not generic at run time
    """Whom it is shared with."""

    model = Share
    fk_name = "workflow"
    readonly_fields = ("user", "group", "role", "created_by", "created_at")
    can_delete = False
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Workflow)
class WorkflowAdmin(ReadOnlyAdmin):
    """List, search, look, switch on and off."""

    list_display = ("name", "created_by", "state", "version", "component_count", "updated_at")
    list_filter = ("status",)
    list_select_related = ("created_by",)
    search_fields = ("name", "created_by__email")
    readonly_fields = ("definition",)
    inlines = (ShareInline, VersionInline)
    actions = ("activate", "deactivate")

    @admin.display(description="status", ordering="status")
    def state(self, workflow: Workflow) -> SafeString:
        """In its colour."""
        return badge(workflow.status)

    @admin.display
    def definition(self, workflow: Workflow) -> SafeString:
        """The current one, as it may be shown."""
        text = json.dumps(current_version(workflow).definition, indent=2, ensure_ascii=False)
        return format_html("<pre>{}</pre>", text)

    @admin.action(description="Activate the chosen workflows", permissions=["operate"])
    def activate(self, request: HttpRequest, workflows: QuerySet[Workflow]) -> None:
        """Their triggers come to life, where the definition passes validation."""
        self._set_status(request, workflows, WorkflowStatus.ACTIVE, (WorkflowStatus.DRAFT, WorkflowStatus.INACTIVE))

    @admin.action(description="Deactivate the chosen workflows", permissions=["operate"])
    def deactivate(self, request: HttpRequest, workflows: QuerySet[Workflow]) -> TemplateResponse | None:
        """Their triggers end; what runs goes on."""
        asked = self.ask(
            request,
            workflows,
            action="deactivate",
            question="Deactivate these workflows?",
            effect="Their schedules, hooks and event triggers start nothing any more. What runs now goes on.",
            button="Deactivate",
        )
        if asked is None:
            self._set_status(request, workflows, WorkflowStatus.INACTIVE, (WorkflowStatus.ACTIVE,))
        return asked

    def _set_status(
        self, request: HttpRequest, workflows: QuerySet[Workflow], status: str, from_: tuple[str, ...]
    ) -> None:
        done, failed = 0, []
        for workflow in workflows:
            if workflow.status == status:
                continue
            if workflow.status not in from_:
                failed.append(f"{workflow.name}: it is {workflow.status}")
                continue
            try:
                update_workflow(workflow=workflow, user=admin_user(request), changes={"status": status})
                done += 1
            except APGError as error:
                failed.append(f"{workflow.name}: {error.message}")
        self.tell(request, done=f"Workflows now {status}: {done}", failed=failed)
