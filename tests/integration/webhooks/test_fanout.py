"""Who is told of what: the owner's sight at that moment, the events, the workflows, and never twice."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from core.redact import REDACTED
from events.event_types import PUBLIC_EVENTS, EventType
from events.models import Event
from executions import interventions
from executions.models import Execution
from executions.services import StartRequest, start_execution
from tests.api import Api
from tests.integration.executions.conftest import Doorbells, linear, log, transform
from tests.integration.webhooks.conftest import again, happen
from webhooks import fanout, maintenance
from webhooks.models import Delivery, Webhook
from workflows.models import Role, Share, Workflow
from workflows.services import create_workflow, delete_workflow, update_workflow

pytestmark = pytest.mark.django_db(transaction=True)

Hook = Callable[..., Webhook]
ALL = [str(event) for event in PUBLIC_EVENTS]


def told(webhook: Webhook | None = None) -> list[tuple[str, Any]]:
    """(event, data) of all deliveries so far, in the order of the ledger."""
    maintenance.tell()
    rows = Delivery.objects.order_by("event_id")
    if webhook is not None:
        rows = rows.filter(webhook=webhook)
    return [(row.event, json.loads(row.payload)["data"]) for row in rows]


def names(webhook: Webhook | None = None) -> list[str]:
    return [event for event, _ in told(webhook)]


def share(workflow: Workflow, owner: User, **with_: Any) -> Share:
    return Share.objects.create(workflow=workflow, role=Role.VIEWER, created_by=owner, **with_)


def test_each_of_the_eleven_events_is_told(alice: User, hook: Hook, doorbells: Doorbells) -> None:
    hook(events=ALL)
    fails = {"id": "f", "type": "fail", "config": {"message": "no"}}
    workflow = create_workflow(user=alice, name="w", definition=linear(log("a")))
    update_workflow(workflow=workflow, user=alice, changes={"description": "d"})
    update_workflow(workflow=workflow, user=alice, changes={"status": "active"})
    update_workflow(workflow=workflow, user=alice, changes={"status": "inactive"})
    update_workflow(workflow=workflow, user=alice, changes={"status": "draft"})
    workflow.refresh_from_db()
    start_execution(workflow=workflow, user=alice, request=StartRequest())
    doorbells.work()
    update_workflow(workflow=workflow, user=alice, changes={"definition": linear(fails)})
    workflow.refresh_from_db()
    start_execution(workflow=workflow, user=alice, request=StartRequest())
    doorbells.work()
    running = start_execution(workflow=workflow, user=alice, request=StartRequest()).execution
    interventions.cancel_execution(execution=running)
    delete_workflow(workflow=workflow, force=True)
    assert set(names()) == set(ALL)
    happened = Event.objects.filter(type__in=ALL).values_list("type", flat=True).order_by("pk")
    assert names() == list(happened)


def test_results_and_outputs_are_told_as_they_may_be_shown(alice: User, hook: Hook, doorbells: Doorbells) -> None:
    hook(events=["execution.completed", "component.completed"])
    definition = linear(transform("a", {"n": 1, "password": "{{ token }}"}), transform("b", "{{ token }} {{ 6 * 7 }}"))
    definition["parameters"] = [{"name": "token", "type": "secret", "required": True}]
    workflow = create_workflow(user=alice, name="w", definition=definition)
    request = StartRequest(parameters={"token": "a-canary-to-be-hidden"})
    execution = start_execution(workflow=workflow, user=alice, request=request).execution
    doorbells.work()
    execution.refresh_from_db()
    (_, a), (_, b), (_, end) = told()
    assert a["component"] == {
        "component_id": "a", "status": "completed", "output_data": {"n": 1, "password": REDACTED}, "error": None,
    }  # fmt: skip
    assert b["component"]["output_data"] == execution.results
    assert end["execution"]["results"] == execution.results
    assert end["workflow"] == {"id": workflow.pk, "name": "w"}
    assert not Delivery.objects.filter(payload__contains="a-canary").exists()


def test_outputs_of_a_loop_s_items_are_each_their_own(alice: User, hook: Hook, doorbells: Doorbells) -> None:
    hook(events=["component.completed"])
    body = {"components": [{"id": "x", "type": "transform", "config": {"output": "{{ item * 10 }}"}}]}
    loop = {"id": "l", "type": "for_each", "config": {"items": [1, 2, 3], **body}}
    workflow = create_workflow(user=alice, name="w", definition=linear(loop))
    start_execution(workflow=workflow, user=alice, request=StartRequest())
    doorbells.work()
    components = [data["component"] for _, data in told()]
    assert [each["output_data"] for each in components if each["component_id"] == "x"] == [10, 20, 30]
    assert components[-1]["output_data"] == [10, 20, 30]


@pytest.mark.parametrize("inline_bytes", [None, 64 * 1024])
def test_h7_a_megabyte_of_results_is_left_out_and_never_read(
    alice: User, hook: Hook, doorbells: Doorbells, settings: Any, inline_bytes: int | None
) -> None:
    settings.OUTPUT_INLINE_BYTES = inline_bytes
    hook(events=["execution.completed", "component.completed"])
    large = transform("a", "{{ range(10000) | join('--------') }}")
    workflow = create_workflow(user=alice, name="w", definition=linear(large))
    start_execution(workflow=workflow, user=alice, request=StartRequest())
    doorbells.work()
    (_, component), (_, execution) = told()
    assert (component["component"]["output_data"], component["truncated"]) == (None, True)
    assert (execution["execution"]["results"], execution["truncated"]) == (None, True)


def test_only_what_happens_to_workflows_that_the_owner_sees_is_told(
    alice: User, bob: User, admin: User, as_user: Callable[..., Api], hook: Hook
) -> None:
    of_bob, of_staff = hook(as_user(bob), events=ALL), hook(as_user(admin), events=ALL)
    workflow = happen(alice)
    assert (names(of_bob), names(of_staff)) == ([], ["workflow.created"])
    lent = share(workflow, alice, user=bob)
    again(workflow)
    assert names(of_bob) == ["workflow.updated"]
    lent.delete()
    again(workflow)
    assert names(of_bob) == ["workflow.updated"]
    team = Group.objects.create(name="team")
    bob.groups.add(team)
    share(workflow, alice, group=team)
    again(workflow)
    assert names(of_bob) == ["workflow.updated"] * 2


def test_what_is_shared_in_two_ways_is_told_once(
    alice: User, bob: User, as_user: Callable[..., Api], hook: Hook
) -> None:
    of_bob = hook(as_user(bob), events=ALL)
    workflow = happen(alice)
    team = Group.objects.create(name="team")
    bob.groups.add(team)
    share(workflow, alice, group=team)
    share(workflow, alice, user=bob)
    again(workflow)
    # Who sees it is asked when it is told, not when it happened.
    assert names(of_bob) == ["workflow.created", "workflow.updated"]


def test_a_deletion_is_told_to_those_who_saw_the_workflow(
    alice: User, bob: User, as_user: Callable[..., Api], hook: Hook, doorbells: Doorbells
) -> None:
    charlie = User.objects.create_user("charlie@example.com", "correct-horse-battery", username="charlie")
    hooks = [hook(as_user(user), events=ALL) for user in (alice, bob, charlie)]
    workflow = happen(alice)
    share(workflow, alice, user=bob)
    start_execution(workflow=workflow, user=alice, request=StartRequest())
    delete_workflow(workflow=workflow, force=True)
    assert names(hooks[0]) == ["workflow.created", "execution.cancelled", "workflow.deleted"]
    # The share came before anything was read.
    assert names(hooks[1]) == ["workflow.created", "execution.cancelled", "workflow.deleted"]
    assert names(hooks[2]) == []
    (_, cancelled), (_, deleted) = told(hooks[1])[1:]
    assert cancelled["workflow"] == {"id": workflow.pk, "name": "w"}
    assert deleted == {"workflow": {"id": workflow.pk, "name": "w", "status": "draft", "version": 1}}


def test_events_and_workflow_ids_narrow_what_is_told(alice: User, hook: Hook) -> None:
    one, two = happen(alice, "one"), happen(alice, "two")
    narrowed = hook(events=["workflow.updated"], workflow_ids=[one.pk])
    for workflow in (one, two):
        again(workflow)
        again(workflow, EventType.WORKFLOW_ACTIVATED)
    assert [data["workflow"]["name"] for _, data in told(narrowed)] == ["one"]


def test_an_owner_who_is_disabled_is_told_nothing(alice: User, hook: Hook) -> None:
    hook()
    User.objects.filter(pk=alice.pk).update(is_active=False)
    happen(alice)
    assert names() == []


def test_what_happened_before_it_was_made_or_while_it_was_off_is_not_told(
    alice: User, alice_api: Api, hook: Hook
) -> None:
    happen(alice, "before")
    webhook = hook()
    happen(alice, "on")
    maintenance.tell()
    alice_api.call("PATCH", f"/webhooks/{webhook.pk}", {"active": False})
    happen(alice, "off")
    # Turned on again before anybody read on.
    alice_api.call("PATCH", f"/webhooks/{webhook.pk}", {"active": True})
    happen(alice, "on again")
    assert [data["workflow"]["name"] for _, data in told()] == ["on", "on again"]


def test_what_is_rolled_back_is_not_told(alice: User, hook: Hook) -> None:
    hook(events=ALL)
    workflow = happen(alice)
    with pytest.raises(RuntimeError), transaction.atomic():
        again(workflow)
        raise RuntimeError
    assert names() == ["workflow.created"]


def test_telling_again_tells_nothing_twice(alice: User, hook: Hook) -> None:
    hook()
    happen(alice)
    maintenance.tell()
    maintenance.tell()
    assert Delivery.objects.count() == 1


def test_the_number_of_queries_does_not_grow_with_events_or_webhooks(
    alice: User, hook: Hook, doorbells: Doorbells
) -> None:
    def queries(events: int, hooks: int) -> int:
        for _ in range(hooks):
            hook(events=["workflow.updated"])
        for _ in range(events):
            again(workflow)
        with CaptureQueriesContext(connection) as captured:
            fanout.advance()
        return len(captured)

    workflow = happen(alice)
    first = queries(1, 1)
    before = Delivery.objects.count()
    second = queries(20, 4)
    assert Delivery.objects.count() - before == 100
    assert first == second


def test_an_execution_of_somebody_else_is_told_to_those_who_see_its_workflow(
    alice: User, bob: User, hook: Hook, doorbells: Doorbells
) -> None:
    webhook = hook(events=["execution.started"])
    workflow = happen(alice)
    Share.objects.create(workflow=workflow, user=bob, role=Role.OPERATOR, created_by=alice)
    execution = start_execution(workflow=workflow, user=bob, request=StartRequest()).execution
    doorbells.work()
    ((_, data),) = told(webhook)
    assert data["execution"] == {"id": execution.pk, "workflow_id": workflow.pk, "status": "running"}
    assert Execution.objects.get().created_by_id == bob.pk
