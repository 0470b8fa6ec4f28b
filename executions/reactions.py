"""Event triggers: what happened, as the ledger tells it, starts the workflows that wait for it.

In two steps. The ledger's follower writes a row for each event and trigger that belong together, in the transaction
that moves it on; nothing in that can be refused. Each row is then an execution, or told of as skipped, in a transaction
of its own that deletes it: each event starts a trigger's workflow once, and none holds the others up.
"""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts import audit
from core.connections import is_away, may_pass
from core.errors import ConflictError, ValidationFailedError
from core.json_text import dumps
from core.types import JSONObject
from events import following
from events.event_types import EventType
from events.models import Event
from executions import plans, services, trigger_parameters
from executions.models import ComponentRun, Execution, Reaction
from executions.services import NewExecution, StartRequest, Stop
from executions.transitions import triggering
from executions.triggers import RefusedError, refusals, refused_without, require_owner
from workflows.access import visible_to_user
from workflows.activation import tell_of_event
from workflows.components.control import TRIGGER_EVENTS
from workflows.expressions import evaluate_condition
from workflows.models import Trigger, TriggerType, Workflow, WorkflowVersion

logger = logging.getLogger(__name__)

FOLLOWER = "event_triggers"
# How many executions may follow from one another by events.
MAX_CHAIN = 10
BATCH = 100
_PASS_SECONDS = 1.0
# What is left out of an input that would be too large, the largest first.
_LARGE = (("execution", "results"), ("component", "output_data"), ("component", "error"), ("execution", "error"))


def follow() -> int:
    """Note which events of the ledger belong to which triggers, up to its end; how many were looked at.

    Forbids a transaction.
    """
    return following.advance(FOLLOWER, types=_wanted_types, handle=_note).handled


def _wanted_types() -> list[EventType]:
    wanted = Trigger.objects.filter(live=True, type=TriggerType.EVENT).values_list("config__event", flat=True)
    return [EventType(name) for name in sorted(set(wanted)) if name in TRIGGER_EVENTS]


def _note(events: Sequence[Event]) -> None:
    live = Trigger.objects.filter(live=True, type=TriggerType.EVENT, config__event__in={event.type for event in events})
    by_owner: dict[str, list[Trigger]] = {}
    for trigger in live.select_related("workflow"):
        by_owner.setdefault(trigger.workflow.created_by_id, []).append(trigger)
    noted: list[Reaction] = []
    for owner_id, triggers in by_owner.items():
        # What somebody may as staff is not lent to their workflows.
        seen = visible_to_user(owner_id, staff=False).filter(pk__in={event.workflow_id for event in events})
        ids = set(seen.values_list("pk", flat=True))
        noted += [
            Reaction(trigger=trigger, event_id=event.pk)
            for event in events
            if event.workflow_id in ids or _was_seen(event, owner_id)
            for trigger in triggers
            if _is_meant(trigger, event)
        ]
    Reaction.objects.bulk_create(noted, ignore_conflicts=True)


def _was_seen(event: Event, owner_id: str) -> bool:
    """Of a workflow that is gone its owner hears still, and those with whom its last event says it was shared."""
    if event.type != EventType.WORKFLOW_DELETED:
        return False
    return owner_id == event.owner_id or owner_id in event.data.get("shared_with", ())


def _is_meant(trigger: Trigger, event: Event) -> bool:
    wanted = trigger.config["workflow_id"]
    # What happened before the trigger lived is not for it, however far behind the ledger's reader is.
    lives = trigger.anchor_at is not None and trigger.anchor_at <= event.timestamp
    return lives and trigger.config["event"] == event.type and wanted in {None, event.workflow_id}


def react() -> int:
    """Start what was noted; how many were seen to. Forbids a transaction.

    Where somebody holds a workflow or its owner's account, what is the owner's is left for the next pass.
    """
    began, seen, left = time.monotonic(), 0, set[str]()
    rows = Reaction.objects.select_related("trigger__workflow__created_by").order_by("pk")
    found: list[Reaction] = list(rows[:BATCH])
    while found and time.monotonic() - began < _PASS_SECONDS:
        reaction = found.pop(0)
        owner_id = reaction.trigger.workflow.created_by_id
        try:
            seen += _react(reaction)
        except _LeftError:
            left.add(owner_id)
            found = list(rows.filter(pk__gt=reaction.pk).exclude(trigger__workflow__created_by__in=left)[:BATCH])
    return seen


class _LeftError(Exception):
    """It could not be started now: somebody holds a row that it needs, or it took too long."""


def _react(reaction: Reaction) -> int:
    try:
        return int(_settle(reaction))
    except _ChangedError:
        return 0
    except Exception as error:
        if is_away(error):
            raise
        if may_pass(error):
            raise _LeftError from error
        logger.exception("Event trigger failed", extra={"action": "reaction_failed", "trigger_id": reaction.trigger_id})
    try:
        return int(_settle(reaction, RefusedError("error", "It could not be started; the server's log says why")))
    except Exception as error:
        if is_away(error):
            raise
        if may_pass(error):
            raise _LeftError from error
        logger.exception("Event trigger is stuck", extra={"action": "reaction_stuck"})
        return 0


