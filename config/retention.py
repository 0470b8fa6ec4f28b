"""What is kept how long: every table with its owner, the rules that prune, and the turn that a worker takes at them.

Rules are asked one after another, each for small batches in transactions of their own, so that nobody waits for
pruning, and whatever interrupts it leaves nothing half done.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from accounts import retention as accounts_retention
from core.connections import is_away, is_held
from core.pruning import NotMyTurnError, Pruned, Rule, rule_of_rows
from events.models import Announcement
from executions import retention as executions_retention
from executions.models import BulkCancel
from webhooks import maintenance as webhooks_maintenance

logger = logging.getLogger(__name__)


def _old_announcements(now: datetime) -> QuerySet[Announcement]:
    return Announcement.objects.filter(ends_at__lt=now - timedelta(days=settings.RETENTION["AUDIT_DAYS"]))


def _old_bulk_cancels(now: datetime) -> QuerySet[BulkCancel]:
    return BulkCancel.objects.filter(completed_at__lt=now - timedelta(days=settings.RETENTION["AUDIT_DAYS"]))


RULES: tuple[Rule, ...] = (
    *executions_retention.RULES,
    *webhooks_maintenance.RULES,
    *accounts_retention.RULES,
    rule_of_rows("announcements", Announcement, "APG_KEEP_AUDIT_DAYS after their end", _old_announcements),
    rule_of_rows("bulk_cancels", BulkCancel, "APG_KEEP_AUDIT_DAYS after their end", _old_bulk_cancels),
)

_EXECUTION = "goes with its execution"
_PEOPLE = "does not grow by itself: people write it"
_RELEASE = "does not grow by itself: a release writes it"
_ONE_EACH = "does not grow by itself: a row for each of what it tells of, and goes with it"

OWNERS: dict[str, str] = {
    # Pruned by rules of their own.
    **{rule.table: "pruned" for rule in RULES},
    # Parts of an execution.
    "executions_componentrun": _EXECUTION,
    "executions_loopitem": _EXECUTION,
    "executions_signal": _EXECUTION,
    # What work leaves behind only for a moment.
    "executions_reaction": "a queue: a row goes when its execution is started or refused",
    "executions_worker": "a row goes a day after the last heartbeat",
    # One row for each of something.
    "events_follower": _ONE_EACH,
    "executions_tallystate": _ONE_EACH,
    "executions_maintenancemode": _ONE_EACH,
    "workflows_workflowtally": _ONE_EACH,
    "workflows_trigger": _ONE_EACH,
    # What people make, and delete.
    "accounts_user": _PEOPLE,
    "accounts_user_groups": _PEOPLE,
    "accounts_user_user_permissions": _PEOPLE,
    "accounts_apikey": _PEOPLE,
    "accounts_secret": _PEOPLE,
    "accounts_oauthapplication": _PEOPLE,
    "auth_group": _PEOPLE,
    "auth_group_permissions": _PEOPLE,
    "templates_app_template": _PEOPLE,
    "templates_app_templaterating": _PEOPLE,
    "webhooks_webhook": _PEOPLE,
    "workflows_share": _PEOPLE,
    "workflows_workflow": _PEOPLE,
    # One a change of a definition: what it was is worth more than the space.
    "workflows_workflowversion": "grows with changes of definitions alone, whose history it is; goes with its workflow",
    # Django's own.
    "auth_permission": _RELEASE,
    "django_content_type": _RELEASE,
    "django_migrations": _RELEASE,
    "accounts_oauthunused": "never written",
}


@dataclass(slots=True)
class Turn:
    """What a turn did: rows by rule and table, whether more is left, and whether another process was at it."""

    rows: dict[str, Counter[str]] = field(default_factory=dict)
    more: bool = False
    elsewhere: bool = False

    @property
    def total(self) -> int:
        return sum(sum(rows.values()) for rows in self.rows.values())


def take_turn(
    rules: Sequence[Rule] = RULES,
    *,
    seconds: float | None = None,
    pause: Callable[[float], object] | None = None,
    progress: Callable[[Rule, Pruned], None] | None = None,
) -> Turn:
    """Prune by the rules, for so many seconds at the most (None: until nothing is left), batch by batch.

    `pause` waits between batches; a true answer ends the turn. A rule that fails is logged and keeps none of the
    others from their work. Raises DatabaseError where PostgreSQL cannot be reached. Forbids a transaction.
    """
    turn, began = Turn(), monotonic()
    left = list(rules)
    while left:
        # In turns, so that one that has much to do does not keep the others waiting.
        for rule in list(left):
            try:
                pruned = _batch(rule)
            except NotMyTurnError:
                turn.elsewhere = True
                return turn
            if not pruned.more:
                left.remove(rule)
            turn.rows.setdefault(rule.name, Counter()).update(pruned.rows)
            if progress is not None:
                progress(rule, pruned)
            stop = pause is not None and pause(settings.RETENTION["PAUSE_SECONDS"])
            if stop or (seconds is not None and monotonic() - began >= seconds):
                turn.more = bool(left)
                return turn
    return turn


def _batch(rule: Rule) -> Pruned:
    try:
        pruned = rule.prune(timezone.now())
    except NotMyTurnError:
        raise
    except Exception as error:
        if is_held(error):
            logger.info("Pruning waits for a lock: %s", rule.name, extra={"action": "prune_waits"})
            return Pruned()
        if is_away(error):
            raise
        logger.exception("Pruning failed: %s", rule.name, extra={"action": "prune_failed"})
        return Pruned()
    if any(pruned.rows.values()):
        rows = {table: count for table, count in pruned.rows.items() if count}
        logger.info("Pruned: %s", rule.name, extra={"action": "pruned", "rule": rule.name, "rows": rows})
    return pruned
