"""JSON Schema (2020-12) checks: compiled once, offline, linear-time patterns, and faults as the API's problems."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jsonschema_rs

from core.errors import Problem
from core.types import JSONValue

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
# What a report may repeat of somebody's input.
MAX_RECEIVED = 200


class SchemaError(ValueError):
    """The schema itself is none: a bad keyword, a remote `$ref`, a pattern that would need backtracking."""


class Schema:
    """A compiled schema. Raises SchemaError."""

    def __init__(self, schema: JSONValue) -> None:
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                schema,
                # Without it, `$ref` is fetched over http:// and read from file://.
                offline=True,
                validate_formats=True,
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
        for error in self._validator.iter_errors(value):
            if stands_for_any is None or not _is_open(error, stands_for_any):
                yield from _as_problems(error, path)

    def is_valid(self, value: JSONValue) -> bool:
        """Whether the value fits."""
        return bool(self._validator.is_valid(value))


def _is_open(error: jsonschema_rs.ValidationError, stands_for_any: Callable[[str], bool]) -> bool:
    if isinstance(error.instance, str):
        return stands_for_any(error.instance)
    return error.kind.name in _CHOICES and any(map(stands_for_any, _texts(error.instance)))


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
                details={"expected": "no such field", "received": short(key)},
            )
    elif kind.name == "required":
        yield Problem(
            "This field is required",
            field=join_path(path, [kind.property]),
            details={"expected": "a value", "received": "nothing"},
        )
    else:
        expected = _expected(error)
        yield Problem(
            f"Expected {expected}", field=path, details={"expected": expected, "received": short(error.instance)}
        )


def _expected(error: jsonschema_rs.ValidationError) -> str:
    kind: Any = error.kind
    simple: dict[str, Callable[[], str]] = {
        "type": lambda: " or ".join(_WORDS.get(name, name) for name in kind.types),
        "enum": lambda: "one of " + ", ".join(short(option) for option in kind.options),
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
    }
    wanted = simple.get(kind.name)
    return wanted() if wanted else "a value that fits the schema: " + short(error.message)


_CHOICES = frozenset({"oneOf", "anyOf", "not"})
_WORDS = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_FORMATS = {"uri": "a valid URL", "email": "an e-mail address", "date-time": "an ISO 8601 date and time"}


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


def short(value: JSONValue) -> str:
    """A value as JSON text, cut to what a report may repeat."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_RECEIVED else text[: MAX_RECEIVED - 1] + "…"
