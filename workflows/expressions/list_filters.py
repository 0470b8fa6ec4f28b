"""Filters on lists and objects."""

import math
from collections.abc import Mapping
from typing import Any, Final

from workflows.expressions.budget import Budget
from workflows.expressions.errors import ExpressionError
from workflows.expressions.operations import NOT_GIVEN
from workflows.expressions.operators import number_operand
from workflows.expressions.text_filters import text_of
from workflows.expressions.values import (
    Undefined,
    checked_number,
    defined,
    identity,
    kind_of,
    to_text,
    truth,
)

MAX_PATH_CHARS: Final = 200
# An object in a list: its own memory and that of its place.
OBJECT_BYTES: Final = 240
KEY_BYTES: Final = 100


def list_of(budget: Budget, value: object, name: str) -> list[object]:
    """The value, which must be a list; one step is taken per item. Raises ExpressionError."""
    if type(value) is not list:
        advice = "; `keys`, `values` or `items` make one" if isinstance(value, Mapping) else ""
        raise ExpressionError(f"filter `{name}` needs a list, not {kind_of(value)}{advice}")
    budget.spend(1 + len(value))
    return value


def object_of(budget: Budget, value: object, name: str) -> Mapping[str, object]:
    """The value, which must be an object; one step is taken per key. Raises ExpressionError."""
    if not isinstance(value, Mapping):
        raise ExpressionError(f"filter `{name}` needs an object, not {kind_of(value)}")
    budget.spend(1 + len(value))
    return value


def item_at(value: object, key: object) -> object:
    """The item of a list, character of a text or value of an object; Undefined, with the reason, if none.

    Reads JSON keys and list items, nothing else ever.
    """
    if type(key) is str:
        if isinstance(value, Mapping):
            try:
                return value[key]
            except KeyError:
                return Undefined("the object has no such key")
        return Undefined(f"{kind_of(value)} has no keys")
    if type(key) is not int:
        raise ExpressionError(f"a key is text and an index a whole number, not {kind_of(key)}")
    if type(value) is list or type(value) is str:
        try:
            return value[key]
        except IndexError:
            return Undefined(f"the {kind_of(value)} is shorter")
    return Undefined(f"{kind_of(value)} has no index")


def path_of(attribute: object, name: str) -> list[str | int]:
    """The steps of an `attribute`: an index, or keys and indexes joined by dots. Raises ExpressionError."""
    if type(attribute) is int:
        return [attribute]
    path = text_of(attribute, name, "attribute")
    if len(path) > MAX_PATH_CHARS:
        raise ExpressionError(f"an attribute is limited to {MAX_PATH_CHARS} characters", kind="budget")
    return list(path.split("."))


def attribute_of(budget: Budget, item: object, path: list[str | int]) -> object:
    """What stands at a path inside an item, Undefined where nothing does."""
    budget.spend(len(path))
    for key in path:
        # Digits are a key of an object, and the place in a list or text.
        is_place = type(key) is str and not isinstance(item, Mapping) and key.isascii() and key.isdigit()
        item = item_at(item, int(key) if is_place else key)
        if isinstance(item, Undefined):
            budget.spend(8)
            return Undefined(f"an item has no attribute `{'.'.join(map(str, path))}`: {item.message}")
    return item


def _keyed(budget: Budget, value: object, attribute: object, name: str) -> tuple[list[object], list[object]]:
    """The items and what to judge them by: themselves or an attribute, which each must have."""
    items = list_of(budget, value, name)
    if attribute is None:
        return items, items
    path = path_of(attribute, name)
    budget.allocate_list(len(items))
    return items, [defined(attribute_of(budget, item, path)) for item in items]


def _comparable(budget: Budget, keys: list[object], name: str, rounds: int = 8) -> list[Any]:
    """The keys, all numbers or all text (so Any), when the cost of comparing all `rounds` times is taken."""
    budget.spend(len(keys))
    kinds = {kind_of(key) for key in keys}
    if not kinds <= {"number"} and not kinds <= {"text"}:
        raise ExpressionError(f"filter `{name}` needs only numbers or only text, not {' and '.join(sorted(kinds))}")
    chars = sum(len(key) for key in keys if type(key) is str)
    # Python compares about eight pairs, or 2,048 characters, in the time of a step.
    budget.spend(rounds * (len(keys) + (chars >> 8)) >> 3)
    return keys


def length(budget: Budget, value: object) -> int:
    """Characters of a text, items of a list, keys of an object."""
    if type(value) is not str and type(value) is not list and not isinstance(value, Mapping):
        raise ExpressionError(f"filter `length` needs text, a list or an object, not {kind_of(value)}")
    return len(value)


def join(budget: Budget, value: object, separator: object = "", attribute: object = None) -> str:
    """The items as text with the separator between them."""
    between = text_of(separator, "join", "separator")
    keys = _keyed(budget, value, attribute, "join")[1]
    budget.allocate_list(len(keys))
    texts = [to_text(key, budget) for key in keys]
    budget.allocate_text(sum(map(len, texts)) + len(between) * max(len(texts) - 1, 0))
    return between.join(texts)


