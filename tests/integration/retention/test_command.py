"""`manage.py prune`, and the audit log, sessions and deliveries that go by their own rules."""

import hashlib
import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts.models import AuditEntry, Session, User
from config.janitor import Janitor
from config.retention import RULES, take_turn
from events.models import Announcement
from executions.models import BulkCancel, Execution
from tests.integration.retention.conftest import days_ago, ended, left
from webhooks.models import Delivery, Webhook
from workflows.models import Workflow


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("prune", *arguments, stdout=out)
    return out.getvalue()


def rows(text: str) -> dict[tuple[str, str], int]:
    """(rule, table) -> rows, of the printed table."""
    found: dict[tuple[str, str], int] = {}
    rule = ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip()[1:-1].split("│")]
        if len(cells) == 5 and cells[3].replace(",", "").isdigit():
            rule = cells[0] or rule
            found[(rule, cells[2])] = int(cells[3].replace(",", ""))
    return found


def entries(count: int, days: float) -> list[AuditEntry]:
    made = [AuditEntry(at=days_ago(days) + timedelta(seconds=place), actor="a", action="x.y") for place in range(count)]
    return AuditEntry.objects.bulk_create(made)


def prune(name: str) -> int:
    return take_turn([rule for rule in RULES if rule.name == name]).total


def test_a_dry_run_says_what_would_go_and_deletes_nothing(workflow: Workflow) -> None:
    ended(workflow, 100), ended(workflow, 95)
    kept = ended(workflow, 3)
    entries(3, 400)
    before = (Execution.objects.count(), AuditEntry.objects.count())
    found = rows(run("--dry-run"))
    assert (Execution.objects.count(), AuditEntry.objects.count()) == before
    assert found[("executions by age", "executions_execution")] == 2
    assert found[("executions by age", "executions_componentrun")] == 4
    assert found[("executions by age", "events_event")] == 6
    assert found[("audit log", "accounts_auditentry")] == 3
    assert found[("deliveries", "webhooks_delivery")] == 0
    done = rows(run())
    assert done[("executions by age", "executions_execution")] == 2
    assert done[("audit log", "accounts_auditentry")] == 3
    assert left() == {kept.pk}


def test_a_table_can_be_named(workflow: Workflow) -> None:
    kept = ended(workflow, 100)
    entries(2, 400)
    assert rows(run("--table", "accounts_auditentry")) == {("audit log", "accounts_auditentry"): 2}
    assert left() == {kept.pk}


def test_a_table_without_a_rule_is_refused_with_those_that_have_one(workflow: Workflow) -> None:
    with pytest.raises(CommandError, match=r"invalid choice: 'accounts_user'.*executions_execution"):
        run("--table", "accounts_user")


def test_the_command_says_so_where_a_worker_is_at_it(workflow: Workflow) -> None:
    old = ended(workflow, 100)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('apg prune', 0))")
            with pytest.raises(CommandError, match="A worker is pruning"):
                run()
    finally:
        other.close()
    assert left() == {old.pk}


def test_old_entries_of_the_audit_log_go_and_the_log_says_so(transactional_db: None) -> None:
    old, kept = entries(3, 400), entries(2, 100)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(entry::text, E'\\n' ORDER BY id) FROM accounts_auditentry AS entry WHERE id = ANY(%s)",
            [[entry._meta.pk.get_db_prep_value(entry.pk, connection) for entry in old]],
        )
        text = cursor.fetchone()[0]
    assert prune("audit log") == 3
    told = AuditEntry.objects.get(action="audit.pruned")
    assert set(AuditEntry.objects.values_list("pk", flat=True)) == {told.pk, *(entry.pk for entry in kept)}
    assert told.details["entries"] == 3
    assert told.details["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert told.details["first_at"][:19] == old[0].at.isoformat()[:19]
    assert (timezone.now() - told.at).total_seconds() < 60
    assert prune("audit log") == 0
    assert AuditEntry.objects.filter(action="audit.pruned").count() == 1


def test_the_database_deletes_no_young_entry_whatever_is_said(transactional_db: None) -> None:
    entries(1, 40), entries(1, 29)
    with (
        pytest.raises(DatabaseError, match="not changed or deleted"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SET LOCAL apg.prune_audit = 'on'")
        cursor.execute("DELETE FROM accounts_auditentry")
    assert AuditEntry.objects.count() == 2


def test_whoever_deletes_old_entries_by_hand_is_recorded_too(transactional_db: None) -> None:
    entries(2, 40)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL apg.prune_audit = 'on'")
        cursor.execute("DELETE FROM accounts_auditentry")
    assert AuditEntry.objects.get().details["entries"] == 2


def test_ended_sessions_go_and_others_stay(alice: User, transactional_db: None) -> None:
    for days in (40, -1):
        Session.objects.create(user=alice, refresh_id=Session().pk, expires_at=days_ago(days))
    assert prune("sessions") == 1
    assert Session.objects.get().expires_at > timezone.now()


def test_bulk_cancels_of_last_year_go(alice: User, transactional_db: None) -> None:
    for matched, days in ((1, 1), (2, 400)):
        BulkCancel.objects.create(actor=alice, matched=matched, completed_at=days_ago(days))
    BulkCancel.objects.create(actor=alice, matched=3, created_at=days_ago(400))
    assert prune("bulk_cancels") == 1
    assert set(BulkCancel.objects.values_list("matched", flat=True)) == {1, 3}


def test_announcements_of_last_year_go(transactional_db: None) -> None:
    for days in (400, 1):
        Announcement.objects.create(title=str(days), message="m", starts_at=days_ago(days + 1), ends_at=days_ago(days))
    assert prune("announcements") == 1
    assert Announcement.objects.get().title == "1"


def test_a_webhook_with_many_deliveries_is_deleted_batch_by_batch(
    alice: User, alice_api: Any, transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webhooks import services

    monkeypatch.setattr(services, "_DELETED_AT_ONCE", 3)
    hook = Webhook.objects.create(owner=alice, url="https://x.example", events=[], sealed_secret=b"", retry_policy={})
    now = timezone.now()
    Delivery.objects.bulk_create(
        Delivery(webhook=hook, event="e", payload="{}", status="succeeded", completed_at=now) for _ in range(8)
    )
    Delivery.objects.create(webhook=hook, event="e", payload="{}")
    assert alice_api.call("DELETE", f"/webhooks/{hook.pk}").status == 200
    assert (Webhook.objects.count(), Delivery.objects.count()) == (0, 0)


def test_a_janitor_takes_turns_and_ends_with_its_worker(workflow: Workflow, settings: Any) -> None:
    from tests.eventually import eventually

    settings.RETENTION = {**settings.RETENTION, "TICK_SECONDS": 0.01}
    ended(workflow, 100)
    janitor = Janitor()
    janitor.start()
    try:
        eventually(lambda: Execution.objects.count() == 0)
        with transaction.atomic():
            # Whole, or the janitor takes the execution away before its runs are there.
            ended(workflow, 100)
        eventually(lambda: Execution.objects.count() == 0)
    finally:
        janitor.stopping.set()
        janitor.join(30)
    assert not janitor.is_alive()
