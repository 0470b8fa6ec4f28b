"""The functions of the language: `now()` and `range()`."""

from typing import Final

from workflows.expressions.budget import Budget
from workflows.expressions.dates import to_iso
from workflows.expressions.errors import ExpressionError
from workflows.expressions.operations import NOT_GIVEN, Operation
from workflows.expressions.operators import number_operand
from workflows.expressions.text_filters import whole_of

MAX_RANGE: Final = 10_000


def now(budget: Budget) -> str:
    """The time of this evaluation, the same for all expressions in it, as ISO 8601 in UTC."""
    return to_iso(budget.now)


def number_range(budget: Budget, start: object, stop: object = NOT_GIVEN, step: object = 1) -> list[int]:
    """Whole numbers from `start` up to but not including `stop`, at most 10,000; `range(n)` starts at 0."""
    if stop is NOT_GIVEN:
        start, stop = 0, start
    bounds = []
    for bound, name in ((start, "start"), (stop, "stop"), (step, "step")):
        number_operand(bound, "range")
        bounds.append(whole_of(bound, "range", name))
    if bounds[2] == 0:
        raise ExpressionError("`range` needs a step other than 0")
    numbers = range(*bounds)
    # Not len(): it fails on more than 63 bits.
    if numbers and (numbers[-1] - numbers[0]) // bounds[2] >= MAX_RANGE:
        raise ExpressionError(f"`range` makes at most {MAX_RANGE:,} numbers", kind="budget")
    budget.allocate_list(4 * len(numbers))
    return list(numbers)


FUNCTIONS: Final = {
    "now": Operation.of(now, given=1),
    "range": Operation.of(number_range, given=1),
}
