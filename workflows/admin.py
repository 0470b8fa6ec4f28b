"""Workflows in the admin, to look at and to switch on and off; other changes go through the API."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from accounts.audited_admin import ReadOnlyAdmin, admin_user, badge
from core.errors import APGError
from workflows.models import Share, Workflow, WorkflowStatus, WorkflowVersion
from workflows.services import update_workflow


class VersionInline(admin.TabularInline):  # type: ignore[type-arg]  # not generic at run time
    """The versions with their definitions, as they may be shown."""

    model = WorkflowVersion
    readonly_fields = ("number", "definition", "created_by", "created_at")
    exclude = ("sealed_definition",)
    can_delete = False
    extra = 0

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
    inlines = (ShareInline, VersionInline)
    actions = ("activate", "deactivate")

    @admin.display(description="status", ordering="status")
    def state(self, workflow: Workflow) -> SafeString:
        """In its colour."""
        return badge(workflow.status)

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
