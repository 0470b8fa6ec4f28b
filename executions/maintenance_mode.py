"""Maintenance mode: new executions are stored and wait, those under way go on to their end."""

import time
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from accounts.models import User
from core.errors import ConflictError, UnavailableError
from events import announcements
from executions.models import ComponentRun, Execution, MaintenanceMode
from executions.states import ExecutionStatus, RunStatus
from executions.transitions import holding

MAX_MESSAGE_CHARS = 2000
MAX_MINUTES = 30 * 24 * 60
_TITLE = "Maintenance: new executions wait"
_MESSAGE = "New executions are accepted, and start when maintenance is over."
# Starts take milliseconds; what is open longer hangs on a lock, or is somebody's by hand.
_EARLIER_SECONDS = 30.0
_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Load:
    """What is under way: executions that hold a slot, and their components that run and that want a worker.

    `held` counts the executions that wait for a slot: in maintenance mode all that came since.
    """

    executions: int
    running: int
    queued: int
    held: int

    @property
    def drained(self) -> bool:
        """Whether no component is at work; executions may wait for a time, a signal or an approval, for long."""
        return not self.running and not self.queued


def current() -> MaintenanceMode:
    """The mode as it is: `held`, and if so `message`, `since`, `until` and `switched_by`. One row is read."""
    return MaintenanceMode.objects.first() or MaintenanceMode()


def load() -> Load:
    """How much is still under way; counted within partial indexes."""
    under_way = Execution.objects.filter(admitted_at__isnull=False, completed_at=None, parent_run=None)
    held = Execution.objects.filter(status=ExecutionStatus.QUEUED, admitted_at=None)
    return Load(
        executions=under_way.count(),
        running=ComponentRun.objects.filter(status=RunStatus.RUNNING).count(),
        queued=ComponentRun.objects.in_queue().count(),
        held=held.count(),
    )


def switch_on(*, actor: User | None, message: str = "", until: datetime | None = None) -> MaintenanceMode:
    """Hold new executions and announce it. Once this has returned, none but children is admitted.

    Where it is on already, the message and `until`, an aware time in the future, replace the earlier ones and are
    announced. `actor` None is the command line. Raises UnavailableError if a transaction that began before stays open:
    the mode is on then, and that one may still admit an execution; ask again. Opens its own durable transaction.
    """
    now = timezone.now()
    text = message.strip()[:MAX_MESSAGE_CHARS]
    with transaction.atomic(durable=True):
        mode = _locked()
        if mode.announcement_id is not None:
            announcements.end(mode.announcement_id)
        mode.announcement = announcements.announce(title=_TITLE, message=text or _MESSAGE, ends_at=until)
        mode.held, mode.message, mode.until = True, text, until
        mode.since = mode.since or now
        mode.switched_by = actor.email if actor else ""
        mode.save(update_fields=["held", "message", "since", "until", "switched_by", "announcement"])
        audit.record(Action.MAINTENANCE_ON, mode, actor=actor, message=text, until=until and until.isoformat())
    _await_earlier()
    return mode


def switch_off(*, actor: User | None) -> MaintenanceMode:
    """Let new executions start again; what waits starts by itself, within a tick of any worker, in turn.

    Raises ConflictError if it is off. Opens its own durable transaction.
    """
    with transaction.atomic(durable=True):
        mode = _locked()
        if not mode.held:
            raise ConflictError("Maintenance mode is off")
        if mode.announcement_id is not None:
            announcements.end(mode.announcement_id)
        mode.held, mode.message, mode.until, mode.since, mode.announcement = False, "", None, None, None
        mode.switched_by = actor.email if actor else ""
        mode.save(update_fields=["held", "message", "since", "until", "switched_by", "announcement"])
        audit.record(Action.MAINTENANCE_OFF, mode, actor=actor)
    return mode


def _locked() -> MaintenanceMode:
    MaintenanceMode.objects.bulk_create([MaintenanceMode()], ignore_conflicts=True)
    return MaintenanceMode.objects.select_for_update().get()


def _await_earlier() -> None:
    """Until none is left of those transactions that may have read the mode before it was switched on.

    Not by a lock that starts would have to take: they would pay for it always, and wait behind it now.
    """
    deadline = time.monotonic() + _EARLIER_SECONDS
    earlier = holding.writers()
    while earlier:
        if time.monotonic() > deadline:
            raise UnavailableError(
                f"Maintenance mode is on, but {len(earlier)} transactions that began before are open after "
                f"{_EARLIER_SECONDS:.0f} s and may still start an execution; ask again"
            )
        time.sleep(_LOOK_SECONDS)
        earlier &= holding.writers()
