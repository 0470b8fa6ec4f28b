"""What a text says by itself: the parts between its expressions, and the constants in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from jinja2 import nodes

from core.redact import MIN_SECRET_LENGTH
from workflows.expressions.syntax import Expression, split

# Their first argument names a key, a filter or a test.
_NAMING_FILTERS: Final = frozenset({"map", "select", "reject", "selectattr", "rejectattr", "groupby"})


@dataclass(frozen=True, slots=True)
class Written:
    """The literal parts of a text, and the constants in its expressions that may become part of their values."""

    parts: tuple[str, ...]
    constants: tuple[str, ...]


def written(text: str) -> Written:
    """What the text says by itself. Keys, names of filters and what is compared are no constants of a value.

    Raises ExpressionError.
    """
    pieces = list(split(text))
    return Written(
        parts=tuple(piece for piece in pieces if isinstance(piece, str)),
        constants=tuple(
            str(value) for piece in pieces if isinstance(piece, Expression) for value in _constants(piece.node)
        ),
    )


def _constants(root: nodes.Node) -> Iterator[object]:
    """Iterative, as every walk over a tree that somebody wrote."""
    pending: list[nodes.Node] = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, nodes.Const):
            if isinstance(node.value, str) or _is_long_number(node.value):
                yield node.value
        elif isinstance(node, nodes.Getitem):
            pending.append(node.node)
            if not isinstance(node.arg, nodes.Const):
                pending.append(node.arg)
        elif isinstance(node, nodes.Pair):
            pending.append(node.value)
        elif isinstance(node, nodes.Filter) and node.name in _NAMING_FILTERS:
            named = node.args[0] if node.args else None
            pending.extend(child for child in node.iter_child_nodes() if child is not named)
        elif not isinstance(node, nodes.Compare) and not _names_a_key(node):
            pending.extend(node.iter_child_nodes())


def _is_long_number(value: object) -> bool:
    """Shorter ones count, cut and round."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and len(str(value)) >= MIN_SECRET_LENGTH


def _names_a_key(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Keyword) and node.key == "attribute"
