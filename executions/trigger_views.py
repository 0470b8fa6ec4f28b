"""REST: what schedules there are and when they fire; pause, resume, run and backfill them."""

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.scopes import Scope
from accounts.throttling import count_requests
from core.describing import Answers, PageOf, boolean_parameter, id_parameter, number_parameter
from core.envelope import reply
from core.errors import NotFoundError
from core.pagination import paginate
from core.query import boolean, identifier, whole_number
from core.views import View
from events import ledger
from executions import schedule_actions
from executions.trigger_serializers import (
    BackfillSerializer,
    NothingSerializer,
    backfill_data,
    preview_data,
    run_data,
    schedule_data,
    trigger_event_data,
)
from executions.trigger_shapes import (
    BACKFILL,
    EXAMPLE_BACKFILL,
    PREVIEW,
    SCHEDULE,
    SCHEDULE_RUN,
    TRIGGER_EVENT,
)
from workflows import access, schedules
from workflows.models import Trigger

_MAX_PREVIEW = 100
_MAX_SEQUENCE = 2**31 - 1
_COUNT = number_parameter("count", "How many slots", default=10, low=1, high=_MAX_PREVIEW)
_SINCE = number_parameter("since", "Only events after this sequence number", default=0, low=0, high=_MAX_SEQUENCE)
_FILTERS = (
    id_parameter("workflow_id", "Filter by workflow ID"),
    boolean_parameter("paused", "Only those that are paused, or only the others"),
)


class ScheduleListView(View):
    """`GET schedules`: what fires next, first."""

    scopes = {"GET": Scope.WORKFLOW_READ}

    @Answers(PageOf(SCHEDULE), parameters=_FILTERS)
    def get(self, request: Request) -> Response:
        """List schedules.

        Those of active workflows, what fires next first; paused ones last.
        """
        query = request.query_params
        rows = schedules.visible_to(caller(request))
        workflow_id = identifier(query, "workflow_id")
        if workflow_id is not None:
            rows = rows.filter(workflow=workflow_id)
        if "paused" in query:
            rows = rows.filter(paused_at__isnull=not boolean(query, "paused", default=False))
        page = paginate(rows, query)
        last = schedules.last_slots(page.items)
        return reply([schedule_data(trigger, last) for trigger in page.items], metadata=page.metadata)


class ScheduleView(View):
    """`GET schedules/{id}`."""

    scopes = {"GET": Scope.WORKFLOW_READ}

    @Answers(SCHEDULE)
    def get(self, request: Request, schedule_id: str) -> Response:
        """Get a schedule."""
        return _shown(schedules.get_visible(caller(request), schedule_id))


class SchedulePreviewView(View):
    """`GET schedules/{id}/preview`."""

    scopes = {"GET": Scope.WORKFLOW_READ}

    @Answers(PREVIEW, parameters=[_COUNT], errors=[422])
    def get(self, request: Request, schedule_id: str) -> Response:
        """Preview a schedule.

        The slots that come next, paused or not.
        """
        trigger = schedules.get_visible(caller(request), schedule_id)
        count = whole_number(request.query_params, "count", default=10, low=1, high=_MAX_PREVIEW)
        return reply(preview_data(trigger, schedule_actions.upcoming(trigger, count)))


class ScheduleEventListView(View):
    """`GET schedules/{id}/events?since=SEQUENCE`."""

    scopes = {"GET": Scope.WORKFLOW_READ}

    @Answers(PageOf(TRIGGER_EVENT), parameters=[_SINCE])
    def get(self, request: Request, schedule_id: str) -> Response:
        """List schedule events.

        The slots that were not started, and why.
        """
        return _events(request, schedules.get_visible(caller(request), schedule_id))


