"""REST: execute a workflow, and list, read, follow, cancel, retry, signal and diagnose executions."""

import re

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.scopes import Scope
from accounts.throttling import count_requests
from core.describing import IDEMPOTENCY_KEY, Answers, PageOf, choice_parameter, number_parameter, text_parameter
from core.envelope import failed_item, reply
from core.errors import APGError, BadRequestError, NotFoundError, Problem, ValidationFailedError
from core.ids import parse_id
from core.pagination import paginate, paginate_keys
from core.query import choice, text, whole_number
from core.types import JSONObject, JSONValue
from core.views import View
from events import ledger
from events.event_types import LOG_LEVELS
from executions import batch, interventions, listing, outputs, queries, services
from executions.diagnosis import diagnose
from executions.filters import EXECUTION_FILTERS, execution_filter
from executions.models import Execution
from executions.serializers import (
    BatchItemSerializer,
    BatchSerializer,
    CancelSerializer,
    ExecuteSerializer,
    RetrySerializer,
    SignalSerializer,
    component_run_data,
    diagnosis_data,
    event_data,
    execution_data,
    log_data,
    started_data,
)
from executions.shapes import (
    BATCH_RESULTS,
    COMPONENT_RUN,
    DIAGNOSIS,
    EVENT,
    EXAMPLE_BATCH,
    EXAMPLE_EXECUTE,
    EXAMPLE_RETRY,
    EXECUTION,
    LOG_LINE,
    MOVED,
    PREVIEW,
    SIGNALLED,
    STARTED,
)
from workflows import access

_MAX_SEQUENCE = 2**31 - 1
_LOG_FILTERS = (
    choice_parameter("level", LOG_LEVELS, "Filter by log level"),
    text_parameter("component_id", "Filter by component"),
)
_SINCE = number_parameter("since", "Only events after this sequence number", default=0, low=0, high=_MAX_SEQUENCE)
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


