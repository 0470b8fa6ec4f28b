"""A webhook that is turned off while others are at its deliveries gets no attempt after that."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.callers import Caller
from accounts.models import User
from events.models import Event
from tests import locks
from tests.eventually import eventually
from tests.integration.webhooks.conftest import happen, let_time_pass, work
from tests.webhook_receiver import Receiver, Reply
from webhooks import fanout, maintenance, runner, services, transitions
from webhooks.models import Delivery, Webhook
from webhooks.states import DeliveryStatus, OffReason
from webhooks.transitions import Claimed

pytestmark = pytest.mark.django_db(transaction=True)

Hook = Callable[..., Webhook]
TurnOff = Callable[[Webhook], None]

HELD = (DeliveryStatus.PENDING, False)
DUE = (DeliveryStatus.PENDING, True)


def by_its_owner(webhook: Webhook, *, on: bool = False) -> None:
    services.update_webhook(caller=Caller(webhook.owner, frozenset()), webhook=webhook, changes={"active": on})


def for_its_receiver(webhook: Webhook) -> None:
    with transaction.atomic():
        # Whoever does it has recorded a failure in the webhook's row before.
        Webhook.objects.filter(pk=webhook.pk).update(failing=True)
        assert services.turn_off(webhook.pk, OffReason.GONE)


both_ways = pytest.mark.parametrize("turn_off", [by_its_owner, for_its_receiver])


def begin(call: Callable[[], object]) -> threading.Thread:
    """The call in a thread and a connection of its own."""

    def run() -> None:
        call()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def begin_and_wait(call: Callable[[], object]) -> threading.Thread:
    """The same, once it waits for a lock of the transaction that is open here."""
    thread = begin(call)
    eventually(lambda: locks.waiting() == 1)
    return thread


def run_to_its_end(call: Callable[[], object]) -> None:
    """The same, beside the transaction that is open here."""
    thread = begin(call)
    thread.join(10)
    assert not thread.is_alive()


def only() -> tuple[str, bool]:
    """The status of the only delivery, and whether it has a time."""
    delivery = Delivery.objects.get()
    return delivery.status, delivery.next_attempt_at is not None


def claimed(webhook: Webhook) -> Claimed:
    delivery = transitions.claim(webhook.pk).delivery
    assert delivery is not None
    return delivery


def lost(alice: User, webhook: Webhook) -> None:
    """A delivery whose worker is gone."""
    happen(alice)
    maintenance.tell()
    claimed(webhook)
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))


@both_ways
def test_an_attempt_that_failed_meanwhile_is_held(
    alice: User, hook: Hook, receiver: Receiver, turn_off: TurnOff
) -> None:
    webhook = hook()
    happen(alice)
    maintenance.tell()
    receiver.answer = lambda number, got: Reply(500 if number == 0 else 200)
    delivery = claimed(webhook)
    result = runner.attempt(delivery)

    def record() -> None:
        with transaction.atomic():
            assert transitions.record(delivery, result, keep=False).counted

    with transaction.atomic():
        turn_off(webhook)
        recording = begin_and_wait(record)
    recording.join()
    assert only() == HELD
    let_time_pass()
    maintenance.sweep()
    assert work() == 0
    by_its_owner(webhook, on=True)
    assert work() == 1
    assert [got.delivery_id for got in receiver.got] == [delivery.delivery_id] * 2


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who tells waits for whoever turns off, however long this process takes over it."""
    assert "'1s'" in transitions._KEEP_ON
    monkeypatch.setattr(transitions, "_KEEP_ON", transitions._KEEP_ON.replace("'1s'", "'60s'"))


@both_ways
def test_events_are_not_told_to_one_that_is_being_turned_off(alice: User, hook: Hook, turn_off: TurnOff) -> None:
    webhook = hook()
    happen(alice)
    with transaction.atomic():
        turn_off(webhook)
        telling = begin_and_wait(maintenance.tell)
    telling.join()
    assert Delivery.objects.count() == 0


