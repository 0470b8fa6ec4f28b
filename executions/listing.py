"""Lists of executions and their numbers: what a caller sees, in parts that an index has, and counted exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import F, Q, QuerySet

from accounts.callers import Caller
from core.ids import ULIDField, first_id
from core.pagination import MAX_PAGE_BYTES, Keys, require_page_bytes
from core.prepared_query import IsAnyOf, PreparedQuery
from core.times import midnight
from executions import outputs, queries
from executions.models import ComponentRun, Execution, ExecutionQuerySet
from executions.states import ExecutionStatus
from executions.transitions import reading, tallying
from workflows import access
from workflows.queries import success_rate


@dataclass(frozen=True, slots=True)
class Filter:
    """Which executions are wanted; `start` and `end` bound `started_at`, both included. None is any."""

    workflow_id: str | None = None
    user_id: str | None = None
    status: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    @property
    def by_start(self) -> bool:
        """Whether the list is in the order of starts: an index then has the range as it is shown."""
        return self.start is not None or self.end is not None

    def apply(self, executions: ExecutionQuerySet) -> ExecutionQuerySet:
        """Those of the executions that are wanted."""
        wanted: dict[str, object] = {
            "workflow": self.workflow_id,
            "created_by": self.user_id,
            "status": self.status,
            "started_at__gte": self.start,
            "started_at__lte": self.end,
        }
        return executions.filter(**{name: value for name, value in wanted.items() if value is not None})


def keys(caller: Caller, wanted: Filter = Filter()) -> Keys:
    """What the caller sees of what is wanted, the newest first; in a range of starts the last started first."""
    others: list[str] = []
    if wanted.workflow_id is not None:
        # Whether it is seen is asked first: with a condition on its owner, too, an index would not do.
        seen = access.visible_to(caller).filter(pk=wanted.workflow_id).exists()
        parts = [wanted.apply(Execution.objects.all() if seen else Execution.objects.none())]
    else:
        others = [] if caller.user.is_staff else access.ids_shared_with(caller.user.pk)
        parts = [wanted.apply(part) for part in _parts(caller, others)]
    ordered = _in_order_of_starts(parts) if wanted.by_start else _in_order(parts, ("pk",), ("-pk",))
    if wanted.workflow_id is not None:
        return Keys(ordered)
    if wanted.user_id is not None:
        return (
            _StartersKeys(ordered, wanted, caller.user.pk, others) if others and not wanted.by_start else Keys(ordered)
        )
    if caller.user.is_staff:
        return _AllKeys(ordered, wanted)
    if wanted.by_start:
        return _StartedKeys(parts, caller.user.pk, others, wanted) if others else Keys(ordered)
    return _OwnKeys(ordered, caller.user.pk, others, wanted.status)


def _in_order(parts: Sequence[ExecutionQuerySet], columns: Sequence[str], order: Sequence[str]) -> QuerySet[Any, Any]:
    first, *more = (part.values_list(*columns) for part in parts)
    return (first.union(*more, all=True) if more else first).order_by(*order)


def _in_order_of_starts(parts: Sequence[ExecutionQuerySet]) -> QuerySet[Any, Any]:
    return _in_order(parts, ("pk", "started_at"), ("-started_at", "-pk"))


def parts_visible_to(caller: Caller) -> list[ExecutionQuerySet]:
    """The executions that the caller sees, in parts that have nothing in common and that an index finds in order.

    One query, for what is shared. In one condition all parts would be found, and then read and sorted.
    """
    return _parts(caller, [] if caller.user.is_staff else access.ids_shared_with(caller.user.pk))


def _parts(caller: Caller, others: Sequence[str]) -> list[ExecutionQuerySet]:
    everything = Execution.objects.all()
    if caller.user.is_staff:
        return [everything]
    own = everything.filter(workflow_owner_id=caller.user.pk)
    return [own, everything.filter(workflow__in=others)] if others else [own]


class _StartersKeys(Keys):
    """What one user started, of a user's own workflows and of `others`."""

    MANY = 5_000

    def __init__(self, ordered: QuerySet[Any, Any], wanted: Filter, owner_id: str, others: Sequence[str]) -> None:
        super().__init__(ordered)
        seen = Q(workflow_owner_id=owner_id) | Q(workflow__in=others)
        self._by_starter = wanted.apply(Execution.objects.all()).filter(seen).values_list("pk").order_by("-pk")

    def slice(self, total: int, limit: int, offset: int) -> list[Any]:
        if total <= self.MANY:
            return super().slice(total, limit, offset)
        # The index of starters has them in order; of many parts, all would be read and sorted first.
        return Keys(self._by_starter).slice(total, limit, offset)


class _OwnKeys(Keys):
    """The executions of a user's own workflows and of `others`, by what has been counted in advance."""

    def __init__(self, ordered: QuerySet[Any, Any], owner_id: str, others: Sequence[str], status: str | None) -> None:
        super().__init__(ordered)
        self._owner_id, self._others, self._status = owner_id, others, status

    def count(self) -> int:
        counted = tallying.of_workflows(self._owner_id, self._others, self._status)
        return super().count() if counted is None else counted

    def slice(self, total: int, limit: int, offset: int) -> list[Any]:
        if not self._others:
            return super().slice(total, limit, offset)
        read = partial(reading.page_of_workflows, self._owner_id, self._others, self._status)
        if offset <= total // 2:
            return read(limit=limit, offset=offset, newest_first=True)
        stop = total - offset
        start = max(stop - limit, 0)
        return read(limit=stop - start, offset=start, newest_first=False)[::-1]


