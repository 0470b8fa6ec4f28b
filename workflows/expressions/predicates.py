"""The tests behind `is`, and behind `select`, `reject`, `selectattr` and `rejectattr`."""

from collections.abc import Callable
from typing import Final

from workflows.expressions.budget import Budget
from workflows.expressions.errors import ExpressionError
from workflows.expressions.operations import Operation
from workflows.expressions.operators import COMPARISONS, modulo
from workflows.expressions.values import Undefined, kind_of


def _of_kind(kind: str) -> Callable[[Budget, object], bool]:
    return lambda budget, value: kind_of(value) == kind


def _integer(budget: Budget, value: object) -> bool:
    return type(value) is int


def _float(budget: Budget, value: object) -> bool:
    return type(value) is float


def _true(budget: Budget, value: object) -> bool:
    return value is True


def _false(budget: Budget, value: object) -> bool:
    return value is False


def _sequence(budget: Budget, value: object) -> bool:
    return kind_of(value) in ("text", "list")


def _iterable(budget: Budget, value: object) -> bool:
    return kind_of(value) in ("text", "list", "object")


def _defined(budget: Budget, value: object) -> bool:
    return not isinstance(value, Undefined)


def _undefined(budget: Budget, value: object) -> bool:
    return isinstance(value, Undefined)


def _divisible_by(budget: Budget, value: object, number: object) -> bool:
    return modulo(budget, value, number) == 0


def _odd(budget: Budget, value: object) -> bool:
    return modulo(budget, value, 2) == 1


def _lower(budget: Budget, value: object) -> bool:
    return _text(budget, value, "lower").islower()


def _upper(budget: Budget, value: object) -> bool:
    return _text(budget, value, "upper").isupper()


def _even(budget: Budget, value: object) -> bool:
    return modulo(budget, value, 2) == 0


def _text(budget: Budget, value: object, name: str) -> str:
    if type(value) is not str:
        raise ExpressionError(f"test `{name}` needs text, not {kind_of(value)}")
    budget.spend(len(value) >> 8)
    return value


_FUNCTIONS: Final[dict[str, Callable[..., object]]] = {
    "defined": _defined,
    "undefined": _undefined,
    "none": _of_kind("null"),
    "boolean": _of_kind("boolean"),
    "number": _of_kind("number"),
    "string": _of_kind("text"),
    "mapping": _of_kind("object"),
    "integer": _integer,
    "float": _float,
    "true": _true,
    "false": _false,
    "sequence": _sequence,
    "iterable": _iterable,
    "odd": _odd,
    "even": _even,
    "divisibleby": _divisible_by,
    "lower": _lower,
    "upper": _upper,
    **dict.fromkeys(["eq", "equalto", "=="], COMPARISONS["eq"]),
    **dict.fromkeys(["ne", "!="], COMPARISONS["ne"]),
    **dict.fromkeys(["lt", "lessthan", "<"], COMPARISONS["lt"]),
    **dict.fromkeys(["le", "<="], COMPARISONS["lteq"]),
    **dict.fromkeys(["gt", "greaterthan", ">"], COMPARISONS["gt"]),
    **dict.fromkeys(["ge", ">="], COMPARISONS["gteq"]),
    "in": COMPARISONS["in"],
}

TESTS: Final = {name: Operation.of(function, given=2) for name, function in _FUNCTIONS.items()}
TAKING_UNDEFINED: Final = frozenset({"defined", "undefined"})
"""The tests that may be asked about what is not there; for all others that is an error."""
