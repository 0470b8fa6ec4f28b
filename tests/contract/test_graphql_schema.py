"""API reference, "GraphQL API": the schema as printed and as served, and every printed operation."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from graphql import EnumTypeDefinitionNode, Visitor, get_introspection_query, parse, print_ast, print_schema, visit

from accounts.authentication import token_caller
from accounts.models import User
from config import graphql
from config.schema import schema
from core.graphql_caps import MAX_COST
from executions.models import Execution
from executions.states import ExecutionStatus
from tests.api import Api
from tests.contract.pipelines import ended, five, made, started
from tests.contract.reference import PAGE, _blocks
from tests.graphql import GraphQL
from tests.integration.executions.conftest import Doorbells, log

DOCUMENT = PAGE.parent / "schema.graphql"
# Contract §9: with the exact state of a component run.
_ADDED = {("ComponentExecution", "state"): "String!"}
_SHAPES = {
    "UpdateWorkflowResult": {"success": "Boolean!", "workflow": "Workflow", "errors": "[String!]!"},
    "DeleteWorkflowResult": {"success": "Boolean!", "errors": "[String!]!"},
    "CancelExecutionResult": {"success": "Boolean!", "execution": "WorkflowExecution", "errors": "[String!]!"},
    "RetryExecutionResult": {"success": "Boolean!", "execution": "WorkflowExecution", "errors": "[String!]!"},
    "UpdateWorkflowInput": {
        "name": "String", "description": "String", "definition": "JSON", "category": "String",
        "tags": "[String!]", "priority": "Int", "status": "WorkflowStatus",
    },
    "RetryExecutionInput": {"fromComponent": "String", "parameters": "JSON"},
    "CreateFromTemplateInput": {"name": "String!", "description": "String", "parameters": "JSON"},
}  # fmt: skip


def blocks(section: str) -> list[str]:
    """The blocks of GraphQL below a heading of the page."""
    found = [block for block in _blocks(PAGE.read_text()) if block[0] == "GraphQL API" and block[3] == "graphql"]
    return [code for _, heading, _, _, code in found if heading.startswith(section)]


def definitions(text: str) -> dict[str, list[str]]:
    """Each type by its name: its first line and its fields, arguments and defaults with them, without descriptions.

    Fields stand in no order; the values of an enum do.
    """
    found = {}
    for node in parse(text, no_location=True).definitions:
        lines = print_ast(visit(node, _WithoutDescriptions())).splitlines()
        is_enum = isinstance(node, EnumTypeDefinitionNode)
        found[node.name.value] = lines if is_enum else [lines[0], *sorted(lines[1:])]  # type: ignore[attr-defined]
    return found


class _WithoutDescriptions(Visitor):
    def enter(self, node: Any, *_: Any) -> None:
        if getattr(node, "description", None) is not None:
            node.description = None


PRINTED = definitions("\n".join(code for part in ("Types", "Queries", "Mutations", "Subs") for code in blocks(part)))
SERVED = definitions(DOCUMENT.read_text())


def test_all_types_of_the_page_are_compared() -> None:
    assert len(PRINTED) == 18
    assert {"Query", "Mutation", "Subscription", "Workflow", "ExecuteWorkflowInput", "NotificationType"} <= set(PRINTED)
    assert "  parameters: JSON = {}" in PRINTED["ExecuteWorkflowInput"]


def test_the_document_is_the_schema_that_is_served() -> None:
    assert DOCUMENT.read_text().strip() == print_schema(schema.graphql_schema).strip()


@pytest.mark.parametrize("name", PRINTED)
def test_a_type_is_served_as_printed(name: str) -> None:
    added = [f"  {field}: {type_}" for (owner, field), type_ in _ADDED.items() if owner == name]
    served = [line for line in SERVED[name] if line not in added]
    assert len(SERVED[name]) == len(served) + len(added)
    assert served == PRINTED[name]


@pytest.mark.parametrize(("name", "fields"), _SHAPES.items(), ids=list(_SHAPES))
def test_a_type_that_the_page_only_names_is_as_the_contract_has_it(name: str, fields: dict[str, str]) -> None:
    type_: Any = schema.graphql_schema.type_map[name]
    assert {field: str(each.type) for field, each in type_.fields.items()} == fields


@pytest.mark.django_db
def test_introspection_answers_the_whole_schema_with_its_defaults(alice_api: Api) -> None:
    answer = GraphQL(alice_api.token).ask(get_introspection_query())
    told = {type_["name"]: type_ for type_ in answer.data["__schema"]["types"]}
    assert {name for name in told if not name.startswith("__")} - {"ID", "String", "Int", "Float", "Boolean"} == set(
        SERVED
    )
    defaults = {field["name"]: field["defaultValue"] for field in told["ExecuteWorkflowInput"]["inputFields"]}
    assert defaults == {"parameters": "{}", "priority": "5", "scheduledAt": None, "tags": "[]"}


WORKFLOWS, EXECUTE, SUBSCRIBE = blocks("Example Queries")
_EXAMPLE_ID = re.compile(r"01HQNZ2G5XKJ8P7M9N6V3R4T5\w")


def with_id(text: str, id_: str) -> str:
    assert len(_EXAMPLE_ID.findall(text)) == 1
    return _EXAMPLE_ID.sub(id_, text)


@pytest.mark.django_db(transaction=True)
def test_get_workflows_with_executions_answers_what_it_asks(alice_api: Api) -> None:
    workflow_id = made(alice_api, five(log("transform")))
    made(alice_api, five(log("transform")), active=False, name="a draft")
    ended(workflow_id, ExecutionStatus.COMPLETED, 3)
    ended(workflow_id, ExecutionStatus.FAILED, 1)
    newest = list(Execution.objects.order_by("-pk").values_list("pk", flat=True)[:3])
    (shown,) = GraphQL(alice_api.token).ask(WORKFLOWS).data["workflows"]
    executions = shown.pop("recentExecutions")
    assert shown == {
        "id": workflow_id,
        "name": "Data Processing Pipeline",
        "description": "ETL pipeline for customer data",
        "status": "ACTIVE",
        "executionCount": 4,
        "successRate": 0.75,
    }
    assert [each["id"] for each in executions] == newest
    assert [(each["status"], each["duration"]) for each in executions] == [
        ("FAILED", 300),
        ("COMPLETED", 300),
        ("COMPLETED", 300),
    ]


@pytest.mark.django_db(transaction=True)
def test_execute_workflow_starts_it(alice_api: Api, doorbells: Doorbells) -> None:
    workflow_id = made(alice_api, five(log("transform")))
    result = GraphQL(alice_api.token).ask(with_id(EXECUTE, workflow_id)).data["executeWorkflow"]
    stored = Execution.objects.get()
    assert result == {
        "success": True,
        "execution": {"id": stored.pk, "status": "QUEUED", "progress": {"percentage": 0.0}},
        "errors": [],
    }
    assert (stored.priority, stored.parameters) == (7, {"api_token": "[REDACTED]", "batch_size": 1000})
    doorbells.work()
    assert Execution.objects.get().status == ExecutionStatus.COMPLETED


@pytest.mark.django_db(transaction=True)
def test_execution_updates_are_run_for_each_event(alice_api: Api, doorbells: Doorbells) -> None:
    execution_id = started(alice_api, made(alice_api, five(log("transform"))))
    operation = graphql.parse_and_check(with_id(SUBSCRIBE, execution_id))
    caller = token_caller(alice_api.token)
    assert graphql.run(operation, caller, {"sequence": 1}) == {
        "data": {
            "executionUpdates": {
                "id": execution_id,
                "status": "QUEUED",
                "progress": {"currentComponent": None, "percentage": 0.0},
                "duration": None,
            }
        }
    }
    doorbells.work()
    after = graphql.run(operation, caller, {"sequence": 2})["data"]["executionUpdates"]
    assert (after["status"], after["progress"]) == ("COMPLETED", {"currentComponent": "end", "percentage": 100.0})


@pytest.mark.django_db
def test_the_other_subscriptions_answer_from_the_database_and_from_the_event(
    alice_api: Api, as_user: Callable[..., Api], bob: User
) -> None:
    workflow_id = made(alice_api, five(log("transform")))
    alice, other = token_caller(alice_api.token), token_caller(as_user(bob).token)
    updates = graphql.parse_and_check(
        f'subscription {{ workflowUpdates(workflowId: "{workflow_id}") {{ name status }} }}'
    )
    assert graphql.run(updates, alice)["data"]["workflowUpdates"] == {
        "name": "Data Processing Pipeline",
        "status": "ACTIVE",
    }
    refused = graphql.run(updates, other)
    assert (refused["data"], refused["errors"][0]["extensions"]["code"]) == (None, "RESOURCE_NOT_FOUND")
    notes = graphql.parse_and_check("subscription { systemNotifications { type title message data timestamp } }")
    note = {"type": "SYSTEM_ALERT", "title": "t", "message": "m", "data": {"a": 1}}
    root = {**note, "timestamp": datetime(2025, 1, 1, tzinfo=UTC)}
    assert graphql.run(notes, other, root) == {
        "data": {"systemNotifications": {**note, "timestamp": "2025-01-01T00:00:00Z"}}
    }


@pytest.mark.parametrize(
    "text",
    [
        "subscription { systemNotifications @skip(if: true) { title } }",
        "subscription { __typename }",
        "subscription { systemNotifications { title } b: systemNotifications { title } }",
    ],
)
def test_a_subscription_follows_one_thing(text: str) -> None:
    with pytest.raises(graphql.RequestRefusedError):
        graphql.parse_and_check(text)


def test_the_field_that_is_followed_is_found_in_fragments_too() -> None:
    text = "subscription($id: ID!) { ...F } fragment F on Subscription { a: executionUpdates(executionId: $id) { id } }"
    (field,) = graphql.parse_and_check(text, {"id": "x"}).fields
    assert (field.name, field.arguments) == ("executionUpdates", {"execution_id": "x"})


@pytest.mark.django_db
def test_a_subscription_by_post_is_refused(alice_api: Api) -> None:
    answer = GraphQL(alice_api.token).ask(SUBSCRIBE)
    assert (answer.status, answer.codes) == (400, ["VALIDATION_ERROR"])
    assert answer.messages == ["Subscriptions need a WebSocket at this address"]


def test_the_cap_of_cost_leaves_room_for_a_page_of_anything() -> None:
    assert MAX_COST >= 5 * 1000
