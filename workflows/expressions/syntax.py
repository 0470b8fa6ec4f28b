"""From text to checked syntax trees: finds the expressions, bounds and parses them, allows what is listed."""

import difflib
import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import describe_token
from jinja2.parser import Parser

from workflows.expressions.errors import ExpressionError
from workflows.expressions.evaluator import EVALUATORS
from workflows.expressions.filters import ATTRIBUTE_FILTERS, FILTERS, NAMING_FILTERS, TESTING_FILTERS
from workflows.expressions.functions import FUNCTIONS
from workflows.expressions.operations import Operation
from workflows.expressions.predicates import TESTS
from workflows.expressions.values import MAX_INTEGER, checked_text

# Bounds on the text, since the parser recurses (about 14 frames a bracket, one a prefix or `else`), and on
# the tree, since the evaluator does (two frames a level). Together they stay far below Python's 1,000
# frames, so that what one process accepts another doesn't refuse.
MAX_SOURCE_CHARS: Final = 10_000
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
    return ExpressionError(
        "the expression is nested too deeply", kind="budget", position=_place(text, offset)
    )


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
        if offset - start > MAX_SOURCE_CHARS:
            raise _too_long(text, start)
        prefix = kind == "sign" or source == "not"
        prefixes = prefixes + 1 if prefix else prefixes if kind == "space" else 0
        elses += source == "else"
        if kind == "open":
            brackets += 1
        elif kind == "close":
            brackets -= 1
            if brackets < 0:
                raise _error(f"unexpected `{source}`", text, offset)
        elif kind == "quote":
            raise _error("the text in quotes is not closed", text, offset)
        elif kind == "string":
            _check_escapes(text, offset, source)
        elif kind == "number" and (len(source) > MAX_NUMBER_CHARS or not source.isascii()):
            raise _error("not a number, or one of more than 40 characters", text, offset)
        if brackets > MAX_BRACKETS or prefixes > MAX_PREFIXES or elses > MAX_ELSES:
            raise _too_deep(text, offset)
        offset = token.end()
    if braced:
        raise _error("`{{` is not closed by `}}`", text, max(start - 2, 0))
    if len(text) - start > MAX_SOURCE_CHARS:
        raise _too_long(text, start)
    return offset


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
        size, references = _check(node)
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
        message = error.message or "not an expression"
        line, position = error.lineno, ""
        if message.startswith("unexpected char "):
            # Jinja2 tells the character and its offset in the source, where line ends count as one.
            character, offset = source[0:0], int(message.rpartition(" at ")[2])
            character = "\n".join(re.split(r"\r\n|\r|\n", source))[offset]
            message, position = _unexpected(character), _place(text, min(first + offset, len(text)))
        elif line > 1:
            position = f"line {text.count(chr(10), 0, first) + line}"
        raise ExpressionError(message, kind="syntax", position=position) from None
    except RecursionError:
        raise _too_deep(text, first) from None
    if not parser.stream.eos:
        raise ExpressionError(_unexpected(describe_token(rest)), kind="syntax")
    return node


def _unexpected(found: str) -> str:
    instead = _INSTEAD.get(found)
    return f"unexpected `{found[:50]}`" + (f"; write {instead}" if instead else "")


def _check(root: nodes.Expr) -> tuple[int, References]:
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
        children: list[nodes.Node] = list(node.iter_child_nodes())
        if isinstance(node, nodes.Name):
            names.add(node.name)
            if node.name in keys:
                keys[node.name].add(None)
        elif isinstance(node, nodes.Getattr | nodes.Getitem):
            if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Tuple):
                raise ExpressionError("an index is one value, not several", kind="syntax")
            key = _constant_key(node)
            if isinstance(node.node, nodes.Name) and node.node.name in keys and key is not None:
                names.add(node.node.name)
                keys[node.node.name].add(key)
                children.remove(node.node)
        elif isinstance(node, nodes.Const):
            _check_constant(node.value)
        elif isinstance(node, nodes.Filter | nodes.Test | nodes.Call):
            _check_call(node)
            if isinstance(node, nodes.Call):
                children.remove(node.node)
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


def _check_call(node: nodes.Filter | nodes.Test | nodes.Call) -> None:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise ExpressionError("`*` and `**` can't spread arguments", kind="syntax")
    keywords = [keyword.key for keyword in node.kwargs]
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


def _known(
    what: str, name: str, operations: dict[str, Operation], others: frozenset[str] = frozenset()
) -> Operation:
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
