"""Arithmetic, comparison and membership over JSON values, bounded before they are computed."""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from workflows.expressions.budget import Budget
from workflows.expressions.errors import ExpressionError
from workflows.expressions.values import (
    MAX_INTEGER,
    MIN_INTEGER,
    checked_number,
    equal,
    kind_of,
)

Operator = Callable[[Budget, object, object], object]


def number_operand(value: object, symbol: str) -> int | float:
    """The value as a number to calculate with. Raises ExpressionError if it is none."""
    if type(value) is float:
        if math.isfinite(value):
            return value
        raise ExpressionError("a number that is not finite is not JSON data")
    if type(value) is int:
        if MIN_INTEGER <= value <= MAX_INTEGER:
            return value
        raise ExpressionError(f"`{symbol}` can't take a whole number of more than 64 bits", kind="budget")
    raise ExpressionError(f"`{symbol}` needs numbers, not {kind_of(value)}")


def _numbers(left: object, right: object, symbol: str) -> tuple[int | float, int | float]:
    return number_operand(left, symbol), number_operand(right, symbol)


def _divisor(value: int | float, symbol: str) -> int | float:
    if value == 0:
        raise ExpressionError(f"`{symbol}` by zero")
    return value


def add(budget: Budget, left: object, right: object) -> object:
    """`left + right`: two numbers, two texts or two lists."""
    if type(left) is str and type(right) is str:
        budget.allocate_text(len(left) + len(right))
        return left + right
    if type(left) is list and type(right) is list:
        budget.allocate_list(len(left) + len(right))
        return left + right
    if type(left) is str or type(right) is str:
        raise ExpressionError(f"`+` can't add {kind_of(left)} and {kind_of(right)}; `~` joins any values as text")
    first, second = _numbers(left, right, "+")
    return checked_number(first + second)


def subtract(budget: Budget, left: object, right: object) -> object:
    """`left - right`, numbers only."""
    first, second = _numbers(left, right, "-")
    return checked_number(first - second)


def multiply(budget: Budget, left: object, right: object) -> object:
    """`left * right`: numbers, or a text or list repeated (`"ab" * 3`)."""
    if type(left) is int and type(right) is not int:
        left, right = right, left
    if type(left) is str and type(right) is int:
        number_operand(right, "*")
        budget.allocate_text(len(left) * max(right, 0))
        return left * right
    if type(left) is list and type(right) is int:
        number_operand(right, "*")
        budget.allocate_list(len(left) * max(right, 0))
        return left * right
    first, second = _numbers(left, right, "*")
    return checked_number(first * second)


def divide(budget: Budget, left: object, right: object) -> object:
    """`left / right`, always with a fractional part."""
    first, second = _numbers(left, right, "/")
    return checked_number(first / _divisor(second, "/"))


def floor_divide(budget: Budget, left: object, right: object) -> object:
    """`left // right`, rounded towards minus infinity."""
    first, second = _numbers(left, right, "//")
    return checked_number(first // _divisor(second, "//"))


def modulo(budget: Budget, left: object, right: object) -> object:
    """`left % right`, with the sign of `right`. Numbers only: `%` never formats text."""
    first, second = _numbers(left, right, "%")
    return checked_number(first % _divisor(second, "%"))


def power(budget: Budget, left: object, right: object) -> object:
    """`left ** right`. The size of a whole result is estimated before it is computed."""
    base, exponent = _numbers(left, right, "**")
    if isinstance(base, int) and isinstance(exponent, int) and (base.bit_length() - 1) * exponent > 64:
        raise ExpressionError("the result is a whole number of more than 64 bits", kind="budget")
    try:
        result = base**exponent
    except ZeroDivisionError:
        raise ExpressionError("zero can't be raised to a negative power") from None
    except OverflowError:
        raise ExpressionError("the result is too large for a number", kind="budget") from None
    if isinstance(result, complex):
        raise ExpressionError("a negative number has no fractional power")
    return checked_number(result)


def _order(symbol: str, compare: Callable[[Any, Any], bool]) -> Operator:
    # Any: Python's comparison takes anything; here only two numbers or two texts arrive at it.
    def ordered(budget: Budget, left: object, right: object) -> bool:
        if type(left) is str and type(right) is str:
            budget.spend(min(len(left), len(right)) >> 8)
        elif not (kind_of(left) == kind_of(right) == "number"):
            raise ExpressionError(f"`{symbol}` can't compare {kind_of(left)} with {kind_of(right)}")
        return compare(left, right)

    return ordered


def is_equal(budget: Budget, left: object, right: object) -> bool:
    """`left == right`, see `values.equal`."""
    return equal(left, right, budget)


def is_unequal(budget: Budget, left: object, right: object) -> bool:
    """`left != right`."""
    return not equal(left, right, budget)


def is_in(budget: Budget, left: object, right: object) -> bool:
    """`left in right`: an item of a list, a key of an object, a part of a text."""
    if type(right) is list:
        return any(equal(left, item, budget) for item in right)
    if type(right) is not str and not isinstance(right, Mapping):
        raise ExpressionError(f"`in` can't look into {kind_of(right)}")
    if type(left) is not str:
        raise ExpressionError(f"`in` can't look for {kind_of(left)} in {kind_of(right)}")
    if type(right) is str:
        budget.spend(len(right) >> 8)
    return left in right


def is_not_in(budget: Budget, left: object, right: object) -> bool:
    """`left not in right`."""
    return not is_in(budget, left, right)


COMPARISONS: Final[dict[str, Operator]] = {
    "eq": is_equal,
    "ne": is_unequal,
    "lt": _order("<", operator.lt),
    "lteq": _order("<=", operator.le),
    "gt": _order(">", operator.gt),
    "gteq": _order(">=", operator.ge),
    "in": is_in,
    "notin": is_not_in,
}
"""By the name of the operator in Jinja2's `Operand` nodes."""
