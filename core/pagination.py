"""limit/offset pages (contract §3): parameters, slice, and the metadata that lists add."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from core.errors import BadRequestError, Problem

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
# PostgreSQL's bigint: beyond it an OFFSET is an error, not an empty page.
MAX_OFFSET = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list and what its metadata says."""

    items: Sequence[Any]
    total_count: int
    limit: int
    offset: int

    @property
    def metadata(self) -> dict[str, Any]:
        return {
            "total_count": self.total_count,
            "limit": self.limit,
            "offset": self.offset,
            "has_more": self.offset + len(self.items) < self.total_count,
        }


def page_bounds(query: Mapping[str, str]) -> tuple[int, int]:
    """(limit, offset) of a query string. Raises BadRequestError naming the parameter."""
    limit = whole_number(query, "limit", default=DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
    offset = whole_number(query, "offset", default=0, low=0, high=MAX_OFFSET)
    return limit, offset


def paginate(rows: QuerySet[Any, Any] | Sequence[Any], query: Mapping[str, str]) -> Page:
    """The page of `rows` that the query string asks for; two queries for a queryset. Raises BadRequestError."""
    limit, offset = page_bounds(query)
    total = rows.count() if isinstance(rows, QuerySet) else len(rows)
    # Past the end there is nothing to ask the database for, however far the offset is.
    items = list(rows[offset : offset + limit]) if offset < total else []
    return Page(items, total, limit, offset)


def whole_number(query: Mapping[str, str], name: str, *, default: int, low: int, high: int) -> int:
    """A bounded integer of the query string. Raises BadRequestError naming it; repeated parameters too."""
    getlist = getattr(query, "getlist", None)
    if getlist is not None and len(getlist(name)) > 1:
        raise bad_parameter(name, "one value", "several")
    text = query.get(name)
    if text is None:
        return default
    # isdecimal takes other scripts' digits, which int() reads too; ASCII alone is meant.
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 20 and low <= int(text) <= high):
        raise bad_parameter(name, f"an integer from {low} to {high}", text)
    return int(text)


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
