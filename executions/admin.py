"""Executions in the admin: the list, what is done to those on it, the page of one; and bulk cancels."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from accounts.audited_admin import admin_caller, admin_user
from accounts.big_lists import BigListAdmin, KeysetChangeList
from accounts.throttling import client_address
from core.errors import APGError, BadRequestError
from core.ids import parse_id
from executions import bulk_cancel, execution_page, interventions, maintenance_mode, operating, queries
from executions import maintenance_admin as maintenance_admin  # registers maintenance mode
from executions.admin_actions import STEPS, Step, run_of
from executions.drawing import duration_text
from executions.interventions import RetryRequest
from executions.models import BulkCancel, Execution
from executions.selection import AGES, TRIGGERS, Selection
from executions.states import ExecutionStatus

# No index has the kinds of triggers: so many of the newest are looked at.
TRIGGER_WINDOW = 10_000


def status_badge(status: str) -> str:
    """A state as lists and pages show it."""
    return format_html('<span class="status status-{}">{}</span>', status, status)


class _SelectionFilter(admin.SimpleListFilter):
    """A part of `Selection`, so that the list shows what a bulk cancel would take."""

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() not in dict(self.lookup_choices):
            return queryset
        return Selection.of_query({str(self.parameter_name): self.value() or ""}, timezone.now()).apply(queryset)


class StatusFilter(_SelectionFilter):
    """By status, which an index has in order."""

    title = parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(status), str(status).capitalize()) for status in ExecutionStatus]


class TriggerFilter(_SelectionFilter):
    """By what started it; applied by the list itself, after all others."""

    title = parameter_name = "trigger"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind.replace("_", " ").capitalize()) for kind in TRIGGERS]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset


class AgeFilter(_SelectionFilter):
    """By the time in its id."""

    title, parameter_name = "age", "made"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, words) for name, (words, _, _) in AGES.items()]


class ExecutionChangeList(KeysetChangeList):
    """Looks for kinds of triggers among the newest of what the other filters leave."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        found: Any = super().get_queryset(request, exclude_parameters)
        kind = self.params.get("trigger")
        if kind not in TRIGGERS:
            return found
        oldest = found.values_list("pk", flat=True)[TRIGGER_WINDOW : TRIGGER_WINDOW + 1]
        for key in oldest:
            found = found.filter(pk__gt=key)
        return Selection(trigger=str(kind)).apply(found)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.params.get("trigger") in TRIGGERS:
            self.count_text += f" among the newest {TRIGGER_WINDOW:,}"


