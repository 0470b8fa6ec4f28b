"""The one JSON reader for what users send: strict, bounded, and exact about what is wrong (contract §3)."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

MAX_DEPTH = 64
_MAX_NUMBER_CHARS = 400
_SURROGATE = re.compile("[\ud800-\udfff]")


class StrictJSONError(ValueError):
    """The text is not the JSON that we take; the message says why. Send RFC 8259 JSON without tricks."""


class UnstorableTextError(ValueError):
    """The JSON is well formed and holds text that PostgreSQL cannot: NUL or a lone surrogate.

    `path` names the place, as in `definition.components[0].name`.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__("text may not contain NUL or unpaired surrogates")


def loads(data: bytes) -> Any:
    """Parse UTF-8 JSON.

    Refused with StrictJSONError: a byte order mark, bytes that are not UTF-8, NaN and Infinity (also as
    1e999), numbers over 400 characters, duplicate keys, nesting over 64, trailing text.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StrictJSONError(f"not UTF-8 at byte {error.start}") from None
    if text.startswith("\ufeff"):
        raise StrictJSONError("starts with a byte order mark")
    _check_depth(text)
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise StrictJSONError(f"{error.msg} at line {error.lineno}, column {error.colno}") from None


def check_storable(value: Any) -> None:
    """Raise UnstorableTextError at the first string or key with NUL or a lone surrogate."""
    # What is left of each container on the way down, and where we are in it. The way is written out for a fault alone:
    # a long key over a long list would be written as often as the list has items.
    open_: list[Iterator[tuple[Any, Any]]] = [iter([(None, value)])]
    way: list[Any] = [None]
    while open_:
        for way[-1], item in open_[-1]:
            if isinstance(way[-1], str) and is_unstorable(way[-1]):
                raise UnstorableTextError(_path(way[1:-1]))
            if isinstance(item, str) and is_unstorable(item):
                raise UnstorableTextError(_path(way[1:]))
            if isinstance(item, list | dict):
                open_.append(iter(item.items() if isinstance(item, dict) else enumerate(item)))
                way.append(None)
                break
        else:
            open_.pop()
            way.pop()


def is_unstorable(text: str) -> bool:
    """Whether PostgreSQL can hold it in no text: NUL, and lone surrogates."""
    return "\0" in text or _SURROGATE.search(text) is not None


def _path(way: Sequence[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in way).removeprefix(".")


def _check_depth(text: str) -> None:
    # On the text, before the parser: 100,000 brackets must neither recurse nor cost time. Strings are cut out
    # first, since a bracket in one nests nothing.
    depth = 0
    for token in _BRACKETS_OR_STRING.finditer(text):
        character = token.group()[0]
        if character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise StrictJSONError(f"nested deeper than {MAX_DEPTH} at character {token.start()}")
        elif character in "]}":
            depth -= 1


_BRACKETS_OR_STRING = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*"?', re.DOTALL)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise StrictJSONError(f"duplicate key {key[:100]!r}")
            seen.add(key)
    return value


def _integer(text: str) -> int:
    _check_number_length(text)
    return int(text)


def _float(text: str) -> float:
    _check_number_length(text)
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise StrictJSONError(f"number {text[:40]} is out of range")
    return number


def _check_number_length(text: str) -> None:
    if len(text) > _MAX_NUMBER_CHARS:
        raise StrictJSONError(f"number of {len(text)} characters, at most {_MAX_NUMBER_CHARS} are taken")


def _constant(text: str) -> NoReturn:
    raise StrictJSONError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_integer, parse_float=_float, parse_constant=_constant)
