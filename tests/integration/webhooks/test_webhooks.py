"""Webhooks over REST and in the admin: made, changed, rotated, tested, deleted; each change in the audit log."""

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from standardwebhooks import Webhook as Standard

from accounts.models import AuditEntry, User
from core.outbound import OutboundPolicy, send
from tests.api import Api
from tests.eventually import eventually
from tests.integration.webhooks.conftest import LONE, POLICY, SECRET, happen, work
from tests.ports import free_port
from tests.webhook_receiver import Got, Receiver, Reply
from webhooks import maintenance, sealing, signing
from webhooks.models import Delivery, Webhook

pytestmark = pytest.mark.django_db(transaction=True)

Hook = Callable[..., Webhook]
ROOT = Path(__file__).parents[3]


def actions() -> list[str]:
    return list(
        AuditEntry.objects.filter(action__startswith="webhook.").order_by("pk").values_list("action", flat=True)
    )


def secret_of(webhook: Webhook) -> str:
    webhook.refresh_from_db()
    return sealing.open_secret(bytes(webhook.sealed_secret), webhook_id=webhook.pk)


def test_a_webhook_is_made_with_defaults_and_its_secret_is_shown_once(alice_api: Api) -> None:
    made = alice_api.post("/webhooks", {"url": "https://example.com/in", "events": ["workflow.created"]})
    assert made.status == 201
    secret = made.data.pop("secret")
    signing.check_secret(secret)
    webhook = Webhook.objects.get()
    assert secret_of(webhook) == secret
    assert secret.encode() not in bytes(webhook.sealed_secret)
    assert made.data == alice_api.get(f"/webhooks/{webhook.pk}").data
    assert {name: made.data[name] for name in made.data if not name.endswith("_at")} == {
        "id": webhook.pk,
        "url": "https://example.com/in",
        "events": ["workflow.created"],
        "workflow_ids": None,
        "active": True,
        "off_reason": None,
        "failures_in_a_row": 0,
        "retry_policy": {
            "max_attempts": 3, "initial_delay_seconds": 60, "max_delay_seconds": 3600, "backoff_multiplier": 2,
        },
        "previous_secret_valid_until": None,
    }  # fmt: skip
    assert actions() == ["webhook.created"]


def test_a_put_replaces_all_but_the_secret_and_a_patch_what_it_names(
    alice_api: Api, hook: Hook, receiver: Receiver
) -> None:
    webhook = hook(workflow_ids=None, active=False)
    path = f"/webhooks/{webhook.pk}"
    patched = alice_api.call("PATCH", path, {"events": ["workflow.deleted"]})
    assert (patched.data["events"], patched.data["active"], patched.data["retry_policy"]) == (
        ["workflow.deleted"], False, POLICY,
    )  # fmt: skip
    put = alice_api.call("PUT", path, {"url": "https://example.com/", "events": ["workflow.created"]})
    assert (put.data["url"], put.data["active"], put.data["retry_policy"]["max_attempts"]) == (
        "https://example.com/", True, 3,
    )  # fmt: skip
    assert secret_of(webhook) == SECRET
    assert put.data["updated_at"] > patched.data["updated_at"] > patched.data["created_at"]
    assert [entry.details for entry in AuditEntry.objects.filter(action="webhook.updated").order_by("pk")] == [
        {"fields": ["events"]}, {"fields": ["active", "events", "retry_policy", "url"]},
    ]  # fmt: skip
    alice_api.call("PATCH", path, {"active": True})
    assert len(actions()) == 3, "what changes nothing tells nothing"


def test_lists_show_the_newest_first_and_filter_deliveries(alice: User, alice_api: Api, hook: Hook) -> None:
    one, two = hook(), hook()
    assert [item["id"] for item in alice_api.get("/webhooks").data] == [two.pk, one.pk]
    assert [item["id"] for item in alice_api.get("/webhooks?limit=1&offset=1").data] == [one.pk]
    happen(alice)
    work()
    test = alice_api.post(f"/webhooks/{one.pk}/test").data["id"]
    path = f"/webhooks/{one.pk}/deliveries"
    (first, second) = alice_api.get(path).data
    assert (first["id"], first["event"], first["status"]) == (test, "webhook.test", "pending")
    assert (second["event"], second["status"], second["response_status"]) == ("workflow.created", "succeeded", 200)
    assert [item["id"] for item in alice_api.get(f"{path}?status=succeeded").data] == [second["id"]]
    assert [item["id"] for item in alice_api.get(f"{path}?event=webhook.test").data] == [test]
    assert alice_api.get(f"{path}?event=workflow.deleted").body["metadata"]["total_count"] == 0
    shown = alice_api.get(f"{path}/{second['id']}").data
    assert shown["payload"]["delivery_id"] == second["id"]
    assert [entry["response_status"] for entry in shown["attempts_log"]] == [200]
    assert shown["response_body"] == "{}"


