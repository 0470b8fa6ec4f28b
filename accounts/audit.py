"""The audit log: who did what, when, from where, to which object (append-only; the database refuses changes)."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from django.db import models, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from accounts.callers import Caller
from accounts.models import AuditEntry, User
from accounts.throttling import client_address
from core.request_id import current_request_id


class Action(StrEnum):
    """What is recorded. The names are part of the API: `GET audit?action=…`."""

    LOGIN_SUCCEEDED = "login.succeeded"
    LOGIN_REFUSED = "login.refused"
    SESSION_ENDED = "session.ended"
    REFRESH_REUSED = "session.refresh_reused"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - the name of an action
    PASSWORD_REFUSED = "password.refused"  # noqa: S105 - the name of an action
    USER_CREATED = "user.created"
    USER_UPDATED = "user.updated"
    GROUP_CREATED = "group.created"
    GROUP_UPDATED = "group.updated"
    GROUP_DELETED = "group.deleted"
    API_KEY_CREATED = "api_key.created"
    API_KEY_DELETED = "api_key.deleted"
    SECRET_CREATED = "secret.created"  # noqa: S105 - the name of an action
    SECRET_UPDATED = "secret.updated"  # noqa: S105 - the name of an action
    SECRET_DELETED = "secret.deleted"  # noqa: S105 - the name of an action
    OAUTH_ALLOWED = "oauth.allowed"
    OAUTH_DENIED = "oauth.denied"
    OAUTH_ISSUED = "oauth.issued"
    OAUTH_REUSED = "oauth.reused"
    WORKFLOW_CREATED = "workflow.created"
    WORKFLOW_UPDATED = "workflow.updated"
    WORKFLOW_DELETED = "workflow.deleted"
    SHARE_CREATED = "share.created"
    SHARE_DELETED = "share.deleted"
    TEMPLATE_CREATED = "template.created"
    TEMPLATE_UPDATED = "template.updated"
    TEMPLATE_DELETED = "template.deleted"
    TEMPLATE_RATED = "template.rated"
    EXECUTION_STARTED = "execution.started"
    EXECUTION_CANCELLED = "execution.cancelled"
    EXECUTION_RETRIED = "execution.retried"
    EXECUTION_SIGNALLED = "execution.signalled"
    EXECUTION_REQUEUED = "execution.requeued"
    EXECUTION_RELEASED = "execution.released"
    EXECUTIONS_CANCELLED = "executions.cancelled"
    MAINTENANCE_ON = "maintenance.on"
    MAINTENANCE_OFF = "maintenance.off"
    SCHEDULE_PAUSED = "schedule.paused"
    SCHEDULE_RESUMED = "schedule.resumed"
    SCHEDULE_RUN = "schedule.run"
    SCHEDULE_BACKFILLED = "schedule.backfilled"
    HOOK_ROTATED = "hook.rotated"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_UPDATED = "webhook.updated"
    WEBHOOK_DELETED = "webhook.deleted"
    WEBHOOK_SECRET_ROTATED = "webhook.secret_rotated"  # noqa: S105 - the name of an action
    WEBHOOK_TESTED = "webhook.tested"
    WEBHOOK_REDELIVERED = "webhook.redelivered"
    WEBHOOK_TURNED_OFF = "webhook.turned_off"
    ADMIN_ADDED = "admin.added"
    ADMIN_CHANGED = "admin.changed"
    ADMIN_DELETED = "admin.deleted"
    # Written by the database itself, in the statement that prunes the log.
    AUDIT_PRUNED = "audit.pruned"


@dataclass(slots=True)
class _Origin:
    """Where the request being served comes from and, once it is known, its caller."""

    address: str
    caller: Caller | None = None


_origin: ContextVar[_Origin | None] = ContextVar("audit_origin", default=None)


def origin_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Lets entries made during a request name its address and its caller."""

    def middleware(request: HttpRequest) -> HttpResponse:
        token = _origin.set(_Origin(client_address(request)))
        try:
            return get_response(request)
        finally:
            _origin.reset(token)

    return middleware


@contextmanager
def acting(caller: Caller, address: str) -> Iterator[None]:
    """Entries made in the block are the caller's, from this address: for what is no HTTP request."""
    token = _origin.set(_Origin(address, caller))
    try:
        yield
    finally:
        _origin.reset(token)


def identify(caller: Caller) -> None:
    """The current request's caller is known."""
    origin = _origin.get()
    if origin is not None:
        origin.caller = caller


def entry(
    action: Action,
    thing: models.Model | None = None,
    *,
    actor: User | None = None,
    object_id: str | None = None,
    **details: Any,
) -> AuditEntry:
    """An entry not yet stored; `details` are JSON without secrets.

    The caller of the request did it, unless `actor` is given; `object_id` where it is not the thing's key.
    """
    origin = _origin.get()
    caller = None if origin is None else origin.caller
    who = actor or (caller.user if caller else None)
    return AuditEntry(
        actor_id=who.pk if who else None,
        actor=who.email if who else "",
        credential=caller.credential if caller and actor is None else "",
        address=(origin.address or None) if origin else None,
        request_id=current_request_id(),
        action=str(action),
        object_type="" if thing is None else _type_name(thing._meta.object_name or ""),
        object_id=object_id or ("" if thing is None else str(thing.pk)),
        details=details,
    )


def record(action: Action, thing: models.Model | None = None, **options: Any) -> None:
    """Store one `entry`, in the transaction of what it tells of where there is one."""
    entry(action, thing, **options).save(force_insert=True)


def record_all(made: Iterable[AuditEntry]) -> None:
    """Store several entries in one statement."""
    AuditEntry.objects.bulk_create(made)


@contextmanager
def recording(action: Action, thing: models.Model, **options: Any) -> Iterator[None]:
    """The block and its entry in one transaction; what the block raises leaves neither."""
    with transaction.atomic():
        yield
        record(action, thing, **options)


def entries() -> QuerySet[AuditEntry]:
    """All entries, the newest first."""
    return AuditEntry.objects.order_by("-pk")


def by_ids(ids: Sequence[str]) -> QuerySet[AuditEntry]:
    """Those entries, in no order."""
    return AuditEntry.objects.filter(pk__in=ids)


@cache
def _type_name(class_name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", class_name).lower()
