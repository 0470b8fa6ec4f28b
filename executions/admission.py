"""Which waiting executions may start: the account's tier slots, then priority, then age (contract §4)."""

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import User
from executions.dispatch import ring_on_commit
from executions.models import Execution
from executions.states import ExecutionStatus
from executions.transitions import starting


def slots(user: User) -> int:
    """How many executions of the account may run at once."""
    return user.limits.concurrent_executions


def admit(account_id: str) -> int:
    """Give the account's free slots to its waiting executions; the number of entry points that start."""
    user = User.objects.get(pk=account_id)
    with transaction.atomic():
        queued = starting.admit(account_id, slots(user))
        ring_on_commit(queued)
    return len(queued)


def waiting_accounts() -> list[str]:
    """The accounts that have an execution waiting for a slot."""
    return _accounts_of(Execution.objects.filter(status=ExecutionStatus.QUEUED, admitted_at__isnull=True))


def accounts_of_waiting_children() -> list[str]:
    """The accounts that have a child waiting for a place of its key; it needs no slot."""
    waiting = Execution.objects.filter(
        status=ExecutionStatus.QUEUED, admitted_at__isnull=True, concurrency_key__isnull=False
    )
    return _accounts_of(waiting.filter(parent_run__isnull=False))


def _accounts_of(waiting: QuerySet[Execution]) -> list[str]:
    return list(waiting.order_by().values_list("created_by_id", flat=True).distinct())
