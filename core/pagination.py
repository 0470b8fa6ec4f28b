"""limit/offset pages (contract §3): parameters, slice, and the metadata that lists add."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict

from core.errors import BadRequestError, Problem
from core.query import whole_number

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
# What the values of a page may have together: a process holds them several times over, as rows, as objects and as text.
MAX_PAGE_BYTES = 64 * 1024 * 1024
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


def page_bounds(query: QueryDict) -> tuple[int, int]:
    """(limit, offset) of a query string. Raises BadRequestError naming the parameter."""
    limit = whole_number(query, "limit", default=DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
    offset = whole_number(query, "offset", default=0, low=0, high=MAX_OFFSET)
    return limit, offset


def require_page_bytes(found: int) -> None:
    """Refuse a page of several rows whose values have more bytes together. Raises BadRequestError naming `limit`."""
    if found > MAX_PAGE_BYTES:
        details = {"expected": f"a page of at most {MAX_PAGE_BYTES} bytes", "received": f"{found} bytes"}
        problem = Problem("Ask for fewer: a page of one is always given", field="limit", details=details)
        raise BadRequestError(
            "The page has too many bytes for one answer: a smaller limit is needed", problems=[problem]
        )


def paginate(rows: QuerySet[Any, Any] | Sequence[Any], query: QueryDict) -> Page:
    """The page of `rows` that the query string asks for; two queries for a queryset. Raises BadRequestError."""
    limit, offset = page_bounds(query)
    total = rows.count() if isinstance(rows, QuerySet) else len(rows)
    # Past the end there is nothing to ask the database for, however far the offset is.
    items = list(rows[offset : offset + limit]) if offset < total else []
    return Page(items, total, limit, offset)


class Keys:
    """The primary keys of a long list in its order, from an index alone: tuples with the key first."""

    def __init__(self, ordered: QuerySet[Any, Any]) -> None:
        self.ordered = ordered

    def count(self) -> int:
        """How many there are; one query."""
        return self.ordered.order_by().count()

    def slice(self, total: int, limit: int, offset: int) -> list[Any]:
        """The keys of a page of a list of `total`; one query. Beyond the middle it is less far from the end."""
        if offset <= total // 2:
            return [key[0] for key in self.ordered[offset : offset + limit]]
        stop = total - offset
        return [key[0] for key in self.ordered.reverse()[max(stop - limit, 0) : stop]][::-1]


def paginate_keys(keys: Keys, load: Callable[[Sequence[Any]], Iterable[Any]], query: QueryDict) -> Page:
    """The page of a long list: only its own rows are read, by `load`, which gets their keys. Raises BadRequestError."""
    limit, offset = page_bounds(query)
    total = keys.count()
    found = keys.slice(total, limit, offset) if offset < total else []
    rows = {row.pk: row for row in load(found)} if found else {}
    # One may have been deleted since.
    return Page([rows[pk] for pk in found if pk in rows], total, limit, offset)
