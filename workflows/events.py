"""Workflow events for the ledger."""

from core.types import JSONObject
from events import bells, ledger
from events.event_types import EventType
from workflows.models import Workflow


def tell(type_: EventType, workflow: Workflow) -> None:
    """Write one event of a workflow. Needs a transaction that holds its row's lock, or has just made it."""
    ledger.append(
        subject_id=workflow.pk,
        workflow_id=workflow.pk,
        owner_id=workflow.created_by_id,
        type=type_,
        data=_payload(workflow),
    )
    bells.ring_on_commit(workflow.pk)


def _payload(workflow: Workflow) -> JSONObject:
    return {"id": workflow.pk, "name": workflow.name, "status": workflow.status, "version": workflow.version}