@both_ways
def test_an_event_that_is_being_told_is_held(alice: User, hook: Hook, receiver: Receiver, turn_off: TurnOff) -> None:
    webhook = hook()
    happen(alice)
    with transaction.atomic():
        fanout.fan_out(list(Event.objects.all()))
        turning_off = begin_and_wait(lambda: turn_off(webhook))
    turning_off.join()
    assert only() == HELD
    by_its_owner(webhook, on=True)
    assert only() == DUE


@both_ways
def test_events_are_not_told_to_one_turned_off_while_another_webhook_was_waited_for(
    alice: User, hook: Hook, turn_off: TurnOff
) -> None:
    first, second = sorted([hook(), hook()], key=lambda webhook: webhook.pk)
    happen(alice)
    with transaction.atomic():
        Webhook.objects.select_for_update().get(pk=first.pk)
        telling = begin_and_wait(maintenance.tell)
        # A claim changes the row too, and nobody waits for it or looks at what it has changed.
        run_to_its_end(lambda: transitions.claim(second.pk))
        run_to_its_end(lambda: turn_off(second))
    telling.join()
    assert Delivery.objects.get().webhook_id == first.pk


def test_claims_go_on_while_events_are_told(alice: User, hook: Hook) -> None:
    webhook = hook()
    happen(alice)
    maintenance.tell()
    happen(alice, "second")
    with transaction.atomic():
        fanout.fan_out(list(Event.objects.order_by("-pk")[:1]))
        run_to_its_end(lambda: claimed(webhook))
    assert Delivery.objects.filter(status=DeliveryStatus.DELIVERING).count() == 1


@both_ways
def test_what_is_lost_of_one_that_is_being_turned_off_is_held(alice: User, hook: Hook, turn_off: TurnOff) -> None:
    webhook = hook()
    lost(alice, webhook)
    with transaction.atomic():
        turn_off(webhook)
        rescuing = begin(maintenance.rescue_lost)
        # SKIP LOCKED does not skip what the same transaction has changed before.
        eventually(lambda: not rescuing.is_alive() or locks.waiting() == 1)
    rescuing.join()
    maintenance.rescue_lost()
    assert only() == HELD


@both_ways
def test_what_is_being_rescued_is_held(alice: User, hook: Hook, turn_off: TurnOff) -> None:
    webhook = hook()
    lost(alice, webhook)
    with transaction.atomic():
        assert transitions.rescue(10) == [webhook.pk]
        turning_off = begin_and_wait(lambda: turn_off(webhook))
    turning_off.join()
    assert only() == HELD


@both_ways
def test_what_is_being_let_go_is_held(alice: User, hook: Hook, turn_off: TurnOff) -> None:
    webhook = hook()
    happen(alice)
    maintenance.tell()
    Delivery.objects.update(next_attempt_at=None)
    with transaction.atomic():
        assert transitions.let_go(10) == [webhook.pk]
        turning_off = begin_and_wait(lambda: turn_off(webhook))
    turning_off.join()
    assert only() == HELD


@both_ways
def test_what_one_holds_that_is_being_turned_off_is_not_let_go(alice: User, hook: Hook, turn_off: TurnOff) -> None:
    webhook = hook()
    happen(alice)
    maintenance.tell()
    Delivery.objects.update(next_attempt_at=None)
    with transaction.atomic():
        turn_off(webhook)
        run_to_its_end(maintenance.let_go_held)
    assert only() == HELD


def test_who_turns_one_on_waits_for_nobody_at_its_deliveries(alice: User, hook: Hook) -> None:
    webhook = hook()
    happen(alice)
    maintenance.tell()
    by_its_owner(webhook)
    with transaction.atomic():
        Delivery.objects.select_for_update().get()
        run_to_its_end(lambda: by_its_owner(webhook, on=True))
    assert only() == HELD
    assert maintenance.let_go_held() == 1
    assert only() == DUE
