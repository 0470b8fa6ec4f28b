"""Components that work on lists: filter, aggregate."""

import math
from collections.abc import Callable, Iterator
from typing import ClassVar

from core.json_text import dumps
from core.types import JSONObject, JSONValue
from workflows.components.base import Completed, Component, Context, Failed, Outcome
from workflows.components.control import ANY, object_schema
from workflows.expressions import Budget, ExpressionError, Limits, parse_condition

# What a condition may cost for each item, beside what any expression may cost; together they bound a whole list.
STEPS_PER_ITEM = 1_000
BYTES_PER_ITEM = 4_096
_ITEMS: JSONObject = {
    "title": "Items",
    "description": "The list",
    "type": "array",
    "examples": ["{{ components.fetch.output.body }}"],
}


class Filter(Component):
    """The items of a list that fit."""

    type: ClassVar = "filter"
    name: ClassVar = "Filter"
    description: ClassVar = "Keeps the items of a list for which a condition is true"
    category: ClassVar = "data"
    pure: ClassVar = True
    unrendered: ClassVar[frozenset[str]] = frozenset({"condition"})
    own_names: ClassVar[frozenset[str]] = frozenset({"item", "index"})
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "items": _ITEMS,
            "condition": {
                "title": "Condition",
                "description": "One expression, with or without braces; sees item and index (from 0)",
                "type": "string",
                "minLength": 1,
                "examples": ["item.total > 100"],
            },
        },
        "items",
        "condition",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {"title": "The items that fit, in their order", "type": "array"}

    def run(self, config: JSONObject, context: Context) -> Outcome:
        items: list[JSONValue] = config["items"]
        condition = parse_condition(config["condition"])
        budget = Budget(_limits(len(items), condition.source_chars), context.now())
        scope = dict(context.scope)
        kept = []
        for index, item in enumerate(items):
            scope["item"], scope["index"] = item, index
            try:
                if condition.decide(scope, budget):
                    kept.append(item)
            except ExpressionError as error:
                return Failed(f"condition at items[{index}]: {error}", permanent=True)
        return Completed(kept)


def _limits(count: int, source_chars: int) -> Limits:
    one = Limits()
    return Limits(
        source_chars=one.source_chars + count * source_chars,
        steps=one.steps + count * STEPS_PER_ITEM,
        output_bytes=one.output_bytes + count * BYTES_PER_ITEM,
    )


class AggregateError(Exception):
    """An item does not fit the operation; the message names it."""


class Aggregate(Component):
    """One value out of many."""

    type: ClassVar = "aggregate"
    name: ClassVar = "Aggregate"
    description: ClassVar = "Sums, counts or collects a list, as a whole or by group"
    category: ClassVar = "data"
    pure: ClassVar = True
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "items": _ITEMS,
            "operation": {
                "title": "Operation",
                "description": "What is made of the items",
                "enum": ["sum", "avg", "min", "max", "count", "list"],
                "examples": ["sum"],
            },
            "field": {
                "title": "Field",
                "description": "The key, or the path with dots, that is read of each item; without it the item itself",
                "type": "string",
                "minLength": 1,
                "maxLength": 500,
                "examples": ["order.total"],
            },
            "group_by": {
                "title": "Group by",
                "description": "The key, or the path with dots, whose values are the groups",
                "type": "string",
                "minLength": 1,
                "maxLength": 500,
                "examples": ["country"],
            },
        },
        "items",
        "operation",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {"title": "The value; with group_by an object keyed by group"}

    def run(self, config: JSONObject, context: Context) -> Outcome:
        items: list[JSONValue] = config["items"]
        operation: str = config["operation"]
        try:
            values = list(_values(items, config.get("field"), operation))
            if "group_by" not in config:
                return Completed(OPERATIONS[operation]([value for _, value in values]))
            groups: dict[str, list[JSONValue]] = {}
            for index, item in enumerate(items):
                groups.setdefault(_group(item, index, config["group_by"]), [])
            for index, value in values:
                groups[_group(items[index], index, config["group_by"])].append(value)
            return Completed({group: OPERATIONS[operation](members) for group, members in groups.items()})
        except AggregateError as error:
            return Failed(str(error), permanent=True)


def _values(items: list[JSONValue], field: str | None, operation: str) -> Iterator[tuple[int, JSONValue]]:
    """(index, value) of each item that counts. Raises AggregateError."""
    for index, item in enumerate(items):
        found, value = (True, item) if field is None else _at(item, field)
        if operation == "list" or (operation == "count" and (field is None or value is not None)):
            yield index, value
        elif operation != "count":
            if not found:
                raise AggregateError(f"items[{index}] has no {field}; {operation} needs a number there")
            if isinstance(value, bool) or not isinstance(value, int | float):
                place = f"items[{index}]" if field is None else f"{field} of items[{index}]"
                raise AggregateError(f"{place} is {_kind(value)}; {operation} needs a number")
            yield index, value


def _at(item: JSONValue, path: str) -> tuple[bool, JSONValue]:
    """(whether it is there, the value) under a key, or a path of keys and list positions with dots."""
    if isinstance(item, dict) and path in item:
        return True, item[path]
    value = item
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isascii() and part.isdecimal() and int(part[:9]) < len(value):
            value = value[int(part[:9])]
        else:
            return False, None
    return True, value


def _group(item: JSONValue, index: int, path: str) -> str:
    found, value = _at(item, path)
    if not found:
        raise AggregateError(f"items[{index}] has no {path}; group_by needs it in each item")
    if isinstance(value, dict | list):
        raise AggregateError(f"{path} of items[{index}] is {_kind(value)}; group_by needs text, a number or a boolean")
    return value if isinstance(value, str) else dumps(value).decode()


def _kind(value: JSONValue) -> str:
    if value is None:
        return "null"
    kinds = {bool: "a boolean", str: "text", list: "a list", dict: "an object"}
    return kinds.get(type(value), "a number")


def _sum(values: list[JSONValue]) -> JSONValue:
    if all(isinstance(value, int) for value in values):
        return sum(values)
    try:
        return math.fsum(values)
    except OverflowError:
        raise AggregateError("The sum is too large for a number") from None


def _average(values: list[JSONValue]) -> JSONValue:
    if not values:
        return None
    try:
        return _sum(values) / len(values)
    except OverflowError:
        raise AggregateError("The average is too large for a number") from None


OPERATIONS: dict[str, Callable[[list[JSONValue]], JSONValue]] = {
    "sum": _sum,
    "avg": _average,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "count": len,
    "list": lambda values: values,
}
