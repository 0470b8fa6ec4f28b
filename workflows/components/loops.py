"""Components that run a body again and again: for_each, repeat_until."""

from typing import ClassVar

from core.errors import ErrorCode
from core.types import JSONObject
from workflows.components.base import Completed, Component, Context, Failed, Loop, Outcome, Waiting
from workflows.components.control import ANY, object_schema
from workflows.expressions import evaluate_condition

MAX_ITEMS = 10_000
DEFAULT_ITERATIONS = 100

_BODY: JSONObject = {
    "components": {
        "title": "Components",
        "description": "The body: components as in a workflow, with ids of their own; they see item and index",
        "type": "array",
        "items": {"type": "object"},
        "minItems": 1,
        "examples": [[{"id": "double", "type": "transform", "config": {"output": "{{ item * 2 }}"}}]],
    },
    "connections": {
        "title": "Connections",
        "description": "What follows what in the body",
        "type": "array",
        "items": {"type": "object"},
        "default": [],
        "examples": [[{"source": "fetch", "target": "store", "type": "success"}]],
    },
}


class ForEach(Component):
    """A body run once for each item of a list."""

    type: ClassVar = "for_each"
    name: ClassVar = "For each"
    description: ClassVar = "Runs its components once for each item of a list, several at a time if wanted"
    category: ClassVar = "control"
    pure: ClassVar = True
    has_body: ClassVar = True
    unrendered: ClassVar[frozenset[str]] = frozenset(_BODY)
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "items": {
                "title": "Items",
                "description": f"The list; at most {MAX_ITEMS:,} items",
                "type": "array",
                "maxItems": MAX_ITEMS,
                "examples": ["{{ fetch.output.body.customers }}"],
            },
            **_BODY,
            "max_concurrency": {
                "title": "At a time",
                "description": "How many items are worked on at once",
                "type": "integer",
                "minimum": 1,
                "maximum": 1000,
                "default": 1,
                "examples": [10],
            },
            "on_item_error": {
                "title": "When an item fails",
                "description": "Begin no other item and fail, or go on and put the error in the item's place",
                "enum": ["stop", "continue"],
                "default": "stop",
                "examples": ["continue"],
            },
        },
        "items",
        "components",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {"title": "The results of the body, in the items' order", "type": "array"}

    def run(self, config: JSONObject, context: Context) -> Outcome:
        stop = config.get("on_item_error", "stop") == "stop"
        ended = context.resumed
        if ended is not None:
            if ended.error is not None and stop:
                return _failed("Item", ended.error)
            if ended.rounds == len(config["items"]):
                return Completed(ended.value)
        if not config["items"]:
            return Completed([])
        return Loop(config["items"], max_concurrency=config.get("max_concurrency", 1), stop_on_error=stop)


class RepeatUntil(Component):
    """A body run again until a condition holds."""

    type: ClassVar = "repeat_until"
    name: ClassVar = "Repeat until"
    description: ClassVar = "Runs its components again and again until a condition holds after a round"
    category: ClassVar = "control"
    pure: ClassVar = True
    has_body: ClassVar = True
    last_result_only: ClassVar = True
    unrendered: ClassVar[frozenset[str]] = frozenset(_BODY) | {"condition"}
    own_names: ClassVar[frozenset[str]] = frozenset({"index", "output"})
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "condition": {
                "title": "Until",
                "description": "Asked after each round; sees index, from 0, and output, the round's result",
                "type": "string",
                "minLength": 1,
                "examples": ["output.status == 'done'"],
            },
            **_BODY,
            "max_iterations": {
                "title": "At most",
                "description": "Rounds after which the loop fails",
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_ITEMS,
                "default": DEFAULT_ITERATIONS,
                "examples": [20],
            },
            "delay_seconds": {
                "title": "Pause",
                "description": "Seconds between two rounds, without holding a worker",
                "type": "number",
                "minimum": 0,
                "maximum": 86_400,
                "default": 0,
                "examples": [5],
            },
        },
        "condition",
        "components",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {
        "type": "object",
        "properties": {
            "iterations": {"title": "Rounds", "type": "integer"},
            "output": {"title": "The last round's result"},
        },
        "required": ["iterations", "output"],
    }

    def run(self, config: JSONObject, context: Context) -> Outcome:
        ended = context.resumed
        if ended is None:
            return Loop([None], afresh=True)
        if ended.error is not None:
            return _failed("Round", ended.error)
        rounds = ended.rounds
        if ended.timed_out:
            # The pause is over: the next round.
            return Loop([ended.value], first_index=rounds)
        scope = {**context.scope, "index": rounds - 1, "output": ended.value}
        if evaluate_condition(config["condition"], scope, now=context.now()):
            return Completed({"iterations": rounds, "output": ended.value})
        if rounds >= config.get("max_iterations", DEFAULT_ITERATIONS):
            return Failed(f"The condition did not hold after {rounds} rounds", permanent=True)
        if config.get("delay_seconds"):
            return Waiting(seconds=config["delay_seconds"])
        return Loop([ended.value], first_index=rounds)


def _failed(what: str, error: JSONObject) -> Failed:
    """The failure of an item as the loop's own; `details` keeps what it was."""
    index = f" {error['item_index']}" if "item_index" in error else ""
    code = ErrorCode(error["code"]) if error["code"] in set(ErrorCode) else ErrorCode.COMPONENT_ERROR
    message = f"{what}{index} failed in {error['component_id']}: {error['message']}"
    return Failed(message, code=code, details={"item_error": error})
