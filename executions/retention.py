"""Which executions are old enough to go, and with them all that is theirs; what else of the engine's grows."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from time import monotonic

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet, Subquery

from core.ids import first_id
from core.pruning import Pruned, Rule, batch, rule_of_rows
from executions import outputs
from executions.models import BulkCancel, Execution, ExecutionTally, IdempotencyKey, StoredOutput
from executions.services import IDEMPOTENCY_LIFETIME
from executions.transitions import pruning
from executions.transitions.pruning import FIRST, Member, Old
from workflows.models import Slot, Workflow

logger = logging.getLogger(__name__)

FOUND = 200
"""How many executions a batch looks at."""

STORED = 200
"""How many stored outputs a batch looks at."""

_GRACE = timedelta(days=1)
_LOOKS = 50
_LOOK_SECONDS = 15.0
_LOCKED = 50
_PREVIEWED = 2_000
_WORKFLOWS = 200
_LEDGER_ROWS = 5_000
_SLOTS = 20_000


def _days(name: str, now: datetime) -> datetime:
    return now - timedelta(days=settings.RETENTION[name])


def _by_age(now: datetime, _: str = "") -> Iterator[tuple[str, Old]]:
    if settings.RETENTION["EXECUTION_DAYS"]:
        yield "", pruning.by_age(_days("EXECUTION_DAYS", now))


def _by_workflow(_: datetime, first: str = "") -> Iterator[tuple[str, Old]]:
    """Workflow by workflow, from this one on, of those that keep less than the platform and have any.

    All are asked if the platform itself keeps so many of each.
    """
    keep_count = settings.RETENTION["EXECUTIONS_PER_WORKFLOW"]
    keeping = Workflow.objects.all() if keep_count else Workflow.objects.exclude(keep_days=None, keep_count=None)
    ids = keeping.order_by("pk").values_list("pk", flat=True)
    some = list((ids.filter(pk__gte=first) if first else ids)[:_WORKFLOWS])
    while some:
        for workflow_id in sorted(pruning.workflows_with_old(some, keep_count)):
            yield workflow_id, pruning.by_workflow(workflow_id, keep_count)
        some = list(ids.filter(pk__gt=some[-1])[:_WORKFLOWS])


def _deleted_workflows() -> "QuerySet[Workflow]":
    """Those that had more than goes at once."""
    return Workflow.with_deleted.filter(deleted_at__isnull=False)


def _of_deleted(_: datetime, first: str = "") -> Iterator[tuple[str, Old]]:
    ids = _deleted_workflows().order_by("pk").values_list("pk", flat=True)
    for workflow_id in ids.filter(pk__gte=first) if first else ids:
        yield workflow_id, pruning.of_workflow(workflow_id)


@dataclass(slots=True)
class _Executions:
    """What is old by a rule, in rounds: the workflow and the execution up to which this process has looked.

    What somebody holds, or is still needed, is passed over. But not without end: where very much has to wait (for a
    follower of the ledger, say), the next turn goes on behind it, so that it keeps nothing else from going.
    """

    olds: Callable[[datetime, str], Iterator[tuple[str, Old]]]
    delete: Callable[[Sequence[str]], dict[str, int]]
    workflow_id: str = ""
    after: str = FIRST

    def prune(self, now: datetime) -> Pruned:
        """The first batch that finds something to delete."""
        within = (self.workflow_id, self.after) != ("", FIRST)
        looks = 0
        for workflow_id, old in self.olds(now, self.workflow_id):
            if workflow_id != self.workflow_id:
                self.workflow_id, self.after = workflow_id, FIRST
            while ids := pruning.found(old, limit=FOUND, after=self.after):
                if looks == _LOOKS:
                    return Pruned()
                looks += 1
                with batch():
                    rows = self.delete(ids)
                if rows:
                    return Pruned(rows, more=True)
                self.after = max(ids)
        # The round is over. One that began in the middle has not seen those before.
        self.workflow_id, self.after = "", FIRST
        return Pruned(more=within)


def _prune_old(ids: Sequence[str]) -> dict[str, int]:
    """With what the ledger has of them, so only those that may go now."""
    return _delete_some(_going(ids, settings.RETENTION["BATCH_ROWS"]), ledger=True)


def _remove(ids: Sequence[str]) -> dict[str, int]:
    """As a workflow's deletion does: nobody waits for any more, what the ledger has of them stays, what they started
    stands alone.
    """
    locked = Execution.objects.filter(pk__in=pruning.lock(ids)).exclude(completed_at=None).order_by("pk")
    members = [Member(pk, pk, True, 0, told) for pk, told in locked.values_list("pk", "sequence")]
    pruning.orphan([member.execution_id for member in members])
    return _delete_some(members, ledger=False)


def _delete_some(members: Iterable[Member], *, ledger: bool) -> dict[str, int]:
    """Rows by table of as many of them as make a batch, or of a part of one; none if there are none."""
    limit = settings.RETENTION["BATCH_ROWS"]
    chosen, weight = list[str](), 0
    for member in members:
        if chosen and weight + member.weight > limit:
            break
        weight += member.weight
        chosen.append(member.execution_id)
        if weight > limit:
            # It is the first, and too large to go at once.
            thinned = pruning.thin(member.execution_id, limit // 2, ledger=ledger)
            if any(thinned.values()):
                return thinned
    return pruning.delete(chosen, ledger=ledger) if chosen else {}


def _going(ids: Sequence[str], enough: int) -> Iterator[Member]:
    """Those of the executions that may go now, each after everything that it started. Needs a transaction: they are
    locked, a few at a time, for large ones are a batch by themselves.
    """
    floor = pruning.floor()
    for start in range(0, len(ids), _LOCKED):
        yield from _may_go(pruning.lock(ids[start : start + _LOCKED]), floor, enough)


def _may_go(roots: Collection[str], floor: int, enough: int) -> Iterator[Member]:
    members = pruning.trees(roots, floor=floor, enough=enough + 1)
    for _, group in groupby(members, key=lambda member: member.root_id):
        tree = list(group)
        if all(member.may_go for member in tree):
            yield from tree


def _count_executions(olds: Iterator[tuple[str, Old]]) -> Mapping[str, int]:
    """What would go by now: executions, and the runs and ledger rows that are theirs."""
    rows: Counter[str] = Counter()
    floor = pruning.floor()
    for _, old in olds:
        ids = pruning.found(old, limit=_PREVIEWED)
        while ids:
            for member in _may_go(ids, floor, 10**9):
                rows["executions_execution"] += 1
                rows["executions_componentrun"] += member.runs
                rows["events_event"] += member.told
            ids = pruning.found(old, limit=_PREVIEWED, after=max(ids))
    return rows


@dataclass(slots=True)
class _LedgerReader:
    """How far this process has read the ledger for what is old; it begins again after the last old row."""

    position: int = field(default=0)

    def prune(self, now: datetime) -> Pruned:
        with batch():
            page = pruning.prune_ledger(
                _days("LEDGER_DAYS", now),
                after=self.position,
                floor=pruning.floor(),
                rows=_LEDGER_ROWS,
                delete=True,
            )
        self.position = page.reached if page.more else 0
        return Pruned({"events_event": page.rows}, page.more)


def _count_ledger(now: datetime) -> Mapping[str, int]:
    rows, after, floor = 0, 0, pruning.floor()
    while True:
        page = pruning.prune_ledger(_days("LEDGER_DAYS", now), after=after, floor=floor, rows=_SLOTS, delete=False)
        rows, after = rows + page.rows, page.reached
        if not page.more:
            return {"events_event": rows}


def _sort_stored(now: datetime) -> Pruned:
    """What is old enough to be referred to if it ever will be: kept, or doomed."""
    with batch():
        sorted_ = pruning.sort_stored(now - _GRACE, STORED)
    return Pruned(more=sorted_ == STORED)


@dataclass(slots=True)
class _StoredOutputs:
    """What nothing refers to any more, in rounds: the key up to which this process has passed over some.

    What cannot be removed keeps nothing behind it, and is tried again in the next round.
    """

    after: str = ""

    def prune(self, now: datetime) -> Pruned:
        """The first batch of which something goes; objects first, then their rows.

        Whatever comes between, the rows are still there to try again.
        """
        more, began = _sort_stored(now).more, monotonic()
        gone: list[str] = []
        stayed: dict[str, str] = {}
        for _ in range(_LOOKS):
            keys = list(_doomed().filter(pk__gt=self.after).order_by("pk").values_list("pk", flat=True)[:STORED])
            removed = outputs.remove(keys)
            gone = removed.gone
            if gone:
                with batch():
                    _doomed().filter(pk__in=gone).delete()
            if removed.stayed:
                stayed |= removed.stayed
                self.after = list(removed.stayed)[-1]
            if removed.tried == len(keys) < STORED:
                self.after = ""
                break
            # The turn ends where nothing goes, or failures took long; the next one goes on behind them.
            more = bool(gone) and removed.tried == STORED
            if gone or removed.tried < len(keys) or monotonic() - began > _LOOK_SECONDS:
                break
        if stayed:
            _tell_stayed(stayed, away=not gone and len(stayed) > 1)
        return Pruned({StoredOutput._meta.db_table: len(gone)}, more)


def _tell_stayed(stayed: Mapping[str, str], *, away: bool) -> None:
    key, error = next(iter(stayed.items()))
    logger.warning(
        "The store of outputs is away, or lets nothing go: %s, %s; and %s more"
        if away
        else "A stored output could not be removed: %s, %s; and %s more",
        key,
        error,
        len(stayed) - 1,
        extra={"action": "output_store_away" if away else "output_not_removed"},
    )


def _doomed() -> "QuerySet[StoredOutput]":
    return StoredOutput.objects.filter(state=StoredOutput.State.DOOMED)


def _old_keys(now: datetime) -> "QuerySet[IdempotencyKey]":
    return IdempotencyKey.objects.filter(created_at__lt=now - IDEMPOTENCY_LIFETIME)


def _old_slots(now: datetime) -> "QuerySet[Slot]":
    """By when they were started, which their execution's id has: a backfill fills in slots that are long past.

    The last of a schedule stays, to be shown.
    """
    last = Slot.objects.filter(trigger=OuterRef("trigger")).order_by("-slot_at").values("pk")[:1]
    return Slot.objects.filter(execution_id__lt=first_id(_days("SLOT_DAYS", now))).exclude(pk=Subquery(last))


def _old_cancels(now: datetime) -> "QuerySet[BulkCancel]":
    return BulkCancel.objects.filter(completed_at__lt=_days("AUDIT_DAYS", now))


def _empty_tallies(now: datetime) -> "QuerySet[ExecutionTally]":
    """Sealed days none of whose executions is left."""
    return ExecutionTally.objects.filter(count=0)


_ledger = _LedgerReader()
_stored_outputs = _StoredOutputs()
_old = _Executions(_by_age, _prune_old)
_more_than_kept = _Executions(_by_workflow, _prune_old)
_of_deleted_workflows = _Executions(_of_deleted, _remove)


def _prune_deleted(now: datetime) -> Pruned:
    """Executions of deleted workflows, and then the workflows that have none left."""
    pruned = _of_deleted_workflows.prune(now)
    if pruned.more:
        return pruned
    with batch():
        left = Execution.objects.filter(workflow=OuterRef("pk"))
        ids = list(_deleted_workflows().exclude(Exists(left)).values_list("pk", flat=True)[:_WORKFLOWS])
        Workflow.with_deleted.filter(pk__in=ids).delete()
    return Pruned({Workflow._meta.db_table: len(ids)}, more=len(ids) == _WORKFLOWS)


RULES = (
    Rule(
        "executions by age",
        "executions_execution",
        "APG_KEEP_EXECUTION_DAYS after their end",
        lambda now: _count_executions(_by_age(now)),
        _old.prune,
    ),
    Rule(
        "executions by workflow",
        "executions_execution",
        "settings.retention of their workflow, APG_KEEP_EXECUTIONS_PER_WORKFLOW",
        lambda now: _count_executions(_by_workflow(now)),
        _more_than_kept.prune,
    ),
    Rule(
        "executions of deleted workflows",
        "executions_execution",
        "until their workflow is deleted",
        lambda _: {"executions_execution": Execution.objects.filter(workflow__in=_deleted_workflows()).count()},
        _prune_deleted,
    ),
    Rule(
        "stored outputs",
        StoredOutput._meta.db_table,
        "while their execution is kept; a day where nothing refers to them",
        lambda now: {StoredOutput._meta.db_table: _doomed().count() + pruning.count_orphans(now - _GRACE)},
        _stored_outputs.prune,
    ),
    Rule("ledger by age", "events_event", "APG_KEEP_LEDGER_DAYS", _count_ledger, _ledger.prune),
    rule_of_rows("idempotency keys", IdempotencyKey, "24 hours", _old_keys),
    rule_of_rows("slots", Slot, "APG_KEEP_SLOT_DAYS, but for a schedule's last", _old_slots, first=_SLOTS),
    rule_of_rows("cancels by filter", BulkCancel, "APG_KEEP_AUDIT_DAYS after their end", _old_cancels),
    rule_of_rows("days without executions", ExecutionTally, "while an execution of the day is kept", _empty_tallies),
)