class _StartedKeys(Keys):
    """What started in a range, of parts that no index has together in the order of starts.

    They are counted by the day (UTC), so that only the days of a page have to be sorted.
    """

    def __init__(
        self, parts: Sequence[ExecutionQuerySet], owner_id: str, others: Sequence[str], wanted: Filter
    ) -> None:
        super().__init__(_in_order_of_starts(parts))
        self._parts = parts
        self._owner_id, self._others, self._wanted = owner_id, others, wanted
        self._days: list[tuple[date, int]] = []

    def count(self) -> int:
        wanted = self._wanted
        self._days = reading.started_by_day(self._owner_id, self._others, wanted.start, wanted.end, wanted.status)
        return sum(executions for _, executions in self._days)

    def slice(self, total: int, limit: int, offset: int) -> list[Any]:
        newer = 0
        newest: date | None = None
        for day, executions in self._days:
            if newest is None and offset < newer + executions:
                newest, skipped = day, newer
            newer += executions
            if newest is not None and offset + limit <= newer:
                break
        if newest is None:
            return []
        before = midnight(newest + timedelta(days=1))
        # Nothing starts before it is made; where clocks differ, not by a day.
        made = {"pk__lt": first_id(before + timedelta(days=1))}
        some = [part.filter(started_at__lt=before, started_at__gte=midnight(day), **made) for part in self._parts]
        first = offset - skipped
        return [key[0] for key in _in_order_of_starts(some)[first : first + limit]]


class _AllKeys(Keys):
    """Everybody's executions, by the days that have been counted in advance."""

    def __init__(self, ordered: QuerySet[Any, Any], wanted: Filter) -> None:
        super().__init__(ordered)
        self._wanted = wanted
        self._days: Sequence[tallying.DayCount] = ()

    def count(self) -> int:
        wanted = self._wanted
        if wanted.by_start:
            self._days = tallying.started(wanted.start, wanted.end, wanted.status) or ()
        else:
            self._days = tallying.made(wanted.status) or ()
        return sum(day.executions for day in self._days) if self._days else super().count()

    def slice(self, total: int, limit: int, offset: int) -> list[Any]:
        for day, count in self._days:
            if offset < count:
                if day is None:
                    break
                return [key[0] for key in self._until_end_of(day)[offset : offset + limit]]
            offset -= count
        return super().slice(total, limit, offset)

    def _until_end_of(self, day: date) -> QuerySet[Any, Any]:
        next_day = midnight(day) + timedelta(days=1)
        if self._wanted.by_start:
            return self.ordered.filter(started_at__lt=next_day)
        return self.ordered.filter(pk__lt=first_id(next_day))


_UNSEEN = ("version__definition", "sealed_parameters", "sealed_hidden", "sealed_input")


def _rows(*unseen: str) -> PreparedQuery[Execution]:
    return PreparedQuery(
        lambda ids: (
            queries.with_progress(Execution.objects.filter(IsAnyOf(F("pk"), ids)))
            .select_related("workflow", "version")
            .defer(*unseen)
        ),
        ArrayField(ULIDField()),
    )


_WHOLE, _WITHOUT_RESULTS = _rows(*_UNSEEN), _rows(*_UNSEEN, "results")


def by_ids(ids: Sequence[str]) -> list[Execution]:
    """Those executions as lists show them, in no order; without their results, for which see `read_results`."""
    return _WITHOUT_RESULTS.all(ids)


def whole_by_ids(ids: Sequence[str]) -> list[Execution]:
    """The same with their results. Raises BadRequestError if several have over MAX_PAGE_BYTES to show."""
    _require_page_bytes(ids)
    return _WHOLE.all(ids)


def read_results(executions: Sequence[Execution]) -> None:
    """Reads the results of what `by_ids` gave. Raises as `whole_by_ids`."""
    ids = [execution.pk for execution in executions]
    _require_page_bytes(ids)
    results = dict(Execution.objects.filter(pk__in=ids).values_list("pk", "results"))
    for execution in executions:
        execution.results = results.get(execution.pk)
    outputs.prefetch(executions)


def _require_page_bytes(ids: Sequence[str]) -> None:
    if len(ids) > 1:
        require_page_bytes(reading.listed_bytes(ids, MAX_PAGE_BYTES))


@dataclass(frozen=True, slots=True)
class Totals:
    """Executions in numbers: those made since the beginning of today, this week (Monday) and this month, in UTC.

    `success_rate` 0.0–1.0, 0.0 when none has ended either way; `queue_depth` counts component runs.
    """

    today: int
    this_week: int
    this_month: int
    success_rate: float
    queue_depth: int


def totals(caller: Caller, now: datetime) -> Totals:
    """The numbers of the executions that the caller sees."""
    parts = parts_visible_to(caller)
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    starts = (today, today - timedelta(days=today.weekday()), today.replace(day=1))
    made = [sum(part.filter(pk__gte=first_id(start)).count() for part in parts) for start in starts]
    completed, failed = (
        keys(caller, Filter(status=status)).count() for status in (ExecutionStatus.COMPLETED, ExecutionStatus.FAILED)
    )
    queued = ComponentRun.objects.in_queue()
    depth = sum(queued.filter(execution__in=part).count() for part in parts)
    return Totals(made[0], made[1], made[2], success_rate(completed, failed), depth)