def _settle(reaction: Reaction, refusal: RefusedError | None = None) -> bool:
    """One execution, or why there is none; false if somebody else is at it."""
    trigger, workflow = reaction.trigger, reaction.trigger.workflow
    event = Event.objects.filter(pk=reaction.event_id).first()
    new: NewExecution | None = None
    if event is not None and refusal is None:
        try:
            new = _prepared(trigger, event)
        except WorkflowVersion.DoesNotExist:
            return False
        except RefusedError as error:
            refusal = error
    stops: list[Stop] = []
    with transaction.atomic(durable=True):
        if not triggering.claim([trigger.pk]):
            return False
        if not triggering.lock_workflows_and_account([workflow.pk], workflow.created_by_id):
            return False
        stands = triggering.lock([trigger.pk]).get(trigger.pk)
        if not Reaction.objects.filter(pk=reaction.pk).delete()[0]:
            return False
        if stands is None or event is None:
            # It ended since, and with it what it waited for.
            return True
        if new is not None and stands.version == workflow.version:
            try:
                stops = services.store(new)
                audit.record_all([services.started_entry(new)])
            except ConflictError as error:
                refusal = RefusedError("concurrency", error.message)
        elif new is not None:
            raise _ChangedError
        if refusal is not None:
            tell_of_event(trigger, workflow, event, refusal.reason, refusal.detail)
    services.after_stops(stops)
    return True


class _ChangedError(Exception):
    """The workflow was changed while its execution was prepared; the next pass prepares it anew."""


def _prepared(trigger: Trigger, event: Event) -> NewExecution | None:
    """The execution, or None where the condition is not true. Raises RefusedError, WorkflowVersion.DoesNotExist."""
    workflow, now = trigger.workflow, datetime.now(UTC)
    cause = Execution.objects.filter(pk=event.subject_id).first()
    chain = (cause.trigger.get("chain", 0) if cause is not None else 0) + 1
    brought = input_of(event, cause)
    with refusals():
        require_owner(workflow.created_by)
        compiled = services.compiled_to_run(plans.version_id(workflow.pk, workflow.version))
        config = compiled.definition.by_id[trigger.component_id].config
        if "condition" in config:
            about = {"id": workflow.pk, "name": workflow.name, "version": workflow.version}
            if not evaluate_condition(config["condition"], {"input": brought, "workflow": about}, now=now):
                return None
        if chain > MAX_CHAIN:
            raise RefusedError("chain", f"More than {MAX_CHAIN} executions would follow from one another by events")
        given = trigger_parameters.parameters_of(config, workflow, slot_at=None, now=now, brought=brought)
        told: JSONObject = {
            "type": "event",
            "trigger_id": trigger.pk,
            "component_id": trigger.component_id,
            "event": event.type,
            "chain": chain,
            **({"execution_id": cause.pk} if cause is not None else {}),
        }
        try:
            return services.prepare(
                workflow,
                workflow.created_by,
                StartRequest(given.values),
                told,
                hidden=given.hidden,
                masks=given.masks,
                brought=brought,
            )
        except ValidationFailedError as error:
            raise refused_without(given.hidden, error) from None


def input_of(event: Event, cause: Execution | None) -> JSONObject:
    """`{event, data}` with the data of a webhook's payload (API reference, "Webhook Payload"), as it may be shown.

    Results, output and errors over what an input may hold read null, and `data.truncated` is true; so do those that
    are stored beside the database: a store that is slow must not hold up who asks, which is every worker's keeper.
    """
    told: dict[str, Any] = event.data
    name = Workflow.objects.filter(pk=event.workflow_id).values_list("name", flat=True).first()
    about: JSONObject = {"id": event.workflow_id, "name": told.get("name") if name is None else name}
    data: JSONObject
    stored = False
    if event.type.startswith("workflow."):
        data = {"workflow": {**about, "status": told.get("status"), "version": told.get("version")}}
    elif event.type.startswith("component."):
        run = ComponentRun.objects.filter(
            execution=event.subject_id, component_id=told["component_id"], item_index=told.get("item_index")
        ).first()
        component = {
            "component_id": told["component_id"],
            "status": told.get("status"),
            "output_data": None if run is None else run.output,
            "error": told.get("error"),
        }
        stored = run is not None and run.output_ref is not None
        execution = {"id": event.subject_id, "workflow_id": event.workflow_id, "status": "running"}
        data = {"execution": execution, "workflow": about, "component": component}
    else:
        execution = {"id": event.subject_id, "workflow_id": event.workflow_id, "status": told.get("status")}
        if event.type != EventType.EXECUTION_STARTED:
            seconds = told.get("duration_seconds")
            execution["duration_seconds"] = None if seconds is None else int(seconds)
        if event.type == EventType.EXECUTION_COMPLETED:
            stored = cause is not None and cause.results_ref is not None
            execution["results"] = None if cause is None or stored else cause.results
        if event.type == EventType.EXECUTION_FAILED:
            execution["error"] = told.get("error") or (None if cause is None else cause.error)
        data = {"execution": execution, "workflow": about}
    return {"event": str(event.type), "data": _bounded({**data, "truncated": True} if stored else data)}


def _bounded(data: JSONObject) -> JSONObject:
    # A little less than the limit, for the name of the event around it.
    limit = settings.MAX_OUTPUT_BYTES - 200
    for part, key in _LARGE:
        if len(dumps(data)) <= limit:
            break
        if data.get(part, {}).get(key) is not None:
            data = {**data, part: {**data[part], key: None}, "truncated": True}
    return data
