"""How executions start: checked, then stored; by request, and when their time has come."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from accounts.models import AuditEntry, User
from core import measures, tracing
from core.errors import (
    ConflictError,
    ErrorCode,
    NotFoundError,
    Problem,
    ValidationFailedError,
    WorkflowInvalidError,
)
from core.ids import ULIDField, new_id
from core.json_text import dumps
from core.prepared_query import PreparedQuery
from core.request_id import current_request_id
from core.types import JSONObject, JSONValue
from executions import admission, conclude, maintenance_mode, plans, sealing
from executions.dispatch import ring_on_commit
from executions.failpoints import failpoint
from executions.models import Execution, IdempotencyKey
from executions.states import ExecutionStatus
from executions.transitions import starting
from executions.transitions.starting import Due, Progress
from executions.transitions.statements import ExecutionEnd
from workflows.expressions import ExpressionError, render
from workflows.models import Workflow, WorkflowStatus, WorkflowVersion
from workflows.parameters import ParameterError, check
from workflows.part_references import missing_parts

IDEMPOTENCY_LIFETIME = timedelta(hours=24)
_BY_ID = PreparedQuery(lambda pk: Execution.objects.filter(pk=pk), ULIDField())
_RUNNABLE = frozenset({WorkflowStatus.DRAFT, WorkflowStatus.ACTIVE})


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What a caller asks for when starting a workflow; `scheduled_at` is an aware datetime."""

    parameters: JSONObject = field(default_factory=dict)
    priority: int | None = None
    scheduled_at: datetime | None = None
    tags: Sequence[str] = ()
    idempotency_key: str | None = None

    def digest(self, workflow_id: str) -> bytes:
        """What a repeated Idempotency-Key must match; the keys of an object have no order (RFC 8259, section 4)."""
        body = [workflow_id, self.parameters, self.priority, self.scheduled_at and self.scheduled_at.isoformat()]
        return hashlib.sha256(json.dumps([*body, list(self.tags)], sort_keys=True).encode()).digest()


@dataclass(frozen=True, slots=True)
class StartResult:
    """The execution, and whether this call made it (false: a repeated Idempotency-Key)."""

    execution: Execution
    created: bool


def start_execution(
    *,
    workflow: Workflow,
    user: User,
    request: StartRequest,
    trigger: JSONObject | None = None,
    digest: bytes = b"",
    **how: Any,
) -> StartResult:
    """Accept an execution: when this returns it is stored, and it will reach an end (contract §5, §7).

    Every way in ends here. Raises ConflictError (status, reused key, `concurrency` with `skip`), WorkflowInvalidError,
    ValidationFailedError for parameters, and NotFoundError if the workflow has been deleted meanwhile. Opens its own
    durable transaction; messages go out after it. `digest` is what a repeated Idempotency-Key must match, where it is
    not the whole request; `how` is for `prepare`.
    """
    if request.idempotency_key and not digest:
        digest = request.digest(workflow.pk)
    if request.idempotency_key:
        earlier = _earlier(user, request.idempotency_key, digest)
        if earlier is not None:
            return StartResult(earlier, created=False)
    new = prepare(workflow, user, request, trigger or {"type": "manual"}, **how)
    try:
        with transaction.atomic(durable=True):
            # First of all: the same key twice at once waits here for the first, and is not refused for its sake.
            if request.idempotency_key:
                IdempotencyKey.objects.create(
                    user=user, key=request.idempotency_key, request_digest=digest, execution_id=new.execution_id
                )
            stops = insert(new)
            audit.record_all([started_entry(new)])
    except WorkflowVersion.DoesNotExist:
        raise NotFoundError("Workflow not found") from None
    except IntegrityError:
        # The same key twice at once: the other one won, and its execution is the answer.
        earlier = _earlier(user, request.idempotency_key, digest) if request.idempotency_key else None
        if earlier is None:
            raise
        return StartResult(earlier, created=False)
    failpoint("start_after_commit")
    after_stops(stops)
    # After the commit, and so after the message: the worker need not wait for this.
    execution = _BY_ID.one(new.execution_id)
    if execution is None:
        raise NotFoundError("The workflow was deleted with its executions")
    return StartResult(execution, created=True)


def started_entry(new: "NewExecution") -> AuditEntry:
    """What the audit log keeps of a start."""
    trigger = new.facts["trigger"]["type"]
    return audit.entry(
        Action.EXECUTION_STARTED, Execution(id=new.execution_id), workflow_id=new.workflow_id, trigger=trigger
    )


@dataclass(frozen=True, slots=True)
class NewExecution:
    """An execution checked and ready to be stored: what `starting.start` takes, and its workflow's concurrency."""

    execution_id: str
    workflow_id: str
    account_id: str
    strategy: str | None
    facts: JSONObject


