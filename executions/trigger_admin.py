"""Triggers in the admin, with pausing and resuming of schedules; and what keeps a thing from being started twice."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from accounts.audited_admin import badge
from accounts.big_lists import BigListAdmin
from core.errors import APGError
from executions.models import IdempotencyKey
from executions.schedule_actions import set_paused
from workflows.models import Slot, Trigger, TriggerType


class StateFilter(admin.SimpleListFilter):
    """Whether it starts anything."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("live", "Live"), ("paused", "Paused"), ("ended", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> QuerySet[Trigger]:
        wanted: dict[str | None, dict[str, bool]] = {
            "live": {"live": True, "paused_at__isnull": True},
            "paused": {"live": True, "paused_at__isnull": False},
            "ended": {"live": False},
        }
        return queryset.filter(**wanted.get(self.value(), {}))


@admin.register(Trigger)
class TriggerAdmin(BigListAdmin):
    """What starts workflows by itself: schedules, hooks, events."""

    list_display = ("workflow", "component_id", "type", "state", "when", "next_slot", "last_slot")
    list_select_related = ("workflow",)
    list_filter = ("type", StateFilter)
    search_fields = ("pk", "workflow")
    link_lookups = ("workflow",)
    fields = ("workflow", "component_id", "type", "state", "config", "anchor_at", "next_at", "paused_at", "created_at")
    actions = ("pause", "resume")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Trigger]:
        started = Slot.objects.filter(trigger=OuterRef("pk")).order_by("-slot_at")
        triggers: QuerySet[Trigger] = super().get_queryset(request)
        return triggers.annotate(last_slot_at=Subquery(started.values("slot_at")[:1]))

    def name_of(self, obj: Trigger) -> str:
        return f"{obj.workflow.name}, {obj.component_id}: {self.when(obj)}"

    @admin.display(description="state")
    def state(self, trigger: Trigger) -> SafeString:
        """Live, paused, stuck without a slot to come, or ended with its workflow."""
        if not trigger.live:
            return badge("ended")
        if trigger.paused_at is not None:
            return badge("paused")
        return badge("stuck" if trigger.type == TriggerType.SCHEDULE and trigger.next_at is None else "live")

    @admin.display(description="when")
    def when(self, trigger: Trigger) -> str:
        """A schedule's cron or interval; what an event trigger waits for."""
        config = trigger.config
        if trigger.type == TriggerType.SCHEDULE:
            interval = config.get("interval_seconds")
            return f"every {interval} s" if interval else f"{config.get('cron')} ({config.get('timezone')})"
        return str(config.get("event") or "")

    @admin.display(description="next slot")
    def next_slot(self, trigger: Trigger) -> Any:
        """None while it is paused."""
        return trigger.next_at if trigger.paused_at is None else None

    @admin.display(description="last slot")
    def last_slot(self, trigger: Trigger) -> Any:
        """The last that was started."""
        return trigger.last_slot_at  # type: ignore[attr-defined]  # annotated

    @admin.action(description="Pause the chosen schedules", permissions=["operate"])
    def pause(self, request: HttpRequest, triggers: QuerySet[Trigger]) -> TemplateResponse | None:
        """They start nothing until they are resumed."""
        asked = self.ask(
            request,
            triggers.select_related("workflow"),
            action="pause",
            question="Pause these schedules?",
            effect="They start nothing until they are resumed. Slots that pass meanwhile are not made up for.",
            button="Pause",
        )
        if asked is None:
            self._set_paused(request, triggers, paused=True)
        return asked

    @admin.action(description="Resume the chosen schedules", permissions=["operate"])
    def resume(self, request: HttpRequest, triggers: QuerySet[Trigger]) -> None:
        """They go on with their next slot."""
        self._set_paused(request, triggers, paused=False)

    def _set_paused(self, request: HttpRequest, triggers: QuerySet[Trigger], *, paused: bool) -> None:
        done, failed = 0, []
        for trigger in triggers.select_related("workflow"):
            if trigger.type != TriggerType.SCHEDULE or not trigger.live:
                failed.append(f"{self.name_of(trigger)}: only a live schedule can be paused")
            elif paused != (trigger.paused_at is not None):
                try:
                    set_paused(trigger=trigger, paused=paused)
                    done += 1
                except APGError as error:
                    failed.append(f"{self.name_of(trigger)}: {error.message}")
        self.tell(request, done=f"Schedules {'paused' if paused else 'resumed'}: {done}", failed=failed)


@admin.register(Slot)
class SlotAdmin(BigListAdmin):
    """The slots of schedules that were started, and what they started."""

    list_display = ("slot_at", "trigger", "execution_id")
    list_select_related = ("trigger",)
    search_fields = ("pk", "trigger")
    link_lookups = ("trigger",)


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(BigListAdmin):
    """The keys of execute requests and the executions that they made."""

    list_display = ("key", "user", "execution_id", "created_at")
    list_select_related = ("user",)
    search_fields = ("pk", "execution")
    account_field = "user"
    fields = ("key", "user", "execution_id", "created_at")
