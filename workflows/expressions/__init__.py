"""Pure: the expression language of workflow definitions, `{{ … }}`, over JSON data (docs/expressions.md).

The parser is Jinja2's, the evaluator our own: no node reaches Python's attributes, calls or formats.
"""

from workflows.expressions.budget import Budget, Limits
from workflows.expressions.errors import ExpressionError
from workflows.expressions.syntax import References
from workflows.expressions.templates import (
    RenderedTwice,
    Template,
    evaluate_condition,
    has_expression,
    parse,
    parse_condition,
    references,
    render,
    render_twice,
)

__all__ = [
    "Budget",
    "ExpressionError",
    "Limits",
    "References",
    "RenderedTwice",
    "Template",
    "evaluate_condition",
    "has_expression",
    "parse",
    "parse_condition",
    "references",
    "render",
    "render_twice",
]