def prepare(
    workflow: Workflow,
    user: User,
    request: StartRequest,
    trigger: JSONObject,
    *,
    number: int | None = None,
    progress: Progress | None = None,
    hidden: Collection[str] = (),
    masks: Mapping[str, JSONValue] | None = None,
    brought: JSONObject | None = None,
    **links: Any,
) -> NewExecution:
    """Check everything that can be checked without a lock. `number`: a version other than the current one.

    `hidden`: texts that the execution must not tell beside its own secrets; `masks`: what at most may be shown of a
    parameter, by name. `brought`: what the trigger hands to the start, instead of the parameters. `links`: parent_run,
    depth, retry_of.
    Raises as `start_execution` does, and WorkflowVersion.DoesNotExist.
    """
    if workflow.status not in _RUNNABLE:
        raise ConflictError(f"A workflow that is {workflow.status} cannot be executed")
    version_id = plans.version_id(workflow.pk, number or workflow.version)
    compiled = compiled_to_run(version_id)
    _require_parts(compiled, workflow)
    values = _checked(compiled, request.parameters)
    execution_id = new_id()
    sensitive = [parameter.name for parameter in compiled.definition.parameters if parameter.sensitive]
    shown, sealed = sealing.split_parameters(values, sensitive, execution_id=execution_id, hidden=hidden, masks=masks)
    sealed_input = None
    if brought is not None:
        shown_input, sealed_input = sealing.split_input(brought, execution_id=execution_id, hidden=hidden)
        trigger = {**trigger, "input": shown_input}
    rules = compiled.definition.settings
    facts: JSONObject = {
        "plan": compiled.plan,
        "slots": admission.slots(user),
        "priority": request.priority or workflow.priority,
        "progress": progress or Progress(),
        "workflow": workflow.pk,
        "workflow_owner": workflow.created_by_id,
        "version": version_id,
        "parameters": shown,
        "sealed_parameters": sealed,
        "sealed_hidden": sealing.seal_hidden(hidden, execution_id=execution_id) if hidden else None,
        "sealed_input": sealed_input,
        "tags": list(request.tags),
        "trigger": trigger,
        "request_id": current_request_id(),
        "traceparent": tracing.current_traceparent(),
        "due": request.scheduled_at is None or request.scheduled_at <= timezone.now(),
        "scheduled_at": request.scheduled_at,
        "timeout_seconds": rules.timeout_seconds,
        "max_parallel": rules.max_parallel,
        "concurrency_key": _concurrency_key(compiled, values, workflow),
        "concurrency_limit": rules.concurrency.limit if rules.concurrency else None,
        "parent_run": None,
        "depth": 0,
        "retry_of": None,
        **links,
    }
    strategy = rules.concurrency.strategy if rules.concurrency else None
    return NewExecution(execution_id, workflow.pk, user.pk, strategy, facts)


# An execution that was stopped to make room, and its end if nothing of it was running.
Stop: TypeAlias = "tuple[str, list[ExecutionEnd]]"


def insert(new: NewExecution) -> list[Stop]:
    """Store it; its messages go out on commit. What it stopped (`cancel_running`) is for `after_stops`.

    Needs a transaction. Raises NotFoundError, and ConflictError where the strategy is `skip` and no place is free.
    """
    starting.lock_workflow_and_account(new.workflow_id, new.account_id)
    return store(new)


def store(new: NewExecution) -> list[Stop]:
    """`insert` where workflow and account are locked already."""
    stops: list[Stop] = []
    key, limit = new.facts["concurrency_key"], new.facts["concurrency_limit"]
    if key is not None:
        holders = starting.holders(new.workflow_id, key)
        if new.strategy == "skip" and len(holders) >= limit and new.facts["due"]:
            raise ConflictError(_SKIPPED.format(limit=limit))
        if new.strategy == "cancel_running" and new.facts["due"]:
            stops = _make_room(holders, limit, is_child=new.facts["parent_run"] is not None)
    started = starting.start(execution_id=new.execution_id, account_id=new.account_id, **new.facts)
    ring_on_commit(started.queued)
    trigger: str = new.facts["trigger"]["type"]
    transaction.on_commit(lambda: measures.EXECUTIONS_ACCEPTED.count(trigger), robust=True)
    failpoint("start_before_commit")
    return stops


def _make_room(holders: Sequence[str], limit: int, *, is_child: bool = False) -> list[Stop]:
    """Cancel the oldest holders of a key, which say so, that one more has a place. Needs the key's lock.

    In maintenance mode, where the new one would not start, only among those that wait like it.
    """
    if not is_child and maintenance_mode.current().held:
        waiting = set(Execution.objects.filter(pk__in=holders, admitted_at=None).values_list("pk", flat=True))
        holders = [holder for holder in holders if holder in waiting]
    stops: list[Stop] = []
    for holder in holders[: max(len(holders) + 1 - limit, 0)]:
        ends = conclude.stop_in_transaction(holder, ExecutionStatus.CANCELLED, _conflict(_REPLACED, limit))
        stops += [] if ends is None else [(holder, ends)]
    return stops