@admin.register(Execution)
class ExecutionAdmin(BigListAdmin):
    """What runs, waits and has ended: to look at, and to stop, start again and get going."""

    list_display = ("id", "state", "workflow", "made", "took", "kind", "started_by")
    list_select_related = ("workflow", "created_by")
    list_filter = (StatusFilter, TriggerFilter, AgeFilter)
    search_fields = ("pk", "workflow")
    account_field = "workflow_owner_id"
    link_lookups = ("workflow", "workflow_owner_id", "created_by")
    change_list_template = "executions/change_list.html"
    actions = ("cancel", "retry", "requeue")

    class Media:
        css = {"all": ("executions/admin.css",)}

    @admin.display(description="status")
    def state(self, execution: Execution) -> str:
        """As a badge."""
        return status_badge(execution.status)

    @admin.display(description="started by")
    def started_by(self, execution: Execution) -> str:
        """Whose slots it takes."""
        return execution.created_by.email

    @admin.display(description="trigger")
    def kind(self, execution: Execution) -> str:
        """What started it."""
        return str(execution.trigger.get("type", "")).replace("_", " ")

    @admin.display(description="made")
    def made(self, execution: Execution) -> str:
        """When, to the second."""
        return f"{execution.created_at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="took")
    def took(self, execution: Execution) -> str:
        """From its start to its end, or so far."""
        if execution.started_at is None:
            return "–"
        return duration_text(((execution.completed_at or timezone.now()) - execution.started_at).total_seconds())

    def get_queryset(self, request: HttpRequest) -> Any:
        # What a list does not show may be megabytes a row.
        large = ("parameters", "sealed_parameters", "sealed_hidden", "sealed_input", "results", "results_ref")
        return super().get_queryset(request).defer(*large)

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return ExecutionChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {
            "title": "Executions",
            "may_operate": self.has_operate_permission(request),
            "maintenance": maintenance_mode.current(),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("cancel-matching/", self.admin_site.admin_view(self.cancel_matching), name="cancel_matching"),
            path("<str:object_id>/do/<str:what>/", self.admin_site.admin_view(self.act), name="execution_act"),
        ]
        return own + super().get_urls()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET"])
        execution = self._execution(request, object_id)
        query = {name: str(value) for name, value in request.GET.items()}
        try:
            found = execution_page.page(execution, admin_caller(request), query)
        except BadRequestError as error:
            self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(self._page_of(execution))
        context = {
            **self.admin_site.each_context(request),
            **found,
            "title": f"Execution {execution.pk}",
            "opts": self.opts,
            "media": self.media,
            "badge": status_badge(execution.status),
            "may_operate": self.has_operate_permission(request),
        }
        for name in ("graph", "timeline"):
            if name in found:
                # Drawn by `drawing`, which escapes all that it is given.
                context[name] = mark_safe(found[name])  # noqa: S308
        return TemplateResponse(request, "executions/execution.html", context)

    def act(self, request: HttpRequest, object_id: str, what: str) -> HttpResponse:
        """Ask whether a step of `STEPS` is meant, and do it."""
        execution, step = self._execution(request, object_id), STEPS.get(what)
        if step is None:
            raise Http404
        if not self.has_operate_permission(request):
            raise PermissionDenied
        back = self._page_of(execution)
        try:
            if request.method == "POST":
                self.message_user(request, step.do(request, execution, request.POST), messages.SUCCESS)
                return HttpResponseRedirect(back)
            return self._ask(request, execution, step)
        except APGError as error:
            problems = "; ".join(problem.message for problem in error.problems)
            self.message_user(request, f"{error.message}: {problems}" if problems else error.message, messages.ERROR)
            return HttpResponseRedirect(back)

    def _ask(self, request: HttpRequest, execution: Execution, step: Step) -> HttpResponse:
        run, attempt = run_of(execution, request.GET.dict()) if step.of_run else (None, None)
        components = execution.runs.filter(item=None).order_by("position") if step is STEPS["retry"] else None
        context = {
            **self.admin_site.each_context(request),
            "title": step.question,
            "opts": self.opts,
            "media": self.media,
            "execution": execution,
            "badge": status_badge(execution.status),
            "step": step,
            "run": run,
            "attempt": attempt,
            "components": None if components is None else list(components.values_list("component_id", flat=True)),
            "back": self._page_of(execution),
        }
        return TemplateResponse(request, "executions/ask.html", context)

    def _execution(self, request: HttpRequest, object_id: str) -> Execution:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            key = parse_id(object_id)
        except ValueError:
            raise Http404 from None
        found = queries.with_progress(Execution.objects.filter(pk=key))
        execution = found.select_related("workflow", "version", "created_by", "parent_run__execution").first()
        if execution is None:
            raise Http404
        return execution

    @staticmethod
    def _page_of(execution: Execution) -> str:
        return reverse("admin:executions_execution_change", args=[execution.pk])

    @admin.action(description="Cancel the chosen executions", permissions=["operate"])
    def cancel(self, request: HttpRequest, chosen: QuerySet[Execution]) -> HttpResponse | None:
        """Each by itself; those that have ended are told of."""
        asked = self.ask(
            request,
            chosen,
            action="cancel",
            question="Cancel these executions?",
            effect=STEPS["cancel"].effect,
            button="Cancel them",
        )
        if asked is None:
            self._each(request, chosen, "Cancelled", interventions.cancel_execution)
        return asked

    @admin.action(description="Retry the chosen executions", permissions=["operate"])
    def retry(self, request: HttpRequest, chosen: QuerySet[Execution]) -> None:
        """From their beginning, as whoever asks."""
        user = admin_user(request)
        whole = chosen.defer(None).select_related("workflow", "version")
        self._each(
            request,
            whole,
            "Started again",
            lambda one: interventions.retry_execution(execution=one, user=user, request=RetryRequest()),
        )

    @admin.action(description="Requeue the chosen executions", permissions=["operate"])
    def requeue(self, request: HttpRequest, chosen: QuerySet[Execution]) -> None:
        """What of them is queued is rung for, what is lost rescued."""
        self._each(request, chosen, "Requeued", lambda one: operating.requeue_execution(execution=one))

    def _each(self, request: HttpRequest, chosen: QuerySet[Execution], done: str, do: Any) -> None:
        count, failed = 0, []
        for execution in chosen:
            try:
                do(execution)
                count += 1
            except APGError as error:
                failed.append(f"{execution.pk}: {error.message}")
        self.tell(request, done=f"{done}: {count}", failed=failed)

    def cancel_matching(self, request: HttpRequest) -> HttpResponse:
        """Cancel all that the list's filter matches, not only those of its page."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        back = f"{reverse('admin:executions_execution_changelist')}?{request.GET.urlencode()}"
        try:
            query = {name: str(value) for name, value in request.GET.items()}
            selection = Selection.of_query(query, timezone.now())
        except APGError as error:
            named = ", ".join(problem.field or "" for problem in error.problems)
            self.message_user(request, f"There is no such filter of executions: {named}", messages.ERROR)
            return HttpResponseRedirect(reverse("admin:executions_execution_changelist"))
        try:
            if request.method == "POST":
                asked = bulk_cancel.request_cancel(
                    selection=selection,
                    caller=admin_caller(request),
                    address=client_address(request),
                    typed=request.POST.get("typed", "").strip(),
                )
                return HttpResponseRedirect(reverse("admin:executions_bulkcancel_change", args=[asked.pk]))
        except APGError as error:
            self.message_user(request, error.message, messages.ERROR)
        count = bulk_cancel.matching(selection).count()
        context = {
            **self.admin_site.each_context(request),
            "title": "Cancel all that match?",
            "opts": self.opts,
            "media": self.media,
            "lines": list(selection.lines()),
            "count": count,
            "to_type": bulk_cancel.ALL_OF_THEM if selection.is_empty else "",
            "back": back,
        }
        return TemplateResponse(request, "executions/cancel_matching.html", context)


@admin.register(BulkCancel)
class BulkCancelAdmin(BigListAdmin):
    """Which bulk cancels there were, and how far those are that are not done."""

    list_display = ("id", "state", "matched", "cancelled", "actor", "created_at", "completed_at")
    list_select_related = ("actor",)
    search_fields = ("pk",)
    fields = ("id", "state", "matched", "cancelled", "what", "actor", "created_at", "completed_at", "ended_early")

    @admin.display(description="status")
    def state(self, asked: BulkCancel) -> str:
        """As a badge."""
        if asked.completed_at is None:
            return status_badge("running")
        return status_badge("failed" if asked.ended_early else "completed")

    @admin.display(description="filter")
    def what(self, asked: BulkCancel) -> str:
        """In words."""
        return "; ".join(Selection.of_json(asked.selection).lines()) or "all executions"

    def change_view(self, request: HttpRequest, object_id: str, *more: Any, **named: Any) -> HttpResponse:
        response: HttpResponse = super().change_view(request, object_id, *more, **named)
        asked = self.get_object(request, object_id)
        if asked is not None and asked.completed_at is None:
            response["Refresh"] = "2"
        return response
