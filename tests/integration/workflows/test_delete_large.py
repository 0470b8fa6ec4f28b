"""Deleting a workflow with more executions than one transaction should hold: the janitor deletes them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from config.retention import take_turn
from executions import retention
from executions.models import ComponentRun, Execution, LoopItem
from executions.states import ExecutionStatus
from tests.api import Api
from tests.integration.workflows.conftest import LONE, START, execution, make, told
from workflows.models import Workflow
from workflows.services import create_workflow

pytestmark = pytest.mark.django_db(transaction=True)

HOURLY = {"components": [{**START, "config": {"trigger_type": "schedule", "interval_seconds": 3600}}]}


@pytest.fixture
def nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any execution is more than one transaction should hold."""
    monkeypatch.setattr("executions.models.execution._TOLD_AT_ONCE", 0)


def holding(workflow_id: str, **fields: object) -> str:
    """The id of an execution that ended, with these fields."""
    id_: str = execution(workflow_id, ExecutionStatus.COMPLETED).pk
    Execution.objects.filter(pk=id_).update(**fields)
    return id_


(RULE,) = (rule for rule in retention.RULES if rule.name == "executions of deleted workflows")


def prune() -> list[int]:
    """The janitor's turn, until nothing is left; how many rows each batch deleted."""
    batches: list[int] = []
    take_turn([RULE], progress=lambda _, pruned: batches.append(sum(pruned.rows.values())))
    return batches


def test_what_fits_a_transaction_is_measured_by_what_was_told(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = create_workflow(user=alice, name="w", definition=LONE)
    for count in (0, 4, 5):
        holding(workflow.pk, sequence=count)
    monkeypatch.setattr("executions.models.execution._TOLD_AT_ONCE", 10)
    assert workflow.executions.fit_a_transaction() is True
    monkeypatch.setattr("executions.models.execution._TOLD_AT_ONCE", 9)
    assert workflow.executions.fit_a_transaction() is False


def test_a_workflow_with_very_many_executions_is_gone_at_once_and_they_by_the_janitor(
    alice: User, alice_api: Api, nothing_fits: None
) -> None:
    id_ = make(alice_api, "Large", HOURLY)
    alice_api.post(f"/workflows/{id_}/activate", {})
    running, ended = execution(id_, ExecutionStatus.RUNNING).pk, execution(id_, ExecutionStatus.COMPLETED).pk
    assert alice_api.call("DELETE", f"/workflows/{id_}?force=true").status == 200
    assert alice_api.get(f"/workflows/{id_}").status == 404
    assert alice_api.get("/workflows").data == []
    assert alice_api.get("/schedules").data == []
    assert alice_api.call("DELETE", f"/workflows/{id_}").status == 404
    assert make(alice_api, "Large") != id_, "its name is free"
    assert {row["id"]: row["status"] for row in alice_api.get("/executions").data} == {
        running: "cancelled",
        ended: "completed",
    }
    assert alice_api.get(f"/executions/{ended}").data["workflow_name"] == "Large"
    assert alice_api.post(f"/workflows/{id_}/execute", {}).status == 404
    assert alice_api.post(f"/executions/{ended}/retry", {}).status == 409
    assert RULE.count(timezone.now()) == {"executions_execution": 2}
    prune()
    assert RULE.count(timezone.now()) == {"executions_execution": 0}
    assert not Workflow.with_deleted.filter(pk=id_).exists()
    assert alice_api.get("/executions").body["metadata"]["total_count"] == 0
    assert told(id_) == ["workflow.created", "workflow.activated", "workflow.deleted"]
    assert told(running) == ["execution.cancelled"]


def test_it_is_gone_for_those_with_whom_it_was_shared(
    alice: User, alice_api: Api, as_user: Callable[[User], Api], bob: User, nothing_fits: None
) -> None:
    id_ = make(alice_api)
    ended = execution(id_, ExecutionStatus.COMPLETED).pk
    alice_api.post(f"/workflows/{id_}/shares", {"user_id": bob.pk, "role": "viewer"})
    assert as_user(bob).get(f"/executions/{ended}").status == 200
    alice_api.call("DELETE", f"/workflows/{id_}")
    assert as_user(bob).get(f"/executions/{ended}").status == 404
    assert as_user(bob).get("/executions").data == []


def test_the_janitor_deletes_the_executions_of_deleted_workflows_alone(
    alice_api: Api, nothing_fits: None, settings: Any
) -> None:
    settings.RETENTION = {**settings.RETENTION, "BATCH_ROWS": 3}
    kept = make(alice_api, "kept")
    left = execution(kept, ExecutionStatus.COMPLETED).pk
    parent = make(alice_api, "parent")
    run = ComponentRun.objects.create(
        execution=execution(parent, ExecutionStatus.COMPLETED), component_id="a", component_type="log", position=0
    )
    child = holding(kept, parent_run=run)
    for _ in range(4):
        holding(parent, sequence=2)
    of_loop = {"execution_id": holding(parent, sequence=50), "component_type": "log", "position": 0}
    loop = ComponentRun.objects.create(component_id="loop", **of_loop)
    for index in range(9):
        item = LoopItem.objects.create(run=loop, index=index)
        ComponentRun.objects.create(component_id="body", item=item, item_index=index, **of_loop)
    alice_api.call("DELETE", f"/workflows/{parent}")
    batches = prune()
    assert len(batches) > 8
    assert max(batches) <= 3
    assert set(Execution.objects.values_list("pk", "parent_run")) == {(left, None), (child, None)}
    assert [row.pk for row in Workflow.with_deleted.all()] == [kept]
    assert not ComponentRun.objects.exists()
    assert told(parent) == ["workflow.created", "workflow.deleted"]
