"""What a component says is cut to what can be stored: texts, error details, log lines. Its code is not trusted to be
sane: a message may be ten megabytes, a detail may not be JSON, a log may have a million lines.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TypeVar

from core.json_text import storable, storable_dumps
from core.types import JSONObject

MAX_TEXT = 10_000
MAX_DETAILS_BYTES = 64 * 1024
MAX_LINES = 1_000
_CUT = " … (cut)"

Line = TypeVar("Line")


def bounded_text(value: object, limit: int = MAX_TEXT) -> str:
    """A text that PostgreSQL can hold, at most `limit` characters; what is no text is named by its type."""
    if not isinstance(value, str):
        return f"(no text: {bounded_text(type(value).__name__, 100)})"
    # Cut before anything walks over it, and again, since a name may have become longer.
    text: str = storable(str.__str__(value[: limit + 1]))
    return text if len(text) <= limit else text[: limit - len(_CUT)] + _CUT


def bounded_object(value: object) -> JSONObject:
    """A JSON object of at most MAX_DETAILS_BYTES; whatever cannot be stored is replaced by a word on why."""
    if not isinstance(value, dict):
        return {"omitted": "not an object"}
    if has_more_text_than(value, MAX_DETAILS_BYTES):
        return {"omitted": f"more than {MAX_DETAILS_BYTES} characters"}
    try:
        size = len(storable_dumps(value))
    except (TypeError, ValueError, RecursionError, MemoryError):
        return {"omitted": "not JSON"}
    return value if size <= MAX_DETAILS_BYTES else {"omitted": f"{size} bytes"}


def has_more_text_than(value: object, characters: int) -> bool:
    """Whether the strings of a JSON value are longer together; asked before it is encoded, since the encoder ends the
    process where it finds no memory.
    """
    waiting = [value]
    while waiting and characters >= 0:
        found = waiting.pop()
        if isinstance(found, str):
            characters -= len(found)
        elif isinstance(found, dict):
            waiting += found.keys()
            waiting += found.values()
        elif isinstance(found, list | tuple):
            waiting += found
    return characters < 0


class BoundedList(list[Line]):
    """A list that keeps its first `limit` entries and counts the rest."""

    def __init__(self, limit: int = MAX_LINES) -> None:
        super().__init__()
        self.limit = limit
        self.dropped = 0

    def append(self, line: Line) -> None:
        """Keep the entry, or count it."""
        if len(self) < self.limit:
            super().append(line)
        else:
            self.dropped += 1

    def extend(self, lines: Iterable[Line]) -> None:
        """Keep the entries, or count them."""
        for line in lines:
            self.append(line)


def dropped_lines(lines: Iterable[Any]) -> int:
    """How many entries a BoundedList left out."""
    return lines.dropped if isinstance(lines, BoundedList) else 0


def plain_lines(lines: Iterable[Any]) -> Iterator[tuple[datetime, str, str, JSONObject]]:
    """Log lines as (time, level, message, metadata) that can be stored; what is no line is left out."""
    for line in lines:
        timestamp, level = getattr(line, "timestamp", None), getattr(line, "level", None)
        if isinstance(timestamp, datetime) and level in {"debug", "info", "warning", "error"}:
            yield timestamp, level, bounded_text(line.message), bounded_object(line.metadata)
