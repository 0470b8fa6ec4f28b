"""JSON text of values that users and components make: any integer, and nothing that PostgreSQL cannot hold."""

import json
import re
from collections.abc import Callable
from typing import Any

import orjson

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """UTF-8 JSON. Raises TypeError or ValueError for what is not JSON (NaN is written as null)."""
    try:
        return orjson.dumps(value, default=default, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except orjson.JSONEncodeError:
        # Integers beyond 64 bits, lone surrogates: rare, and the standard library writes them.
        return json.dumps(value, default=default, separators=(",", ":"), allow_nan=False).encode()


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
