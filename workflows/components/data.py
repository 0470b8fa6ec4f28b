"""Components that shape and check data: transform, validate."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import ClassVar

from core.errors import Problem
from core.json_text import dumps
from core.types import JSONObject
from workflows.components.base import Completed, Component, Context, Failed, Outcome
from workflows.components.control import ANY, object_schema
from workflows.expressions import references
from workflows.schemas import Schema, SchemaError, received

MAX_FAULTS = 20


class Transform(Component):
    """New data out of what came before."""

    type: ClassVar = "transform"
    name: ClassVar = "Transform"
    description: ClassVar = "Builds new data from parameters and earlier outputs with expressions"
    category: ClassVar = "data"
    pure: ClassVar = True
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "output": {
                "title": "Output",
                "description": "Any JSON with expressions in its strings",
                "examples": [{"names": "{{ input | map(attribute='name') }}"}],
            }
        },
        "output",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {"title": "The rendered output"}

    def run(self, config: JSONObject, context: Context) -> Outcome:
        return Completed(config["output"])


class Validate(Component):
    """Data held against a JSON Schema."""

    type: ClassVar = "validate"
    name: ClassVar = "Validate"
    description: ClassVar = "Checks a value against a JSON Schema and fails for good when it does not fit"
    category: ClassVar = "data"
    pure: ClassVar = True
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "value": {
                "title": "Value",
                "description": "What is checked; it is the output too",
                "examples": ["{{ components.fetch.output.body }}"],
            },
            "schema": {
                "title": "Schema",
                "description": "JSON Schema 2020-12; $ref only within itself, patterns without look-around",
                "type": ["object", "boolean"],
                # Names of properties in it are no names of values.
                "writeOnly": False,
                "examples": [{"type": "array", "minItems": 1}],
            },
        },
        "value",
        "schema",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {"title": "The value"}

    def check(self, config: JSONObject) -> Iterator[Problem]:
        if isinstance(config["schema"], dict) and not references(config["schema"]).names:
            try:
                _compiled(dumps(config["schema"]))
            except SchemaError as error:
                details = {"expected": "a JSON Schema 2020-12", "received": received(config["schema"])}
                yield Problem(f"Not a JSON Schema: {error}", field="schema", details=details)

    def run(self, config: JSONObject, context: Context) -> Outcome:
        try:
            schema = _compiled(dumps(config["schema"]))
        except SchemaError as error:
            return Failed(f"schema: {error}", permanent=True)
        faults = []
        for fault in schema.problems(config["value"], "value"):
            faults.append({"field": fault.field, "message": fault.message})
            if len(faults) == MAX_FAULTS:
                break
        if not faults:
            return Completed(config["value"])
        first = "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults[:3])
        return Failed(f"The value does not fit the schema: {first}", permanent=True, details={"faults": faults})


@lru_cache(maxsize=256)
def _compiled(schema_text: bytes) -> Schema:
    return Schema(json.loads(schema_text))
