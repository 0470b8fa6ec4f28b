"""Rows that were asked for together load what lies below them together: no query for each row (reliability Q3)."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Model, QuerySet

from core.errors import BadRequestError
from core.types import JSONObject

Row = TypeVar("Row", bound=Model)
Child = TypeVar("Child", bound=Model)
Loaded = TypeVar("Loaded")

# A list that has no `limit` shows so many of each parent, and all parents of one list together so many.
MAX_EACH = 1_000
MAX_TOGETHER = 5_000


class Siblings(Generic[Row]):
    """The rows of one list, or one row by itself, and what has been loaded for all of them."""

    def __init__(self, rows: Sequence[Row], shape: Callable[[Row], JSONObject]) -> None:
        self.rows, self.shape = rows, shape
        self._loaded: dict[Hashable, Any] = {}

    def load(self, key: Hashable, loader: Callable[[Sequence[Row]], Loaded]) -> Loaded:
        """What `loader` gives for all rows; called once for each key, which names it with its arguments."""
        if key not in self._loaded:
            self._loaded[key] = loader(self.rows)
        loaded: Loaded = self._loaded[key]
        return loaded


class Node(Generic[Row]):
    """One row among its siblings; `data` is the row as REST shows it."""

    def __init__(self, row: Row, siblings: Siblings[Row]) -> None:
        self.row, self.siblings = row, siblings

    @cached_property
    def data(self) -> JSONObject:
        return self.siblings.shape(self.row)


def nodes(rows: Iterable[Row], shape: Callable[[Row], JSONObject]) -> list[Node[Row]]:
    """The rows of one list."""
    listed = list(rows)
    siblings = Siblings(listed, shape)
    return [Node(row, siblings) for row in listed]


def children_of_each(
    parents: QuerySet[Any, Any],
    children: QuerySet[Any, Any],
    load: Callable[[Sequence[Any]], Iterable[Child]],
    shape: Callable[[Child], JSONObject],
    *,
    limit: int | None = None,
    offset: int = 0,
) -> Mapping[Any, list[Node[Child]]]:
    """By the key of each parent, its page of children, all of whom are siblings; two queries.

    `children` names its parent as `OuterRef("pk")`, has an order, and ends in the page of each parent by an index;
    `load` gets their keys. Without a `limit` all are meant; raises BadRequestError if they are too many together.
    """
    page = children.values("pk")[offset : offset + (MAX_EACH if limit is None else limit)]
    keys: dict[Any, list[Any]] = dict(parents.order_by().values_list("pk", ArraySubquery(page)))
    wanted = [key for found in keys.values() for key in found]
    if limit is None and len(wanted) > MAX_TOGETHER:
        raise BadRequestError(f"More than {MAX_TOGETHER} entries of a list without a limit: ask for fewer parents")
    made = {node.row.pk: node for node in nodes(load(wanted) if wanted else (), shape)}
    # One may have been deleted since.
    return {parent: [made[key] for key in found if key in made] for parent, found in keys.items()}