class TriggerEventListView(View):
    """`GET workflows/{id}/triggers/{component_id}/events?since=SEQUENCE`."""

    scopes = {"GET": Scope.WORKFLOW_READ}

    @Answers(PageOf(TRIGGER_EVENT), parameters=[_SINCE])
    def get(self, request: Request, workflow_id: str, component_id: str) -> Response:
        """List trigger events.

        What a trigger of the workflow did not start, and why; of one that has ended, too.
        """
        workflow = access.get_visible(caller(request), workflow_id)
        trigger = Trigger.objects.filter(workflow=workflow, component_id=component_id).first()
        if trigger is None:
            raise NotFoundError("Trigger not found")
        return _events(request, trigger)


class SchedulePauseView(View):
    """`POST schedules/{id}/pause`."""

    optional_body = True
    scopes = {"POST": Scope.WORKFLOW_WRITE}

    @Answers(SCHEDULE, body=NothingSerializer)
    def post(self, request: Request, schedule_id: str) -> Response:
        """Pause a schedule.

        It starts nothing until it is resumed; the slots that pass are told of then.
        """
        trigger = _to_use(request, schedule_id, access.Action.EDIT)
        NothingSerializer(data=request.data).validated()
        return _shown(schedule_actions.set_paused(trigger=trigger, paused=True), "Schedule paused")


class ScheduleResumeView(View):
    """`POST schedules/{id}/resume`."""

    optional_body = True
    scopes = {"POST": Scope.WORKFLOW_WRITE}

    @Answers(SCHEDULE, body=NothingSerializer)
    def post(self, request: Request, schedule_id: str) -> Response:
        """Resume a schedule."""
        trigger = _to_use(request, schedule_id, access.Action.EDIT)
        NothingSerializer(data=request.data).validated()
        return _shown(schedule_actions.set_paused(trigger=trigger, paused=False), "Schedule resumed")


class ScheduleRunView(View):
    """`POST schedules/{id}/run`."""

    optional_body = True
    scopes = {"POST": Scope.WORKFLOW_EXECUTE}

    @Answers(SCHEDULE_RUN, 201, body=NothingSerializer, errors=[409])
    def post(self, request: Request, schedule_id: str) -> Response:
        """Run a schedule now.

        An execution as the schedule starts it, beside its slots.
        """
        trigger = _to_use(request, schedule_id, access.Action.EXECUTE)
        NothingSerializer(data=request.data).validated()
        execution = schedule_actions.run_now(trigger=trigger)
        return reply(run_data(execution), message="Workflow execution started", status=201)


class ScheduleBackfillView(View):
    """`POST schedules/{id}/backfill`."""

    scopes = {"POST": Scope.WORKFLOW_EXECUTE}

    @Answers(BACKFILL, body=BackfillSerializer, example=EXAMPLE_BACKFILL)
    def post(self, request: Request, schedule_id: str) -> Response:
        """Backfill a schedule.

        Starts the past slots from `from` to `to` that have not been started, 500 at most.
        """
        trigger = _to_use(request, schedule_id, access.Action.EXECUTE)
        body = BackfillSerializer(data=request.data).validated()
        slots = schedule_actions.past_slots(trigger=trigger, start=body["from"], end=body["to"])
        count_requests(request, max(len(slots) - 1, 0))
        done = schedule_actions.backfill(trigger=trigger, slots=slots, overlap=body["overlap"])
        started = sum(each.started for each in done)
        return reply(backfill_data(done), message=f"{started} of {len(done)} slots started")


def _events(request: Request, trigger: Trigger) -> Response:
    query = request.query_params
    since = whole_number(query, "since", default=0, low=0, high=_MAX_SEQUENCE)
    page = paginate(ledger.since(trigger.pk, since), query)
    return reply([trigger_event_data(event) for event in page.items], metadata=page.metadata)


def _to_use(request: Request, schedule_id: str, action: access.Action) -> Trigger:
    trigger = schedules.get_visible(caller(request), schedule_id)
    access.require(caller(request), action, trigger.workflow)
    return trigger


def _shown(trigger: Trigger, message: str = "") -> Response:
    return reply(schedule_data(trigger, schedules.last_slots([trigger])), message=message)
