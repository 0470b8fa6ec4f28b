"""Configuration with `{{ }}` in its strings: parse, render, decide conditions, collect what is read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from core.taint import Difference, differences, substitute
from workflows.expressions.budget import Budget, Limits
from workflows.expressions.errors import ExpressionError
from workflows.expressions.evaluator import Run, evaluate
from workflows.expressions.syntax import Expression, References, bare_expression, split
from workflows.expressions.values import JSON, plain, to_text, truth

# Long texts are parsed each time: a tree takes about a hundred times its source, and anybody may fill the
# cache.
MAX_CACHED_CHARS: Final = 400
MAX_CACHED_TEXTS: Final = 1024
_DEFAULT_LIMITS: Final = Limits()


class Template:
    """A parsed text: constant, one whole expression, or parts to be joined. Immutable."""

    __slots__ = ("_parts", "_whole", "is_constant", "references", "source_chars")

    def __init__(self, parts: tuple[str | Expression, ...]) -> None:
        expressions = [part for part in parts if isinstance(part, Expression)]
        others = [part for part in parts if isinstance(part, str) and part.strip()]
        self._parts = parts
        self._whole = expressions[0] if len(expressions) == 1 and not others else None
        self.is_constant = not expressions
        self.source_chars = sum(len(expression.source) for expression in expressions)
        self.references = References()
        for expression in expressions:
            self.references |= expression.references

    @property
    def is_whole(self) -> bool:
        """Whether the text is one expression and nothing else but white space around it."""
        return self._whole is not None

    def render(self, scope: Mapping[str, object], budget: Budget) -> JSON:
        """The value in a scope: of a whole expression with its type, else text.

        Raises ExpressionError with the expression and its position in the text.
        """
        return self.render_in(_Rendering(scope, budget))

    def render_in(self, run: "_Rendering") -> JSON:
        """`render` as a part of something larger."""
        run.budget.read_source(self.source_chars)
        if self._whole is not None:
            return run.value_of(self._whole, as_text=False)
        texts = [part if isinstance(part, str) else str(run.value_of(part, as_text=True)) for part in self._parts]
        run.budget.allocate_text(sum(map(len, texts)))
        return "".join(texts)

    def decide(self, scope: Mapping[str, object], budget: Budget) -> bool:
        """The truth of a whole expression. Raises ExpressionError as `render` does."""
        return truth(self.render(scope, budget))


class _Rendering(Run):
    """One rendering: how each of its expressions gets its value."""

    __slots__ = ()

    def value_of(self, expression: Expression, *, as_text: bool) -> JSON:
        try:
            self.budget.spend(expression.size)
            value = evaluate(expression.node, self)
            return to_text(value, self.budget) if as_text else plain(value, self.budget)
        except ExpressionError as error:
            error.locate(expression=expression.source, position=expression.position)
            raise


class _Twice(_Rendering):
    """A rendering that evaluates each expression in the shadow scope too, and notes what differs."""

    __slots__ = ("differences", "shadow", "shadow_values")

    def __init__(self, scope: Mapping[str, object], budget: Budget, shadow: _Rendering) -> None:
        super().__init__(scope, budget)
        self.shadow = shadow
        self.shadow_values: list[JSON] = []
        self.differences: set[Difference] = set()

    def value_of(self, expression: Expression, *, as_text: bool) -> JSON:
        try:
            value = super().value_of(expression, as_text=as_text)
        except ExpressionError as error:
            raise self._told(error, expression, as_text) from None
        try:
            other = self.shadow.value_of(expression, as_text=as_text)
        except ExpressionError:
            # That it can be evaluated at all depends on the secret.
            other = substitute(value)
        self.shadow_values.append(other)
        self.differences.update(differences(value, other))
        return value

    def _told(self, error: ExpressionError, expression: Expression, as_text: bool) -> ExpressionError:
        """The error, without its reason where that depends on a secret."""
        try:
            self.shadow.value_of(expression, as_text=as_text)
        except ExpressionError as other:
            if str(other) == str(error):
                return error
        message = "it can't be evaluated; the reason is not told, since it depends on a secret"
        return ExpressionError(message, kind=error.kind, expression=expression.source, position=expression.position)


class _Replay(_Rendering):
    """A rendering whose expressions have their values already, in the order in which they are asked for."""

    __slots__ = ("values",)

    def __init__(self, budget: Budget, values: list[JSON]) -> None:
        super().__init__({}, budget)
        self.values = iter(values)

    def value_of(self, expression: Expression, *, as_text: bool) -> JSON:
        return next(self.values)


def has_expression(text: str) -> bool:
    """Whether a text has anything that `parse` would not take literally, or would refuse."""
    return "{{" in text or "{%" in text or "{#" in text


def parse(text: str) -> Template:
    """Parse a text with any number of expressions in it.

    Raises ExpressionError: `syntax` for what is not the language, `budget` for what is too long or deep.
    """
    return _parse_cached(text) if len(text) <= MAX_CACHED_CHARS else Template(tuple(split(text)))


@lru_cache(maxsize=MAX_CACHED_TEXTS)
def _parse_cached(text: str) -> Template:
    return Template(tuple(split(text)))


def parse_condition(text: str) -> Template:
    """Parse a condition: one expression, with or without the braces. Raises ExpressionError as `parse`."""
    return _parse_condition_cached(text) if len(text) <= MAX_CACHED_CHARS else _parse_condition(text)


def _parse_condition(text: str) -> Template:
    if not text.lstrip().startswith("{{"):
        return Template((bare_expression(text),))
    template = parse(text)
    if not template.is_whole:
        raise ExpressionError(
            "a condition is one expression: inside its braces, or without any",
            kind="syntax",
            expression=text.strip(),
        )
    return template


_parse_condition_cached = lru_cache(maxsize=MAX_CACHED_TEXTS)(_parse_condition)


def render(value: JSON, scope: Mapping[str, object], *, now: datetime, limits: Limits = _DEFAULT_LIMITS) -> JSON:
    """A configuration with the expressions in its strings evaluated; keys are left as they are.

    All of it shares one budget. `scope` maps names to JSON data (any Mapping stands for an object, so that
    parts may be loaded when they are read). The result is new data. Text that comes out of the data is
    never evaluated. Raises ExpressionError with `path`, `expression` and `position`.
    """
    return _render(value, "", _Rendering(scope, Budget(limits, now)), limits.depth)


@dataclass(frozen=True, slots=True)
class RenderedTwice:
    """A rendered configuration, the same in the shadow scope, and the texts in which their expressions differ."""

    value: JSON
    shadow: JSON
    differences: frozenset[Difference]


def render_twice(
    value: JSON,
    scope: Mapping[str, object],
    shadow_scope: Mapping[str, object],
    *,
    now: datetime,
    limits: Limits = _DEFAULT_LIMITS,
) -> RenderedTwice:
    """`render` in a scope, and in its shadow (core.taint); each has the budget for itself.

    An expression that cannot be evaluated in the shadow has `substitute` of its value there. Raises ExpressionError
    as `render` does; a reason that depends on a secret is left out of it.
    """
    run = _Twice(scope, Budget(limits, now), _Rendering(shadow_scope, Budget(limits, now)))
    rendered = _render(value, "", run, limits.depth)
    try:
        shadow = _render(value, "", _Replay(Budget(limits, now), run.shadow_values), limits.depth)
    except ExpressionError:
        # Its texts are longer by a little, and too long.
        shadow = substitute(rendered)
    return RenderedTwice(rendered, shadow, frozenset(run.differences))


def _render(value: JSON, path: str, run: _Rendering, depth_left: int) -> JSON:
    budget = run.budget
    budget.spend(1)
    if isinstance(value, dict | list) and depth_left == 0:
        raise ExpressionError(f"the value is nested deeper than {budget.limits.depth}", kind="budget", path=path)
    if isinstance(value, dict):
        return {key: _render(item, _path(path, key), run, depth_left - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_render(item, f"{path}[{index}]", run, depth_left - 1) for index, item in enumerate(value)]
    try:
        if isinstance(value, str) and has_expression(value):
            return parse(value).render_in(run)
        return plain(value, budget)
    except ExpressionError as error:
        error.locate(path=path)
        raise


def _path(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def evaluate_condition(
    text: str, scope: Mapping[str, object], *, now: datetime, limits: Limits = _DEFAULT_LIMITS
) -> bool:
    """Whether a condition holds; truth is as in Python. Raises ExpressionError."""
    return parse_condition(text).decide(scope, Budget(limits, now))


def references(value: JSON) -> References:
    """What all expressions of a configuration read. Raises ExpressionError with `path`."""
    found = References()
    for path, text in _strings(value, ""):
        try:
            found |= parse(text).references
        except ExpressionError as error:
            error.locate(path=path)
            raise
    return found


def _strings(value: JSON, path: str) -> Iterator[tuple[str, str]]:
    """Each string with an expression and its path. Iterative: configurations may come in at any depth."""
    pending = [(path, value)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            pending.extend((_path(path, key), item) for key, item in reversed(value.items()))
        elif isinstance(value, list):
            pending.extend((f"{path}[{index}]", item) for index, item in reversed([*enumerate(value)]))
        elif isinstance(value, str) and has_expression(value):
            yield path, value
