"""What users do with executions: start, cancel."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from core.errors import ConflictError, NotFoundError, Problem, ValidationFailedError, WorkflowInvalidError
from core.ids import new_id
from core.json_text import dumps
from core.request_id import current_request_id
from core.types import JSONObject
from executions import admission, conclude, plans, sealing
from executions.dispatch import ring_on_commit
from executions.failpoints import failpoint
from executions.models import Execution, IdempotencyKey
from executions.states import ExecutionStatus
from executions.transitions import starting
from workflows.models import Workflow, WorkflowStatus, WorkflowVersion
from workflows.parameters import ParameterError, check

IDEMPOTENCY_LIFETIME = timedelta(hours=24)
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
        """What a repeated Idempotency-Key must match."""
        body = [workflow_id, self.parameters, self.priority, self.scheduled_at and self.scheduled_at.isoformat()]
        return hashlib.sha256(dumps([*body, list(self.tags)])).digest()


@dataclass(frozen=True, slots=True)
class StartResult:
    """The execution, and whether this call made it (false: a repeated Idempotency-Key)."""

    execution: Execution
    created: bool


def start_execution(
    *, workflow: Workflow, user: User, request: StartRequest, trigger: JSONObject | None = None
) -> StartResult:
    """Accept an execution: when this returns it is stored, and it will reach an end (contract §5, §7).

    Every way in ends here. Raises ConflictError (status, reused key), WorkflowInvalidError, ValidationFailedError
    for parameters, and NotFoundError if the workflow has been deleted meanwhile. Opens its own durable transaction;
    messages go out after it.
    """
    digest = request.digest(workflow.pk) if request.idempotency_key else b""
    if request.idempotency_key:
        earlier = _earlier(user, request.idempotency_key, digest)
        if earlier is not None:
            return StartResult(earlier, created=False)
    try:
        with transaction.atomic(durable=True):
            execution_id = _insert(workflow, user, request, trigger or {"type": "manual"})
            if request.idempotency_key:
                IdempotencyKey.objects.create(
                    user=user, key=request.idempotency_key, request_digest=digest, execution_id=execution_id
                )
    except WorkflowVersion.DoesNotExist:
        raise NotFoundError("Workflow not found") from None
    except IntegrityError:
        # The same key twice at once: the other one won, and its execution is the answer.
        earlier = _earlier(user, request.idempotency_key, digest) if request.idempotency_key else None
        if earlier is None:
            raise
        return StartResult(earlier, created=False)
    failpoint("start_after_commit")
    # After the commit, and so after the message: the worker need not wait for this.
    execution = Execution.objects.filter(pk=execution_id).first()
    if execution is None:
        raise NotFoundError("The workflow was deleted with its executions")
    return StartResult(execution, created=True)


def _insert(workflow: Workflow, user: User, request: StartRequest, trigger: JSONObject) -> str:
    if workflow.status not in _RUNNABLE:
        raise ConflictError(f"A workflow that is {workflow.status} cannot be executed")
    version_id = plans.version_id(workflow.pk, workflow.version)
    try:
        compiled = plans.compiled(version_id)
    except plans.UnrunnableError as error:
        raise WorkflowInvalidError(problems=error.problems) from None
    values = _checked(compiled, request.parameters)
    execution_id = new_id()
    sensitive = [parameter.name for parameter in compiled.definition.parameters if parameter.sensitive]
    shown, sealed = sealing.split_parameters(values, sensitive, execution_id=execution_id)
    due = request.scheduled_at is None or request.scheduled_at <= timezone.now()
    started = starting.start(
        execution_id=execution_id,
        plan=compiled.plan,
        account_id=user.pk,
        slots=admission.slots(user),
        priority=request.priority or workflow.priority,
        workflow=workflow.pk,
        version=version_id,
        parameters=shown,
        sealed_parameters=sealed,
        tags=list(request.tags),
        trigger=trigger,
        request_id=current_request_id(),
        due=due,
        scheduled_at=request.scheduled_at,
        timeout_seconds=compiled.definition.settings.timeout_seconds,
    )
    ring_on_commit(started.queued)
    failpoint("start_before_commit")
    return execution_id


def _checked(compiled: plans.Compiled, given: JSONObject) -> JSONObject:
    try:
        return check(compiled.definition.parameters, given)
    except ParameterError as error:
        raise ValidationFailedError("Invalid parameters", problems=error.problems) from None


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


def cancel_execution(execution: Execution) -> Execution:
    """Start nothing new; waits end, running components are told. The execution as it is now.

    Cancelling again what is already being cancelled changes nothing. Raises ConflictError if it has ended.
    """
    if not conclude.stop_execution(execution.pk, ExecutionStatus.CANCELLED):
        raise ConflictError("The execution has already ended")
    return Execution.objects.get(pk=execution.pk)