def queue_scheduled(due: Due) -> bool:
    """Queue a scheduled execution whose time has come, as its workflow's `concurrency.strategy` has it.

    With `skip` and no place it is cancelled, and says so. False if it is not pending any more. Opens its own durable
    transaction.
    """
    concurrency = plans.compiled(due.version_id).definition.settings.concurrency
    if concurrency is None or concurrency.strategy == "queue":
        return starting.queue(due.execution_id)
    stops: list[Stop] = []
    with transaction.atomic(durable=True):
        starting.lock_workflow_and_account(due.workflow_id, due.account_id)
        # Those before it: of what is due with it, the later ones are still pending.
        holders = starting.holders(due.workflow_id, due.concurrency_key)
        if not starting.queue(due.execution_id):
            return False
        if concurrency.strategy == "cancel_running":
            stops = _make_room(holders, concurrency.limit)
        elif len(holders) >= concurrency.limit:
            error = _conflict(_SKIPPED, concurrency.limit)
            ends = conclude.stop_in_transaction(due.execution_id, ExecutionStatus.CANCELLED, error)
            stops = [] if ends is None else [(due.execution_id, ends)]
    after_stops(stops)
    return True


def after_stops(stops: Sequence[Stop]) -> None:
    """What follows the commit of `insert`: children of what was stopped are cancelled, slots given on."""
    for execution_id, ends in stops:
        conclude.after_stop(execution_id, ends)


def compiled_to_run(version_id: str) -> plans.Compiled:
    """The version, if all of it can run here. Raises WorkflowInvalidError, WorkflowVersion.DoesNotExist."""
    try:
        compiled = plans.compiled(version_id)
    except plans.UnrunnableError as error:
        raise WorkflowInvalidError(problems=error.problems) from None
    if compiled.unknown_types:
        raise WorkflowInvalidError(problems=compiled.unknown_types)
    return compiled


def _concurrency_key(compiled: plans.Compiled, values: JSONObject, workflow: Workflow) -> str | None:
    """A digest of the rendered key: it may hold what nobody should read."""
    concurrency = compiled.definition.settings.concurrency
    if concurrency is None:
        return None
    about = {"id": workflow.pk, "name": workflow.name, "version": compiled.number}
    scope = {**values, "parameters": values, "workflow": about}
    try:
        key = render(concurrency.key, scope, now=timezone.now())
    except ExpressionError as error:
        problem = Problem(str(error), field="definition.settings.concurrency.key")
        raise ValidationFailedError("The concurrency key cannot be computed", problems=[problem]) from None
    return hashlib.sha256(dumps(key)).hexdigest()


_SKIPPED = "The workflow's concurrency limit of {limit} is reached, and its strategy is skip"
_REPLACED = (
    "A newer execution took its place: the workflow's concurrency limit of {limit} is reached, "
    "and its strategy is cancel_running"
)


def _conflict(message: str, limit: int) -> JSONObject:
    return {"code": str(ErrorCode.RESOURCE_CONFLICT), "message": message.format(limit=limit)}


def _require_parts(compiled: plans.Compiled, workflow: Workflow) -> None:
    if not (compiled.secrets.secrets or compiled.names_children):
        return
    missing = missing_parts(compiled.definition, workflow.created_by_id)
    if missing:
        raise WorkflowInvalidError(problems=missing)


def _checked(compiled: plans.Compiled, given: JSONObject) -> JSONObject:
    try:
        values = check(compiled.definition.parameters, given)
    except ParameterError as error:
        raise ValidationFailedError("Invalid parameters", problems=error.problems) from None
    # Every list of executions shows them, and `start` hands them on as its output.
    size = len(dumps(values))
    if size > settings.MAX_OUTPUT_BYTES:
        details = {"expected": f"at most {settings.MAX_OUTPUT_BYTES} bytes", "received": f"{size} bytes"}
        problem = Problem("More than an output may hold", field="parameters", details=details)
        raise ValidationFailedError("Invalid parameters", problems=[problem])
    return values


def _earlier(user: User, key: str, digest: bytes) -> Execution | None:
    """The execution that the key made within its lifetime. Raises ConflictError for another request."""
    kept = IdempotencyKey.objects.select_related("execution").filter(user=user, key=key).first()
    if kept is None:
        return None
    if kept.created_at < timezone.now() - IDEMPOTENCY_LIFETIME:
        kept.delete()
        return None
    if bytes(kept.request_digest) != digest:
        raise ConflictError(
            "Idempotency-Key was used for another request",
            problems=[Problem("Use a new key for a new request", field="Idempotency-Key")],
        )
    return kept.execution
