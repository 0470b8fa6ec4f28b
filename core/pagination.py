"""limit/offset pages (contract §3): parameters, slice, and the metadata that lists add."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict

from core.query import whole_number

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


def page_bounds(query: QueryDict) -> tuple[int, int]:
    """(limit, offset) of a query string. Raises BadRequestError naming the parameter."""
    limit = whole_number(query, "limit", default=DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
    offset = whole_number(query, "offset", default=0, low=0, high=MAX_OFFSET)
    return limit, offset


def paginate(rows: QuerySet[Any, Any] | Sequence[Any], query: QueryDict) -> Page:
    """The page of `rows` that the query string asks for; two queries for a queryset. Raises BadRequestError."""
    limit, offset = page_bounds(query)
    total = rows.count() if isinstance(rows, QuerySet) else len(rows)
    # Past the end there is nothing to ask the database for, however far the offset is.
    items = list(rows[offset : offset + limit]) if offset < total else []
    return Page(items, total, limit, offset)


def paginate_keys(
    keys: QuerySet[Any, Any],
    load: Callable[[Sequence[Any]], Iterable[Any]],
    query: QueryDict,
    count: Callable[[], int] | None = None,
) -> Page:
    """The same for a long list: `keys` are ordered tuples, the primary key first, that an index answers by itself.

    Only the page's own rows are read, by `load`, which gets their keys. `count` where there is a faster way than to
    count the keys. Three queries.
    """
    limit, offset = page_bounds(query)
    total = keys.order_by().count() if count is None else count()
    found = [key[0] for key in _slice(keys, total, limit, offset)]
    rows = {row.pk: row for row in load(found)} if found else {}
    # One may have been deleted since.
    return Page([rows[pk] for pk in found if pk in rows], total, limit, offset)


def _slice(keys: QuerySet[Any, Any], total: int, limit: int, offset: int) -> list[Any]:
    if offset >= total:
        return []
    if offset <= total // 2:
        return list(keys[offset : offset + limit])
    # Beyond the middle it is less far from the end.
    stop = total - offset
    return list(keys.reverse()[max(stop - limit, 0) : stop])[::-1]
