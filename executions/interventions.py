"""What users do with executions that are under way or have ended: cancel, retry, signal."""

from dataclasses import dataclass, field

from django.conf import settings
from django.db import transaction

from accounts import audit
from accounts.audit import Action
from accounts.models import User
from core.errors import ConflictError, NotAllowedError, NotFoundError, Problem, ValidationFailedError
from core.ids import new_id
from core.json_text import dumps, storable_dumps
from core.types import JSONObject, JSONValue
from executions import conclude, outputs, plans, sealing, services
from executions.dispatch import ring
from executions.models import ComponentRun, Execution
from executions.rerun import Rerun, plan_rerun
from executions.states import FINAL_EXECUTION, ExecutionStatus, RunStatus, WaitingFor
from executions.transitions import ending, waiting
from executions.transitions.starting import Carried, Progress
from executions.transitions.statements import QueuedRun
from workflows.schemas import short

MAX_KEPT_SIGNALS = 1000


def cancel_execution(execution: Execution) -> Execution:
    """Start nothing new; waits end, running components are told. The execution as it is now.

    Cancelling again what is already being cancelled changes nothing. Raises ConflictError if it has ended.
    """
    if not conclude.stop_execution(execution.pk, ExecutionStatus.CANCELLED):
        raise ConflictError("The execution has already ended")
    audit.record(Action.EXECUTION_CANCELLED, execution, workflow_id=execution.workflow_id)
    return Execution.objects.get(pk=execution.pk)


@dataclass(frozen=True, slots=True)
class RetryRequest:
    """How an ended execution is run again; `latest`: with the workflow's current version instead of the same."""

    from_component: str | None = None
    parameters: JSONObject = field(default_factory=dict)
    latest: bool = False


def retry_execution(*, execution: Execution, user: User, request: RetryRequest) -> Execution:
    """A new execution of an ended one, whose parameters and, before `from_component`, outputs it takes over.

    Raises ConflictError while it has not ended and for a workflow that cannot run, ValidationFailedError naming the
    component or the parameter, WorkflowInvalidError, and NotFoundError if it has been deleted meanwhile. Opens its own
    durable transaction.
    """
    number, rerun = _planned(execution, request)
    sealed = None if execution.sealed_parameters is None else bytes(execution.sealed_parameters)
    parameters = sealing.open_parameters(execution.parameters, sealed, execution_id=execution.pk)
    declared = services.compiled_to_run(execution.version_id).definition.parameters
    hidden = sealing.open_hidden(
        None if execution.sealed_hidden is None else bytes(execution.sealed_hidden), execution_id=execution.pk
    ) | sealing.secret_values(parameters, [parameter.name for parameter in declared if parameter.sensitive])
    # What was made of another execution's secret is known by its place alone.
    masks = {
        name: shown
        for name, shown in execution.parameters.items()
        if name in parameters and shown != parameters[name] and name not in request.parameters
    }
    start = services.StartRequest({**parameters, **request.parameters}, execution.priority, tags=execution.tags)
    sealed_input = None if execution.sealed_input is None else bytes(execution.sealed_input)
    brought = sealing.open_input(execution.trigger, sealed_input, execution_id=execution.pk)
    progress = _progress(execution, rerun)
    new = services.prepare(
        execution.workflow,
        user,
        start,
        execution.trigger,
        brought=brought if isinstance(brought, dict) else None,
        number=number,
        progress=progress,
        hidden=hidden,
        masks=masks,
        retry_of=execution.pk,
    )
    with transaction.atomic(durable=True):
        stops = services.insert(new)
        # What it takes over was read before; pruned meanwhile, it would run again instead.
        if Execution.objects.select_for_update(of=("self",), no_key=True).filter(pk=execution.pk).first() is None:
            raise NotFoundError("Execution not found")
        for carried in progress.carried.values():
            outputs.adopt([carried.output_ref, carried.sealed_output_ref], new.execution_id)
        audit.record(Action.EXECUTION_RETRIED, execution, workflow_id=execution.workflow_id, retry=new.execution_id)
    services.after_stops(stops)
    return Execution.objects.get(pk=new.execution_id)


def preview_retry(execution: Execution, request: RetryRequest) -> list[str]:
    """The components that a retry would run again, in definition order; nothing starts. Raises as a retry does."""
    _, rerun = _planned(execution, request)
    return list(rerun.again)


