"""Which executions go, what goes with them, and what is never touched."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from config.retention import Turn, take_turn
from core.ids import first_id, new_id, to_uuid
from events import ledger
from events.models import Event, Follower
from executions import retention
from executions.models import ComponentRun, Execution, ExecutionTally, IdempotencyKey, LoopItem, Reaction
from executions.states import ExecutionStatus
from executions.transitions import pruning
from tests.api import Api
from tests.integration.retention.conftest import (
    days_ago,
    ended,
    left,
    many,
    plan_of,
    run_of,
    seal_days,
    tell,
    unfinished,
    workflow_of,
)
from workflows import activation
from workflows.models import Slot, Trigger, Workflow


def prune(*names: str) -> Turn:
    """All that is old by the rules of executions, or by those named."""
    return take_turn([rule for rule in retention.RULES if not names or rule.name in names])


def test_what_ended_longer_ago_than_it_is_kept_goes_with_all_that_is_its(workflow: Workflow) -> None:
    old, young = ended(workflow, 91), ended(workflow, 89)
    turn = prune()
    assert left() == {young.pk}
    assert not Execution.objects.filter(pk=old.pk).exists()
    rows = {table: count for table, count in turn.rows["executions by age"].items() if count}
    assert rows == {
        "executions_execution": 1,
        "executions_componentrun": 2,
        "executions_loopitem": 1,
        "executions_signal": 1,
        "events_event": 3,
    }


def test_what_an_idempotency_key_may_still_ask_for_stays(alice: User, workflow: Workflow) -> None:
    asked, forgotten = ended(workflow, 91), ended(workflow, 91)
    for execution, hours in ((asked, 23), (forgotten, 25)):
        IdempotencyKey.objects.create(
            user=alice, key=execution.pk, request_digest=b"", execution=execution, created_at=days_ago(hours / 24)
        )
    prune()
    assert left() == {asked.pk}


def test_what_has_not_ended_stays_however_old_it_is(workflow: Workflow) -> None:
    waiting = unfinished(workflow, 400)
    assert prune().total == 0
    assert left() == {waiting.pk}


def test_the_age_counts_from_the_end(workflow: Workflow) -> None:
    late = ended(workflow, 400, ended_days=3)
    prune()
    assert left() == {late.pk}


def test_zero_days_keep_executions_for_ever(workflow: Workflow, settings: Any) -> None:
    settings.RETENTION = {**settings.RETENTION, "EXECUTION_DAYS": 0}
    old = ended(workflow, 4000)
    prune()
    assert left() == {old.pk}


def test_a_workflow_may_keep_less_by_days(alice: User, workflow: Workflow) -> None:
    brief = workflow_of(alice, retention={"days": 7})
    ended(brief, 8)
    kept, other = ended(brief, 6), ended(workflow, 8)
    prune()
    assert left() == {kept.pk, other.pk}


def test_a_workflow_may_keep_less_by_count_and_what_has_not_ended_does_not_count(
    alice: User, workflow: Workflow
) -> None:
    brief = workflow_of(alice, retention={"count": 2})
    made = [ended(brief, 5 - number) for number in range(4)]
    running = [unfinished(brief, 6), unfinished(brief, 1)]
    other = [ended(workflow, 5), ended(workflow, 4), ended(workflow, 3)]
    prune()
    assert left() == {each.pk for each in [*made[2:], *running, *other]}


def test_a_workflow_cannot_keep_more_than_the_platform(alice: User) -> None:
    long = workflow_of(alice, retention={"days": 3650, "count": 1_000_000})
    ended(long, 91)
    prune()
    assert left() == set()


def test_the_platform_may_keep_so_many_of_each_workflow(alice: User, workflow: Workflow, settings: Any) -> None:
    settings.RETENTION = {**settings.RETENTION, "EXECUTIONS_PER_WORKFLOW": 2}
    fewer = workflow_of(alice, retention={"count": 1})
    more = workflow_of(alice, retention={"count": 3})
    made = {each.pk: [ended(each, 9 - number) for number in range(4)] for each in (workflow, fewer, more)}
    prune()
    assert left() == {
        *(each.pk for each in made[workflow.pk][2:]),
        made[fewer.pk][3].pk,
        *(each.pk for each in made[more.pk][2:]),
    }


def test_an_update_of_the_definition_changes_what_is_kept(alice_api: Api, alice: User, transactional_db: None) -> None:
    brief = workflow_of(alice, retention={"days": 7, "count": 5})
    assert (brief.keep_days, brief.keep_count) == (7, 5)
    definition = {"components": [{"id": "a", "type": "log", "config": {"message": "m"}}], "connections": []}
    answer = alice_api.call("PUT", f"/workflows/{brief.pk}", {"name": brief.name, "definition": definition})
    assert answer.status == 200, answer.body
    brief.refresh_from_db()
    assert (brief.keep_days, brief.keep_count) == (None, None)


def test_a_child_goes_with_its_parent_and_never_before(alice: User, workflow: Workflow) -> None:
    brief = workflow_of(alice, retention={"days": 1})
    parent = ended(workflow, 80)
    child = ended(brief, 80, parent_run=ComponentRun.objects.get(execution=parent, component_id="loop"))
    grandchild = ended(brief, 80, parent_run=ComponentRun.objects.get(execution=child, component_id="body"))
    prune()
    assert left() == {parent.pk, child.pk, grandchild.pk}
    Execution.objects.filter(pk=parent.pk).update(id=parent.pk, completed_at=days_ago(91))
    prune()
    assert left() == {parent.pk, child.pk, grandchild.pk}, "its id says that it was made later"


def test_a_tree_goes_whole(alice: User, workflow: Workflow) -> None:
    other = workflow_of(alice)
    parent = ended(workflow, 100)
    child = ended(other, 100, parent_run=ComponentRun.objects.get(execution=parent, component_id="loop"))
    ended(other, 99, parent_run=ComponentRun.objects.get(execution=child, component_id="body"))
    kept = ended(other, 2)
    prune()
    assert left() == {kept.pk}


def test_a_parent_waits_for_a_child_that_has_not_ended(workflow: Workflow) -> None:
    parent = ended(workflow, 100)
    child = unfinished(workflow, 100, parent_run=ComponentRun.objects.get(execution=parent, component_id="loop"))
    prune()
    assert left() == {parent.pk, child.pk}


def test_a_retry_outlives_what_it_retries_and_says_so_no_more(workflow: Workflow) -> None:
    first = ended(workflow, 100)
    retry = ended(workflow, 10, retry_of=first)
    prune()
    assert left() == {retry.pk}
    retry.refresh_from_db()
    assert retry.retry_of_id is None


def test_what_is_being_retried_stays(workflow: Workflow) -> None:
    first = ended(workflow, 100)
    retry = unfinished(workflow, 1, retry_of=first)
    prune()
    assert left() == {first.pk, retry.pk}


def test_nothing_goes_that_a_follower_of_the_ledger_has_not_passed(workflow: Workflow) -> None:
    first, second = ended(workflow, 100), ended(workflow, 99)
    last = Event.objects.filter(subject_id=first.pk).order_by("-pk").values_list("pk", flat=True)[0]
    Follower.objects.create(name="webhooks", position=last)
    Follower.objects.create(name="reactions", position=last + 2)
    prune()
    assert left() == {second.pk}
    Follower.objects.filter(name="webhooks").update(position=last + 2)
    prune()
    assert left() == {second.pk}, "its last row is one further"
    Follower.objects.update(position=last + 3)
    prune()
    assert left() == set()


def test_nothing_goes_that_an_event_trigger_has_noted_and_not_seen_to(alice: User, workflow: Workflow) -> None:
    old = ended(workflow, 100)
    trigger = Trigger.objects.create(workflow=workflow, component_id="a", type="event")
    noted = Reaction.objects.create(trigger=trigger, event_id=Event.objects.filter(subject_id=old.pk).latest("pk").pk)
    prune()
    assert left() == {old.pk}
    noted.delete()
    prune()
    assert left() == set()


def test_what_somebody_holds_is_passed_over(workflow: Workflow) -> None:
    held, free = ended(workflow, 100), ended(workflow, 99)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1 FROM executions_execution WHERE id = %s FOR UPDATE", [to_uuid(held.pk)])
            prune()
            assert left() == {held.pk}
            assert not Execution.objects.filter(pk=free.pk).exists()
    finally:
        other.close()


@pytest.mark.parametrize("olds", [retention._by_age, retention._by_workflow])
def test_many_that_have_to_wait_keep_no_others_from_going(
    alice: User, transactional_db: None, monkeypatch: pytest.MonkeyPatch, olds: Any
) -> None:
    monkeypatch.setattr(retention, "FOUND", 2)
    monkeypatch.setattr(retention, "_LOOKS", 2)
    process = replace(retention.RULES[0], prune=retention._Executions(olds, retention._prune_old).prune)
    first, second = (workflow_of(alice, retention={"days": 10}) for _ in range(2))
    held = [ended(first, 100 + number) for number in range(5)]
    for execution in held:
        unfinished(first, 1, retry_of=execution)
    behind, elsewhere = ended(first, 99), ended(second, 98)
    take_turn([process])
    assert Execution.objects.filter(pk__in=[behind.pk, elsewhere.pk]).count() == 2
    take_turn([process])
    assert not Execution.objects.filter(pk__in=[behind.pk, elsewhere.pk]).exists()
    Execution.objects.filter(retry_of=held[-1]).update(status=ExecutionStatus.COMPLETED, completed_at=timezone.now())
    take_turn([process])
    take_turn([process])
    assert not Execution.objects.filter(pk=held[-1].pk).exists(), "those before are looked at again"
    assert Execution.objects.filter(pk__in=[execution.pk for execution in held]).count() == 4


def test_one_that_is_too_large_for_a_batch_goes_in_several(workflow: Workflow, settings: Any) -> None:
    settings.RETENTION = {**settings.RETENTION, "BATCH_ROWS": 20}
    large = ended(workflow, 100)
    tell(large.pk, workflow, days_ago(100), 50)
    loop = ComponentRun.objects.get(execution=large, component_id="loop")
    for index in range(1, 40):
        item = LoopItem.objects.create(run=loop, index=index)
        inner = run_of(large, "body", item=item, item_index=index)
        run_of(large, "deep", item=LoopItem.objects.create(run=inner, index=0), item_index=0)
    small = ended(workflow, 99)
    batches: list[int] = []
    take_turn(
        [rule for rule in retention.RULES if rule.name == "executions by age"],
        progress=lambda _, pruned: batches.append(sum(pruned.rows.values())),
    )
    assert not Execution.objects.filter(pk__in=[large.pk, small.pk]).exists()
    assert left() == set()
    assert len(batches) > 8
    assert max(batches) <= 2 * 20, "items and signals are not weighed: there are fewer of them than runs"


def test_a_tree_that_is_too_large_goes_child_by_child_the_parent_last(workflow: Workflow, settings: Any) -> None:
    settings.RETENTION = {**settings.RETENTION, "BATCH_ROWS": 12}
    parent = ended(workflow, 100)
    run = ComponentRun.objects.get(execution=parent, component_id="loop")
    children = [ended(workflow, 100, parent_run=run) for _ in range(5)]
    seen: list[tuple[bool, int]] = []

    def look(*_: object) -> None:
        there = set(Execution.objects.values_list("pk", flat=True))
        seen.append((parent.pk in there, len(there & {child.pk for child in children})))

    take_turn([rule for rule in retention.RULES if rule.name == "executions by age"], progress=look)
    assert seen == [(True, 3), (True, 1), (False, 0), (False, 0)]


def test_counts_stay_exact_for_what_is_left(workflow: Workflow, alice_api: Api, as_user: Any, admin: User) -> None:
    for number in range(6):
        ended(workflow, 100 - number, status=ExecutionStatus.FAILED if number % 2 else ExecutionStatus.COMPLETED)
    kept = [ended(workflow, 20), ended(workflow, 10)]
    seal_days()
    staff = as_user(admin)

    def counts() -> list[int]:
        queries = ("", "status=completed", "status=failed", f"start_date={days_ago(300):%Y-%m-%dT%H:%M:%SZ}")
        return [
            api.get(f"/executions?limit=1&{query}").body["metadata"]["total_count"]
            for api in (staff, alice_api)
            for query in queries
        ]

    assert counts() == [8, 5, 3, 8] * 2
    prune()
    assert left() == {each.pk for each in kept}
    assert counts() == [2, 2, 0, 2] * 2
    assert not ExecutionTally.objects.filter(count=0).exists(), "days without executions go too"
    ended(workflow, 1)
    assert counts() == [3, 3, 0, 3] * 2


def test_pruning_keeps_off_while_another_process_prunes(workflow: Workflow) -> None:
    old = ended(workflow, 100)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('apg prune', 0))")
            turn = prune()
    finally:
        other.close()
    assert (turn.elsewhere, turn.total, left()) == (True, 0, {old.pk})


def test_a_turn_ends_in_time_and_says_that_there_is_more(workflow: Workflow, settings: Any) -> None:
    settings.RETENTION = {**settings.RETENTION, "BATCH_ROWS": 6}
    for number in range(5):
        ended(workflow, 100 + number)
    turn = take_turn([retention.RULES[0]], seconds=0)
    assert (turn.more, Execution.objects.count()) == (True, 4)


def test_a_rule_that_fails_keeps_none_of_the_others_from_its_work(
    workflow: Workflow, caplog: pytest.LogCaptureFixture
) -> None:
    ended(workflow, 100)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;"
            "CREATE TRIGGER refuse BEFORE DELETE ON executions_execution EXECUTE FUNCTION refuse()"
        )
    try:
        IdempotencyKey.objects.create(
            user=workflow.created_by,
            key="k",
            request_digest=b"",
            execution=ended(workflow, 2),
            created_at=days_ago(2),
        )
        prune()
        assert Execution.objects.count() == 2
        assert not IdempotencyKey.objects.exists()
        assert "Pruning failed: executions by age" in caplog.text
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER refuse ON executions_execution; DROP FUNCTION refuse()")


def test_the_ledger_of_what_is_gone_goes_by_age_and_a_workflow_keeps_its_last(workflow: Workflow) -> None:
    Event.objects.all().delete()
    kept = ended(workflow, 5)
    tell(first_id(days_ago(95)), workflow, days_ago(95), 3)
    young = tell(first_id(days_ago(3)), workflow, days_ago(3), 2)
    of_workflow = tell(workflow.pk, workflow, days_ago(95), 3)
    turn = prune("ledger by age")
    assert turn.total == 5
    ids = set(Event.objects.exclude(subject_id=kept.pk).values_list("pk", flat=True))
    assert ids == {of_workflow[-1].pk, *(event.pk for event in young)}


def test_the_events_of_a_trigger_are_numbered_on_after_the_old_ones_went(workflow: Workflow) -> None:
    trigger = Trigger.objects.create(id=new_id(), workflow=workflow, component_id="a", type="schedule")
    rows = tell(trigger.pk, workflow, days_ago(95), 40)
    prune("ledger by age")
    assert list(Event.objects.filter(subject_id=trigger.pk).values_list("pk", flat=True)) == [rows[-1].pk]
    with transaction.atomic():
        activation.tell_of_event(trigger, workflow, rows[-1], "owner", {})
    assert [event.sequence for event in ledger.since(trigger.pk, 40)] == [41]


def test_the_ledger_is_read_page_by_page(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_LEDGER_ROWS", 4)
    Event.objects.all().delete()
    tell(first_id(days_ago(95)), workflow, days_ago(95), 11)
    assert prune("ledger by age").total == 11
    assert Event.objects.count() == 0


def test_rows_of_the_ledger_wait_for_its_followers(workflow: Workflow) -> None:
    Event.objects.all().delete()
    rows = tell(first_id(days_ago(95)), workflow, days_ago(95), 4)
    Follower.objects.create(name="webhooks", position=rows[1].pk)
    assert prune("ledger by age").total == 2


def test_keys_and_slots_go_when_nobody_needs_them(workflow: Workflow) -> None:
    execution = ended(workflow, 2)
    for key, days in (("old", 1.1), ("young", 0.9)):
        IdempotencyKey.objects.create(
            user=workflow.created_by, key=key, request_digest=b"", execution=execution, created_at=days_ago(days)
        )
    trigger = Trigger.objects.create(workflow=workflow, component_id="a", type="schedule")
    # Slots of long ago, started long ago; and by a backfill of yesterday.
    for slot, started in ((500, 500), (450, 450), (800, 1), (420, 420)):
        Slot.objects.create(trigger=trigger, slot_at=days_ago(slot), execution_id=first_id(days_ago(started)))
    prune()
    assert set(IdempotencyKey.objects.values_list("key", flat=True)) == {"young"}
    assert [(timezone.now() - slot.slot_at).days for slot in Slot.objects.order_by("slot_at")] == [800, 420]


def test_what_is_old_is_found_by_an_index(alice: User, transactional_db: None) -> None:
    workflows = [workflow_of(alice, retention={"days": 7, "count": 5}) for _ in range(10)]
    many(workflows, 400)
    for old, index in [
        (pruning.by_age(days_ago(90)), "executions_execution_pkey"),
        (pruning.by_workflow(workflows[0].pk, 0), "execution_of_workflow"),
    ]:
        plan = plan_of(old.sql, {**old.parameters, "limit": 200, "after": to_uuid("0" * 26)})
        assert set(re.findall(r"(?:using|on) (\w+) on executions_execution", plan)) == {index}, plan
        assert "Seq Scan on executions_execution" not in plan


def test_a_retry_of_what_was_pruned_meanwhile_is_refused(
    workflow: Workflow, alice_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from executions import services

    old = ended(workflow, 100)
    insert: Callable[..., Any] = services.insert

    def pruned_first(new: Any) -> Any:
        Execution.objects.filter(pk=old.pk).delete()
        return insert(new)

    monkeypatch.setattr(services, "insert", pruned_first)
    answer = alice_api.post(f"/executions/{old.pk}/retry", {})
    assert answer.status == 404
    assert not Execution.objects.filter(retry_of=old.pk).exists()
