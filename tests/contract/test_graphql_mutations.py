"""GraphQL: each mutation does what its REST request does, with the same entry in the audit log and the same events."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import AuditEntry, User
from events.models import Event
from executions.models import Execution
from executions.states import ExecutionStatus
from tests.api import Api
from tests.contract.pipelines import five, made, started
from tests.graphql import GraphQL
from tests.integration.executions.conftest import Doorbells, log, transform
from tests.integration.workflows.conftest import LONE
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)

WAITS = {"id": "transform", "type": "wait_for_signal", "config": {"signal": "go"}}
FAILS = {"id": "transform", "type": "fail", "config": {"message": "no good"}}


@pytest.fixture
def graphql(alice_api: Api) -> GraphQL:
    """GraphQL as alice."""
    return GraphQL(alice_api.token)


class Since:
    """What the audit log and the ledger are told from here on."""

    def __init__(self) -> None:
        self.entries, self.events = AuditEntry.objects.count(), Event.objects.count()

    def told(self) -> tuple[list[Any], list[Any]]:
        """Without ids and values."""
        entries = AuditEntry.objects.order_by("pk")[self.entries :]
        events = Event.objects.order_by("pk")[self.events :]
        return (
            [(e.actor, e.credential, e.action, e.object_type, sorted(e.details), e.address) for e in entries],
            [(e.type, sorted(e.data)) for e in events],
        )


def alike(rest: Callable[[], object], graphql: Callable[[], object]) -> None:
    """Both leave the same traces, and some."""
    before = Since()
    rest()
    first = before.told()
    before = Since()
    graphql()
    assert before.told() == first
    assert len(first[0]) == 1


MUTATE = "mutation($id: ID!, $input: %s!) { %s(%s: $id, input: $input) { success errors %s } }"


def test_create_workflow(alice_api: Api, graphql: GraphQL) -> None:
    given = {"definition": LONE, "description": "d", "category": "c", "tags": ["a", "a"], "priority": 7}
    text = """mutation($input: CreateWorkflowInput!) { createWorkflow(input: $input) { success errors workflow {
        id name description definition status category tags version componentCount executionCount createdBy } } }"""
    shown: dict[str, Any] = {}
    alike(
        lambda: alice_api.post("/workflows", {"name": "one", **given}),
        lambda: shown.update(graphql.ask(text, input={"name": "two", **given}).data["createWorkflow"]),
    )
    first, second = Workflow.objects.order_by("pk")
    fields = ("description", "category", "tags", "priority", "status", "version", "component_count", "created_by_id")
    assert [getattr(first, name) for name in fields] == [getattr(second, name) for name in fields]
    assert shown == {
        "success": True,
        "errors": [],
        "workflow": {
            "id": second.pk, "name": "two", "description": "d", "definition": LONE, "status": "DRAFT",
            "category": "c", "tags": ["a"], "version": 1, "componentCount": 1, "executionCount": 0,
            "createdBy": second.created_by_id,
        },
    }  # fmt: skip


def test_what_an_input_leaves_out_has_its_printed_default(graphql: GraphQL) -> None:
    text = 'mutation($d: JSON!) { createWorkflow(input: {name: "n", definition: $d, description: null}) { success } }'
    assert graphql.ask(text, d=LONE).data["createWorkflow"]["success"]
    row = Workflow.objects.get()
    assert (row.description, row.category, row.tags, row.priority) == ("", "", [], 5)


def test_update_workflow_changes_what_is_given_and_nothing_else(alice_api: Api, graphql: GraphQL) -> None:
    one, two = (made(alice_api, LONE, active=False, name=name) for name in ("one", "two"))
    text = MUTATE % ("UpdateWorkflowInput", "updateWorkflow", "id", "workflow { status version tags }")
    alike(
        lambda: alice_api.call(
            "PATCH", f"/workflows/{one}", {"status": "active", "definition": five(log("transform"))}
        ),
        lambda: graphql.ask(
            text, id=two, input={"status": "ACTIVE", "definition": five(log("transform")), "tags": None}
        ),
    )
    row = Workflow.objects.get(pk=two)
    assert (row.status, row.version, row.tags, row.name) == ("active", 2, ["etl", "customer_data"], "two")


def test_delete_workflow_needs_force_while_something_runs(
    alice_api: Api, graphql: GraphQL, doorbells: Doorbells
) -> None:
    one, two = (made(alice_api, five(WAITS), name=name) for name in ("one", "two"))
    for workflow_id in (one, two):
        started(alice_api, workflow_id)
    doorbells.work()
    text = "mutation($id: ID!, $force: Boolean) { deleteWorkflow(id: $id, force: $force) { success errors } }"
    refused = {
        "success": False,
        "errors": ["RESOURCE_CONFLICT: Executions that have not ended: 1; force=true cancels them first"],
    }
    for variables in ({}, {"force": False}, {"force": None}):
        assert graphql.ask(text, id=two, **variables).data == {"deleteWorkflow": refused}
    alike(
        lambda: alice_api.call("DELETE", f"/workflows/{one}?force=true"),
        lambda: graphql.ask(text, id=two, force=True),
    )
    assert Workflow.objects.count() == 0


def test_execute_workflow_with_all_of_its_input(alice_api: Api, graphql: GraphQL) -> None:
    workflow_id = made(alice_api, five(log("transform")))
    text = MUTATE % ("ExecuteWorkflowInput", "executeWorkflow", "workflowId", "execution { id status parameters }")
    given: dict[str, Any] = {
        "parameters": {"api_token": "t0ken-value", "n": [1, {"a": None}]},
        "priority": 9,
        "tags": ["x"],
    }
    late = "2999-01-01T00:00:00+01:00"
    shown: dict[str, Any] = {}
    alike(
        lambda: alice_api.post(f"/workflows/{workflow_id}/execute", {**given, "scheduled_at": late}),
        lambda: shown.update(graphql.ask(text, id=workflow_id, input={**given, "scheduledAt": late}).data),
    )
    first, second = Execution.objects.order_by("pk")
    fields = ("parameters", "priority", "tags", "scheduled_at", "status", "trigger", "created_by_id", "version_id")
    assert [getattr(first, name) for name in fields] == [getattr(second, name) for name in fields]
    assert shown["executeWorkflow"] == {
        "success": True,
        "errors": [],
        "execution": {
            "id": second.pk,
            "status": "PENDING",
            "parameters": {"api_token": "[REDACTED]", "n": [1, {"a": None}]},
        },
    }


def test_cancel_execution(alice_api: Api, graphql: GraphQL, doorbells: Doorbells) -> None:
    workflow_id = made(alice_api, five(WAITS))
    one, two = (started(alice_api, workflow_id) for _ in range(2))
    doorbells.work()
    text = "mutation($id: ID!) { cancelExecution(id: $id) { success errors execution { id status completedAt } } }"
    shown: dict[str, Any] = {}
    alike(
        lambda: alice_api.post(f"/executions/{one}/cancel"),
        lambda: shown.update(graphql.ask(text, id=two).data["cancelExecution"]),
    )
    assert (shown["success"], shown["execution"]["id"], shown["execution"]["status"]) == (True, two, "CANCELLED")
    assert shown["execution"]["completedAt"].endswith("Z")
    again = graphql.ask(text, id=two).data["cancelExecution"]
    assert again == {
        "success": False,
        "errors": ["RESOURCE_CONFLICT: The execution has already ended"],
        "execution": None,
    }


def test_retry_execution_from_a_component(alice_api: Api, graphql: GraphQL, doorbells: Doorbells) -> None:
    ended = started(alice_api, made(alice_api, five(FAILS)))
    doorbells.work()
    text = MUTATE % ("RetryExecutionInput", "retryExecution", "id", "execution { id parameters errorMessage }")
    shown: dict[str, Any] = {}
    alike(
        lambda: alice_api.post(f"/executions/{ended}/retry", {"from_component": "transform", "parameters": {"n": 2}}),
        lambda: shown.update(
            graphql.ask(text, id=ended, input={"fromComponent": "transform", "parameters": {"n": 2}}).data
        ),
    )
    retried = shown["retryExecution"]["execution"]
    assert Execution.objects.get(pk=retried["id"]).retry_of_id == ended
    assert retried["parameters"] == {"api_token": "[REDACTED]", "batch_size": 1000, "n": 2}
    refused = graphql.ask(text, id=ended, input={"fromComponent": "nothing"}).data["retryExecution"]
    assert refused["errors"] == ["VALIDATION_ERROR: fromComponent: There is no such component"]
    doorbells.work()
    failed = graphql.ask(f'{{ execution(id: "{ended}") {{ status errorMessage results }} }}').data["execution"]
    assert failed == {"status": "FAILED", "errorMessage": "no good", "results": None}


def test_create_workflow_from_a_template(alice_api: Api, graphql: GraphQL) -> None:
    source = made(alice_api, five(transform("transform", 1)))
    template = alice_api.post("/templates", {"name": "t", "workflow_id": source}).data["id"]
    text = MUTATE % ("CreateFromTemplateInput", "createWorkflowFromTemplate", "templateId", "workflow { name status }")
    shown: dict[str, Any] = {}
    given = {"parameters": {"api_token": "x-value-of-it"}}
    alike(
        lambda: alice_api.post(f"/templates/{template}/create-workflow", {"name": "one", **given}),
        lambda: shown.update(graphql.ask(text, id=template, input={"name": "two", **given}).data),
    )
    assert shown["createWorkflowFromTemplate"] == {
        "success": True,
        "errors": [],
        "workflow": {"name": "two", "status": "DRAFT"},
    }
    refused = graphql.ask(text, id=template, input={"name": "two", **given}).data["createWorkflowFromTemplate"]
    assert refused["errors"] == ["RESOURCE_CONFLICT: name: Choose another name"]


def test_lists_are_those_of_rest(alice_api: Api, graphql: GraphQL, alice: User, doorbells: Doorbells) -> None:
    ids = [made(alice_api, five(log("transform")), name=name, active=name != "w1") for name in ("w1", "w2", "w3")]
    made(alice_api, five(log("transform")), name="other", tags=["x"])
    for workflow_id in ids[1:]:
        started(alice_api, workflow_id)
    doorbells.work()
    for text, path in {
        'workflows(search: "W", tags: ["etl", "customer_data"], limit: 2, offset: 1)': (
            "/workflows?search=W&tags=etl,customer_data&limit=2&offset=1"
        ),
        "workflows(status: DRAFT)": "/workflows?status=draft",
        f'workflows(createdBy: "{alice.pk}", category: "data_processing")': (
            f"/workflows?created_by={alice.pk}&category=data_processing"
        ),
        f'executions(workflowId: "{ids[1]}", status: COMPLETED)': f"/executions?workflow_id={ids[1]}&status=completed",
        'executions(startDate: "2020-01-01T00:00:00Z", endDate: "2999-01-01")': (
            "/executions?start_date=2020-01-01T00:00:00Z&end_date=2999-01-01"
        ),
        "executions(limit: 1, offset: 1)": "/executions?limit=1&offset=1",
    }.items():
        shown = graphql.ask(f"{{ {text} {{ id }} }}").data[text.partition("(")[0]]
        assert shown == [{"id": item["id"]} for item in alice_api.get(path).data] != [], text
    assert Execution.objects.filter(status=ExecutionStatus.COMPLETED).count() == 2


def test_health_and_statistics_are_those_of_rest(alice_api: Api, graphql: GraphQL) -> None:
    made(alice_api, LONE)
    data = graphql.ask(
        """{ systemHealth { status version components { database { status } workflowEngine { status workers }
             scheduler { status queueDepth } redis { status } } }
             systemStats { workflows { total active draft } executions { today thisWeek thisMonth successRate }
             system { queueDepth workers } } }"""
    ).data
    health, stats = alice_api.get("/health").data, alice_api.get("/stats").data
    assert data["systemHealth"]["components"]["scheduler"] == {
        "status": health["components"]["scheduler"]["status"],
        "queueDepth": health["components"]["scheduler"]["queue_depth"],
    }
    assert data["systemHealth"]["status"] == health["status"]
    assert data["systemStats"]["workflows"] == stats["workflows"] == {"total": 1, "active": 1, "draft": 0}
    assert data["systemStats"]["executions"]["thisWeek"] == stats["executions"]["this_week"]