def test_a_test_arrives_even_if_the_webhook_is_off(alice_api: Api, hook: Hook, receiver: Receiver) -> None:
    webhook = hook(active=False)
    answer = alice_api.post(f"/webhooks/{webhook.pk}/test")
    assert (answer.status, answer.data["event"], answer.data["status"]) == (200, "webhook.test", "pending")
    assert work() == 1
    (got,) = receiver.got
    assert (got.json["event"], got.headers["x-webhook-event"]) == ("webhook.test", "webhook.test")
    assert AuditEntry.objects.get(action="webhook.tested").details == {"delivery_id": answer.data["id"]}


def test_h6_after_a_rotation_both_secrets_sign_for_a_day(alice_api: Api, hook: Hook, receiver: Receiver) -> None:
    webhook = hook()
    answer = alice_api.call("POST", f"/webhooks/{webhook.pk}/rotate-secret")
    new = answer.data["secret"]
    until = Webhook.objects.get().previous_secret_until
    assert until is not None
    assert abs(until - timezone.now() - timedelta(hours=24)) < timedelta(minutes=1)
    assert (answer.data["previous_secret_valid_until"] is None, "webhook.secret_rotated" in actions()) == (False, True)

    def deliver() -> Got:
        alice_api.post(f"/webhooks/{webhook.pk}/test")
        assert work() == 1
        return receiver.got[-1]

    got = deliver()
    for secret in (new, SECRET.encode()):
        Standard(secret).verify(got.body, dict(got.headers))
    assert got.headers["x-webhook-signature"] == signing.hex_signature(new, got.body)
    assert got.headers["x-webhook-signature-previous"] == signing.hex_signature(SECRET, got.body)
    Webhook.objects.update(previous_secret_until=timezone.now())
    got = deliver()
    assert got.headers["webhook-signature"].count("v1,") == 1
    assert "x-webhook-signature-previous" not in got.headers


def test_a_new_secret_in_a_patch_is_a_rotation_and_the_same_one_is_none(alice_api: Api, hook: Hook) -> None:
    webhook = hook()
    path = f"/webhooks/{webhook.pk}"
    assert alice_api.call("PATCH", path, {"secret": SECRET}).data["previous_secret_valid_until"] is None
    changed = alice_api.call("PATCH", path, {"secret": "another-secret-of-alice"})
    assert changed.data["previous_secret_valid_until"] is not None
    webhook.refresh_from_db()
    assert webhook.sealed_previous_secret is not None
    assert sealing.open_secret(bytes(webhook.sealed_previous_secret), webhook_id=webhook.pk) == SECRET
    assert secret_of(webhook) == "another-secret-of-alice"


def test_a_webhook_goes_with_its_deliveries_and_one_under_way_ends_quietly(
    alice: User, alice_api: Api, hook: Hook, receiver: Receiver
) -> None:
    webhook = hook()
    happen(alice)

    def delete() -> None:
        assert alice_api.call("DELETE", f"/webhooks/{webhook.pk}").status == 200
        connection.close()

    receiver.answer = lambda number, got: Reply(before=delete)
    work()
    assert len(receiver.got) == 1
    assert not Webhook.objects.exists()
    assert not Delivery.objects.exists()
    assert alice_api.get(f"/webhooks/{webhook.pk}").status == 404
    assert actions()[-1] == "webhook.deleted"


def test_turned_off_what_is_pending_is_held(alice: User, alice_api: Api, hook: Hook, receiver: Receiver) -> None:
    webhook = hook()
    happen(alice)
    maintenance.tell()
    answer = alice_api.call("PATCH", f"/webhooks/{webhook.pk}", {"active": False})
    assert (answer.data["active"], answer.data["off_reason"]) == (False, "owner")
    assert work() == 0
    assert receiver.got == []
    alice_api.call("PATCH", f"/webhooks/{webhook.pk}", {"active": True})
    assert work() == 1


