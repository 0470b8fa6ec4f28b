"""Components that steer the flow: start, end, condition, delay, log."""

from collections.abc import Iterator
from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.errors import Problem
from core.json_text import dumps
from core.times import parse_time
from core.types import JSONObject
from events.event_types import EventType
from workflows.components.base import Completed, Component, Context, Failed, Outcome, Waiting
from workflows.expressions import References, evaluate_condition, has_expression
from workflows.schedule import ScheduleError, check_cron
from workflows.schemas import received

ANY: JSONObject = {"title": "Any JSON value"}
TEN_YEARS_SECONDS = 315_576_000
# The table "Webhook Events" of the API reference; other events of the ledger trigger nothing.
TRIGGER_EVENTS = (
    EventType.WORKFLOW_CREATED,
    EventType.WORKFLOW_UPDATED,
    EventType.WORKFLOW_DELETED,
    EventType.WORKFLOW_ACTIVATED,
    EventType.WORKFLOW_DEACTIVATED,
    EventType.EXECUTION_STARTED,
    EventType.EXECUTION_COMPLETED,
    EventType.EXECUTION_FAILED,
    EventType.EXECUTION_CANCELLED,
    EventType.COMPONENT_COMPLETED,
    EventType.COMPONENT_FAILED,
)
_HEADER = "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"
# Headers that say who sends, what, or how it is carried: a secret or a key of the caller's cannot stand there.
_TAKEN_HEADERS = frozenset(
    {"authorization", "cookie", "host", "content-type", "content-length", "transfer-encoding", "connection",
     "x-webhook-signature", "x-api-key", "x-request-id"}
)  # fmt: skip


