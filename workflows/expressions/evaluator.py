"""The tree walker: one function for each allowed node type, over JSON data only."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2 import nodes

from workflows.expressions import operators
from workflows.expressions.budget import Budget
from workflows.expressions.errors import MAX_QUOTED_CHARS, ExpressionError
from workflows.expressions.filters import FILTERS, NAMING_FILTERS, apply_naming_filter
from workflows.expressions.functions import FUNCTIONS
from workflows.expressions.list_filters import KEY_BYTES, item_at
from workflows.expressions.operators import COMPARISONS, number_operand
from workflows.expressions.predicates import TAKING_UNDEFINED, TESTS
from workflows.expressions.values import Undefined, checked_number, kind_of, to_text, truth

# The node's type is fixed by the table at the end; a signature can't say so.
Node = Any


class Run:
    """One evaluation: the scope that names are looked up in, and the budget."""

    __slots__ = ("budget", "scope")

    def __init__(self, scope: Mapping[str, object], budget: Budget) -> None:
        self.scope = scope
        self.budget = budget


def evaluate(node: nodes.Node, run: Run) -> object:
    """The value of a checked expression. Raises ExpressionError, also if it is undefined."""
    value = EVALUATORS[type(node)](node, run)
    if type(value) is Undefined:
        raise value.error()
    return value


def described(node: nodes.Node) -> str:
    """The expression, for messages, as far as it is a path. Names the parts as written, never values."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return f"{described(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem):
        return f"{described(node.node)}[{described(node.arg)}]"
    if isinstance(node, nodes.Const):
        return repr(node.value)
    if isinstance(node, nodes.Neg):
        return f"-{described(node.node)}"
    return "…"


def _name(node: Node, run: Run) -> object:
    try:
        return run.scope[node.name]
    except KeyError:
        return Undefined(f"`{node.name[:MAX_QUOTED_CHARS]}` is undefined")


def _const(node: Node, run: Run) -> object:
    return node.value


def _list(node: Node, run: Run) -> object:
    run.budget.allocate_list(len(node.items))
    return [evaluate(item, run) for item in node.items]


def _dict(node: Node, run: Run) -> object:
    run.budget.allocate(KEY_BYTES * (1 + len(node.items)))
    result: dict[str, object] = {}
    for pair in node.items:
        key = evaluate(pair.key, run)
        if type(key) is not str:
            raise ExpressionError(f"an object's keys must be text, not {kind_of(key)}")
        result[key] = evaluate(pair.value, run)
    return result


def _getattr(node: Node, run: Run) -> object:
    value = EVALUATORS[type(node.node)](node.node, run)
    if type(value) is Undefined:
        return value
    return _found(value, node.attr, node)


def _getitem(node: Node, run: Run) -> object:
    value = EVALUATORS[type(node.node)](node.node, run)
    if type(value) is Undefined:
        return value
    if type(node.arg) is nodes.Slice:
        return _slice(value, node.arg, run)
    return _found(value, evaluate(node.arg, run), node)


def _found(value: object, key: object, node: Node) -> object:
    found = item_at(value, key)
    if type(found) is Undefined:
        return Undefined(f"`{described(node)[:MAX_QUOTED_CHARS]}` is undefined: {found.message}")
    return found


def _slice(value: object, node: nodes.Slice, run: Run) -> object:
    bounds = []
    for part in (node.start, node.stop, node.step):
        bound = None if part is None else evaluate(part, run)
        if bound is not None and type(bound) is not int:
            raise ExpressionError(f"a slice needs whole numbers, not {kind_of(bound)}")
        bounds.append(bound)
    if bounds[2] == 0:
        raise ExpressionError("a slice needs a step other than 0")
    span = slice(*bounds)
    if type(value) is list:
        run.budget.allocate_list(len(range(*span.indices(len(value)))))
        return value[span]
    if type(value) is str:
        run.budget.allocate_text(len(range(*span.indices(len(value)))))
        return value[span]
    raise ExpressionError(f"{kind_of(value)} can't be sliced, only a list or text")


def _not(node: Node, run: Run) -> object:
    return not truth(evaluate(node.node, run))


def _negative(node: Node, run: Run) -> object:
    return checked_number(-number_operand(evaluate(node.node, run), "-"))


def _positive(node: Node, run: Run) -> object:
    return number_operand(evaluate(node.node, run), "+")


def _and(node: Node, run: Run) -> object:
    left = evaluate(node.left, run)
    return evaluate(node.right, run) if truth(left) else left


def _or(node: Node, run: Run) -> object:
    left = evaluate(node.left, run)
    return left if truth(left) else evaluate(node.right, run)


def _conditional(node: Node, run: Run) -> object:
    if truth(evaluate(node.test, run)):
        return EVALUATORS[type(node.expr1)](node.expr1, run)
    return None if node.expr2 is None else EVALUATORS[type(node.expr2)](node.expr2, run)


def _compare(node: Node, run: Run) -> object:
    left = evaluate(node.expr, run)
    for operand in node.ops:
        right = evaluate(operand.expr, run)
        if not COMPARISONS[operand.op](run.budget, left, right):
            return False
        left = right
    return True


def _concat(node: Node, run: Run) -> object:
    parts = [to_text(evaluate(part, run), run.budget) for part in node.nodes]
    run.budget.allocate_text(sum(map(len, parts)))
    return "".join(parts)


def _binary(operator: operators.Operator) -> Callable[[Node, Run], object]:
    def apply(node: Node, run: Run) -> object:
        return operator(run.budget, evaluate(node.left, run), evaluate(node.right, run))

    return apply


def _arguments(node: Node, run: Run) -> tuple[list[object], dict[str, object]]:
    return (
        [evaluate(argument, run) for argument in node.args],
        {keyword.key: evaluate(keyword.value, run) for keyword in node.kwargs},
    )


def _filter(node: Node, run: Run) -> object:
    name = node.name
    if name == "default":
        # It alone takes what is not there, and may give it on to a next `default`.
        value, *arguments = (EVALUATORS[type(part)](part, run) for part in (node.node, *node.args))
        keywords = {pair.key: EVALUATORS[type(pair.value)](pair.value, run) for pair in node.kwargs}
        return FILTERS[name].function(run.budget, value, *arguments, **keywords)
    value = evaluate(node.node, run)
    arguments, keywords = _arguments(node, run)
    if name in NAMING_FILTERS:
        return apply_naming_filter(run.budget, name, value, arguments, keywords)
    return FILTERS[name].function(run.budget, value, *arguments, **keywords)


def _test(node: Node, run: Run) -> object:
    if node.name in TAKING_UNDEFINED:
        return TESTS[node.name].function(run.budget, EVALUATORS[type(node.node)](node.node, run))
    value = evaluate(node.node, run)
    arguments, keywords = _arguments(node, run)
    return TESTS[node.name].function(run.budget, value, *arguments, **keywords)


def _call(node: Node, run: Run) -> object:
    arguments, keywords = _arguments(node, run)
    return FUNCTIONS[node.node.name].function(run.budget, *arguments, **keywords)


EVALUATORS: Final[dict[type[nodes.Node], Callable[[Node, Run], object]]] = {
    nodes.Add: _binary(operators.add),
    nodes.And: _and,
    nodes.Call: _call,
    nodes.Compare: _compare,
    nodes.Concat: _concat,
    nodes.CondExpr: _conditional,
    nodes.Const: _const,
    nodes.Dict: _dict,
    nodes.Div: _binary(operators.divide),
    nodes.Filter: _filter,
    nodes.FloorDiv: _binary(operators.floor_divide),
    nodes.Getattr: _getattr,
    nodes.Getitem: _getitem,
    nodes.List: _list,
    nodes.Mod: _binary(operators.modulo),
    nodes.Mul: _binary(operators.multiply),
    nodes.Name: _name,
    nodes.Neg: _negative,
    nodes.Not: _not,
    nodes.Or: _or,
    nodes.Pos: _positive,
    nodes.Pow: _binary(operators.power),
    nodes.Sub: _binary(operators.subtract),
    nodes.Test: _test,
    nodes.Tuple: _list,
}
"""The node types that have a value, with how to get it. What is not here is refused when parsing."""
