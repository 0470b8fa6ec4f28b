"""Deleting workflows: what goes, what forbids it, and executions that start meanwhile."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from core.errors import NotFoundError
from core.ids import to_uuid
from events.models import Event
from executions.models import Execution
from executions.services import StartRequest, start_execution
from executions.states import ExecutionStatus
from tests.api import Api
from tests.eventually import eventually
from tests.integration.workflows.conftest import LONE, execution, make, told
from tests.locks import waiting
from workflows.models import Workflow, WorkflowVersion
from workflows.services import create_workflow, delete_workflow

pytestmark = pytest.mark.django_db

ACTIVE = [ExecutionStatus.PENDING, ExecutionStatus.QUEUED, ExecutionStatus.RUNNING]
PLAIN = StartRequest(parameters={})
ENDED = [ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED]


def test_delete_answers_as_printed_and_all_goes_but_the_ledger(caller: Api, alice: User) -> None:
    id_ = make(caller, "Gone")
    for status in ENDED:
        execution(id_, status)
    answer = caller.call("DELETE", f"/workflows/{id_}")
    assert (answer.status, answer.data, answer.body["message"]) == (200, None, "Workflow deleted successfully")
    assert (Workflow.objects.count(), WorkflowVersion.objects.count(), Execution.objects.count()) == (0, 0, 0)
    assert told(id_) == ["workflow.created", "workflow.deleted"]
    assert Event.objects.latest("sequence").data["name"] == "Gone"
    assert caller.get(f"/workflows/{id_}").status == 404
    assert caller.call("DELETE", f"/workflows/{id_}").status == 404


def test_o6_executions_that_have_not_ended_forbid_it_and_are_counted(caller: Api) -> None:
    id_ = make(caller)
    for status in [*ACTIVE, *ENDED]:
        execution(id_, status)
    for query in ("", "?force=false"):
        answer = caller.call("DELETE", f"/workflows/{id_}{query}")
        assert (answer.status, answer.code) == (409, "RESOURCE_CONFLICT")
        assert "not ended: 3;" in answer.body["message"]
    assert (Workflow.objects.count(), Execution.objects.count()) == (1, 6)
    assert told(id_) == ["workflow.created"]


def test_o6_force_cancels_them_first(caller: Api) -> None:
    id_ = make(caller)
    ids = [execution(id_, status).pk for status in ACTIVE]
    ended = execution(id_, ExecutionStatus.COMPLETED).pk
    assert caller.call("DELETE", f"/workflows/{id_}?force=true").status == 200
    assert (Workflow.objects.count(), Execution.objects.count()) == (0, 0)
    assert [told(execution_id) for execution_id in ids] == [["execution.cancelled"]] * 3
    assert told(ended) == []
    assert told(id_) == ["workflow.created", "workflow.deleted"]


@pytest.mark.parametrize("query", ["force=", "force=1", "force=yes", "force=true&force=false"])
def test_a_bad_force_is_400_and_nothing_goes(caller: Api, query: str) -> None:
    id_ = make(caller)
    answer = caller.call("DELETE", f"/workflows/{id_}?{query}")
    assert (answer.status, answer.code, answer.fields) == (400, "VALIDATION_ERROR", ["force"])
    assert Workflow.objects.count() == 1


def test_another_workflow_keeps_its_executions(alice_api: Api) -> None:
    gone, kept = make(alice_api, "gone"), make(alice_api, "kept")
    execution(gone, ExecutionStatus.RUNNING)
    running = execution(kept, ExecutionStatus.RUNNING)
    alice_api.call("DELETE", f"/workflows/{gone}?force=true")
    assert [(row.pk, row.status) for row in Execution.objects.all()] == [(running.pk, "running")]


def test_a_workflow_deleted_meanwhile_is_not_found(alice: User) -> None:
    workflow = create_workflow(user=alice, name="w", definition=LONE)
    stale = Workflow.objects.get()
    delete_workflow(workflow=workflow, force=False)
    with pytest.raises(NotFoundError):
        delete_workflow(workflow=stale, force=True)
    assert Event.objects.filter(type="workflow.deleted").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("at_once", "left"), [(10_000, 0), (0, 1)])
def test_no_execution_starts_while_its_workflow_is_deleted(
    alice: User, empty_redis: None, monkeypatch: pytest.MonkeyPatch, at_once: int, left: int
) -> None:
    monkeypatch.setattr("executions.models.execution._TOLD_AT_ONCE", at_once)
    workflow = create_workflow(user=alice, name="w", definition=LONE)
    running = execution(workflow.pk, ExecutionStatus.RUNNING)
    with ThreadPoolExecutor(2) as threads:
        with transaction.atomic():
            # The delete holds the workflow and waits for this row; the start waits for the delete.
            Execution.objects.select_for_update().get(pk=running.pk)
            deleted = threads.submit(in_thread(lambda: delete_workflow(workflow=workflow, force=True)))
            eventually(lambda: waiting() == 1)
            started = threads.submit(in_thread(lambda: start_execution(workflow=workflow, user=alice, request=PLAIN)))
            eventually(lambda: waiting() == 2)
        assert deleted.result(timeout=10) is None
        with pytest.raises(NotFoundError):
            started.result(timeout=10)
    assert (Workflow.objects.count(), Execution.objects.count()) == (0, left)
    assert Execution.objects.active().count() == 0


@pytest.mark.django_db(transaction=True)
def test_an_execution_not_yet_committed_cannot_outlive_its_workflow(alice: User) -> None:
    workflow = create_workflow(user=alice, name="w", definition=LONE)
    with (
        ThreadPoolExecutor(1) as thread,
        pytest.raises(IntegrityError, match="foreign key"),
        transaction.atomic(),
    ):
        execution(workflow.pk, ExecutionStatus.QUEUED)
        thread.submit(in_thread(lambda: delete_workflow(workflow=workflow, force=False))).result(timeout=10)
    assert (Workflow.objects.count(), Execution.objects.count()) == (0, 0)


def in_thread(call: Callable[[], object]) -> Callable[[], object]:
    """The call, on a connection of its own that is closed after it."""

    def run() -> object:
        try:
            return call()
        finally:
            connection.close()

    return run


def test_a_delete_by_force_and_the_end_of_an_execution_do_not_wait_for_each_other(
    transactional_db: None, alice: User
) -> None:
    workflow = create_workflow(user=alice, name="Busy", definition=LONE)
    running = start_execution(workflow=workflow, user=alice, request=PLAIN).execution
    with ThreadPoolExecutor() as pool, psycopg.connect(**connection.get_connection_params()) as ending:
        # A row updated twice has its foreign keys checked at the commit.
        for _ in range(2):
            ending.execute("UPDATE executions_execution SET sequence = sequence WHERE id = %s", [to_uuid(running.pk)])
        deleted = pool.submit(_deleted, workflow)
        eventually(lambda: waiting() == 1)
        ending.commit()
        assert deleted.result(timeout=20) is True


def _deleted(workflow: Workflow) -> bool:
    try:
        delete_workflow(workflow=workflow, force=True)
        return not Workflow.objects.filter(pk=workflow.pk).exists()
    finally:
        connection.close()
