"""Cancel all executions that match a filter: in small slices, by whoever comes by, until none is left."""

import logging
import random
import time
from datetime import timedelta

from django.db import OperationalError
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts import audit
from accounts.audit import Action
from accounts.callers import Caller
from accounts.models import User
from accounts.scopes import Scope
from core.connections import is_away
from core.errors import ConflictError, ValidationFailedError
from executions import interventions
from executions.models import BulkCancel, Execution, ExecutionQuerySet
from executions.selection import Selection
from executions.states import FINAL_EXECUTION, ExecutionStatus

logger = logging.getLogger(__name__)

ALL_OF_THEM = "cancel all executions"
PERMISSION = "executions.change_execution"
# Of a slice; a worker's keeper has leases to renew.
_SLICE_SECONDS = 2.0
_SLICE = 200
_LEASE = timedelta(seconds=30)
_ACTIVE = sorted(str(status) for status in ExecutionStatus if status not in FINAL_EXECUTION)


def matching(selection: Selection) -> ExecutionQuerySet:
    """Those of the selection that a cancel would end: neither ended nor being cancelled already."""
    return selection.apply(Execution.objects.filter(status__in=_ACTIVE)).exclude(stop_as=ExecutionStatus.CANCELLED)


def request_cancel(*, selection: Selection, caller: Caller, address: str, typed: str = "") -> BulkCancel:
    """Note that these are to be cancelled, and do a first slice; `work` does the rest.

    What is made after this is not meant. Raises ConflictError if nothing matches, ValidationFailedError for an empty
    selection, which is everything, unless `typed` is ALL_OF_THEM. Forbids a transaction.
    """
    if selection.is_empty and typed != ALL_OF_THEM:
        raise ValidationFailedError(f"Without a filter, type “{ALL_OF_THEM}” to cancel every execution there is")
    count = matching(selection).count()
    if not count:
        raise ConflictError("No execution matches that has not ended")
    request = BulkCancel.objects.create(
        actor=caller.user, address=address or None, selection=selection.to_json(), matched=count
    )
    audit.record(Action.EXECUTIONS_CANCELLED, request, selection=selection.to_json(), matched=count)
    _work(request)
    return BulkCancel.objects.get(pk=request.pk)


def work() -> int:
    """One slice of the oldest that is not done and that nobody is at; how many executions it cancelled."""
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    request = BulkCancel.objects.filter(free, completed_at=None).select_related("actor").order_by("pk").first()
    return 0 if request is None else _work(request)


def _work(request: BulkCancel) -> int:
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    mine = BulkCancel.objects.filter(pk=request.pk)
    if not mine.filter(free, completed_at=None).update(lease_until=Now() + _LEASE):
        return 0
    if not _may(request.actor):
        mine.update(completed_at=Now(), lease_until=None, ended_early="Whoever asked for it may not any more")
        return 0
    # Those that were there when it was asked for.
    left = matching(Selection.of_json(request.selection)).filter(pk__lt=request.pk).order_by("pk")
    found = list(left[:_SLICE])
    # Parents before children, which they take with them; else by chance, so that none that is held is always first.
    found.sort(key=lambda execution: (execution.parent_run_id is not None, random.random()))  # noqa: S311
    caller = Caller(request.actor, frozenset(Scope), "admin")
    began, cancelled = time.monotonic(), 0
    with audit.acting(caller, request.address or ""):
        for execution in found:
            if time.monotonic() - began > _SLICE_SECONDS:
                break
            try:
                interventions.cancel_execution(execution)
            except ConflictError:
                # It ended by itself meanwhile.
                continue
            except OperationalError as error:
                if is_away(error):
                    raise
                # The next slice tries again.
                continue
            mine.update(cancelled=F("cancelled") + 1)
            cancelled += 1
    # One whose process dies here is looked at again when its lease has passed, and finds what is left.
    done = {"completed_at": Now()} if not found else {}
    mine.update(lease_until=None, **done)
    return cancelled


def _may(user: User) -> bool:
    return user.is_active and user.is_staff and user.has_perm(PERMISSION)
