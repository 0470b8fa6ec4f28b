"""Workflow events for the ledger."""

from core.types import JSONObject
from events import bells, ledger
from events.event_types import EventType
from workflows.access import users_with
from workflows.models import Workflow


def tell(type_: EventType, workflow: Workflow) -> None:
    """Write one event of a workflow. Needs a transaction that holds its row's lock, or has just made it.

    Once it is deleted nobody can be asked who saw it, so that event says with whom it was shared (`shared_with`).
    """
    data = _payload(workflow)
    if type_ == EventType.WORKFLOW_DELETED:
        data["shared_with"] = users_with(workflow)
    ledger.append(
        subject_id=workflow.pk,
        workflow_id=workflow.pk,
        owner_id=workflow.created_by_id,
        type=type_,
        data=data,
    )
    bells.ring_on_commit(workflow.pk, workflow.pk)


def _payload(workflow: Workflow) -> JSONObject:
    return {"id": workflow.pk, "name": workflow.name, "status": workflow.status, "version": workflow.version}
