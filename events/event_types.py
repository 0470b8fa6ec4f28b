"""The names of events: the webhook table of the API reference, and the finer ones of contract §7."""

from enum import StrEnum

LOG_LEVELS = ("debug", "info", "warning", "error")


class EventType(StrEnum):
    """Every event name that the ledger knows."""

    WORKFLOW_CREATED = "workflow.created"
    WORKFLOW_UPDATED = "workflow.updated"
    WORKFLOW_DELETED = "workflow.deleted"
    WORKFLOW_ACTIVATED = "workflow.activated"
    WORKFLOW_DEACTIVATED = "workflow.deactivated"
    EXECUTION_STARTED = "execution.started"
    EXECUTION_COMPLETED = "execution.completed"
    EXECUTION_FAILED = "execution.failed"
    EXECUTION_CANCELLED = "execution.cancelled"
    COMPONENT_STARTED = "component.started"
    COMPONENT_WAITING = "component.waiting"
    COMPONENT_COMPLETED = "component.completed"
    COMPONENT_FAILED = "component.failed"
    COMPONENT_SKIPPED = "component.skipped"
    TRIGGER_SKIPPED = "trigger.skipped"
    LOG = "log"


# Those of the API reference's table: what webhooks tell of.
PUBLIC_EVENTS = (
    EventType.WORKFLOW_CREATED,
    EventType.WORKFLOW_UPDATED,
    EventType.WORKFLOW_DELETED,
    EventType.WORKFLOW_ACTIVATED,
    EventType.WORKFLOW_DEACTIVATED,
    EventType.EXECUTION_STARTED,
    EventType.EXECUTION_COMPLETED,
    EventType.EXECUTION_FAILED,
    EventType.EXECUTION_CANCELLED,
    EventType.COMPONENT_COMPLETED,
    EventType.COMPONENT_FAILED,
)
