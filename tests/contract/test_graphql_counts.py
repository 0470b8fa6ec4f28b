"""How many queries a GraphQL operation takes: the same for one row and for many (reliability Q3: no N+1)."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core import siblings
from events.models import Event
from executions.models import ComponentRun, Execution
from executions.states import ExecutionStatus, RunStatus
from tests.api import Api
from tests.contract.pipelines import five, made, started
from tests.graphql import GraphQL
from tests.integration.executions.conftest import Doorbells, log
from tests.integration.workflows.conftest import execution

pytestmark = pytest.mark.django_db(transaction=True)

DEEPEST = """{
  workflows(limit: 6) {
    id definition executionCount successRate lastExecutionAt
    recentExecutions(limit: 2) {
      id progress { currentComponent percentage } resourceUsage { cpuSeconds }
      logs { message }
      errors: logs(level: ERROR) { message }
      workflow { id executionCount definition recentExecutions(limit: 1) { id duration } }
      componentExecutions { componentId inputData outputData }
    }
    older: executions(limit: 2, offset: 1) { id status }
  }
}"""
FLAT = "{ executions(limit: 20) { id workflow { name } logs { message } componentExecutions { id } } }"
TEMPLATES = "{ templates { name documentation workflowDefinition permissions { canEdit } } }"


def counted(graphql: GraphQL, text: str) -> tuple[int, int]:
    """(queries, characters of the answer)."""
    with CaptureQueriesContext(connection) as context:
        answer = graphql.ask(text)
    return len(context), len(str(answer.data))


@pytest.mark.parametrize(("text", "expected"), [(DEEPEST, 23), (FLAT, 9), (TEMPLATES, 3)], ids=["deep", "flat", "form"])
def test_q3_an_operation_takes_as_many_queries_for_many_rows_as_for_one(
    alice_api: Api, doorbells: Doorbells, text: str, expected: int
) -> None:
    graphql = GraphQL(alice_api.token)

    def add(number: int) -> None:
        workflow_id = made(alice_api, five(log("transform")), name=f"w{number}")
        for _ in range(1 + number):
            started(alice_api, workflow_id)
        doorbells.work()
        body = {"name": f"t{number}", "workflow_id": workflow_id}
        assert alice_api.post("/templates", body).status == 201

    add(1)
    graphql.ask(text)  # what a process reads once and keeps: a version, and this user's shares
    first = counted(graphql, text)
    for number in range(2, 6):
        add(number)
    graphql.ask(text)
    second = counted(graphql, text)
    assert second[1] > 3 * first[1]
    assert (first[0], second[0]) == (expected, expected)


def test_q3_each_parent_has_its_own_page(alice_api: Api) -> None:
    ids = [made(alice_api, five(log("transform")), name=f"w{n}") for n in range(3)]
    made_of = {id_: [execution(id_, ExecutionStatus.FAILED).pk for _ in range(n)] for n, id_ in enumerate(ids)}
    text = "{ workflows { id executions(limit: 1, offset: 1) { id } recentExecutions { id } } }"
    for shown in GraphQL(alice_api.token).ask(text).data["workflows"]:
        newest = made_of[shown["id"]][::-1]
        assert [each["id"] for each in shown["recentExecutions"]] == newest
        assert [each["id"] for each in shown["executions"]] == newest[1:2]


def test_q3_a_list_without_a_limit_is_bounded(alice_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most so many log lines of each execution, in order; and more than so many of all are refused."""
    workflow_id = made(alice_api, five(log("transform")))
    rows = [execution(workflow_id, ExecutionStatus.FAILED) for _ in range(3)]
    for row in rows:
        for sequence in range(1, 5):
            data = {"level": "info", "message": str(sequence)}
            Event.objects.create(
                subject_id=row.pk, workflow_id=workflow_id, owner_id=row.created_by_id, sequence=sequence,
                type="log", data=data,
            )  # fmt: skip
    graphql = GraphQL(alice_api.token)
    monkeypatch.setattr(siblings, "MAX_EACH", 3)
    for each in graphql.ask("{ executions { logs { message } } }").data["executions"]:
        assert [line["message"] for line in each["logs"]] == ["1", "2", "3"]
    monkeypatch.setattr(siblings, "MAX_TOGETHER", 8)
    answer = graphql.ask("{ executions { logs { message } } }")
    assert (answer.codes, answer.body["data"]) == (["VALIDATION_ERROR"], None)
    assert answer.messages == ["More than 8 entries of a list without a limit: ask for fewer parents"]


def test_component_runs_have_the_printed_words_and_the_exact_state(alice_api: Api) -> None:
    workflow_id = made(alice_api, five(log("transform")))
    row = execution(workflow_id, ExecutionStatus.FAILED)
    shown = {
        RunStatus.BLOCKED: ("PENDING", "pending"),
        RunStatus.QUEUED: ("QUEUED", "queued"),
        RunStatus.SKIPPED: ("CANCELLED", "skipped"),
        RunStatus.COMPLETED: ("COMPLETED", "completed"),
        RunStatus.FAILED: ("FAILED", "failed"),
        RunStatus.CANCELLED: ("CANCELLED", "cancelled"),
    }
    for position, status in enumerate(shown):
        ended = {"completed_at": row.completed_at} if shown[status][0] not in {"PENDING", "QUEUED"} else {}
        ComponentRun.objects.create(
            execution=row, component_id=status, component_type="log", position=position, status=status, **ended
        )
    fields = "executionId componentId status state inputData"
    text = f'{{ execution(id: "{row.pk}") {{ componentExecutions {{ {fields} }} }} }}'
    runs = GraphQL(alice_api.token).ask(text).data["execution"]["componentExecutions"]
    assert [(run["componentId"], run["status"], run["state"]) for run in runs] == [
        (str(status), *words) for status, words in shown.items()
    ]
    assert {run["executionId"] for run in runs} == {row.pk}


def test_a_waiting_run_reads_running(alice_api: Api, doorbells: Doorbells) -> None:
    waits = {"id": "transform", "type": "wait_for_signal", "config": {"signal": "go"}}
    id_ = started(alice_api, made(alice_api, five(waits)))
    doorbells.work()
    text = f'{{ execution(id: "{id_}") {{ componentExecutions {{ componentId status state }} }} }}'
    runs = GraphQL(alice_api.token).ask(text).data["execution"]["componentExecutions"]
    assert runs[2] == {"componentId": "transform", "status": "RUNNING", "state": "waiting"}


def test_more_bytes_than_an_int_holds_stop_there(alice_api: Api) -> None:
    row = execution(made(alice_api, five(log("transform"))), ExecutionStatus.COMPLETED)
    Execution.objects.filter(pk=row.pk).update(network_bytes=5 * 10**9)
    text = "{ executions { resourceUsage { networkBytes } } }"
    shown = GraphQL(alice_api.token).ask(text).data["executions"]
    assert shown == [{"resourceUsage": {"networkBytes": 2147483647}}]