# --- the admin


@pytest.fixture
def browser(admin: User) -> Client:
    """A browser in which the administrator has logged in."""
    client = Client()
    client.force_login(admin)
    return client


def test_the_admin_shows_webhooks_without_what_may_be_a_password(browser: Client, alice: User, hook: Hook) -> None:
    webhook = hook(url="https://hooks.example.com/services/T000/a-password")
    for path in ("", f"{webhook.pk}/change/"):
        page = browser.get(f"/admin/webhooks/webhook/{path}")
        text = page.content.decode()
        assert page.status_code == 200
        assert alice.email in text
        assert "hooks.example.com" in text
        assert "a-password" not in text
        assert "sealed" not in text
    assert browser.post(f"/admin/webhooks/webhook/{webhook.pk}/change/", {"active": ""}).status_code == 403


def test_the_admin_shows_deliveries_and_sends_those_that_ended_again(
    browser: Client, alice: User, hook: Hook, receiver: Receiver
) -> None:
    hook(retry_policy={"max_attempts": 1})
    receiver.answer = lambda number, got: Reply(500 if number == 0 else 200)
    happen(alice, "not for staff to read")
    work()
    failed = Delivery.objects.get()
    for path in ("", f"{failed.pk}/change/"):
        text = browser.get(f"/admin/webhooks/delivery/{path}").content.decode()
        assert failed.pk in text
        assert "not for staff" not in text
    chosen = {"action": "redeliver", "_selected_action": [failed.pk]}
    page = browser.post("/admin/webhooks/delivery/", chosen, follow=True).content.decode()
    assert "1 queued" in page
    assert work() == 1
    assert Delivery.objects.get().status == "succeeded"
    entry = AuditEntry.objects.get(action="webhook.redelivered")
    assert (entry.actor, entry.object_id) == ("admin@example.com", failed.pk)
    Delivery.objects.update(status="pending", completed_at=None)
    page = browser.post("/admin/webhooks/delivery/", chosen, follow=True).content.decode()
    assert "0 queued" in page


# --- the docs


def _sample(language: str) -> str:
    import re

    page = (ROOT / "docs" / "webhooks.md").read_text()
    (code,) = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return str(code)


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_h6_the_receivers_of_the_docs_take_what_is_ours_and_refuse_the_rest(language: str, tmp_path: Path) -> None:
    import shutil
    import socket

    port = free_port()
    program = {"python": sys.executable, "javascript": shutil.which("node")}[language]
    if program is None:
        pytest.skip("there is no node on this machine")
    file = tmp_path / {"python": "receiver.py", "javascript": "receiver.mjs"}[language]
    file.write_text(_sample(language).replace("9000", str(port)))
    process = subprocess.Popen([program, str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answer(headers: dict[str, str], body: bytes = b'{"a": "\xc3\xa9"}') -> int:
        return send(
            "POST", f"http://127.0.0.1:{port}/", headers=headers, body=body, timeout_seconds=5, follow_redirects=False,
            max_response_bytes=1000, policy=OutboundPolicy(allow=("127.0.0.1",)),
        ).status_code  # fmt: skip

    def is_up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def headers(secret: str, body: bytes = b'{"a": "\xc3\xa9"}', timestamp: int | None = None) -> dict[str, str]:
        return signing.headers(
            secrets=[secret], body=body, event="e", webhook_id="w", delivery_id="d",
            timestamp=int(time.time()) if timestamp is None else timestamp,
        )  # fmt: skip

    try:
        eventually(is_up, timeout=60)
        good = headers("your-webhook-secret")
        assert answer(good) == 204
        assert answer(headers("another-webhook-secret")) == 401
        assert answer(good, body=b'{"a": "e"}') == 401
        assert answer({}) == 401
        if language == "javascript":
            assert answer(headers("your-webhook-secret", timestamp=int(time.time()) - 600)) == 401
    finally:
        process.kill()
        process.wait()


def test_the_body_of_the_docs_is_accepted(alice_api: Api, receiver: Receiver, settings: Any) -> None:
    import json

    code = _sample("http").partition("\n\n")[2]
    answer = alice_api.post("/webhooks", json.loads(code))
    assert answer.status == 201
    assert alice_api.post("/workflows", {"name": "w", "definition": LONE}).status == 201
