"""JSON Schema (2020-12) checks: compiled once, offline, linear-time patterns, and faults as the API's problems."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jsonschema_rs

from core.errors import Problem
from core.types import JSONValue

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
# What a report may repeat of somebody's input.
MAX_RECEIVED = 200
CUT = "…"
"""Stands where a report left something off."""
# As many choices as an answer lists; there are more component types than this only with many plug-ins.
MAX_OPTIONS = 50


class SchemaError(ValueError):
    """The schema itself is none: a bad keyword, a remote `$ref`, a pattern that would need backtracking."""


class Schema:
    """A compiled schema. Raises SchemaError.

    `formats` replaces how single formats are checked.
    """

    def __init__(self, schema: JSONValue, formats: Mapping[str, Callable[[str], bool]] | None = None) -> None:
        self._schema = schema
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                schema,
                # Without it, `$ref` is fetched over http:// and read from file://.
                offline=True,
                validate_formats=True,
                formats=dict(formats or {}),
                # The linear-time engine: the other one takes minutes on (a+)+$.
                pattern_options=jsonschema_rs.RegexOptions(),
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError) as error:
            raise SchemaError(str(error).splitlines()[0][:MAX_RECEIVED]) from None

    def problems(
        self, value: JSONValue, path: str, stands_for_any: Callable[[str], bool] | None = None
    ) -> Iterator[Problem]:
        """Each fault with its path below `path`; unknown keys one by one.

        Text for which `stands_for_any` holds fits everything, and so does a choice that such text decides.
        """
        told: set[tuple[str | None, str]] = set()
        for error in self._validator.iter_errors(value):
            for problem in self._problems_of(error, path, stands_for_any or _never):
                # The alternatives of a choice may repeat what its object says already.
                if (problem.field, problem.message) not in told:
                    told.add((problem.field, problem.message))
                    yield problem

    def is_valid(self, value: JSONValue) -> bool:
        """Whether the value fits."""
        return bool(self._validator.is_valid(value))

    def _problems_of(
        self, error: jsonschema_rs.ValidationError, root: str, stands_for_any: Callable[[str], bool]
    ) -> Iterator[Problem]:
        if error.kind.name in {"oneOf", "anyOf"}:
            yield from self._choice_problems(error, root, stands_for_any)
        elif not _is_open(error, stands_for_any):
            yield from _as_problems(error, root)

    def _choice_problems(
        self, error: jsonschema_rs.ValidationError, root: str, stands_for_any: Callable[[str], bool]
    ) -> Iterator[Problem]:
        """What the one alternative that is meant lacks; where none is plainly meant, what the alternatives are."""
        kind: Any = error.kind
        fields = self._required_fields(error.schema_path)
        branches = [[fault for fault in branch if not _is_open(fault, stands_for_any)] for branch in kind.context]
        if not fields and not all(branches) and any(map(stands_for_any, _texts(error.instance))):
            return  # what the text will be decides
        meant = [branch for branch in branches if not any(map(_tells_apart, branch))]
        if fields or not all(branches):
            told = []
        elif len(meant) == 1:
            told = meant[0]
        else:
            told = [fault for fault in branches[0] if all(any(map(_same_as(fault), branch)) for branch in branches)]
        for fault in told:
            if _tells_apart(fault):
                same = [other for branch in branches for other in branch if _same_as(fault)(other)]
                options = one_of([other.kind.expected_value for other in same])
                yield _fault(join_path(root, fault.instance_path), options, fault.instance)
            else:
                yield from self._problems_of(fault, root, stands_for_any)
        if not told:
            names = ", ".join(fields) or f"the schema's {len(branches)} alternatives"
            expected = f"{'at least' if kind.name == 'anyOf' else 'exactly'} one of {names}"
            yield _fault(join_path(root, error.instance_path), expected, error.instance)

    def _required_fields(self, schema_path: Sequence[str | int]) -> list[str]:
        """The field names of a choice whose alternatives do nothing but require one each; else none."""
        choice = self._schema
        for part in schema_path:
            try:
                choice = choice[part]
            except (KeyError, IndexError, TypeError):  # through a $ref
                return []
        if all(isinstance(option, dict) and list(option) == ["required"] for option in choice):
            return [name for option in choice for name in option["required"]]
        return []


def _never(text: str) -> bool:
    return False


def _same_as(fault: jsonschema_rs.ValidationError) -> Callable[[jsonschema_rs.ValidationError], bool]:
    """Whether another alternative finds this fault too. What it wants differs only where it tells them apart."""

    def key(error: jsonschema_rs.ValidationError) -> tuple[object, ...]:
        wants = "" if _tells_apart(error) else _expected(error)
        return error.instance_path, error.kind.name, getattr(error.kind, "property", None), wants

    wanted = key(fault)
    return lambda other: key(other) == wanted


def _tells_apart(error: jsonschema_rs.ValidationError) -> bool:
    """Whether the fault is at a field that says which alternative is meant, such as `type`."""
    return bool(error.kind.name == "const")


def _is_open(error: jsonschema_rs.ValidationError, stands_for_any: Callable[[str], bool]) -> bool:
    if isinstance(error.instance, str):
        return stands_for_any(error.instance)
    return error.kind.name == "not" and any(map(stands_for_any, _texts(error.instance)))


def _texts(value: JSONValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _as_problems(error: jsonschema_rs.ValidationError, root: str) -> Iterator[Problem]:
    kind: Any = error.kind  # one class a keyword, each with attributes of its own
    path = join_path(root, error.instance_path)
    if kind.name in {"additionalProperties", "unevaluatedProperties"}:
        for key in kind.unexpected:
            yield Problem(
                f"{short(key)} is not a known field",
                field=join_path(path, [key]),
                details={"expected": "no such field", "received": received(key)},
            )
    elif kind.name == "required":
        yield Problem(
            "This field is required",
            field=join_path(path, [kind.property]),
            details={"expected": "a value", "received": "nothing"},
        )
    elif kind.name == "propertyNames":
        key = kind.error.instance
        yield _fault(join_path(path, [key]), f"a name that is {_expected(kind.error)}", key)
    else:
        yield _fault(path, _expected(error), error.instance)


def _fault(path: str, expected: str, value: JSONValue) -> Problem:
    return Problem(f"Expected {expected}", field=path, details={"expected": expected, "received": received(value)})


def _expected(error: jsonschema_rs.ValidationError) -> str:
    kind: Any = error.kind
    simple: dict[str, Callable[[], str]] = {
        "type": lambda: " or ".join(_WORDS.get(name, name) for name in kind.types),
        "enum": lambda: one_of(kind.options),
        "const": lambda: short(kind.expected_value),
        "format": lambda: _FORMATS.get(kind.format, f"a valid {kind.format}"),
        "pattern": lambda: f"text matching {kind.pattern}",
        "minimum": lambda: f"at least {kind.limit}",
        "maximum": lambda: f"at most {kind.limit}",
        "exclusiveMinimum": lambda: f"more than {kind.limit}",
        "exclusiveMaximum": lambda: f"less than {kind.limit}",
        "minLength": lambda: f"at least {kind.limit} characters",
        "maxLength": lambda: f"at most {kind.limit} characters",
        "minItems": lambda: f"at least {kind.limit} items",
        "maxItems": lambda: f"at most {kind.limit} items",
        "minProperties": lambda: f"at least {kind.limit} fields",
        "maxProperties": lambda: f"at most {kind.limit} fields",
        "uniqueItems": lambda: "no item twice",
        "multipleOf": lambda: f"a multiple of {kind.multiple_of}",
        "contains": lambda: "a list with the items that the schema asks for",
        "unevaluatedItems": lambda: "no further items",
        "falseSchema": lambda: "no value here",
        "not": lambda: "a value that does not fit " + short(kind.schema),
    }
    wanted = simple.get(kind.name)
    # Never the validator's own message: it repeats the value, which may hold a secret.
    return wanted() if wanted else f"a value that fits the schema's {kind.name}"


_WORDS = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_FORMATS = {"uri": "valid URL", "email": "an e-mail address", "date-time": "an ISO 8601 date and time"}


def join_path(root: str, parts: Sequence[str | int]) -> str:
    """`definition.components[0].config.url`; keys that are no plain words are quoted."""
    path = root
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            path += f".{part}" if path else part
        else:
            path += f"[{short(part)}]"
    return path


def one_of(options: Sequence[JSONValue]) -> str:
    """`one of "a", "b"`; of a long list its beginning."""
    shown = [short(option) for option in options[:MAX_OPTIONS]]
    return "one of " + ", ".join(shown) + (", …" if len(options) > MAX_OPTIONS else "")


def short(value: JSONValue) -> str:
    """A value as JSON text, cut to what a report may repeat."""
    return _cut(json.dumps(value, ensure_ascii=False, default=str))


def received(value: JSONValue) -> str:
    """What `details.received` repeats of a value: text as it came, anything else as JSON, cut."""
    return _cut(value) if isinstance(value, str) else short(value)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_RECEIVED else text[: MAX_RECEIVED - 1] + CUT
