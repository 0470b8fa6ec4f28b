"""Which waiting executions may start: the account's tier slots, then priority, then age (contract §4)."""

from django.db import transaction

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
    waiting = Execution.objects.filter(status=ExecutionStatus.QUEUED, admitted_at__isnull=True)
    return list(waiting.order_by().values_list("created_by_id", flat=True).distinct())
