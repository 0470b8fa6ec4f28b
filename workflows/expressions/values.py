"""JSON values inside expressions: kinds, truth, equality, order, text, and what is undefined."""

import json
import math
from collections.abc import Mapping
from typing import Final, TypeAlias

from workflows.expressions.budget import Budget
from workflows.expressions.errors import ExpressionError

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**63 - 1
# Whole numbers that only pass through may be larger than those that are calculated with, as long as
# writing them out stays cheap (writing is quadratic in the digits, and Python refuses over 4,300).
MAX_PASSING_BITS: Final = 1024

_KINDS: Final[dict[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "text",
    list: "list",
    dict: "object",
}

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_encode_sorted = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, sort_keys=True).encode


class Undefined:
    """What is not there: an unknown name, a missing key or item. Only `default` and `is defined` take it."""

    __slots__ = ("message",)

    def __init__(self, message: str) -> None:
        self.message = message

    def error(self) -> ExpressionError:
        """The error of using it."""
        return ExpressionError(self.message, kind="undefined")


def defined(value: object) -> object:
    """The value. Raises ExpressionError (undefined) if it is not there."""
    if isinstance(value, Undefined):
        raise value.error()
    return value


def kind_of(value: object) -> str:
    """`null`, `boolean`, `number`, `text`, `list` or `object`. Raises ExpressionError for anything else.

    Exact types only: a subclass may bring its own behaviour, and that is the host's, not the data's.
    """
    kind = _KINDS.get(type(value))
    if kind is None:
        if not isinstance(value, Mapping):
            raise _not_json(value)
        kind = "object"
    return kind


def _not_json(value: object) -> ExpressionError:
    return ExpressionError(f"a value of type {type(value).__name__} is not JSON data")


def truth(value: object) -> bool:
    """Truth as in Python: null, false, 0 and what is empty are false."""
    kind_of(value)
    return bool(value)


def equal(left: object, right: object, budget: Budget) -> bool:
    """JSON equality: 1 equals 1.0, true does not equal 1; lists and objects by content.

    Walks by itself, counting steps: comparing two large values by `==` would be one step of any length.
    """
    pairs = [(left, right)]
    while pairs:
        left, right = pairs.pop()
        budget.spend(1)
        if kind_of(left) != kind_of(right):
            return False
        if isinstance(left, list) and isinstance(right, list):
            if len(left) != len(right):
                return False
            budget.spend(3 * len(left))
            pairs.extend(zip(left, right, strict=True))
        elif isinstance(left, Mapping) and isinstance(right, Mapping):
            if len(left) != len(right):
                return False
            budget.spend(3 * len(left))
            for key in left:
                if key not in right:
                    return False
                pairs.append((left[key], right[key]))
        else:
            if isinstance(left, str):
                budget.spend(len(left) >> 8)
            if left != right:
                return False
    return True


def identity(value: object, budget: Budget) -> str:
    """A text that two values share exactly when they are equal.

    A text, because Python hashes those with a random key: a set of numbers or tuples that somebody chose
    can be made to collide.
    """
    if type(value) is str:
        return f'"{value}'  # no JSON of another kind starts with a quote
    if type(value) is int and MIN_INTEGER <= value <= MAX_INTEGER:
        return str(value)
    steps_before = budget.steps_left
    copy = plain(value, budget)
    # Two more walks follow.
    budget.spend(8 + 4 * (steps_before - budget.steps_left))
    return _encode_sorted(_with_whole_floats_as_integers(copy))


def _with_whole_floats_as_integers(value: JSON) -> JSON:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_with_whole_floats_as_integers(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_whole_floats_as_integers(item) for key, item in value.items()}
    return value


def checked_number(number: int | float) -> int | float:
    """The result of a calculation. Raises ExpressionError (budget) beyond 64 bits or the largest float."""
    if isinstance(number, int):
        if MIN_INTEGER <= number <= MAX_INTEGER:
            return number
        raise ExpressionError("the result is a whole number of more than 64 bits", kind="budget")
    if math.isfinite(number):
        return number
    raise ExpressionError("the result is too large for a number", kind="budget")


def checked_text(value: str, where: str) -> str:
    """A text that an expression makes. Raises ExpressionError if no JSON store could hold it."""
    if "\0" in value:
        raise ExpressionError(f"{where} holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ExpressionError(f"{where} holds half a surrogate pair, which is no character") from None
    return value


def to_text(value: object, budget: Budget) -> str:
    """The text of a value between other text: text as it is, null as "", the rest as compact JSON."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    return to_json(value, budget)


def to_json(value: object, budget: Budget) -> str:
    """Compact JSON. Raises ExpressionError for what is not JSON or too large."""
    budget.spend(4)
    text = _encode(plain(value, budget))
    budget.allocate_text(len(text))
    return text


def plain(value: object, budget: Budget) -> JSON:
    """A copy of a value as plain JSON data, its cost taken from the budget.

    Raises ExpressionError for anything that is not JSON: other types, keys that are not text, numbers
    that are not finite, nesting deeper than the limit.
    """
    return _plain(value, budget, budget.limits.depth)


def _plain(value: object, budget: Budget, depth_left: int) -> JSON:
    if type(value) is str:
        budget.allocate(len(value) + 8)
        return value
    if value is None or type(value) is bool or type(value) is int or type(value) is float:
        budget.allocate(12)
        return _passing_number(value)
    if depth_left == 0:
        raise ExpressionError(f"the value is nested deeper than {budget.limits.depth}", kind="budget")
    if type(value) is list:
        budget.spend(1 + (len(value) >> 1))
        budget.allocate(2 + 4 * len(value))
        # Most items of long lists are whole numbers: they are not worth a call each.
        return [
            item if type(item) is int and MIN_INTEGER <= item <= MAX_INTEGER else _plain(item, budget, depth_left - 1)
            for item in value
        ]
    if isinstance(value, Mapping):
        budget.spend(1 + (len(value) >> 1))
        copy: dict[str, JSON] = {}
        for key in value:
            if type(key) is not str:
                raise ExpressionError("an object's keys must be text")
            budget.allocate(len(key) + 4)
            copy[key] = _plain(value[key], budget, depth_left - 1)
        return copy
    raise _not_json(value)


def _passing_number(number: int | float | None) -> int | float | None:
    if isinstance(number, float):
        if not math.isfinite(number):
            raise ExpressionError("a number that is not finite is not JSON data")
    elif number is not None and number.bit_length() > MAX_PASSING_BITS:
        raise ExpressionError("a whole number is too long", kind="budget")
    return number
