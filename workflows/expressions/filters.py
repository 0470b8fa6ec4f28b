"""The table of filters, and the filters that take the name of a filter or test: map, select, reject."""

from collections.abc import Callable
from typing import Final

from workflows.expressions import list_filters, text_filters
from workflows.expressions.budget import Budget
from workflows.expressions.list_filters import attribute_of, list_of, path_of
from workflows.expressions.operations import NOT_GIVEN, Operation
from workflows.expressions.predicates import TAKING_UNDEFINED, TESTS
from workflows.expressions.values import Undefined, defined, truth

_FUNCTIONS: Final[dict[str, Callable[..., object]]] = {
    "default": text_filters.default,
    "length": list_filters.length,
    "lower": text_filters.lower,
    "upper": text_filters.upper,
    "trim": text_filters.trim,
    "replace": text_filters.replace,
    "split": text_filters.split,
    "join": list_filters.join,
    "first": list_filters.first,
    "last": list_filters.last,
    "sum": list_filters.total,
    "min": list_filters.smallest,
    "max": list_filters.largest,
    "round": text_filters.round_number,
    "abs": text_filters.absolute,
    "int": text_filters.to_int,
    "float": text_filters.to_float,
    "string": text_filters.string,
    "bool": text_filters.to_bool,
    "sort": list_filters.sort,
    "unique": list_filters.unique,
    "reverse": list_filters.reverse,
    "groupby": list_filters.group,
    "keys": list_filters.keys,
    "values": list_filters.values,
    "items": list_filters.items,
    "merge": list_filters.merge,
    "tojson": text_filters.tojson,
    "fromjson": text_filters.fromjson,
    "b64encode": text_filters.b64encode,
    "b64decode": text_filters.b64decode,
    "urlencode": text_filters.urlencode,
    "date": text_filters.date,
}

FILTERS: Final = {name: Operation.of(function, given=2) for name, function in _FUNCTIONS.items()}
ATTRIBUTE_FILTERS: Final = frozenset({"selectattr", "rejectattr"})
TESTING_FILTERS: Final = frozenset({"select", "reject"}) | ATTRIBUTE_FILTERS
"""The filters that keep or drop the items that pass a test."""
NAMING_FILTERS: Final = TESTING_FILTERS | {"map"}
"""The filters that take the name of another filter or of a test, which is checked on parsing."""


def apply_naming_filter(
    budget: Budget, name: str, value: object, arguments: list[object], keywords: dict[str, object]
) -> list[object]:
    """The result of one of NAMING_FILTERS. The arguments are known to fit."""
    items = list_of(budget, value, name)
    budget.allocate_list(len(items))
    if name == "map":
        return _map(budget, items, arguments, keywords)
    return _keep(budget, items, arguments, by=name)


def _map(budget: Budget, items: list[object], arguments: list[object], keywords: dict[str, object]) -> list[object]:
    if arguments:
        function = FILTERS[str(arguments[0])].function
        return [defined(function(budget, item, *arguments[1:], **keywords)) for item in items]
    attribute, default = keywords["attribute"], keywords.get("default", NOT_GIVEN)
    path = path_of(attribute, "map")
    found = [attribute_of(budget, item, path) for item in items]
    if default is not NOT_GIVEN:
        return [default if isinstance(item, Undefined) else item for item in found]
    return [defined(item) for item in found]


def _keep(budget: Budget, items: list[object], arguments: list[object], by: str) -> list[object]:
    wanted = by in ("select", "selectattr")
    subjects = items
    if by in ATTRIBUTE_FILTERS:
        attribute, *arguments = arguments
        path = path_of(attribute, by)
        budget.allocate_list(len(items))
        subjects = [attribute_of(budget, item, path) for item in items]
    if not arguments:
        return [item for item, subject in zip(items, subjects, strict=True) if truth(defined(subject)) is wanted]
    test, *others = arguments
    function = TESTS[str(test)].function
    if test not in TAKING_UNDEFINED:
        subjects = [defined(subject) for subject in subjects]
    return [item for item, subject in zip(items, subjects, strict=True) if function(budget, subject, *others) is wanted]
