"""From an event to its receiver: at least once, by the policy, and what ends it (reliability G13, F38, F39, H5)."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.callers import Caller
from accounts.models import AuditEntry, User
from tests import locks
from tests.api import Api
from tests.eventually import eventually
from tests.integration.webhooks.conftest import again, happen, let_time_pass, work
from tests.stand_ins import mail_server
from tests.stopwatch import Stopwatch
from tests.webhook_receiver import Receiver, Reply
from webhooks import dispatch, maintenance, runner, services, transitions
from webhooks.models import Delivery, Webhook
from webhooks.signing import hex_signature
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)

Hook = Callable[..., Webhook]


def _only() -> Delivery:
    return Delivery.objects.get()


def _work_and_wait() -> tuple[float, float]:
    """Deliver; at least and at most so many seconds are between the attempt that failed and the next one."""
    began = timezone.now()
    work()
    ended, next_at = timezone.now(), _only().next_attempt_at
    assert next_at is not None
    return (next_at - ended).total_seconds(), (next_at - began).total_seconds()


def test_an_event_arrives_once_with_its_payload_and_is_recorded(alice: User, hook: Hook, receiver: Receiver) -> None:
    webhook = hook()
    workflow = happen(alice)
    assert work() == 1
    delivery = _only()
    (got,) = receiver.got
    assert got.path == "/in"
    assert got.body.decode() == delivery.payload
    assert got.json == {
        "event": "workflow.created",
        "timestamp": got.json["timestamp"],
        "webhook_id": webhook.pk,
        "data": {"workflow": {"id": workflow.pk, "name": "w", "status": "draft", "version": 1}},
        "delivery_id": delivery.pk,
    }
    assert (delivery.status, delivery.attempts, delivery.response_status, delivery.response_body) == (
        "succeeded", 1, 200, "{}",
    )  # fmt: skip
    (entry,) = delivery.attempts_log
    assert (entry["attempt"], entry["response_status"], entry["error"]) == (1, 200, None)
    assert work() == 0


def test_a_receiver_that_fails_gets_the_same_id_and_body_again_by_the_policy(
    alice: User, hook: Hook, receiver: Receiver
) -> None:
    hook()
    receiver.answer = lambda number, got: Reply(500 if number < 2 else 204, body=b"")
    happen(alice)
    least, most = _work_and_wait()
    assert (_only().status, _only().attempts) == ("pending", 1)
    assert (least <= 60, most >= 30) == (True, True)
    assert work() == 0, "before its time"
    let_time_pass()
    # 60 doubled is 120, and the policy's longest is 100.
    least, most = _work_and_wait()
    assert (least <= 100, most >= 50) == (True, True)
    let_time_pass()
    work()
    assert (_only().status, _only().attempts) == ("succeeded", 3)
    assert len({(got.delivery_id, got.body) for got in receiver.got}) == 1
    assert [entry["response_status"] for entry in _only().attempts_log] == [500, 500, 204]


def test_after_the_last_attempt_it_is_failed_and_can_be_sent_again_by_hand(
    alice: User, alice_api: Api, hook: Hook, receiver: Receiver
) -> None:
    webhook = hook(retry_policy={"max_attempts": 1})
    receiver.answer = lambda number, got: Reply(500 if number == 0 else 200)
    happen(alice)
    work()
    failed = _only()
    assert (failed.status, failed.error, failed.next_attempt_at) == ("failed", "The receiver answered 500", None)
    answer = alice_api.post(f"/webhooks/{webhook.pk}/deliveries/{failed.pk}/redeliver")
    assert (answer.status, answer.data["status"], answer.data["attempts"]) == (200, "pending", 1)
    assert alice_api.post(f"/webhooks/{webhook.pk}/deliveries/{failed.pk}/redeliver").status == 409
    work()
    assert (_only().status, _only().attempts) == ("succeeded", 2)
    assert [got.delivery_id for got in receiver.got] == [failed.pk] * 2
    assert AuditEntry.objects.get(action="webhook.redelivered").object_id == failed.pk


def test_a_redelivered_delivery_has_all_attempts_of_the_policy_again(
    alice: User, alice_api: Api, hook: Hook, receiver: Receiver
) -> None:
    webhook = hook(retry_policy={"max_attempts": 2})
    receiver.answer = lambda number, got: Reply(500)
    happen(alice)
    for _ in range(2):
        work()
        let_time_pass()
    assert (_only().status, _only().attempts) == ("failed", 2)
    alice_api.post(f"/webhooks/{webhook.pk}/deliveries/{_only().pk}/redeliver")
    work()
    assert (_only().status, _only().attempts) == ("pending", 3)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_f39_a_redirect_is_a_failure_and_is_not_followed(
    alice: User, hook: Hook, receiver: Receiver, status: int
) -> None:
    hook()
    receiver.answer = lambda number, got: Reply(status, {"Location": f"{receiver.url}/elsewhere"})
    happen(alice)
    work()
    assert [got.path for got in receiver.got] == ["/in"]
    assert (_only().status, _only().error) == ("pending", f"The receiver answered {status}")


@pytest.mark.parametrize(
    ("header", "low", "high"), [("80", 80, 80), ("100000", 100, 100), ("0", 30, 60), ("x", 30, 60)]
)
def test_f39_retry_after_is_honoured_within_the_policy(
    alice: User, hook: Hook, receiver: Receiver, header: str, low: float, high: float
) -> None:
    hook()
    receiver.answer = lambda number, got: Reply(429, {"Retry-After": header})
    happen(alice)
    least, most = _work_and_wait()
    assert (least <= high, most >= low) == (True, True)


def test_f39_410_turns_the_webhook_off_and_what_is_left_is_held(
    alice: User, alice_api: Api, hook: Hook, receiver: Receiver
) -> None:
    webhook = hook()
    receiver.answer = lambda number, got: Reply(410)
    workflow = happen(alice)
    happen(alice, "second")
    work()
    webhook.refresh_from_db()
    assert (webhook.active, webhook.off_reason) == (False, "gone")
    first, second = Delivery.objects.order_by("pk")
    assert (first.status, first.attempts) == ("failed", 1)
    assert (second.status, second.next_attempt_at) == ("pending", None)
    entry = AuditEntry.objects.get(action="webhook.turned_off")
    assert (entry.object_id, entry.details) == (webhook.pk, {"reason": "gone", "owner": alice.pk})
    again(workflow)
    assert work() == 0
    assert Delivery.objects.count() == 2, "what happens while it is off is not told"
    receiver.answer = lambda number, got: Reply()
    answer = alice_api.call("PATCH", f"/webhooks/{webhook.pk}", {"active": True})
    assert (answer.data["active"], answer.data["off_reason"]) == (True, None)
    assert work() == 1
    assert Delivery.objects.get(pk=second.pk).status == "succeeded"


def test_twenty_failed_deliveries_in_a_row_turn_it_off_and_tell_the_owner(
    alice: User, hook: Hook, receiver: Receiver, settings: Any
) -> None:
    webhook = hook(retry_policy={"max_attempts": 1})
    for number in range(21):
        happen(alice, f"w{number}")
    receiver.answer = lambda number, got: Reply(200 if number == 0 else 503)
    with mail_server() as mail:
        settings.EMAIL_HOST, settings.EMAIL_PORT = mail.host, mail.port
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        work()
        (message,) = mail.messages
    webhook.refresh_from_db()
    assert (webhook.active, webhook.off_reason, webhook.failures_in_a_row) == (False, "failures", 20)
    assert message.rcpt_tos == [alice.email]
    text = message.content.decode()
    assert webhook.pk in text
    assert receiver.url not in text
    assert AuditEntry.objects.filter(action="webhook.turned_off").count() == 1


def test_a_success_ends_the_row_of_failures(alice: User, hook: Hook, receiver: Receiver) -> None:
    webhook = hook(retry_policy={"max_attempts": 1})
    for number in range(4):
        happen(alice, f"w{number}")
    receiver.answer = lambda number, got: Reply(200 if number == 2 else 500)
    work()
    webhook.refresh_from_db()
    assert (webhook.failures_in_a_row, webhook.failing) == (1, True)


# --- claims, leases, fences


def _claimed(webhook: Webhook) -> transitions.Claimed:
    delivery = transitions.claim(webhook.pk).delivery
    assert delivery is not None
    return delivery


def test_a_delivery_of_a_dead_worker_is_sent_again_after_its_lease(alice: User, hook: Hook, receiver: Receiver) -> None:
    webhook = hook()
    happen(alice)
    maintenance.tell()
    lost = _claimed(webhook)
    assert maintenance.rescue_lost() == 0
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert maintenance.rescue_lost() == 1
    assert work() == 1
    assert (_only().status, _only().claims, _only().attempts) == ("succeeded", 2, 1)
    # The dead worker was only slow, and comes back.
    with transaction.atomic():
        recorded = transitions.record(lost, runner.attempt(lost), keep=False)
    assert not recorded.counted
    assert _only().attempts == 1


def test_what_is_lost_of_a_webhook_that_is_off_is_held(
    alice: User, alice_api: Api, hook: Hook, receiver: Receiver
) -> None:
    webhook = hook()
    happen(alice)
    maintenance.tell()
    _claimed(webhook)
    alice_api.call("PATCH", f"/webhooks/{webhook.pk}", {"active": False})
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert maintenance.rescue_lost() == 1
    assert (_only().status, _only().next_attempt_at) == ("pending", None)
    assert work() == 0
    alice_api.call("PATCH", f"/webhooks/{webhook.pk}", {"active": True})
    assert work() == 1


def test_what_failed_while_its_webhook_was_being_turned_on_is_not_held_for_ever(
    alice: User, alice_api: Api, hook: Hook, receiver: Receiver
) -> None:
    webhook = hook()
    happen(alice)
    maintenance.tell()
    claimed = _claimed(webhook)
    alice_api.call("PATCH", f"/webhooks/{webhook.pk}", {"active": False})
    receiver.answer = lambda number, got: Reply(500)
    result = runner.attempt(claimed)

    def record() -> None:
        with transaction.atomic():
            transitions.record(claimed, result, keep=False)
        connection.close()

    recording = threading.Thread(target=record)
    with transaction.atomic():
        services.update_webhook(caller=Caller(alice, frozenset()), webhook=webhook, changes={"active": True})
        recording.start()
        eventually(lambda: locks.waiting() == 1)
    recording.join()
    assert (_only().status, _only().next_attempt_at) == ("pending", None)
    maintenance.sweep()
    receiver.answer = lambda number, got: Reply()
    assert work() == 1
    assert _only().status == "succeeded"


def test_a_late_failure_does_not_undo_a_success(alice: User, hook: Hook, receiver: Receiver) -> None:
    webhook = hook()
    happen(alice)
    maintenance.tell()
    late = _claimed(webhook)
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    maintenance.rescue_lost()
    work()
    receiver.answer = lambda number, got: Reply(500)
    with transaction.atomic():
        assert not transitions.record(late, runner.attempt(late), keep=False).counted
    webhook.refresh_from_db()
    assert (_only().status, webhook.failing) == ("succeeded", False)


def test_a_delivery_that_is_lost_time_and_again_fails(alice: User, hook: Hook, receiver: Receiver) -> None:
    webhook = hook()
    happen(alice)
    maintenance.tell()
    for _ in range(transitions.MAX_LOST):
        assert _only().status == "pending"
        _claimed(webhook)
        Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        maintenance.rescue_lost()
    assert (_only().status, _only().attempts) == ("failed", 0)


def test_no_more_attempts_than_its_share_are_under_way_at_one_endpoint(
    alice: User, hook: Hook, receiver: Receiver
) -> None:
    webhook = hook()
    for number in range(6):
        happen(alice, f"w{number}")
    maintenance.tell()
    claims = [transitions.claim(webhook.pk) for _ in range(6)]
    assert [claim.delivery is not None for claim in claims] == [True] * 4 + [False] * 2
    assert [claim.more for claim in claims] == [True] * 3 + [False] * 3


def test_an_endpoint_whose_last_attempt_failed_gets_one_at_a_time(alice: User, hook: Hook, receiver: Receiver) -> None:
    webhook = hook()
    Webhook.objects.update(failing=True)
    for number in range(3):
        happen(alice, f"w{number}")
    maintenance.tell()
    assert [transitions.claim(webhook.pk).delivery is not None for _ in range(2)] == [True, False]


def test_claims_at_the_same_time_never_take_one_delivery_twice_nor_exceed_the_share(
    alice: User, hook: Hook, receiver: Receiver
) -> None:
    webhook = hook()
    for number in range(12):
        happen(alice, f"w{number}")
    maintenance.tell()
    taken: list[str] = []
    start = threading.Barrier(8)

    def take() -> None:
        start.wait()
        found = transitions.claim(webhook.pk).delivery
        if found is not None:
            taken.append(found.delivery_id)
        connection.close()

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 4


def test_one_message_at_a_time_is_under_way_for_a_webhook(alice: User, hook: Hook, receiver: Receiver) -> None:
    webhook = hook()
    happen(alice)
    maintenance.tell()
    assert dispatch.ring([webhook.pk]) == 0, "telling has rung already"
    Webhook.objects.update(rung_at=timezone.now() - timedelta(minutes=1))
    assert maintenance.ring_due() == 1, "that message was lost"
    assert maintenance.ring_due() == 0
    runner.serve(webhook.pk)
    assert maintenance.ring_due() == 0, "nothing is due"


def test_a_turn_ends_so_that_others_get_theirs(alice: User, hook: Hook, receiver: Receiver, settings: Any) -> None:
    settings.WEBHOOKS = {**settings.WEBHOOKS, "TURN_SECONDS": 0}
    webhook = hook()
    for number in range(3):
        happen(alice, f"w{number}")
    maintenance.tell()
    assert [runner.serve(webhook.pk) for _ in range(4)] == [1, 1, 1, 0]


# --- hostile receivers


def test_f38_h5_an_endless_answer_is_not_read_and_2xx_counts(alice: User, hook: Hook, receiver: Receiver) -> None:
    hook()
    receiver.answer = lambda number, got: Reply(200, body=b"x" * 10_000_000)
    happen(alice)
    work()
    assert (_only().status, _only().response_status, _only().response_body) == ("succeeded", 200, None)


def test_h5_only_the_first_kib_of_an_answer_is_kept_and_cookies_are_not(
    alice: User, hook: Hook, receiver: Receiver
) -> None:
    hook()
    receiver.answer = lambda number, got: Reply(200, {"Set-Cookie": "a=b"}, body="\0é".encode() * 1000)
    happen(alice)
    happen(alice, "second")
    work()
    kept = Delivery.objects.order_by("pk")[0].response_body
    assert kept is not None
    assert 1000 < len(kept.encode()) <= 1024
    assert kept.startswith("�é")
    assert "cookie" not in receiver.got[1].headers


def test_h5_an_answer_that_takes_too_long_fails_within_the_time(
    alice: User, hook: Hook, receiver: Receiver, settings: Any
) -> None:
    settings.WEBHOOKS = {**settings.WEBHOOKS, "TIMEOUT_SECONDS": 1}
    hook()
    done = threading.Event()
    receiver.answer = lambda number, got: Reply(before=lambda: done.wait(20))
    happen(alice)
    with Stopwatch() as watch:
        work()
    assert watch.seconds < 5
    done.set()
    delivery = _only()
    assert (delivery.status, delivery.response_status) == ("pending", None)
    assert delivery.error is not None
    assert "127.0.0.1" in delivery.error


def test_f39_a_connection_that_ends_after_the_head_is_a_failure(alice: User, hook: Hook, receiver: Receiver) -> None:
    hook()
    receiver.answer = lambda number, got: Reply(200, body=b"x" * 100, reset=True)
    happen(alice)
    work()
    assert (_only().status, _only().response_status) == ("pending", 200)


def test_h1_where_an_address_leads_is_checked_at_every_attempt(
    alice: User, hook: Hook, receiver: Receiver, settings: Any
) -> None:
    hook()
    happen(alice)
    settings.OUTBOUND_ALLOW = ()
    work()
    assert not receiver.got
    assert (_only().status, _only().error) == ("pending", "address is not allowed: 127.0.0.1")


def test_h7_a_name_with_line_breaks_stays_within_the_payload(alice: User, hook: Hook, receiver: Receiver) -> None:
    hook()
    name = "w\r\nX-Injected: yes"
    workflow = Workflow.objects.get(pk=happen(alice).pk)
    Workflow.objects.filter(pk=workflow.pk).update(name=name)
    hook(events=["workflow.updated"])
    again(workflow)
    work()
    (got,) = (each for each in receiver.got if each.json["event"] == "workflow.updated")
    assert got.json["data"]["workflow"]["name"] == name
    assert "x-injected" not in got.headers


def test_a_secret_that_does_not_open_is_given_anew(alice: User, alice_api: Api, hook: Hook, receiver: Receiver) -> None:
    webhook = hook()
    Webhook.objects.filter(pk=webhook.pk).update(sealed_secret=b"x" * 40)
    happen(alice)
    answer = alice_api.call("PATCH", f"/webhooks/{webhook.pk}", {"secret": "another-secret-of-alice"})
    assert answer.status == 200
    work()
    (got,) = receiver.got
    assert got.headers["x-webhook-signature"] == hex_signature("another-secret-of-alice", got.body)
    assert "x-webhook-signature-previous" not in got.headers


def test_a_secret_that_does_not_open_fails_and_is_told_without_it(alice: User, hook: Hook, receiver: Receiver) -> None:
    webhook = hook()
    Webhook.objects.filter(pk=webhook.pk).update(sealed_secret=b"x" * 40)
    happen(alice)
    work()
    assert (_only().status, receiver.got) == ("pending", [])
    assert _only().error == "The secret does not open: it is sealed with a key that is not in the ring"


# --- what is old


def test_a_payload_is_shown_with_the_integers_that_were_sent(
    alice: User, alice_api: Api, hook: Hook, receiver: Receiver
) -> None:
    webhook = hook()
    happen(alice)
    work()
    Delivery.objects.update(payload='{"n":18446744073709551617}')
    shown = alice_api.get(f"/webhooks/{webhook.pk}/deliveries/{_only().pk}").data
    assert shown["payload"] == {"n": 2**64 + 1}


def test_old_deliveries_that_ended_are_pruned_and_others_stay(alice: User, hook: Hook, receiver: Receiver) -> None:
    from core.ids import first_id

    webhook = hook()
    happen(alice)
    work()
    old = timezone.now() - timedelta(days=31)

    def aged(seconds: int, **fields: Any) -> str:
        id_ = first_id(old + timedelta(seconds=seconds))
        Delivery.objects.create(id=id_, webhook=webhook, event="webhook.test", payload="{}", **fields)
        return id_

    aged(1, status="succeeded", completed_at=old)
    aged(2, status="failed", completed_at=old)
    aged(3, status="pending")
    waiting = aged(4, status="pending", next_attempt_at=timezone.now() + timedelta(days=1))
    under_way = aged(5, status="delivering", lease_until=timezone.now())
    young = Delivery.objects.get(status="succeeded", event="workflow.created").pk
    assert maintenance.prune() == 3
    assert set(Delivery.objects.values_list("pk", flat=True)) == {waiting, under_way, young}
