"""The shape of a definition as JSON Schema (2020-12): what editors can check while one is written."""

from dataclasses import dataclass

from core.types import JSONObject


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a definition may be, bodies included (contract §6, "Limits"); operators set it.

    `nesting` counts the lists and objects inside each other.
    """

    components: int = 2_000
    connections: int = 5_000
    nesting: int = 32


DEFAULT_LIMITS = Limits()
MAX_PARAMETERS = 200

COMPONENT_ID = r"[A-Za-z_][A-Za-z0-9_-]{0,63}"
_ID = f"^{COMPONENT_ID}$"
_NAME = "^[A-Za-z_][A-Za-z0-9_]{0,63}$"
_TEN_YEARS = 315_576_000
# Where a drawing program puts things; beyond it a canvas has no use for the number.
_COORDINATE: JSONObject = {"type": "number", "minimum": -1_000_000_000, "maximum": 1_000_000_000}


def _object(description: str, properties: JSONObject, *required: str) -> JSONObject:
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _number(type_: str, description: str, low: float, high: float, **more: object) -> JSONObject:
    return {"description": description, "type": type_, "minimum": low, "maximum": high, **more}


def _text(description: str, max_length: int, **more: object) -> JSONObject:
    return {"description": description, "type": "string", "maxLength": max_length, **more}


def _metadata(subject: str) -> JSONObject:
    return {"description": f"Whatever tools want to keep with the {subject}; the platform ignores it", "type": "object"}


_RETRY_POLICY = _object(
    "How often a failed component is tried; without one, once",
    {
        "max_attempts": _number("integer", "Attempts in all, the first included", 1, 100, default=1),
        "initial_delay_seconds": _number("number", "Seconds before the second attempt", 0, 86_400, default=1),
        "max_delay_seconds": _number("number", "The longest time between two attempts", 0, 604_800, default=60),
        "backoff_multiplier": _number("number", "How much longer each delay is than the last", 1, 10, default=2),
    },
)

COMPONENT: JSONObject = _object(
    "One component of the workflow",
    {
        "id": {"description": "Unique in the workflow, also without regard to case", "type": "string", "pattern": _ID},
        "type": _text("A type that GET components lists", 64, minLength=1),
        "name": _text("What people call it", 255),
        "description": _text("What it is for", 1000),
        "config": {
            "description": "Checked against the type's config_schema; any string may hold expressions",
            "type": "object",
            "default": {},
        },
        "position": _object("Where an editor draws it", {"x": _COORDINATE, "y": _COORDINATE}, "x", "y"),
        "retry_policy": _RETRY_POLICY,
        "timeout_seconds": {
            "description": "How long one attempt may take",
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 86_400,
        },
        "join": {
            "description": "Start when every incoming connection is decided and one is taken, or at the first taken",
            "enum": ["all", "any"],
            "default": "all",
        },
        "metadata": _metadata("component"),
    },
    "id",
    "type",
)

CONNECTION: JSONObject = _object(
    "What follows what",
    {
        "source": _text("The id of the component that ends", 64),
        "target": _text("The id of the component that follows", 64),
        "type": {
            "description": "Taken on success, on final failure, or on success if the condition is true",
            "enum": ["success", "error", "conditional"],
            "default": "success",
        },
        "condition": _text("One expression, braces optional; for type conditional alone, and needed there", 10_000)
        | {"minLength": 1},
    },
    "source",
    "target",
)

_VALIDATION_RULES = _object(
    "What a value must keep to besides its type",
    {
        "enum": {"description": "The values that are allowed", "type": "array", "minItems": 1, "maxItems": 1000},
        "min": {"description": "The lowest number", "type": "number"},
        "max": {"description": "The highest number", "type": "number"},
        "min_length": {"description": "The fewest characters or items", "type": "integer", "minimum": 0},
        "max_length": {"description": "The most characters or items", "type": "integer", "minimum": 0},
        "pattern": _text("A regular expression that matches somewhere in the text; anchor it with ^ and $", 1000),
    },
)

PARAMETER: JSONObject = _object(
    "A value that an execution is given",
    {
        "name": {"description": "The name that expressions read it by", "type": "string", "pattern": _NAME},
        "type": {
            "description": "The type of the value; a secret is text that is sealed and never shown",
            "enum": ["string", "integer", "number", "boolean", "object", "array", "secret"],
        },
        "required": {"description": "Whether an execution must give it", "type": "boolean", "default": False},
        "default_value": {"description": "The value where none is given; null is none"},
        "description": _text("What it is for", 1000),
        "sensitive": {"description": "Seal the value and never show it", "type": "boolean", "default": False},
        "validation_rules": _VALIDATION_RULES,
    },
    "name",
    "type",
)

_CONCURRENCY = _object(
    "How many executions may run at once",
    {
        "limit": _number("integer", "How many", 1, 10_000, default=1),
        "key": _text("Text with expressions; the limit holds for each value of it", 10_000, default=""),
        "strategy": {
            "description": "Whether the next execution waits, is refused, or cancels the running one",
            "enum": ["queue", "skip", "cancel_running"],
            "default": "queue",
        },
    },
)

_RETENTION = _object(
    "How long its ended executions are kept, where that is less than the platform keeps them",
    {
        "days": _number("integer", "Days since its end after which an execution may go", 1, 36_500),
        "count": _number("integer", "How many of the newest ended executions are kept", 1, 1_000_000),
    },
)

_SETTINGS = _object(
    "What holds for a whole execution",
    {
        "timeout_seconds": {
            "description": "How long an execution may take",
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": _TEN_YEARS,
        },
        "on_failure": {
            "description": "After an unhandled failure start nothing new, or let independent branches finish",
            "enum": ["stop", "continue"],
            "default": "stop",
        },
        "max_parallel": _number("integer", "How many components run at once; 0: no limit", 0, 100_000, default=0),
        "concurrency": _CONCURRENCY,
        "retention": _RETENTION,
    },
)


def _list(description: str, items: str, **more: object) -> JSONObject:
    return {"description": description, "type": "array", "items": {"$ref": f"#/$defs/{items}"}, **more}


def definition_schema(limits: Limits) -> JSONObject:
    """The schema for these limits."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Workflow definition",
        **_object(
            "What a workflow does: components, joined by connections into a graph without cycles",
            {
                "components": _list("At least one", "component", minItems=1, maxItems=limits.components),
                "connections": _list("None twice", "connection", maxItems=limits.connections, default=[]),
                "parameters": _list("What an execution is given", "parameter", maxItems=MAX_PARAMETERS, default=[]),
                "settings": _SETTINGS,
                "metadata": _metadata("workflow"),
            },
            "components",
        ),
        "$defs": {"component": COMPONENT, "connection": CONNECTION, "parameter": PARAMETER},
    }


DEFINITION_SCHEMA = definition_schema(DEFAULT_LIMITS)
