"""REST: the address that the world calls to start a workflow, with a token of its own instead of credentials."""

from urllib.parse import parse_qs

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.throttling import count_against, count_requests, hook_limit
from core import strict_json
from core.describing import Answers, number_parameter
from core.envelope import reply
from core.errors import BadRequestError, NotFoundError, Problem, ValidationFailedError
from core.query import whole_number
from core.shapes import any_object, anything, text
from core.types import JSONValue
from core.views import View
from executions import hooks
from executions.models import Execution
from executions.states import FINAL_EXECUTION
from executions.trigger_serializers import hook_data, hook_result_data
from executions.trigger_shapes import HOOK_RESULT, HOOK_STARTED
from workflows.models import Trigger

_WAIT = number_parameter(
    "wait", "Seconds to wait for the result; then 202", default=0, low=0, high=hooks.MAX_WAIT_SECONDS
)
_BODIES = {
    "application/json": anything("Any JSON value"),
    "application/x-www-form-urlencoded": any_object(),
    "text/plain": text(),
}
_ERRORS = (401, 404, 405, 409, 413, 422)


class HookToken:
    """`<hook:…>`: the token of a hook; what cannot be one is an unknown path."""

    regex = r"[A-Za-z0-9_-]{43}"
    shape = text("The hook's token", pattern="^[A-Za-z0-9_-]{43}$")

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class HookView(View):
    """`POST hooks/{token}`, and GET where the start allows it.

    No credential is read: a sender's own Authorization header is none of ours. The request counts for the hook, or
    for the caller's address where there is none.
    """

    public = True
    optional_body = True
    authentication_classes = ()
    throttle_classes = ()
    # The body is read here, by its own rules.
    parser_classes = ()
    hook: Trigger | None = None

    @Answers(HOOK_STARTED, 202, also={200: HOOK_RESULT}, parameters=[_WAIT], errors=_ERRORS)
    def get(self, request: Request, token: str) -> Response:
        """Start a workflow with a GET.

        Where the start's `methods` have it.
        """
        return self._deliver(request, token)

    @Answers(HOOK_STARTED, 202, also={200: HOOK_RESULT}, takes=_BODIES, parameters=[_WAIT], errors=_ERRORS)
    def post(self, request: Request, token: str) -> Response:
        """Start a workflow.

        The body is JSON, a form or text. 200 with `wait`, once the execution has ended.
        """
        return self._deliver(request, token)

    def _deliver(self, request: Request, token: str) -> Response:
        hook = hooks.find(token)
        if hook is None:
            count_requests(request, 1)
            raise NotFoundError
        count_against(request, hook_limit(), hook.pk)
        raw = request._request.body
        query = {name: values for name, values in request.query_params.lists() if name != "wait"}
        wait = whole_number(request.query_params, "wait", default=0, low=0, high=hooks.MAX_WAIT_SECONDS)
        headers = {name.lower(): value for name, value in request.headers.items()}
        delivery = hooks.Delivery(request.method or "", headers, query, raw, _body(headers, raw))
        _require_storable({"headers": headers, "query": query})
        started = hooks.start(hook, delivery)
        execution = hooks.wait_for(started.execution, wait) if wait else started.execution
        return _answer(execution, waited=bool(wait))


def _answer(execution: Execution, *, waited: bool) -> Response:
    if waited and execution.status in FINAL_EXECUTION:
        return reply(hook_result_data(execution), message=f"Workflow execution {execution.status}")
    return reply(hook_data(execution), message="Workflow execution started", status=202)


def _body(headers: dict[str, str], raw: bytes) -> JSONValue:
    """JSON as its value, a form as an object, text as text; null where there is none. Raises BadRequestError."""
    if not raw:
        return None
    given = headers.get("content-type", "")
    media_type, _, _ = given.partition(";")
    media_type = media_type.strip().lower()
    try:
        if media_type == "application/json" or media_type.endswith("+json"):
            body: JSONValue = strict_json.loads(raw)
        elif media_type == "application/x-www-form-urlencoded":
            body = _form(raw)
        elif media_type.startswith("text/") or media_type.endswith(("/xml", "+xml")) or not media_type:
            body = raw.decode()
        else:
            expected = "application/json, application/x-www-form-urlencoded or text"
            problem = Problem(
                f"Content-Type must be {expected}", field="Content-Type", details={"received": media_type[:200]}
            )
            raise BadRequestError(f"Content-Type must be {expected}", problems=[problem])
    except strict_json.StrictJSONError as error:
        raise BadRequestError(f"Request body is not valid JSON: {error}") from None
    except UnicodeDecodeError:
        raise BadRequestError("Request body is not UTF-8") from None
    _require_storable({"body": body})
    return body


def _form(raw: bytes) -> JSONValue:
    try:
        fields = parse_qs(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except UnicodeDecodeError:
        raise
    except ValueError:
        raise BadRequestError("The form has more than 1000 fields") from None
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _require_storable(value: JSONValue) -> None:
    try:
        strict_json.check_storable(value)
    except strict_json.UnstorableTextError as error:
        raise ValidationFailedError(problems=[Problem(str(error), field=error.path)]) from None