def object_schema(properties: JSONObject, *required: str, **more: object) -> JSONObject:
    """An object without unknown fields, as every config schema is."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


class Start(Component):
    """Where an execution begins."""

    type: ClassVar = "start"
    name: ClassVar = "Start"
    description: ClassVar = "Begins the workflow and says what may trigger it"
    category: ClassVar = "control"
    pure: ClassVar = True
    unrendered: ClassVar[frozenset[str]] = frozenset({"parameters", "hmac_secret", "header_secret", "condition"})
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "trigger_type": {
                "title": "Trigger",
                "description": "What starts an execution besides a call of execute",
                "enum": ["manual", "schedule", "webhook", "event"],
                "default": "manual",
                "examples": ["manual"],
            },
            "cron": {
                "title": "Cron",
                "description": "Five fields: minute, hour, day, month, weekday; for trigger_type schedule",
                "type": "string",
                "maxLength": 200,
                "examples": ["0 6 * * 1-5"],
            },
            "interval_seconds": {
                "title": "Interval",
                "description": "Seconds between two executions; for trigger_type schedule",
                "type": "integer",
                "minimum": 1,
                "maximum": TEN_YEARS_SECONDS,
                "examples": [300],
            },
            "timezone": {
                "title": "Time zone",
                "description": "IANA name that the cron fields are read in",
                "type": "string",
                "default": "UTC",
                "examples": ["Europe/Berlin"],
            },
            "parameters": {
                "title": "Parameters",
                "description": "Parameters of the executions that the schedule starts",
                "type": "object",
                "default": {},
                "examples": [{"batch_size": 100}],
            },
            "overlap": {
                "title": "Overlap",
                "description": "What happens when the execution before still runs",
                "enum": ["skip", "queue", "allow"],
                "default": "skip",
                "examples": ["queue"],
            },
            "catchup": {
                "title": "Catch-up",
                "description": "Which slots missed while nothing ran are made up for",
                "enum": ["none", "latest", "all"],
                "default": "latest",
                "examples": ["none"],
            },
            "catchup_window_seconds": {
                "title": "Catch-up window",
                "description": "How old a missed slot may be and still be made up for",
                "type": "integer",
                "minimum": 10,
                "maximum": 31_536_000,
                "default": 86_400,
                "examples": [3600],
            },
            "methods": {
                "title": "Methods",
                "description": "The HTTP methods that the hook takes; for trigger_type webhook",
                "type": "array",
                "items": {"enum": ["GET", "POST"]},
                "minItems": 1,
                "uniqueItems": True,
                "default": ["POST"],
                "examples": [["POST", "GET"]],
            },
            "dedupe_header": {
                "title": "Header of the dedupe key",
                "description": "The header whose value names a delivery: the same one starts one execution in 24 hours",
                "type": "string",
                "pattern": _HEADER,
                "default": "Idempotency-Key",
                "examples": ["X-GitHub-Delivery"],
            },
            "header_name": {
                "title": "Secret header",
                "description": "The header that must hold header_secret; for trigger_type webhook",
                "type": "string",
                "pattern": _HEADER,
                "examples": ["X-Hook-Secret"],
            },
            "header_secret": {
                "title": "Secret of the header",
                "description": "What the header named by header_name must hold",
                "type": "string",
                "writeOnly": True,
                "minLength": 16,
                "examples": ["a-long-random-secret"],
            },
            "hmac_secret": {
                "title": "Signature secret",
                "description": "Checked against X-Webhook-Signature; for trigger_type webhook",
                "type": "string",
                "writeOnly": True,
                "minLength": 16,
                "examples": ["a-long-random-secret"],
            },
            "event": {
                "title": "Event",
                "description": "The event that starts an execution; for trigger_type event",
                "enum": [str(event) for event in TRIGGER_EVENTS],
                "examples": ["execution.failed"],
            },
            "workflow_id": {
                "title": "Workflow",
                "description": "Only events of this workflow (its id); for trigger_type event",
                "type": "string",
                "pattern": "^(?:[0-9A-Za-z]{26}|[0-9A-Fa-f-]{32,36})$",
                "examples": ["01HQNZ2G5XKJ8P7M9N6V3R4T5W"],
            },
            "condition": {
                "title": "Condition",
                "description": "One expression over `input`, an object of `event` and `data`; for trigger_type event",
                "type": "string",
                "minLength": 1,
                "examples": ["input.data.execution.duration_seconds > 60"],
            },
        },
        "trigger_type",
        allOf=[
            {
                "if": {"properties": {"trigger_type": {"const": "schedule"}}, "required": ["trigger_type"]},
                "then": {"oneOf": [{"required": ["cron"]}, {"required": ["interval_seconds"]}]},
            },
            {
                "if": {"properties": {"trigger_type": {"const": "event"}}, "required": ["trigger_type"]},
                "then": {"required": ["event"]},
            },
        ],
        dependentRequired={"header_name": ["header_secret"], "header_secret": ["header_name"]},
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {
        "title": "The parameters; what the hook or the event brought, where one started the execution"
    }

    def check(self, config: JSONObject) -> Iterator[Problem]:
        # Triggers are read when the workflow is activated: no execution is there to render them for.
        literal = [name for name in config if name not in self.unrendered]
        computed = [name for name in literal if isinstance(config[name], str) and has_expression(config[name])]
        for name in computed:
            yield _unexpected(name, "a value without expressions, since it is read before any execution", config[name])
        if "cron" in config and "cron" not in computed and not _is_cron(config["cron"]):
            yield _unexpected("cron", "five cron fields, as in 0 6 * * 1-5", config["cron"])
        if "timezone" in config and "timezone" not in computed and not _is_timezone(config["timezone"]):
            yield _unexpected("timezone", "an IANA time zone, as in Europe/Berlin", config["timezone"])
        for name in ("header_name", "dedupe_header"):
            if config.get(name, "").lower() in _TAKEN_HEADERS:
                yield _unexpected(name, "a header of its own, that HTTP and this API give no meaning", config[name])

    def reads(self, config: JSONObject) -> References:
        return References(names=frozenset({"input"}))

    def run(self, config: JSONObject, context: Context) -> Outcome:
        # A start has no predecessor: its input is what the trigger brought, or the parameters.
        return Completed(context.scope["input"])


def _unexpected(field: str, expected: str, value: str) -> Problem:
    details = {"expected": expected, "received": received(value)}
    return Problem(f"Expected {expected}", field=field, details=details)


def _is_cron(fields: str) -> bool:
    try:
        check_cron(fields)
    except ScheduleError:
        return False
    return True


def _is_timezone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # unknown; no relative path; a folder or too long
        return False
    return True


class End(Component):
    """An end of the workflow, and its result."""

    type: ClassVar = "end"
    name: ClassVar = "End"
    description: ClassVar = "Ends the workflow with a result"
    category: ClassVar = "control"
    pure: ClassVar = True
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "output": {
                "title": "Output",
                "description": "The execution's results; any JSON with expressions in its strings",
                "default": None,
                "examples": [{"total": "{{ components.sum.output }}"}],
            }
        }
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {"title": "The rendered output"}

    def run(self, config: JSONObject, context: Context) -> Outcome:
        return Completed(config.get("output"))


class Condition(Component):
    """A question with the answer true or false."""

    type: ClassVar = "condition"
    name: ClassVar = "Condition"
    description: ClassVar = "Evaluates a condition; route on its result with conditional connections"
    category: ClassVar = "control"
    pure: ClassVar = True
    unrendered: ClassVar[frozenset[str]] = frozenset({"condition"})
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "condition": {
                "title": "Condition",
                "description": "One expression, with or without braces",
                "type": "string",
                "minLength": 1,
                "examples": ["input.total > 100"],
            }
        },
        "condition",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {
        "type": "object",
        "properties": {"result": {"title": "Result", "type": "boolean"}},
        "required": ["result"],
    }

    def run(self, config: JSONObject, context: Context) -> Outcome:
        return Completed({"result": evaluate_condition(config["condition"], context.scope, now=context.now())})


class Delay(Component):
    """A pause that holds no worker."""

    type: ClassVar = "delay"
    name: ClassVar = "Delay"
    description: ClassVar = "Waits for a number of seconds or until a time, without holding a worker"
    category: ClassVar = "control"
    pure: ClassVar = True
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "seconds": {
                "title": "Seconds",
                "description": "How long to wait",
                "type": "number",
                "minimum": 0,
                "maximum": TEN_YEARS_SECONDS,
                "examples": [30],
            },
            "until": {
                "title": "Until",
                "description": "An ISO 8601 date and time; one that has passed ends the wait at once",
                "type": "string",
                "examples": ["2030-01-01T09:00:00Z"],
            },
        },
        oneOf=[{"required": ["seconds"]}, {"required": ["until"]}],
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {"type": "object", "maxProperties": 0}

    def check(self, config: JSONObject) -> Iterator[Problem]:
        until = config.get("until")
        if until is not None and not has_expression(until):
            try:
                parse_time(until)
            except ValueError:
                yield _unexpected("until", "an ISO 8601 date and time", until)

    def run(self, config: JSONObject, context: Context) -> Outcome:
        if context.resumed:
            return Completed({})
        if "seconds" in config:
            return Waiting(seconds=config["seconds"]) if config["seconds"] else Completed({})
        try:
            until = parse_time(config["until"])
        except ValueError as error:
            return Failed(f"until: {error}; expected an ISO 8601 date and time", permanent=True)
        return Completed({}) if until <= context.now() else Waiting(until)


class Log(Component):
    """A line in the execution's log."""

    type: ClassVar = "log"
    name: ClassVar = "Log"
    description: ClassVar = "Writes a line to the execution's log"
    category: ClassVar = "control"
    pure: ClassVar = True
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "message": {
                "title": "Message",
                "description": "Text with expressions; another value is written as JSON",
                "examples": ["Loaded {{ input | length }} rows"],
            },
            "level": {
                "title": "Level",
                "description": "How serious it is",
                "enum": ["debug", "info", "warning", "error"],
                "default": "info",
                "examples": ["warning"],
            },
        },
        "message",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {"type": "object", "maxProperties": 0}

    def run(self, config: JSONObject, context: Context) -> Outcome:
        message = config["message"]
        context.log(config.get("level", "info"), message if isinstance(message, str) else dumps(message).decode())
        return Completed({})
