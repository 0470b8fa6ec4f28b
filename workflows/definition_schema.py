"""The shape of a definition as JSON Schema (2020-12): what editors can check while one is written."""

from core.types import JSONObject

MAX_COMPONENTS = 2_000
MAX_CONNECTIONS = 5_000

_ID = "^[A-Za-z_][A-Za-z0-9_-]{0,63}$"
_TEN_YEARS = 315_576_000


def _object(properties: JSONObject, *required: str) -> JSONObject:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_RETRY_POLICY = _object(
    {
        "max_attempts": {"type": "integer", "minimum": 1, "maximum": 100},
        "initial_delay_seconds": {"type": "number", "minimum": 0, "maximum": 86_400},
        "max_delay_seconds": {"type": "number", "minimum": 0, "maximum": 604_800},
        "backoff_multiplier": {"type": "number", "minimum": 1, "maximum": 10},
    }
)

COMPONENT: JSONObject = _object(
    {
        "id": {"type": "string", "pattern": _ID},
        "type": {"type": "string", "minLength": 1, "maxLength": 64},
        "name": {"type": "string", "maxLength": 255},
        "description": {"type": "string", "maxLength": 1000},
        "config": {"type": "object"},
        "position": _object({"x": {"type": "number"}, "y": {"type": "number"}}, "x", "y"),
        "retry_policy": _RETRY_POLICY,
        "timeout_seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 86_400},
        "join": {"enum": ["all", "any"]},
        "metadata": {"type": "object"},
    },
    "id",
    "type",
)

CONNECTION: JSONObject = _object(
    {
        "source": {"type": "string", "maxLength": 64},
        "target": {"type": "string", "maxLength": 64},
        "type": {"enum": ["success", "error", "conditional"]},
        "condition": {"type": "string", "minLength": 1, "maxLength": 10_000},
    },
    "source",
    "target",
)

PARAMETER: JSONObject = _object(
    {
        "name": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$"},
        "type": {"enum": ["string", "integer", "number", "boolean", "object", "array", "secret"]},
        "required": {"type": "boolean"},
        "default_value": {},
        "description": {"type": "string", "maxLength": 1000},
        "sensitive": {"type": "boolean"},
        "validation_rules": _object(
            {
                "enum": {"type": "array", "minItems": 1, "maxItems": 1000},
                "min": {"type": "number"},
                "max": {"type": "number"},
                "min_length": {"type": "integer", "minimum": 0},
                "max_length": {"type": "integer", "minimum": 0},
                "pattern": {"type": "string", "maxLength": 1000, "format": "regex"},
            }
        ),
    },
    "name",
    "type",
)

_CONCURRENCY = _object(
    {
        "limit": {"type": "integer", "minimum": 1, "maximum": 10_000},
        "key": {"type": "string", "maxLength": 10_000},
        "strategy": {"enum": ["queue", "skip", "cancel_running"]},
    }
)

DEFINITION_SCHEMA: JSONObject = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Workflow definition",
    **_object(
        {
            "components": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_COMPONENTS,
                "items": {"$ref": "#/$defs/component"},
            },
            "connections": {
                "type": "array",
                "maxItems": MAX_CONNECTIONS,
                "items": {"$ref": "#/$defs/connection"},
            },
            "parameters": {"type": "array", "maxItems": 200, "items": {"$ref": "#/$defs/parameter"}},
            "settings": _object(
                {
                    "timeout_seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": _TEN_YEARS},
                    "on_failure": {"enum": ["stop", "continue"]},
                    "max_parallel": {"type": "integer", "minimum": 0, "maximum": MAX_COMPONENTS},
                    "concurrency": _CONCURRENCY,
                }
            ),
            "metadata": {"type": "object"},
        },
        "components",
    ),
    "$defs": {"component": COMPONENT, "connection": CONNECTION, "parameter": PARAMETER},
}