def first(budget: Budget, value: object) -> object:
    """The first item or character; undefined if there is none."""
    return _end(value, 0, "first")


def last(budget: Budget, value: object) -> object:
    """The last item or character; undefined if there is none."""
    return _end(value, -1, "last")


def _end(value: object, index: int, name: str) -> object:
    if type(value) is not list and type(value) is not str:
        raise ExpressionError(f"filter `{name}` needs a list or text, not {kind_of(value)}")
    return value[index] if value else Undefined(f"`{name}` of an empty {kind_of(value)} is undefined")


def total(budget: Budget, value: object, attribute: object = None) -> int | float:
    """The sum of numbers; 0 of none."""
    numbers = [number_operand(key, "sum") for key in _keyed(budget, value, attribute, "sum")[1]]
    if all(isinstance(number, int) for number in numbers):
        return checked_number(sum(numbers))
    try:
        # Rounds once, at the end, and the same in every version of Python.
        return math.fsum(numbers)
    except OverflowError:
        raise ExpressionError("the result is too large for a number", kind="budget") from None


def smallest(budget: Budget, value: object, attribute: object = None) -> object:
    """The smallest item, by itself or by an attribute; undefined of an empty list."""
    items, keys = _keyed(budget, value, attribute, "min")
    comparable = _comparable(budget, keys, "min")
    if not items:
        return Undefined("`min` of an empty list is undefined")
    return items[min(range(len(items)), key=comparable.__getitem__)]


def largest(budget: Budget, value: object, attribute: object = None) -> object:
    """The largest item, by itself or by an attribute; undefined of an empty list."""
    items, keys = _keyed(budget, value, attribute, "max")
    comparable = _comparable(budget, keys, "max")
    if not items:
        return Undefined("`max` of an empty list is undefined")
    return items[max(range(len(items)), key=comparable.__getitem__)]


def sort(budget: Budget, value: object, reverse: object = False, attribute: object = None) -> list[object]:
    """The items in ascending order, or descending; equal ones stay in their order."""
    items, keys = _keyed(budget, value, attribute, "sort")
    comparable = _comparable(budget, keys, "sort", rounds=len(keys).bit_length())
    budget.allocate_list(2 * len(items))
    order = sorted(range(len(items)), key=comparable.__getitem__, reverse=truth(reverse))
    return [items[index] for index in order]


def unique(budget: Budget, value: object, attribute: object = None) -> list[object]:
    """The items without those equal to an earlier one."""
    items, keys = _keyed(budget, value, attribute, "unique")
    budget.allocate_list(len(items))
    found: dict[str, object] = {}
    for item, key in zip(items, keys, strict=True):
        found.setdefault(_identity(budget, key), item)
    return list(found.values())


def _identity(budget: Budget, key: object) -> str:
    text = identity(key, budget)
    budget.spend(2)
    budget.allocate(len(text) + KEY_BYTES)
    return text


def group(budget: Budget, value: object, attribute: object, default: object = NOT_GIVEN) -> list[dict[str, object]]:
    """`[{"key": …, "items": […]}]` by an attribute, in the order in which the keys first appear."""
    items = list_of(budget, value, "groupby")
    path = path_of(attribute, "groupby")
    budget.allocate_list(len(items))
    groups: dict[str, tuple[object, list[object]]] = {}
    for item in items:
        key = attribute_of(budget, item, path)
        if isinstance(key, Undefined) and default is not NOT_GIVEN:
            key = default
        groups.setdefault(_identity(budget, defined(key)), (key, []))[1].append(item)
    budget.allocate(OBJECT_BYTES * len(groups))
    return [{"key": key, "items": members} for key, members in groups.values()]


def reverse(budget: Budget, value: object) -> str | list[object]:
    """The list or text backwards."""
    if type(value) is str:
        budget.allocate_text(len(value))
        return value[::-1]
    items = list_of(budget, value, "reverse")
    budget.allocate_list(len(items))
    return items[::-1]


def keys(budget: Budget, value: object) -> list[str]:
    """The keys of an object, in its order."""
    mapping = object_of(budget, value, "keys")
    budget.allocate_list(len(mapping))
    return list(mapping)


def values(budget: Budget, value: object) -> list[object]:
    """The values of an object, in its order."""
    mapping = object_of(budget, value, "values")
    budget.allocate_list(len(mapping))
    return [mapping[key] for key in mapping]


def items(budget: Budget, value: object) -> list[list[object]]:
    """The `[key, value]` pairs of an object, in its order."""
    mapping = object_of(budget, value, "items")
    budget.allocate(KEY_BYTES * len(mapping))
    return [[key, mapping[key]] for key in mapping]


def merge(budget: Budget, value: object, other: object) -> dict[str, object]:
    """The keys of both objects; where both have one, the value of the other."""
    mine, theirs = object_of(budget, value, "merge"), object_of(budget, other, "merge")
    budget.allocate(KEY_BYTES * (len(mine) + len(theirs)))
    return {**mine, **theirs}
