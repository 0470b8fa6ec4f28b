"""What operators do in the admin: through the services of the API, asked before what cannot be undone, recorded."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db.models import Model
from django.test import Client

from accounts.api_keys import create_api_key
from accounts.models import ApiKey, AuditEntry, Tier, User
from tests.integration.executions.conftest import log, make_workflow
from webhooks.models import Delivery, Webhook
from workflows.models import Trigger, Workflow
from workflows.services import update_workflow

pytestmark = pytest.mark.django_db(transaction=True)
CRON = {"trigger_type": "schedule", "cron": "0 3 * * *"}
SCHEDULED = {
    "components": [{"id": "start", "type": "start", "config": CRON}, log("a")],
    "connections": [{"source": "start", "target": "a", "type": "success"}],
}


def act(client: Client, action: str, *things: Model, **more: str) -> list[str]:
    """Do the action to the things; the messages on the page that follows."""
    meta = things[0]._meta
    path = f"/admin/{meta.app_label}/{meta.model_name}/"
    form: dict[str, Any] = {"action": action, "_selected_action": [str(thing.pk) for thing in things], **more}
    page = client.post(path, form, follow=True)
    assert page.status_code == 200
    return re.findall(r'<li class="(?:success|warning)">([^<]*)</li>', page.content.decode())


def told(action: str) -> list[tuple[str, str, str, str]]:
    entries = AuditEntry.objects.filter(action=action).order_by("pk")
    return list(entries.values_list("actor", "credential", "object_type", "object_id"))


@pytest.fixture
def scheduled(alice: User) -> Workflow:
    """An active workflow with a schedule."""
    workflow = make_workflow(alice, SCHEDULED)
    return update_workflow(workflow=workflow, user=alice, changes={"status": "active"})


def test_workflows_are_activated_and_what_cannot_be_is_said(browser: Client, alice: User) -> None:
    good = make_workflow(alice, SCHEDULED)
    never = {**CRON, "cron": "0 0 30 2 *"}
    bad = make_workflow(alice, {"components": [{"id": "start", "type": "start", "config": never}], "connections": []})
    messages = act(browser, "activate", good, bad)
    assert messages[-1] == "Workflows now active: 1"
    assert len(messages) == 2 and messages[0].startswith(f"Not done: {bad.name}: ")
    assert dict(Workflow.objects.values_list("pk", "status")) == {good.pk: "active", bad.pk: "draft"}
    assert Trigger.objects.get(live=True).workflow_id == good.pk
    assert told("workflow.updated") == [("admin@example.com", "admin", "workflow", good.pk)]


def test_workflows_are_deactivated_once_that_is_confirmed(browser: Client, scheduled: Workflow) -> None:
    page = browser.post(
        "/admin/workflows/workflow/", {"action": "deactivate", "_selected_action": [scheduled.pk], "index": "0"}
    ).content.decode()
    assert "Deactivate these workflows?" in page and scheduled.name in page
    scheduled.refresh_from_db()
    assert scheduled.status == "active"
    assert act(browser, "deactivate", scheduled, confirmed="yes") == ["Workflows now inactive: 1"]
    scheduled.refresh_from_db()
    assert (scheduled.status, Trigger.objects.filter(live=True).count()) == ("inactive", 0)


def test_schedules_are_paused_once_that_is_confirmed_and_resumed(browser: Client, scheduled: Workflow) -> None:
    trigger = Trigger.objects.get(workflow=scheduled)
    assert act(browser, "pause", trigger) == []
    assert Trigger.objects.get().paused_at is None
    assert act(browser, "pause", trigger, confirmed="yes") == ["Schedules paused: 1"]
    assert Trigger.objects.get().paused_at is not None
    assert act(browser, "resume", trigger) == ["Schedules resumed: 1"]
    assert Trigger.objects.get().paused_at is None
    assert act(browser, "resume", trigger) == ["Schedules resumed: 0"]
    by = ("admin@example.com", "admin", "trigger", trigger.pk)
    assert (told("schedule.paused"), told("schedule.resumed")) == ([by], [by])


def test_a_trigger_that_has_ended_is_not_paused(browser: Client, scheduled: Workflow, alice: User) -> None:
    update_workflow(workflow=scheduled, user=alice, changes={"status": "inactive"})
    trigger = Trigger.objects.get(workflow=scheduled)
    messages = act(browser, "pause", trigger, confirmed="yes")
    assert messages == [
        f"Not done: {scheduled.name}, start: 0 3 * * * (UTC): only a live schedule can be paused",
        "Schedules paused: 0",
    ]
    assert Trigger.objects.get().paused_at is None


def test_triggers_are_listed_with_their_slots_and_without_tokens(browser: Client, scheduled: Workflow) -> None:
    page = browser.get("/admin/workflows/trigger/").content.decode()
    assert "0 3 * * * (UTC)" in page and "status-live" in page
    trigger = Trigger.objects.get()
    page = browser.get(f"/admin/workflows/trigger/{trigger.pk}/change/").content.decode()
    assert "0 3 * * *" in page and "sealed_token" not in page and "token_digest" not in page
    assert "0 3 * * *" not in browser.get("/admin/workflows/trigger/?state=paused").content.decode()


def test_a_schedule_without_a_slot_to_come_is_shown_as_stuck(browser: Client, scheduled: Workflow) -> None:
    Trigger.objects.update(next_at=None)
    page = browser.get("/admin/workflows/trigger/").content.decode()
    assert "status-stuck" in page and "status-live" not in page


def test_api_keys_are_revoked_once_that_is_confirmed(browser: Client, alice: User) -> None:
    key, text = create_api_key(owner=alice, name="ci", permissions=["*"])
    kept, _ = create_api_key(owner=alice, name="kept", permissions=["*"])
    assert act(browser, "revoke", key) == []
    assert ApiKey.objects.count() == 2
    assert act(browser, "revoke", key, confirmed="yes") == ["API keys revoked: 1"]
    assert ApiKey.objects.get() == kept
    assert told("api_key.deleted") == [("admin@example.com", "admin", "api_key", key.pk)]
    assert text not in str(list(AuditEntry.objects.values_list("details")))
    assert "delete_selected" not in browser.get("/admin/accounts/apikey/").content.decode()


def test_tiers_are_set_and_limits_of_a_custom_one_go(browser: Client, alice: User, admin: User) -> None:
    User.objects.filter(pk=alice.pk).update(tier=Tier.CUSTOM, requests_per_hour=7, concurrent_executions=8)
    assert act(browser, "to_pro", alice, admin) == ["Users now of the tier pro: 2"]
    alice.refresh_from_db()
    assert (alice.tier, alice.requests_per_hour, alice.concurrent_executions) == (Tier.PRO, None, None)
    by = [("admin@example.com", "admin", "user", user.pk) for user in (alice, admin)]
    assert sorted(told("user.updated")) == sorted(by)


def test_who_is_no_superuser_sets_no_superusers_tier(admin: User, bob: User, empty_redis: None) -> None:
    User.objects.filter(pk=bob.pk).update(is_staff=True)
    bob.user_permissions.set(Permission.objects.filter(content_type__model="user"))
    client = Client()
    client.force_login(User.objects.get(pk=bob.pk))
    messages = act(client, "to_enterprise", admin)
    assert messages == [
        "Not done: admin@example.com: Only a superuser may change a superuser", "Users now of the tier enterprise: 0",
    ]  # fmt: skip
    admin.refresh_from_db()
    assert (admin.tier, told("user.updated")) == (Tier.FREE, [])


@pytest.fixture
def webhook(alice: User) -> Webhook:
    """One that the platform has switched off, with a delivery that failed and one that was held."""
    webhook = Webhook.objects.create(
        owner=alice, url="https://hooks.example.com/secret-path", events=["workflow.created"], retry_policy={},
        sealed_secret=b"\0", active=False, off_reason="failures", failures_in_a_row=20,
    )  # fmt: skip
    Delivery.objects.create(webhook=webhook, event="workflow.created", payload="{}")
    return webhook


def test_webhooks_are_switched_on_again_with_what_was_held(browser: Client, webhook: Webhook) -> None:
    assert act(browser, "switch_on", webhook) == ["Webhooks switched on: 1"]
    webhook.refresh_from_db()
    assert (webhook.active, webhook.off_reason, webhook.failures_in_a_row) == (True, "", 0)
    assert Delivery.objects.get().next_attempt_at is not None
    assert told("webhook.updated") == [("admin@example.com", "admin", "webhook", webhook.pk)]
    assert act(browser, "switch_on", webhook) == ["Webhooks switched on: 0"]
    assert "secret-path" not in browser.get("/admin/webhooks/webhook/").content.decode()


def test_deliveries_that_have_ended_are_sent_again(browser: Client, webhook: Webhook) -> None:
    pending = Delivery.objects.get()
    failed = Delivery.objects.create(
        webhook=webhook, event="workflow.created", payload="{}", status="failed", completed_at=webhook.created_at
    )
    assert act(browser, "redeliver", failed, pending) == [
        f"Not done: {pending.pk}: The delivery is pending; only one that has ended can be sent again", "1 queued",
    ]  # fmt: skip
    failed.refresh_from_db()
    assert failed.status == "pending"
    assert told("webhook.redelivered") == [("admin@example.com", "admin", "delivery", failed.pk)]


def test_who_may_only_look_does_nothing(
    viewer: Client, scheduled: Workflow, webhook: Webhook, alice: User, api_key: ApiKey
) -> None:
    before = AuditEntry.objects.count()
    trigger, delivery = Trigger.objects.get(), Delivery.objects.get()
    done: list[tuple[str, Model]] = [
        ("deactivate", scheduled), ("activate", scheduled), ("pause", trigger), ("resume", trigger),
        ("switch_on", webhook), ("redeliver", delivery), ("to_pro", alice), ("revoke", api_key),
        ("delete_selected", api_key),
    ]  # fmt: skip
    for action, thing in done:
        assert act(viewer, action, thing, confirmed="yes") in ([], ["No action selected."]), action
    for thing in (scheduled, trigger, webhook, delivery, alice, api_key):
        fresh, columns = type(thing)._default_manager.get(pk=thing.pk), thing._meta.concrete_fields
        assert [getattr(fresh, each.attname) for each in columns] == [getattr(thing, each.attname) for each in columns]
    assert AuditEntry.objects.count() == before


@pytest.fixture
def api_key(alice: User) -> ApiKey:
    """One of alice's."""
    return create_api_key(owner=alice, name="k", permissions=["*"])[0]


LISTS = (
    *("accounts/user", "accounts/apikey", "accounts/session", "accounts/secret", "accounts/auditentry"),
    *("accounts/oauthapplication", "auth/group", "events/announcement", "events/event", "templates_app/template"),
    *("workflows/workflow", "workflows/trigger", "workflows/slot", "webhooks/webhook", "webhooks/delivery"),
    "executions/idempotencykey",
)


@pytest.mark.parametrize("path", LISTS)
def test_every_list_opens_searches_and_counts_no_facets(
    browser: Client, scheduled: Workflow, webhook: Webhook, path: str, as_user: Callable[..., Any], alice: User
) -> None:
    as_user(alice)
    page = browser.get(f"/admin/{path}/")
    assert page.status_code == 200
    assert "_facets" not in page.content.decode()
    if "searchbar" in page.content.decode():
        for text in (alice.pk, "alice@example.com", "10.0.0.1", "99999999999999999999", "ä%_'", "x" * 300):
            assert browser.get(f"/admin/{path}/", {"q": text}).status_code == 200, text
