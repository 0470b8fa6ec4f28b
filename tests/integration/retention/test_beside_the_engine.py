"""Pruning and the engine at once: neither keeps the other from its work."""

import threading
from typing import Any

from django.db import connection

from accounts.models import User
from config.retention import take_turn
from core.ids import to_uuid
from executions import maintenance, retention
from executions.models import Execution
from executions.services import StartRequest, start_execution
from executions.states import ExecutionStatus
from tests.integration.executions.conftest import (
    Doorbells,
    doorbells,
    linear,
    make_workflow,
    only_legal_moves,
    transform,
)
from tests.integration.retention.conftest import ended, seal_days, unfinished, workflow_of
from tests.stopwatch import Stopwatch

__all__ = ["doorbells", "only_legal_moves"]

CHAIN = linear(*(transform(f"c{number}", number) for number in range(10)), retention={"count": 3})


def test_chains_run_while_what_is_old_is_pruned(alice: User, doorbells: Doorbells, settings: Any) -> None:
    settings.RETENTION = {**settings.RETENTION, "BATCH_ROWS": 40, "PAUSE_SECONDS": 0.0}
    old = workflow_of(alice)
    for number in range(60):
        ended(old, 100 + number)
    waiting = unfinished(old, 200)
    seal_days()
    chain = make_workflow(alice, CHAIN)
    stop, failed = threading.Event(), []

    def prune() -> None:
        try:
            while not stop.is_set():
                take_turn(retention.RULES)
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    janitor = threading.Thread(target=prune)
    janitor.start()
    try:
        made = []
        for _ in range(12):
            made.append(start_execution(workflow=chain, user=alice, request=StartRequest()).execution.pk)
            doorbells.work()
            maintenance.sweep()
    finally:
        stop.set()
        janitor.join(30)
    assert failed == []
    take_turn(retention.RULES)
    left = Execution.objects.exclude(pk=waiting.pk)
    # Of the chain its newest three are left, and all that were made have ended.
    assert list(left.order_by("pk").values_list("pk", "status")) == [
        (pk, ExecutionStatus.COMPLETED) for pk in made[-3:]
    ]
    assert Execution.objects.filter(pk=waiting.pk).exists()


def test_a_batch_waits_half_a_second_for_a_lock_and_leaves_it(alice: User, transactional_db: None) -> None:
    old = ended(workflow_of(alice), 100)
    kept = ended(old.workflow, 2, retry_of=old)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            # The retry's row is to forget what it retried.
            cursor.execute("SELECT 1 FROM executions_execution WHERE id = %s FOR UPDATE", [to_uuid(kept.pk)])
            with Stopwatch() as watch:
                turn = take_turn(retention.RULES[:1])
            assert watch.total > 0.4
            assert watch.seconds < 3
            assert (turn.total, turn.more) == (0, False)
            # Who hangs up without a word may hold it a moment longer.
            cursor.execute("ROLLBACK")
    finally:
        other.close()
    assert Execution.objects.count() == 2
    assert take_turn(retention.RULES[:1]).rows["executions by age"]["executions_execution"] == 1
