"""Components that decide where the flow goes: switch, fail."""

from collections.abc import Iterator
from typing import ClassVar

from core.errors import ErrorCode, Problem
from core.json_text import dumps
from core.types import JSONObject
from workflows.components.base import Completed, Component, Context, Failed, Outcome
from workflows.components.control import ANY, object_schema
from workflows.expressions import Budget, ExpressionError, Limits, has_expression, parse_condition
from workflows.schemas import received

MAX_CASES = 100


class Switch(Component):
    """The first of several cases that holds."""

    type: ClassVar = "switch"
    name: ClassVar = "Switch"
    description: ClassVar = "Picks the first case that is true; route on its name with conditional connections"
    category: ClassVar = "control"
    pure: ClassVar = True
    unrendered: ClassVar[frozenset[str]] = frozenset({"cases"})
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "cases": {
                "title": "Cases",
                "description": "Asked in this order; the first one that is true is picked",
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_CASES,
                "items": {
                    "title": "Case",
                    "type": "object",
                    "properties": {
                        "name": {
                            "title": "Name",
                            "description": "What the output calls it; each name once, without expressions",
                            "type": "string",
                            "minLength": 1,
                            "maxLength": 200,
                            "examples": ["large"],
                        },
                        "condition": {
                            "title": "Condition",
                            "description": "One expression, with or without braces",
                            "type": "string",
                            "minLength": 1,
                            "examples": ["input.total > 100"],
                        },
                    },
                    "required": ["name", "condition"],
                    "additionalProperties": False,
                },
                "examples": [[{"name": "large", "condition": "input.total > 100"}]],
            },
            "default": {
                "title": "Default",
                "description": "The name in the output when no case is true; without it the output says null",
                "type": "string",
                "minLength": 1,
                "maxLength": 200,
                "examples": ["other"],
            },
        },
        "cases",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {
        "type": "object",
        "properties": {"case": {"title": "The name of the case", "type": ["string", "null"]}},
        "required": ["case"],
    }

    def check(self, config: JSONObject) -> Iterator[Problem]:
        # Cases are not rendered, so text cannot stand for what it will be.
        if isinstance(config["cases"], str):
            yield _problem("cases", "Expected a list", "a list", config["cases"])
            return
        names: set[str] = set()
        for index, case in enumerate(config["cases"]):
            if isinstance(case, str):
                yield _problem(f"cases[{index}]", "Expected an object", "an object", case)
                continue
            name, field = case["name"], f"cases[{index}].name"
            if has_expression(name):
                expected = "a name without expressions, since connections compare with it"
                yield _problem(field, f"Expected {expected}", expected, name)
            elif name in names:
                yield _problem(field, "Another case has this name", "a name that no other case has", name)
            names.add(name)

    def run(self, config: JSONObject, context: Context) -> Outcome:
        # One budget: many cases must not cost more than one long condition may.
        budget = Budget(Limits(), context.now())
        for index, case in enumerate(config["cases"]):
            try:
                holds = parse_condition(case["condition"]).decide(context.scope, budget)
            except ExpressionError as error:
                error.locate(path=f"cases[{index}].condition")
                raise
            if holds:
                return Completed({"case": case["name"]})
        return Completed({"case": config.get("default")})


def _problem(field: str, message: str, expected: str, value: str) -> Problem:
    return Problem(message, field=field, details={"expected": expected, "received": received(value)})


class Fail(Component):
    """An end in failure, on purpose."""

    type: ClassVar = "fail"
    name: ClassVar = "Fail"
    description: ClassVar = "Fails for good with a message of your own"
    category: ClassVar = "control"
    pure: ClassVar = True
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "message": {
                "title": "Message",
                "description": "Text with expressions; another value is written as JSON",
                "examples": ["No customer has the id {{ customer_id }}"],
            },
            "code": {
                "title": "Code",
                "description": "The error's code, as {{ error.code }} reads it",
                "enum": [
                    str(code)
                    for code in (
                        ErrorCode.COMPONENT_ERROR,
                        ErrorCode.VALIDATION_ERROR,
                        ErrorCode.TIMEOUT_ERROR,
                        ErrorCode.EXECUTION_FAILED,
                    )
                ],
                "default": str(ErrorCode.COMPONENT_ERROR),
                "examples": ["VALIDATION_ERROR"],
            },
        },
        "message",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {"title": "None: it never completes", "not": {}}

    def run(self, config: JSONObject, context: Context) -> Outcome:
        message = config["message"]
        text = message if isinstance(message, str) else dumps(message).decode()
        return Failed(text, code=ErrorCode(config.get("code", ErrorCode.COMPONENT_ERROR)), permanent=True)
