"""How a `sub_workflow` starts its child."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db import transaction

from accounts.models import User
from core.errors import APGError
from core.ids import parse_id
from core.types import JSONObject, JSONValue
from executions import services
from executions.states import WaitingFor
from executions.transitions import starting, waiting
from executions.transitions.statements import Held, Measured
from executions.transitions.waiting import Wait
from workflows.access import runnable_by_owner
from workflows.components.base import Child
from workflows.models import Workflow, WorkflowVersion
from workflows.schemas import short

MAX_DEPTH = 10
# Of what should be an id of 26 characters; `short` cuts no text of this length.
_MAX_NAMED_CHARS = 32


class ChildRefusedError(Exception):
    """A `sub_workflow` cannot start its child; the message says why."""


def start_child(
    run: Held,
    parent: Mapping[str, Any],
    child: Child,
    *,
    hidden: Collection[str],
    masks: Mapping[str, JSONValue],
    lines: Sequence[JSONObject],
    measured: Measured,
) -> bool:
    """Start an execution for a run that then waits for it, in one transaction; false if the run may not wait.

    The child runs in its parent's slot, for the same account, with the same priority. It must be a workflow that
    the owner of the parent's workflow may run. What the parent hides (`hidden`) the child hides too, where it is
    given any of it, and of the parameters in `masks` it shows what stands there. Raises ChildRefusedError. Forbids a
    transaction.
    """
    depth = parent["depth"] + 1
    if depth > MAX_DEPTH:
        raise ChildRefusedError(f"Sub-workflows are nested deeper than {MAX_DEPTH}")
    workflow = _child_workflow(parent["workflow_id"], child.workflow_id)
    trigger = {"type": "sub_workflow", "execution_id": run.key.execution_id, "component_id": run.component_id}
    if "chain" in parent["trigger"]:
        trigger["chain"] = parent["trigger"]["chain"]
    request = services.StartRequest(parameters=child.parameters, priority=parent["priority"])
    try:
        new = services.prepare(
            workflow,
            User.objects.get(pk=parent["created_by_id"]),
            request,
            trigger,
            number=child.version,
            hidden=hidden,
            masks=masks,
            parent_run=run.key.run_id,
            depth=depth,
        )
        with transaction.atomic(durable=True):
            # Before the parent's execution is locked: the order in which every start takes its locks.
            starting.lock_workflow_and_account(new.workflow_id, new.account_id)
            if not waiting.wait(run.key, Wait(WaitingFor.CHILD), lines=lines, measured=measured):
                return False
            stops = services.store(new)
    except WorkflowVersion.DoesNotExist:
        raise ChildRefusedError(f"Workflow {workflow.pk} has no version {child.version}") from None
    except APGError as error:
        reasons = [f"{problem.field}: {problem.message}" for problem in error.problems[:5]]
        raise ChildRefusedError("; ".join([f"The child cannot start: {error.message}", *reasons])) from None
    services.after_stops(stops)
    return True


def _child_workflow(parent_workflow_id: str, wanted: str) -> Workflow:
    owner_id = Workflow.objects.filter(pk=parent_workflow_id).values_list("created_by_id", flat=True).first()
    try:
        workflow = None if owner_id is None else runnable_by_owner(owner_id).filter(pk=parse_id(wanted)).first()
    except ValueError:
        workflow = None
    if workflow is None:
        # Whole or not at all: of a secret that was computed into it, a cut would leave a half that nobody recognises.
        named = short(wanted) if len(wanted) <= _MAX_NAMED_CHARS else f"with an id of {len(wanted)} characters"
        raise ChildRefusedError(f"There is no workflow {named} that the workflow's owner may run")
    return workflow
