"""Pruning: what a rule is, and the batch that most of them are: old rows of one table, a few at a time."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import connection, models, transaction

ROWS = 500
"""How many rows a batch of one table has at most."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a batch did: rows by table, and whether there may be more."""

    rows: Mapping[str, int] = field(default_factory=dict)
    more: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason for which rows go; `table` is the one it is about, and others may lose theirs with it.

    `count` says what would go, by table. `prune` deletes one small batch, in a transaction of its own in which
    `in_turn` came first.
    """

    name: str
    table: str
    keeps: str
    count: Callable[[datetime], Mapping[str, int]]
    prune: Callable[[datetime], Pruned]


_TURN = "SELECT pg_try_advisory_xact_lock(hashtextextended('apg prune', 0))"
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '500ms'"


class NotMyTurnError(Exception):
    """Another process is pruning at this moment; it goes on, so there is nothing to do."""


@contextmanager
def batch() -> Iterator[None]:
    """The transaction of a batch: one at a time among all processes, and it waits for no lock for long.

    Raises NotMyTurnError, and OperationalError where a lock was not to be had: both leave everything as it was.
    Forbids a transaction outside of tests.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_TURN)
        if not cursor.fetchone()[0]:
            raise NotMyTurnError
        cursor.execute(_LOCK_TIMEOUT)
        yield


def rule_of_rows(
    name: str,
    model: type[models.Model],
    keeps: str,
    old: Callable[[datetime], "models.QuerySet[Any]"],
    *,
    first: int | None = None,
) -> Rule:
    """A rule that deletes the rows of one model that are `old`, with what Django deletes with them.

    `first`: where no index finds them, only so many of those that were written first are looked at.
    """
    table = model._meta.db_table

    def count(now: datetime) -> Mapping[str, int]:
        return {table: old(now).count()}

    def prune(now: datetime) -> Pruned:
        with batch():
            rows = old(now).order_by("pk").select_for_update(of=("self",), skip_locked=True)
            if first is not None:
                rows = rows.filter(pk__in=model._default_manager.order_by("pk").values("pk")[:first])
            ids = list(rows.values_list("pk", flat=True)[:ROWS])
            deleted = model._default_manager.filter(pk__in=ids).delete()[1] if ids else {}
        return Pruned(_by_table(deleted), more=len(ids) == ROWS)

    return Rule(name, table, keeps, count, prune)


def _by_table(deleted: Mapping[str, int]) -> dict[str, int]:
    """Django counts by the names of models."""
    return {apps.get_model(label)._meta.db_table: rows for label, rows in deleted.items() if rows}
