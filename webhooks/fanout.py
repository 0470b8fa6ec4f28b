"""From the ledger to deliveries: each event once to every webhook whose owner sees its workflow at that moment.

Nothing is written where events happen; a follower of the ledger (`events.following`) makes the deliveries later, in
the transaction that moves it on. So each event that was committed is told once, and the engine pays nothing for it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import models, transaction
from django.db.models.functions import Cast, Length, Now

from core.ids import new_id
from core.types import JSONObject, JSONValue
from events import following
from events.event_types import PUBLIC_EVENTS, EventType
from events.following import Advance
from events.models import Event
from webhooks import dispatch, payloads, transitions
from webhooks.models import Delivery, Webhook
from webhooks.states import DeliveryStatus
from workflows import access
from workflows.models import Workflow

FOLLOWER = "webhooks"
BATCH = 200
# Bodies held in memory together.
_STORED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class _Gone:
    """What the ledger says of a workflow that has been deleted."""

    name: str
    seen_by: frozenset[str]


@dataclass(slots=True)
class _Facts:
    """What payloads need beside the ledger: names by workflow, results by execution, outputs by ended run."""

    names: dict[str, str] = field(default_factory=dict)
    results: dict[str, JSONValue] = field(default_factory=dict)
    outputs: dict[tuple[Any, ...], JSONValue] = field(default_factory=dict)
    too_large: set[tuple[Any, ...]] = field(default_factory=set)


def advance() -> Advance:
    """Make the deliveries of the next events, and send word of them once they are committed. Forbids a transaction."""
    return following.advance(FOLLOWER, types=PUBLIC_EVENTS, handle=fan_out, limit=BATCH)


def fan_out(events: Sequence[Event]) -> None:
    """Store a delivery for each of the events and each webhook that is to be told of it. Needs a transaction."""
    types = {event.type for event in events}
    webhooks = list(
        Webhook.objects.filter(active=True, owner__is_active=True, events__overlap=sorted(types)).select_related(
            "owner"
        )
    )
    if not webhooks:
        return
    pairs = _pairs(events, webhooks)
    if not pairs:
        return
    facts = _facts({event.pk: event for event, _ in pairs}.values())
    # Whoever turns one off holds what is there by then: it waits for these, or these are not made.
    told = transitions.keep_on({webhook.pk for _, webhook in pairs})
    pairs = [(event, webhook) for event, webhook in pairs if webhook.pk in told]
    for start in range(0, len(pairs), _STORED_AT_ONCE):
        some = pairs[start : start + _STORED_AT_ONCE]
        Delivery.objects.bulk_create([_delivery(event, webhook, facts) for event, webhook in some])
    transaction.on_commit(lambda: dispatch.ring(told), robust=True)


def _pairs(events: Sequence[Event], webhooks: Sequence[Webhook]) -> list[tuple[Event, Webhook]]:
    """Who is to be told of what, in the order of the ledger."""
    wanted: dict[str, list[tuple[Webhook, frozenset[str] | None]]] = defaultdict(list)
    for webhook in webhooks:
        chosen = None if webhook.workflow_ids is None else frozenset(webhook.workflow_ids)
        for type_ in webhook.events:
            wanted[type_].append((webhook, chosen))
    asked = [
        (event, webhook)
        for event in events
        for webhook, chosen in wanted[event.type]
        if event.timestamp >= webhook.active_since and (chosen is None or event.workflow_id in chosen)
    ]
    if not asked:
        return []
    workflow_ids = {event.workflow_id for event, _ in asked}
    existing = set(Workflow.objects.filter(pk__in=workflow_ids).values_list("pk", flat=True))
    sights = {(event.workflow_id, webhook.owner_id) for event, webhook in asked}
    seen = access.seen([sight for sight in sights if sight[0] in existing])
    gone = _gone(workflow_ids - existing)

    def sees(event: Event, webhook: Webhook) -> bool:
        if event.workflow_id in existing:
            return (event.workflow_id, webhook.owner_id) in seen
        last = gone.get(event.workflow_id)
        return last is not None and (webhook.owner.is_staff or webhook.owner_id in last.seen_by)

    return [(event, webhook) for event, webhook in asked if sees(event, webhook)]


def _gone(workflow_ids: Iterable[str]) -> dict[str, _Gone]:
    """By id, what the ledger knows of deleted workflows; no query where there are none."""
    ids = list(workflow_ids)
    if not ids:
        return {}
    deleted = Event.objects.filter(subject_id__in=ids, type=EventType.WORKFLOW_DELETED)
    return {
        event.workflow_id: _Gone(event.data["name"], frozenset({event.owner_id, *event.data.get("shared_with", ())}))
        for event in deleted
    }


def _facts(events: Iterable[Event]) -> _Facts:
    """At most three queries, whatever the number of events. Only what fits into a payload is read at all."""
    events = list(events)
    facts = _Facts()
    of_executions = [event for event in events if not event.type.startswith("workflow.")]
    if of_executions:
        ids = {event.workflow_id for event in of_executions}
        facts.names.update(Workflow.objects.filter(pk__in=ids).values_list("pk", "name"))
        facts.names |= {key: last.name for key, last in _gone(ids - facts.names.keys()).items()}
    completed = [event.subject_id for event in events if event.type == EventType.EXECUTION_COMPLETED]
    if completed:
        rows = Workflow.objects.filter(executions__in=completed)
        for *key, value, is_large in _small(rows, "executions__results", "executions__id"):
            facts.results[key[0]] = value
            if is_large:
                facts.too_large.add(tuple(key))
    ended = [event for event in events if event.type == EventType.COMPONENT_COMPLETED]
    if ended:
        # A run's end is the time of its event; in loops, that tells one item's run from another's.
        rows = Workflow.objects.filter(
            executions__in={event.subject_id for event in ended},
            executions__runs__component_id__in={event.data["component_id"] for event in ended},
            executions__runs__completed_at__in={event.timestamp for event in ended},
        )
        names = ("executions__id", "executions__runs__component_id", "executions__runs__completed_at")
        for *key, value, is_large in _small(rows, "executions__runs__output", *names):
            facts.outputs[tuple(key)] = value
            if is_large:
                facts.too_large.add(tuple(key))
    return facts


def _small(rows: models.QuerySet[Workflow], column: str, *names: str) -> Iterable[tuple[Any, ...]]:
    """(names…, value, False), or (names…, None, True) for a value that no payload has room for, or in no row."""
    size = Length(Cast(column, models.TextField()))
    is_large = models.Case(
        models.When(models.Q(size__gt=payloads.MAX_BYTES) | models.Q(**{f"{column}_ref__isnull": False}), then=True),
        default=False,
        output_field=models.BooleanField(),
    )
    value = models.Case(
        models.When(size__lte=payloads.MAX_BYTES, then=column), default=None, output_field=models.JSONField()
    )
    return rows.alias(size=size).annotate(value=value, is_large=is_large).values_list(*names, "value", "is_large")


def _delivery(event: Event, webhook: Webhook, facts: _Facts) -> Delivery:
    id_ = new_id()
    payload = payloads.text_of(
        event=event.type,
        timestamp=event.timestamp,
        webhook_id=webhook.pk,
        delivery_id=id_,
        data=_data(event, facts),
    )
    return Delivery(
        id=id_,
        webhook=webhook,
        event=event.type,
        event_id=event.pk,
        payload=payload,
        status=DeliveryStatus.PENDING,
        next_attempt_at=Now(),
    )


def _data(event: Event, facts: _Facts) -> JSONObject:
    type_, told = EventType(event.type), dict(event.data)
    if event.type.startswith("workflow."):
        return payloads.workflow_data(told)
    workflow: JSONObject = {"id": event.workflow_id, "name": facts.names.get(event.workflow_id)}
    if type_ in {EventType.COMPONENT_COMPLETED, EventType.COMPONENT_FAILED}:
        key: tuple[Any, ...] = (event.subject_id, told["component_id"], event.timestamp)
        told["output_data"] = facts.outputs.get(key)
        data = payloads.component_data(event.subject_id, workflow, told)
    else:
        key = (event.subject_id,)
        told["results"] = facts.results.get(event.subject_id)
        data = payloads.execution_data(type_, event.subject_id, workflow, told)
    return {**data, "truncated": True} if key in facts.too_large else data
