"""What workflows look like in answers, for the OpenAPI document: the serializers beside it make them."""

from core.shapes import (
    ID,
    TIME,
    Named,
    Schema,
    any_object,
    array,
    boolean,
    enum,
    integer,
    nullable,
    number,
    record,
    text,
)
from core.types import JSONObject
from workflows.bulk import MAX_OPERATIONS
from workflows.copies import EXPORT_FORMAT
from workflows.definition_schema import DEFINITION_SCHEMA
from workflows.models import Role, TriggerType, WorkflowStatus


def _definition() -> Named:
    """The shape of docs/definition.schema.json, its parts as components."""
    parts: dict[str, Named] = {}

    def placed(value: object) -> object:
        if isinstance(value, dict):
            if isinstance(place := value.get("$ref"), str):
                return parts[place.removeprefix("#/$defs/")]
            return {key: placed(each) for key, each in value.items()}
        return [placed(each) for each in value] if isinstance(value, list) else value

    whole = dict(DEFINITION_SCHEMA)
    del whole["$schema"]
    for name, schema in whole.pop("$defs").items():
        parts[name] = Named(f"Definition{name.title()}", schema)
    return Named("Definition", placed(whole), example=EXAMPLE_DEFINITION)  # type: ignore[arg-type]  # an object stays one


EXAMPLE_DEFINITION: JSONObject = {
    "components": [
        {
            "id": "start",
            "type": "start",
            "config": {"trigger_type": "manual"},
            "position": {"x": 100, "y": 100},
        },
        {
            "id": "extract",
            "type": "http_request",
            "config": {
                "url": "https://api.example.com/customers",
                "method": "GET",
                "headers": {"Authorization": "Bearer {{api_token}}"},
            },
            "position": {"x": 300, "y": 100},
        },
    ],
    "connections": [{"source": "start", "target": "extract", "type": "success"}],
    "parameters": [
        {"name": "api_token", "type": "string", "required": True, "description": "API token for data source"}
    ],
}
EXAMPLE_CREATE: JSONObject = {
    "name": "New Workflow",
    "description": "Description of the workflow",
    "definition": {
        "components": [
            {
                "id": "start",
                "type": "start",
                "config": {"trigger_type": "manual"},
                "position": {"x": 100, "y": 100},
            }
        ],
        "connections": [],
        "parameters": [],
    },
    "category": "automation",
    "tags": ["example"],
    "priority": 5,
}
EXAMPLE_BULK: JSONObject = {
    "operations": [
        {"operation": "create", "data": {**EXAMPLE_CREATE, "name": "Workflow 1"}},
        {"operation": "create", "data": {**EXAMPLE_CREATE, "name": "Workflow 2"}},
    ]
}
DEFINITION = _definition()
_VERSION = integer("Of the definition, from 1", 1)
_FACTS: Schema = {
    "id": ID,
    "name": text(minLength=1, maxLength=255),
    "description": text(maxLength=1000),
    "status": enum(WorkflowStatus.values),
    "category": text(maxLength=100),
    "tags": array(text(maxLength=100)),
    "version": _VERSION,
    "priority": integer("10 is the most urgent", 1, 10),
    "component_count": integer(),
}
_NUMBERS: Schema = {
    "execution_count": integer(),
    "success_rate": number("Completed of completed and failed; 0 where none has run", 0, 1),
    "last_execution_at": nullable(TIME),
}
_MADE: Schema = {"created_by": ID, "created_at": TIME, "updated_at": TIME}
WORKFLOW_ITEM = Named(
    "WorkflowItem",
    record({**_FACTS, **_NUMBERS, **_MADE}),
    example={
        "id": "01HQNZ2G5XKJ8P7M9N6V3R4T5W",
        "name": "Data Processing Pipeline",
        "description": "ETL pipeline for customer data",
        "status": "active",
        "category": "data_processing",
        "tags": ["etl", "customer_data"],
        "version": 2,
        "priority": 5,
        "component_count": 5,
        "execution_count": 142,
        "success_rate": 0.95,
        "last_execution_at": "2025-01-01T12:30:00Z",
        "created_by": "01HQNZ2G5XKJ8P7M9N6V3R4T5X",
        "created_at": "2024-12-01T10:00:00Z",
        "updated_at": "2025-01-01T09:15:00Z",
    },
)
_PERMISSIONS = Named(
    "WorkflowPermissions",
    record({f"can_{action}": boolean() for action in ("edit", "execute", "delete", "share")}),
)
_TRIGGER: Schema = {
    "id": ID,
    "component_id": text("The start that asks for it"),
    "type": enum(TriggerType.values),
    "next_at": nullable(TIME),
    "url": nullable(text("Of a hook, with its token; for those who may edit the workflow")),
}
TRIGGER = Named("WorkflowTrigger", record(_TRIGGER))
WORKFLOW = Named(
    "Workflow",
    record(
        {
            **_FACTS,
            "definition": DEFINITION,
            "permissions": _PERMISSIONS,
            "triggers": array(TRIGGER, "Those that live; none unless the workflow is active"),
            **_NUMBERS,
            **_MADE,
        },
        optional=("definition", *_NUMBERS),
    ),
    example={
        "id": "01HQNZ2G5XKJ8P7M9N6V3R4T5W",
        "name": "Data Processing Pipeline",
        "description": "ETL pipeline for customer data",
        "definition": EXAMPLE_DEFINITION,
        "status": "active",
        "category": "data_processing",
        "tags": ["etl", "customer_data"],
        "version": 2,
        "priority": 5,
        "component_count": 2,
        "permissions": {"can_edit": True, "can_execute": True, "can_delete": True, "can_share": True},
        "triggers": [],
        "created_by": "01HQNZ2G5XKJ8P7M9N6V3R4T5X",
        "created_at": "2024-12-01T10:00:00Z",
        "updated_at": "2025-01-01T09:15:00Z",
    },
)
CREATED_WORKFLOW = Named(
    "CreatedWorkflow",
    record(
        {
            "id": ID,
            "name": text(minLength=1, maxLength=255),
            "status": enum(WorkflowStatus.values),
            "version": _VERSION,
            "created_at": TIME,
        }
    ),
    example={
        "id": "01HQNZ2G5XKJ8P7M9N6V3R4T5W",
        "name": "New Workflow",
        "status": "draft",
        "version": 1,
        "created_at": "2025-01-01T12:00:00Z",
    },
)
_VERSION_FACTS: Schema = {
    "id": ID,
    "workflow_id": ID,
    "version": _VERSION,
    "current": boolean("Whether executions start with it"),
    "created_by": ID,
    "created_at": TIME,
}
VERSION_ITEM = Named("WorkflowVersionItem", record(_VERSION_FACTS))
VERSION = Named("WorkflowVersion", record({**_VERSION_FACTS, "definition": DEFINITION}))
EXPORT = Named(
    "WorkflowExport",
    record(
        {
            "format": {"const": EXPORT_FORMAT},
            "name": text(minLength=1, maxLength=255),
            "description": text(maxLength=1000),
            "category": text(maxLength=100),
            "tags": array(text(maxLength=100)),
            "priority": integer("", 1, 10),
            "definition": DEFINITION,
        }
    ),
)
SHARE = Named(
    "Share",
    record(
        {
            "id": ID,
            "user_id": ID,
            "group_id": ID,
            "role": enum(Role.values),
            "created_by": ID,
            "created_at": TIME,
        },
        optional=("user_id", "group_id"),
        description="With a user or a group, one of them",
    ),
)


