"""JSON text of values that users and components make: any integer, and nothing that PostgreSQL cannot hold."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_DIGITS_TO_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_BEYOND_64_BITS = (b"0" * 20, b"-" + b"0" * 19)


def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """UTF-8 JSON. Raises TypeError or ValueError for what is not JSON (NaN is written as null)."""
    try:
        return orjson.dumps(value, default=default, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except orjson.JSONEncodeError:
        # Integers beyond 64 bits, lone surrogates: rare, and the standard library writes them.
        return json.dumps(value, default=default, separators=(",", ":"), allow_nan=False).encode()


def loads(text: bytes | str) -> Any:
    """The value of JSON text that was stored: orjson's, and no integer changes.

    jsonb writes a float without its exponent, so an integer beyond 64 bits that a float says in full stays a float:
    unlike such an integer it can be calculated with.
    """
    content = text.encode() if isinstance(text, str) else text
    # Integers beyond 64 bits have 20 digits, or a sign and 19; a false hit only costs time. A regular expression
    # would take several times as long as orjson does.
    if len(content) >= 20:
        zeros = content.translate(_DIGITS_TO_ZEROS)
        if any(run in zeros for run in _BEYOND_64_BITS):
            return json.loads(content, parse_int=_number)
    return orjson.loads(content)


def _number(digits: str) -> int | float:
    number = int(digits)
    if -(2**63) <= number < 2**64:
        return number
    near = float(digits)
    return near if Decimal(repr(near)) == number else number


def storable_dumps(value: Any) -> str:
    """JSON text for a jsonb parameter; NUL and lone surrogates, which jsonb refuses, become U+FFFD."""
    text = dumps(value).decode()
    # Escapes are the only way either can stand in the text; a false hit costs one walk.
    if "\\u0000" in text or "\\ud" in text:
        text = dumps(storable(value)).decode()
    return text


def storable(value: Any) -> Any:
    """A copy of a JSON value without NUL and lone surrogates, in keys too."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("�", value)
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {_UNSTORABLE.sub("�", key): storable(item) for key, item in value.items()}
    return value