def _planned(execution: Execution, request: RetryRequest) -> tuple[int, Rerun]:
    if execution.status not in FINAL_EXECUTION:
        raise ConflictError("Only an execution that has ended can be retried")
    number = execution.workflow.version if request.latest else execution.version.number
    definition = services.compiled_to_run(plans.version_id(execution.workflow_id, number)).definition
    component = request.from_component
    if component is None:
        counters = {id_: len(definition.incoming[id_]) for id_ in definition.by_id}
        return number, Rerun(tuple(definition.by_id), {}, frozenset(), counters, {})
    if component not in definition.by_id:
        details = {"expected": "the id of a component of the workflow", "received": short(component)}
        problem = Problem("There is no such component", field="from_component", details=details)
        raise ValidationFailedError(problems=[problem])
    runs = execution.runs.filter(item=None).values_list("component_id", "status", "taken_out")
    states = {id_: RunStatus(status) for id_, status, _ in runs}
    taken = {id_: taken or () for id_, _, taken in runs}
    earlier = services.compiled_to_run(execution.version_id).definition
    rerun = plan_rerun(definition, earlier, states, taken, component)
    if component not in rerun.again:
        problem = Problem("It would be skipped: no connection that leads to it was taken", field="from_component")
        raise ValidationFailedError(problems=[problem])
    return number, rerun


def _progress(execution: Execution, rerun: Rerun) -> Progress:
    runs = {run.component_id: run for run in execution.runs.filter(item=None, component_id__in=rerun.carried)}
    carried = {id_: _carried(runs[id_], taken) for id_, taken in rerun.carried.items()}
    return Progress(carried, rerun.skipped, rerun.pending, rerun.taken)


def _carried(run: ComponentRun, taken: tuple[int, ...]) -> Carried:
    """A sealed output is bound to its run, and sealed for another; what is stored elsewhere is stored once more."""
    new_run_id = new_id()
    reference = None if run.output_ref is None else outputs.put(outputs.get(run.output_ref), None)
    sealed = outputs.whole_sealed(run.sealed_output, run.sealed_output_ref)
    if sealed is None:
        return Carried(run.pk, taken, new_run_id, reference)
    plain = sealing.open_output(None, sealed, run_id=run.pk)
    resealed = sealing.seal_output(storable_dumps(plain), run_id=new_run_id)
    return Carried(run.pk, taken, new_run_id, reference, *outputs.sealed_aside(resealed, None))


def send_signal(*, execution: Execution, user: User, name: str, data: JSONValue) -> bool:
    """Tell an execution something; whether a run was waiting for it. Otherwise it is kept for the first that will.

    Raises ConflictError for an ended execution or too many kept signals, ValidationFailedError for an approval's
    data, NotAllowedError if only others may answer. Opens its own durable transaction.
    """
    size = len(dumps(data))
    if size > settings.MAX_OUTPUT_BYTES:
        details = {"expected": f"at most {settings.MAX_OUTPUT_BYTES} bytes", "received": f"{size} bytes"}
        raise ValidationFailedError(problems=[Problem("More than an output may hold", field="data", details=details)])
    if _is_approval(execution, name):
        _check_approval(data)
    groups = list(user.groups.values_list("name", flat=True))
    signal_id = new_id()
    # Whatever it holds: which of it is secret is known where the execution's secrets are opened, in the worker.
    sealed = sealing.seal_signal(data, signal_id=signal_id)
    woken: list[QueuedRun] = []
    with transaction.atomic(durable=True):
        if not ending.lock(execution.pk):
            raise ConflictError("The execution has already ended")
        if execution.signals.filter(taken_at=None).count() >= MAX_KEPT_SIGNALS:
            raise ConflictError(f"{MAX_KEPT_SIGNALS} signals are kept already that nobody has waited for")
        runs = execution.runs.filter(status=RunStatus.WAITING, waiting_for=WaitingFor.SIGNAL, signal=name)
        waiters = list(runs.order_by("changed_at", "pk").values_list("pk", "approvers"))
        allowed = [run_id for run_id, approvers in waiters if conclude.may_send(user.pk, groups, approvers)]
        if waiters and not allowed:
            raise NotAllowedError("Only its approvers may answer this")
        waiting.keep_signal(signal_id, execution.pk, name, sealed, user.pk)
        audit.record(Action.EXECUTION_SIGNALLED, execution, workflow_id=execution.workflow_id, signal=name)
        if allowed:
            woken = waiting.deliver(signal_id, allowed[0])
    ring(woken)
    return bool(woken)


def _is_approval(execution: Execution, name: str) -> bool:
    homes = services.compiled_to_run(execution.version_id).homes
    return name in homes and homes[name].definition.by_id[name].type == "approval"


def _check_approval(data: JSONValue) -> None:
    problems = []
    if not isinstance(data, dict) or not isinstance(data.get("approved"), bool):
        problems.append(Problem("Must be true or false", field="data.approved", details={"expected": "a boolean"}))
    elif not isinstance(data.get("comment", ""), str):
        problems.append(Problem("Must be text", field="data.comment", details={"expected": "text"}))
    if isinstance(data, dict):
        known = {"approved", "comment"}
        problems += [Problem("Unknown field", field=f"data.{key[:64]}") for key in data if key not in known]
    if problems:
        raise ValidationFailedError(problems=problems)