class ExecuteView(View):
    """`POST workflows/{id}/execute`."""

    optional_body = True
    scopes = {"POST": Scope.WORKFLOW_EXECUTE}

    @Answers(
        STARTED,
        201,
        also={200: STARTED},
        body=ExecuteSerializer,
        example=EXAMPLE_EXECUTE,
        parameters=[IDEMPOTENCY_KEY],
        errors=[409],
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """Execute a workflow.

        200 where the Idempotency-Key was used before, with the execution of then.
        """
        workflow = access.get_visible(caller(request), workflow_id)
        access.require(caller(request), access.Action.EXECUTE, workflow)
        body = ExecuteSerializer(data=request.data).validated()
        started = services.start_execution(
            workflow=workflow,
            user=caller(request).user,
            request=services.StartRequest(**body, idempotency_key=_idempotency_key(request)),
        )
        return reply(
            _started(started.execution),
            message="Workflow execution started",
            status=201 if started.created else 200,
        )


class ExecuteBatchView(View):
    """`POST workflows/execute-batch`: 200 with a result for each item, also when some or all were refused."""

    scopes = {"POST": Scope.WORKFLOW_EXECUTE}

    @Answers(BATCH_RESULTS, body=BatchSerializer, example=EXAMPLE_BATCH)
    def post(self, request: Request) -> Response:
        """Execute a batch.

        Each entry is judged on its own; with `atomic` all are started or none.
        """
        body = BatchSerializer(data=request.data).validated()
        # Rates count executions, not requests: the request itself has been counted as one.
        count_requests(request, len(body["executions"]) - 1)
        items = [_batch_item(entry) for entry in body["executions"]]
        outcomes = batch.start_batch(caller=caller(request), items=items, atomic=body["atomic"])
        results = [
            failed_item(f"executions[{index}]", outcome)
            if isinstance(outcome, APGError)
            else {"success": True, "data": _started(outcome)}
            for index, outcome in enumerate(outcomes)
        ]
        successful = sum(isinstance(outcome, Execution) for outcome in outcomes)
        summary = {"total": len(results), "successful": successful, "failed": len(results) - successful}
        return reply(
            {"results": results, "summary": summary}, message=f"{successful} of {len(results)} executions started"
        )


def _batch_item(entry: JSONValue) -> batch.Item | APGError:
    if not isinstance(entry, dict):
        return ValidationFailedError("An entry of a batch must be an object")
    try:
        body = BatchItemSerializer(data=entry).validated()
        workflow_id = parse_id(body.pop("workflow_id"))
    except ValueError:
        return NotFoundError("Workflow not found")
    except ValidationFailedError as error:
        return error
    return batch.Item(workflow_id, services.StartRequest(**body))


def _started(execution: Execution) -> JSONObject:
    return started_data(
        execution,
        estimated_duration=queries.estimated_duration(execution.workflow_id),
        queue_position=queries.queue_position(execution),
    )


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise BadRequestError(
            "Invalid Idempotency-Key",
            problems=[Problem("Must be 1 to 255 printable ASCII characters without spaces", field="Idempotency-Key")],
        )
    return key


class ExecutionListView(View):
    """`GET executions`: the newest first; within a range of starts, the last started first."""

    scopes = {"GET": Scope.EXECUTION_READ}

    @Answers(PageOf(EXECUTION), parameters=EXECUTION_FILTERS)
    def get(self, request: Request) -> Response:
        """List executions.

        The last made first; with `start_date` or `end_date` the last started first.
        """
        query = request.query_params
        page = paginate_keys(listing.keys(caller(request), execution_filter(query)), listing.whole_by_ids, query)
        outputs.prefetch(page.items)
        return reply([_data(execution) for execution in page.items], metadata=page.metadata)


class ExecutionView(View):
    """`GET executions/{id}`."""

    scopes = {"GET": Scope.EXECUTION_READ}

    @Answers(EXECUTION)
    def get(self, request: Request, execution_id: str) -> Response:
        """Get an execution."""
        return reply(_data(queries.get_visible(caller(request), execution_id)))


class CancelView(View):
    """`POST executions/{id}/cancel`."""

    optional_body = True
    scopes = {"POST": Scope.EXECUTION_MANAGE}

    @Answers(MOVED, body=CancelSerializer, errors=[409])
    def post(self, request: Request, execution_id: str) -> Response:
        """Cancel an execution."""
        execution = queries.get_visible(caller(request), execution_id)
        access.require(caller(request), access.Action.EXECUTE, execution.workflow)
        CancelSerializer(data=request.data).validated()
        interventions.cancel_execution(execution)
        return reply(_moved(request, execution_id), message="Execution cancellation requested")


class LogListView(View):
    """`GET executions/{id}/logs`."""

    scopes = {"GET": Scope.EXECUTION_READ}

    @Answers(PageOf(LOG_LINE), parameters=_LOG_FILTERS)
    def get(self, request: Request, execution_id: str) -> Response:
        """Get execution logs."""
        execution = queries.get_visible(caller(request), execution_id)
        query = request.query_params
        lines = queries.log_events(
            execution, level=choice(query, "level", LOG_LEVELS), component_id=text(query, "component_id")
        )
        page = paginate(lines, query)
        return reply([log_data(line) for line in page.items], metadata=page.metadata)


class EventListView(View):
    """`GET executions/{id}/events?since=SEQUENCE`."""

    scopes = {"GET": Scope.EXECUTION_READ}

    @Answers(PageOf(EVENT), parameters=[_SINCE])
    def get(self, request: Request, execution_id: str) -> Response:
        """List execution events."""
        execution = queries.get_visible(caller(request), execution_id)
        query = request.query_params
        since = whole_number(query, "since", default=0, low=0, high=_MAX_SEQUENCE)
        page = paginate(ledger.since(execution.pk, since), query)
        return reply([event_data(event) for event in page.items], metadata=page.metadata)


class ComponentRunListView(View):
    """`GET executions/{id}/components`."""

    scopes = {"GET": Scope.EXECUTION_READ}

    @Answers(PageOf(COMPONENT_RUN))
    def get(self, request: Request, execution_id: str) -> Response:
        """List component runs."""
        execution = queries.get_visible(caller(request), execution_id)
        page = queries.page_of_runs(execution, request.query_params)
        outputs.prefetch(page.items)
        inputs = queries.inputs_of(page.items)
        data = [component_run_data(run, handed) for run, handed in zip(page.items, inputs, strict=True)]
        return reply(data, metadata=page.metadata)


class RetryView(View):
    """`POST executions/{id}/retry`."""

    optional_body = True
    scopes = {"POST": Scope.EXECUTION_MANAGE}

    @Answers(MOVED, 201, also={200: PREVIEW}, body=RetrySerializer, example=EXAMPLE_RETRY, errors=[409])
    def post(self, request: Request, execution_id: str) -> Response:
        """Retry an execution.

        200 with `preview`: what would run again; nothing is started.
        """
        execution = queries.get_visible(caller(request), execution_id)
        access.require(caller(request), access.Action.EXECUTE, execution.workflow)
        body = RetrySerializer(data=request.data).validated()
        preview = body.pop("preview", False)
        wanted = interventions.RetryRequest(latest=body.pop("version", "original") == "latest", **body)
        if preview:
            return reply({"components": interventions.preview_retry(execution, wanted)}, message="Nothing was started")
        started = interventions.retry_execution(execution=execution, user=caller(request).user, request=wanted)
        return reply(_moved(request, started.pk), message="Execution retry started", status=201)


class SignalView(View):
    """`POST executions/{id}/signals/{name}`."""

    optional_body = True
    scopes = {"POST": Scope.EXECUTION_MANAGE}

    @Answers(SIGNALLED, body=SignalSerializer, errors=[409])
    def post(self, request: Request, execution_id: str, name: str) -> Response:
        """Send a signal."""
        execution = queries.get_visible(caller(request), execution_id)
        access.require(caller(request), access.Action.EXECUTE, execution.workflow)
        body = SignalSerializer(data=request.data).validated()
        delivered = interventions.send_signal(
            execution=execution, user=caller(request).user, name=name, data=body.get("data")
        )
        message = "Signal delivered" if delivered else "Signal kept for the component that will wait for it"
        return reply({"execution_id": execution.pk, "signal": name, "delivered": delivered}, message=message)


class DiagnosisView(View):
    """`GET executions/{id}/diagnosis`."""

    scopes = {"GET": Scope.EXECUTION_READ}

    @Answers(DIAGNOSIS)
    def get(self, request: Request, execution_id: str) -> Response:
        """Diagnose an execution.

        Why it has not ended, since when, and what happens next by itself.
        """
        execution = queries.get_visible(caller(request), execution_id)
        return reply(diagnosis_data(execution, diagnose(execution, caller(request))))


def _moved(request: Request, execution_id: str) -> dict[str, object]:
    """The execution as it is now; for who may manage and not read, no more than where it stands."""
    execution = queries.get_visible(caller(request), execution_id)
    if caller(request).allows(Scope.EXECUTION_READ):
        return _data(execution)
    return {"id": execution.pk, "workflow_id": execution.workflow_id, "status": execution.status}


def _data(execution: Execution) -> dict[str, object]:
    return execution_data(execution, current_component=getattr(execution, "current_component", None))
