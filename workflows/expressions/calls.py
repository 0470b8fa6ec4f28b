"""What an expression may call: filters, tests and functions, checked with their arguments when parsing."""

import difflib
from collections.abc import Collection
from typing import Final

from jinja2 import nodes

from workflows.expressions.errors import ExpressionError
from workflows.expressions.filters import ATTRIBUTE_FILTERS, FILTERS, NAMING_FILTERS, TESTING_FILTERS
from workflows.expressions.functions import FUNCTIONS
from workflows.expressions.operations import Operation
from workflows.expressions.predicates import TESTS

# What users of other languages reach for first.
_METHODS: Final = {
    "strip": "trim",
    "get": "default",
    "toUpperCase": "upper",
    "toLowerCase": "lower",
    "format": "replace",
    "size": "length",
    "count": "length",
    "toString": "string",
    "stringify": "tojson",
    "parse": "fromjson",
    "update": "merge",
    "filter": "select",
}


def check_call(node: nodes.Filter | nodes.Test | nodes.Call) -> None:
    """Check that what is called exists and takes these arguments. Raises ExpressionError with advice."""
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise ExpressionError("`*` and `**` can't spread arguments", kind="syntax")
    keywords = [str(keyword.key) for keyword in node.kwargs]
    if isinstance(node, nodes.Call):
        name = _called_name(node.node)
        _check_arguments(f"function `{name}`", FUNCTIONS[name], len(node.args), keywords)
    elif isinstance(node, nodes.Test):
        _check_arguments(f"test `{node.name}`", _known("test", node.name, TESTS), len(node.args), keywords)
    elif node.name in TESTING_FILTERS:
        _check_testing_filter(node, keywords)
    elif node.name == "map":
        _check_map(node, keywords)
    else:
        _check_arguments(
            f"filter `{node.name}`",
            _known("filter", node.name, FILTERS, NAMING_FILTERS),
            len(node.args),
            keywords,
        )


def _called_name(callee: nodes.Expr) -> str:
    """The name of the function that is called. Raises ExpressionError, with advice, if it is none."""
    if isinstance(callee, nodes.Name):
        if callee.name in FUNCTIONS:
            return callee.name
        advice = (
            f"`{callee.name}` is a filter: write `value | {callee.name}`"
            if callee.name in FILTERS or callee.name in NAMING_FILTERS
            else f"the functions are {', '.join(f'`{name}`' for name in FUNCTIONS)}"
        )
        raise ExpressionError(f"unknown function `{callee.name[:50]}`; {advice}", kind="syntax")
    if isinstance(callee, nodes.Getattr):
        names = [*FILTERS, *NAMING_FILTERS]
        close = [_METHODS[callee.attr]] if callee.attr in _METHODS else _close(callee.attr, names)
        advice = f"; use the filter `| {close[0]}`" if close else ""
        raise ExpressionError(f"methods can't be called: `.{callee.attr[:50]}()`{advice}", kind="syntax")
    raise ExpressionError("only functions can be called", kind="syntax")


def _known(what: str, name: str, operations: dict[str, Operation], others: frozenset[str] = frozenset()) -> Operation:
    operation = operations.get(name)
    if operation is None:
        close = _close(name, [*operations, *others])
        advice = f"; did you mean `{close[0]}`?" if close else ""
        raise ExpressionError(f"unknown {what} `{name[:50]}`{advice}", kind="syntax")
    return operation


def _close(name: str, names: Collection[str]) -> list[str]:
    return difflib.get_close_matches(name[:50], names, n=1)


def _check_arguments(what: str, operation: Operation, positional: int, keywords: list[str]) -> None:
    misfit = operation.misfit(positional, keywords)
    if misfit:
        raise ExpressionError(f"{what} {misfit}", kind="syntax")


def _literal_name(node: nodes.Filter, position: int, what: str) -> str:
    argument = node.args[position]
    if isinstance(argument, nodes.Const) and isinstance(argument.value, str):
        return argument.value
    raise ExpressionError(f"filter `{node.name}` needs the name of a {what} in quotes", kind="syntax")


def _check_map(node: nodes.Filter, keywords: list[str]) -> None:
    if not node.args:
        if "attribute" not in keywords or not set(keywords) <= {"attribute", "default"}:
            raise ExpressionError(
                "filter `map` needs the name of a filter in quotes, or `attribute=` (and `default=`)",
                kind="syntax",
            )
        return
    name = _literal_name(node, 0, "filter")
    operation = _known("filter", name, FILTERS)
    _check_arguments(f"filter `{name}`", operation, len(node.args) - 1, keywords)


def _check_testing_filter(node: nodes.Filter, keywords: list[str]) -> None:
    first = 1 if node.name in ATTRIBUTE_FILTERS else 0
    if keywords:
        raise ExpressionError(f"filter `{node.name}` takes no named arguments", kind="syntax")
    if len(node.args) < first:
        raise ExpressionError(f"filter `{node.name}` needs the key to look at", kind="syntax")
    if len(node.args) > first:
        name = _literal_name(node, first, "test")
        _check_arguments(f"test `{name}`", _known("test", name, TESTS), len(node.args) - first - 1, keywords)
