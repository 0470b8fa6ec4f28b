"""From text to checked syntax trees: finds the expressions, bounds and parses them, allows what is listed."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import describe_token
from jinja2.parser import Parser

from workflows.expressions.calls import check_call
from workflows.expressions.errors import ExpressionError
from workflows.expressions.evaluator import EVALUATORS
from workflows.expressions.values import MAX_INTEGER, checked_text

# Bounds on the text, since the parser recurses (about 14 frames a bracket, one a prefix or `else`), and on
# the tree, since the evaluator does (two frames a level). Together they stay far below Python's 1,000
# frames, so that what one process accepts another doesn't refuse.
MAX_SOURCE_CHARS: Final = 5_000
MAX_BRACKETS: Final = 30
MAX_PREFIXES: Final = 5
MAX_ELSES: Final = 50
MAX_TREE_DEPTH: Final = 100
MAX_NUMBER_CHARS: Final = 40

# Nothing but its lexer and parser is used. The optimizer would calculate constants while parsing.
_ENVIRONMENT: Final = Environment(optimized=False, cache_size=0)  # noqa: S701  # renders nothing
_MARKER: Final = re.compile(r"\{[{%#]")
_TOKEN: Final = re.compile(
    r"""(?P<string>'(?:[^'\\]++|\\.)*+'|"(?:[^"\\]++|\\.)*+")
      | (?P<quote>['"])
      | (?P<number>[0-9][\w.]*)
      | (?P<word>[^\W\d]\w*)
      | (?P<sign>[-+])
      | (?P<open>[(\[{])
      | (?P<close>[)\]}])
      | (?P<space>\s+)
      | (?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
_LINE_END: Final = re.compile(r"\r\n|\r")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_KNOWN_ESCAPES: Final = frozenset("\\'\"abfnrtvxuUN")
_INSTEAD: Final = {
    "&": "and",
    "!": "not",
    "?": "`a if condition else b`",
    "=": "==",
    "$": "the name alone",
    ";": "one expression only",
}
HELPERS: Final = frozenset({nodes.Keyword, nodes.Operand, nodes.Pair, nodes.Slice})
ALLOWED: Final[frozenset[type[nodes.Node]]] = frozenset(EVALUATORS) | HELPERS
"""The node types an expression may be made of. Everything else is refused, future types too."""


@dataclass(frozen=True, slots=True)
class References:
    """What a text or configuration reads."""

    names: frozenset[str] = frozenset()
    """Root names, as in `customer` of `customer.email`."""
    components: frozenset[str] = frozenset()
    """Component ids read as `components.ID` or `components['ID']`."""
    all_components: bool = False
    """Whether `components` is read otherwise, so that any component may be meant."""
    secrets: frozenset[str] = frozenset()
    """Names read as `secrets.NAME` or `secrets['NAME']`."""
    all_secrets: bool = False
    """Whether `secrets` is read otherwise, so that any secret may be meant."""

    def __or__(self, other: "References") -> "References":
        return References(
            self.names | other.names,
            self.components | other.components,
            self.all_components or other.all_components,
            self.secrets | other.secrets,
            self.all_secrets or other.all_secrets,
        )


@dataclass(frozen=True, slots=True)
class Expression:
    """One parsed and checked expression."""

    node: nodes.Expr
    source: str
    position: str
    size: int
    """Nodes in the tree. Nothing loops over nodes, so evaluation visits each at most once."""
    references: References


def split(text: str) -> Iterator[str | Expression]:
    """The literal parts and the expressions of a text, in order.

    Raises ExpressionError (syntax, budget) naming the place.
    """
    offset = 0
    source_chars = 0
    while marker := _MARKER.search(text, offset):
        start = marker.start()
        if marker.group() != "{{":
            raise _error(
                f"`{marker.group()}` starts a statement or comment, which are not part of the language; "
                f'for the characters themselves write {{{{ "{marker.group()}" }}}}',
                text,
                start,
            )
        if start > offset:
            yield text[offset:start]
        end = _scan(text, start + 2, braced=True)
        if text[start + 2] == "-" or text[end - 1] == "-":
            raise _error("`{{-` and `-}}` are not supported; for a minus put a space", text, start)
        source_chars += end - start - 2
        if source_chars > MAX_SOURCE_CHARS:
            raise _too_long(text, start)
        yield _parse(text, start + 2, end, start)
        offset = end + 2
    if offset < len(text):
        yield text[offset:]


def bare_expression(text: str) -> Expression:
    """The one expression of a text without braces. Raises ExpressionError (syntax, budget)."""
    return _parse(text, 0, _scan(text, 0, braced=False), 0)


def _place(text: str, offset: int) -> str:
    line = text.count("\n", 0, offset) + 1
    return f"line {line}, column {offset - text.rfind(chr(10), 0, offset)}"


def _error(message: str, text: str, offset: int) -> ExpressionError:
    return ExpressionError(message, kind="syntax", position=_place(text, offset))


def _too_long(text: str, offset: int) -> ExpressionError:
    return ExpressionError(
        f"the expressions of one text are longer than {MAX_SOURCE_CHARS:,} characters",
        kind="budget",
        position=_place(text, offset),
    )


def _too_deep(text: str, offset: int) -> ExpressionError:
    return ExpressionError("the expression is nested too deeply", kind="budget", position=_place(text, offset))


def _scan(text: str, start: int, *, braced: bool) -> int:
    """Where the expression that starts at `start` ends; bounds it on the way, before it is parsed.

    It ends at `}}` outside brackets and strings if `braced`, else at the end of the text.
    """
    offset = start
    brackets = prefixes = elses = 0
    while offset < len(text):
        if braced and brackets == 0 and text.startswith("}}", offset):
            return offset
        token = _TOKEN.match(text, offset)
        assert token is not None  # one of the groups takes any character
        kind, source = token.lastgroup, token.group()
        _check_token(text, offset, kind, source)
        if kind == "open":
            brackets += 1
        elif kind == "close":
            brackets -= 1
            if brackets < 0:
                raise _error(f"unexpected `{source}`", text, offset)
        if kind == "sign" or source == "not":
            prefixes += 1
        elif kind != "space":
            prefixes = 0
        elses += source == "else"
        if brackets > MAX_BRACKETS or prefixes > MAX_PREFIXES or elses > MAX_ELSES:
            raise _too_deep(text, offset)
        offset = token.end()
        if offset - start > MAX_SOURCE_CHARS:
            raise _too_long(text, start)
    if braced:
        raise _error("`{{` is not closed by `}}`", text, start - 2)
    return offset


def _check_token(text: str, offset: int, kind: str | None, source: str) -> None:
    if kind == "quote":
        raise _error("the text in quotes is not closed", text, offset)
    if kind == "string":
        _check_escapes(text, offset, source)
    if kind == "other" and source.isalnum():
        # Digits of other scripts: the lexer hands some of them on to Python's own parser.
        raise _error(_unexpected(source), text, offset)
    if kind == "number" and (len(source) > MAX_NUMBER_CHARS or not source.isascii()):
        raise _error(f"not a number, or one of more than {MAX_NUMBER_CHARS} characters", text, offset)


def _check_escapes(text: str, offset: int, source: str) -> None:
    """Refuse escapes that Python only warns about: a later version may read them otherwise."""
    for escape in _ESCAPE.finditer(source):
        if escape.group(1) not in _KNOWN_ESCAPES:
            raise _error("unknown escape; for a backslash write two", text, offset + escape.start())


def _parse(text: str, start: int, end: int, marker: int) -> Expression:
    source = text[start:end].strip()
    first = start + len(text[start:end]) - len(text[start:end].lstrip())
    position = _place(text, marker)
    try:
        if not source:
            raise ExpressionError("the expression is empty", kind="syntax")
        node = _parse_source(source, text, first)
        size, references = check(node)
    except ExpressionError as error:
        error.locate(expression=source, position=position)
        raise
    return Expression(node, source, position, size, references)


def _parse_source(source: str, text: str, first: int) -> nodes.Expr:
    try:
        parser = Parser(_ENVIRONMENT, source, state="variable")
        node = parser.parse_expression()
        rest = parser.stream.current
    except TemplateSyntaxError as error:
        message = (error.message or "").replace("end of template", "the end")
        position = ""
        if message.startswith("unexpected char "):
            # Jinja2 tells the offset in the source as it reads it, with one character for a line end.
            offset = int(message.rpartition(" at ")[2])
            message = _unexpected(_LINE_END.sub("\n", source)[offset])
            position = _place(text, min(first + offset, len(text)))
        elif error.lineno > 1:
            position = f"line {text.count(chr(10), 0, first) + error.lineno}"
        raise ExpressionError(message, kind="syntax", position=position) from None
    except RecursionError:
        raise _too_deep(text, first) from None
    if not parser.stream.eos:
        raise ExpressionError(_unexpected(describe_token(rest)), kind="syntax")
    return node


def _unexpected(found: str) -> str:
    instead = _INSTEAD.get(found)
    return f"unexpected `{found[:50]}`" + (f"; write {instead}" if instead else "")


def check(root: nodes.Expr) -> tuple[int, References]:
    """Check every node against the allow-list, every call against its signature; collect the names.

    Iterative, so that a deep tree is an error and not a crash. Returns the number of nodes, too.
    """
    size = 0
    names: set[str] = set()
    # For `components` and `secrets`: the keys read, where None stands for a key known only at run time.
    keys: dict[str, set[str | None]] = {"components": set(), "secrets": set()}
    pending: list[tuple[nodes.Node, int]] = [(root, 1)]
    while pending:
        node, depth = pending.pop()
        size += 1
        if depth > MAX_TREE_DEPTH:
            raise ExpressionError("the expression is nested too deeply", kind="budget")
        if type(node) not in ALLOWED:
            raise ExpressionError(f"{type(node).__name__} is not part of the language", kind="syntax")
        children = list(node.iter_child_nodes())
        if isinstance(node, nodes.Name):
            names.add(node.name)
            if node.name in keys:
                keys[node.name].add(None)
        elif isinstance(node, nodes.Getattr | nodes.Getitem):
            if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Tuple):
                raise ExpressionError("an index is one value, not several", kind="syntax")
            key = _constant_key(node)
            if isinstance(node.node, nodes.Name) and node.node.name in keys and key is not None:
                # The name is judged together with its key, here.
                names.add(node.node.name)
                keys[node.node.name].add(key)
                children = children[1:]
        elif isinstance(node, nodes.Const):
            _check_constant(node.value)
        elif isinstance(node, nodes.Filter | nodes.Test | nodes.Call):
            check_call(node)
            if isinstance(node, nodes.Call):
                children = children[1:]
        pending.extend((child, depth + 1) for child in children)
    components, secrets = keys["components"], keys["secrets"]
    return size, References(
        names=frozenset(names),
        components=frozenset(key for key in components if key is not None),
        all_components=None in components,
        secrets=frozenset(key for key in secrets if key is not None),
        all_secrets=None in secrets,
    )


def _constant_key(node: nodes.Getattr | nodes.Getitem) -> str | None:
    if isinstance(node, nodes.Getattr):
        return node.attr
    if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        return node.arg.value
    return None


def _check_constant(value: object) -> None:
    if isinstance(value, str):
        try:
            checked_text(value, "the text in quotes")
        except ExpressionError as error:
            raise ExpressionError(error.message, kind="syntax") from None
    elif isinstance(value, float) and math.isinf(value):
        raise ExpressionError("the number is too large", kind="syntax")
    elif isinstance(value, int) and value > MAX_INTEGER:
        raise ExpressionError("a whole number is limited to 64 bits", kind="syntax")