def _found(severity: str) -> Schema:
    return array(
        record(
            {
                "code": text(),
                "component_id": text(),
                "field": text(),
                "message": text(),
                "details": any_object(),
                "severity": {"const": severity},
            },
            optional=("code", "component_id", "field", "details"),
        )
    )


VALIDATION = Named(
    "ValidationReport",
    record(
        {
            "is_valid": boolean(),
            "errors": _found("error"),
            "warnings": _found("warning"),
            "info": _found("info"),
        }
    ),
    example={
        "is_valid": True,
        "errors": [],
        "warnings": [
            {
                "component_id": "transform",
                "message": "Component has no error handling configured",
                "severity": "warning",
            }
        ],
        "info": [{"message": "Workflow contains 5 components and 4 connections", "severity": "info"}],
    },
)
_JSON_SCHEMA = {"type": ["object", "boolean"], "description": "A JSON Schema (2020-12)"}
COMPONENT = Named(
    "Component",
    record(
        {
            "type": text("What `type` of a definition's component names"),
            "name": text(),
            "description": text(),
            "category": text(),
            "config_schema": _JSON_SCHEMA,
            "input_schema": _JSON_SCHEMA,
            "output_schema": _JSON_SCHEMA,
        }
    ),
    example={
        "type": "http_request",
        "name": "HTTP Request",
        "description": "Make HTTP requests to APIs and web services",
        "category": "integration",
        "config_schema": {
            "type": "object",
            "properties": {"url": {"type": "string", "format": "uri"}},
            "required": ["url", "method"],
        },
        "input_schema": {"type": "object"},
        "output_schema": {"type": "object"},
    },
)


def results_of(data: Schema | Named, name: str) -> Named:
    """What bulk bodies answer: a result for each entry, in order, and a summary."""
    failed = record({"success": {"const": False}, "errors": array(_ITEM_ERROR, minItems=1)})
    done = record({"success": {"const": True}, "data": data})
    return Named(
        name,
        record(
            {
                "results": array({"oneOf": [done, failed]}, maxItems=MAX_OPERATIONS),
                "summary": record({"total": integer(), "successful": integer(), "failed": integer()}),
            }
        ),
    )


_ITEM_ERROR = record(
    {"code": text(), "message": text(), "field": text("A path into the request's body"), "details": any_object()},
    optional=("field", "details"),
)
BULK_RESULTS = results_of(
    record(
        {"id": ID, "name": text(), "status": enum(WorkflowStatus.values), "version": _VERSION},
        optional=("name", "status", "version"),
        description="The workflow as it is then; after a delete, its id alone",
    ),
    "BulkResults",
)
