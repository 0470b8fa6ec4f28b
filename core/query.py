"""Readers of query strings: each parameter at most once, of its type, or 400 naming it (contract §3)."""

from collections.abc import Sequence
from datetime import datetime

from django.http import QueryDict

from core.errors import BadRequestError, Problem
from core.ids import parse_id
from core.strict_json import is_unstorable
from core.times import iso, parse_time

MAX_TEXT_CHARS = 200


def one(query: QueryDict, name: str) -> str | None:
    """The parameter, or None if absent. Raises BadRequestError if it comes twice."""
    values = query.getlist(name)
    if len(values) > 1:
        raise bad_parameter(name, "one value", "several")
    return values[0] if values else None


def choice(query: QueryDict, name: str, allowed: Sequence[str]) -> str | None:
    """One of `allowed`, or None if absent. Raises BadRequestError."""
    value = one(query, name)
    if value is not None and value not in allowed:
        raise bad_parameter(name, "one of " + ", ".join(allowed), value)
    return value


def boolean(query: QueryDict, name: str, *, default: bool) -> bool:
    """`true` or `false`. Raises BadRequestError."""
    value = choice(query, name, ("true", "false"))
    return default if value is None else value == "true"


def text(query: QueryDict, name: str, max_chars: int = MAX_TEXT_CHARS) -> str | None:
    """Text of bounded length that PostgreSQL can compare: without NUL and lone surrogates. Raises BadRequestError."""
    value = one(query, name)
    if value is not None and (len(value) > max_chars or is_unstorable(value)):
        raise bad_parameter(name, f"text of at most {max_chars} characters without NUL", value)
    return value


def identifier(query: QueryDict, name: str) -> str | None:
    """An id as a canonical ULID, or None if absent. Raises BadRequestError."""
    value = one(query, name)
    if value is None:
        return None
    try:
        return parse_id(value)
    except ValueError:
        raise bad_parameter(name, "an id (26-character ULID)", value) from None


def time(query: QueryDict, name: str) -> datetime | None:
    """An ISO 8601 time as aware UTC, or None if absent. Raises BadRequestError."""
    value = one(query, name)
    if value is None:
        return None
    try:
        # A "+" that was not escaped in the query string arrives as a space.
        return parse_time(value.replace(" ", "+") if "T" in value else value)
    except ValueError:
        raise bad_parameter(name, "an ISO 8601 date or time", value) from None


def time_range(query: QueryDict) -> tuple[datetime | None, datetime | None]:
    """`start_date` and `end_date`, in that order. Raises BadRequestError."""
    start, end = time(query, "start_date"), time(query, "end_date")
    if start and end and start > end:
        raise bad_parameter("start_date", "before end_date", iso(start))
    return start, end


def whole_number(query: QueryDict, name: str, *, default: int, low: int, high: int) -> int:
    """An integer in [low, high]. Raises BadRequestError."""
    value = one(query, name)
    if value is None:
        return default
    # isdecimal takes other scripts' digits, which int() reads too; ASCII alone is meant.
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 20 and low <= int(value) <= high):
        raise bad_parameter(name, f"an integer from {low} to {high}", value)
    return int(value)


def bad_parameter(name: str, expected: str, received: str) -> BadRequestError:
    """The 400 for a query parameter, naming it."""
    return BadRequestError(
        f"Invalid query parameter {name}",
        problems=[
            Problem(
                f"{name} must be {expected}",
                field=name,
                details={"expected": expected, "received": received[:200]},
            )
        ],
    )
