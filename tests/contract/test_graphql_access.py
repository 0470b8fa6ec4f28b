"""Every field that a GraphQL operation can start with × caller is answered as the access table has it for REST."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import transaction
from graphql import get_named_type, is_leaf_type

from accounts.api_keys import create_api_key
from accounts.authentication import token_caller
from accounts.models import User
from accounts.scopes import Scope
from config import graphql
from config.schema import schema
from core.errors import AuthenticationFailedError
from core.redis import client
from tests.api import Api
from tests.contract.access_table import ROWS
from tests.contract.access_world import LIKE, World, contents, make_world
from tests.contract.pipelines import made
from tests.contract.test_access_matrix import CODES, NOT_LOGGED_IN, expected
from tests.graphql import GraphQL, GraphQLAnswer
from tests.integration.executions.conftest import Doorbells, linear, log
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

_DEFINITION = '{{components: [{{id: "start", type: "start", config: {{trigger_type: "manual"}}}}]}}'


@dataclass(frozen=True)
class Like:
    """A field and the cell of the access table that it is like; `call` has ids of the world in it.

    `lists` names the object that those who see it find in the list.
    """

    cell: tuple[str, str]
    call: str
    lists: str | None = None
    ids: dict[str, str] = field(default_factory=dict)


FIELDS: dict[tuple[str, str], Like] = {
    ("Query", "workflows"): Like(("WorkflowListView", "GET"), "workflows {{ id }}", "workflow_id"),
    ("Query", "workflow"): Like(("WorkflowView", "GET"), 'workflow(id: "{workflow_id}") {{ id }}'),
    ("Query", "executions"): Like(("ExecutionListView", "GET"), "executions {{ id }}", "execution_id"),
    ("Query", "execution"): Like(("ExecutionView", "GET"), 'execution(id: "{execution_id}") {{ id }}'),
    ("Query", "templates"): Like(("TemplateListView", "GET"), "templates {{ id }}", "template_id"),
    ("Query", "template"): Like(("TemplateView", "GET"), 'template(id: "{template_id}") {{ id }}'),
    ("Query", "systemStats"): Like(("StatsView", "GET"), "systemStats {{ workflows {{ total }} }}"),
    ("Query", "systemHealth"): Like(("HealthView", "GET"), "systemHealth {{ status }}"),
    ("Mutation", "createWorkflow"): Like(
        ("WorkflowListView", "POST"), f'createWorkflow(input: {{{{name: "n", definition: {_DEFINITION}}}}})'
    ),
    ("Mutation", "updateWorkflow"): Like(
        ("WorkflowView", "PATCH"), 'updateWorkflow(id: "{workflow_id}", input: {{description: "new"}})'
    ),
    ("Mutation", "deleteWorkflow"): Like(("WorkflowView", "DELETE"), 'deleteWorkflow(id: "{workflow_id}")'),
    ("Mutation", "executeWorkflow"): Like(
        ("ExecuteView", "POST"), 'executeWorkflow(workflowId: "{workflow_id}", input: {{}})'
    ),
    ("Mutation", "cancelExecution"): Like(("CancelView", "POST"), 'cancelExecution(id: "{running_id}")'),
    ("Mutation", "retryExecution"): Like(("RetryView", "POST"), 'retryExecution(id: "{execution_id}", input: {{}})'),
    ("Mutation", "createWorkflowFromTemplate"): Like(
        ("TemplateCreateWorkflowView", "POST"),
        'createWorkflowFromTemplate(templateId: "{template_id}", input: {{name: "n"}})',
    ),
    ("Subscription", "executionUpdates"): Like(
        ("ExecutionView", "GET"), 'executionUpdates(executionId: "{execution_id}") {{ id }}'
    ),
    ("Subscription", "workflowUpdates"): Like(
        ("WorkflowView", "GET"), 'workflowUpdates(workflowId: "{workflow_id}") {{ id }}'
    ),
    # Who gets which notification is told where they are made.
    ("Subscription", "systemNotifications"): Like(("StatsView", "GET"), "systemNotifications {{ title }}"),
}  # fmt: skip
ALL = [
    (kind, name)
    for kind in ("Query", "Mutation", "Subscription")
    for name in schema.graphql_schema.type_map[kind].fields
]


def test_every_field_of_the_schema_has_a_row_and_every_row_a_field() -> None:
    assert set(FIELDS) == set(ALL)


def status_for(like: Like, caller: str) -> int:
    if caller in NOT_LOGGED_IN:
        return 401
    return expected(ROWS[like.cell], caller)


@pytest.mark.parametrize(("kind", "name"), ALL, ids=[".".join(each) for each in ALL])
def test_a5_a8_the_matrix_of_graphql(empty_redis: None, kind: str, name: str) -> None:
    like = FIELDS[kind, name]
    world = make_world(ROWS[like.cell].scope)
    before = contents()
    call = like.call.format(**world.ids)
    for caller in world.callers:
        savepoint = transaction.savepoint()
        client().flushdb()
        status = status_for(like, LIKE.get(caller, caller))
        place = f"{caller}: {name} {status}"
        if kind == "Subscription":
            check_subscription(world, caller, name, call, status, place)
        else:
            text = f"{kind.lower()} {{ {call} {'{ success errors }' if kind == 'Mutation' else ''} }}"
            credentials = world.callers[caller]
            answer = GraphQL(credentials.token, key=credentials.key).ask(text)
            if status == 401:
                assert (answer.status, answer.codes, answer.body["data"]) == (401, ["AUTHENTICATION_ERROR"], None), (
                    place
                )
            elif kind == "Mutation":
                check_mutation(answer, name, status, place)
            else:
                check_query(answer, name, status, place)
                check_list(world, like, LIKE.get(caller, caller), answer, name, status, place)
        if status in CODES:
            assert contents() == before, f"{place} changed something"
        transaction.savepoint_rollback(savepoint)


def check_query(answer: GraphQLAnswer, name: str, status: int, place: str) -> None:
    assert answer.status == 200, (place, answer.body)
    if status == 404:
        assert answer.body == {"data": {name: None}}, place
    elif status == 403:
        assert (answer.codes, bool(answer.body["data"] and answer.body["data"][name])) == (
            ["AUTHORIZATION_ERROR"],
            False,
        ), place
    else:
        assert answer.data[name] is not None, place


def check_mutation(answer: GraphQLAnswer, name: str, status: int, place: str) -> None:
    result = answer.data[name]
    code = {**CODES, 409: "RESOURCE_CONFLICT"}.get(status)
    assert result["success"] is (code is None), (place, result)
    assert [error.partition(":")[0] for error in result["errors"]] == ([code] if code else []), place


def check_list(
    world: World, like: Like, caller: str, answer: GraphQLAnswer, name: str, status: int, place: str
) -> None:
    if like.lists is None or status != 200:
        return
    sees = caller in {"owner", "key with the scope", "staff"}
    if like.lists != "template_id":
        sees = not caller.startswith("stranger")
    assert (world.ids[like.lists] in {each["id"] for each in answer.data[name]}) == sees, place


def check_subscription(world: World, caller: str, name: str, call: str, status: int, place: str) -> None:
    operation = graphql.parse_and_check(f"subscription {{ {call} }}")
    credentials = world.callers[caller]
    if status == 401:
        # Two at once are a matter of the headers that HTTP has.
        if caller != "two credentials":
            with pytest.raises(AuthenticationFailedError):
                token_caller(credentials.token or credentials.key)
        return
    answer = graphql.run(operation, token_caller(credentials.token or credentials.key), {"title": "t"})
    if status in CODES:
        codes = [error["extensions"]["code"] for error in answer["errors"]]
        assert (answer["data"], codes) == (None, [CODES[status]]), place
    else:
        assert "errors" not in answer, place


# --- Below the first field, where a scope may lack that the first did not need

NEEDS: dict[str, dict[str, str]] = {
    "Workflow": {
        **dict.fromkeys(("definition", "executionCount", "successRate", "lastExecutionAt"), "workflow.read"),
        **dict.fromkeys(("executions", "recentExecutions"), "execution.read"),
    },
    "WorkflowExecution": {
        name: "workflow.read" if name == "workflow" else "execution.read"
        for name in schema.graphql_schema.type_map["WorkflowExecution"].fields
        if name not in {"id", "workflowId", "status"}
    },
}


@pytest.mark.parametrize("held", ["nothing", "workflow.read", "execution.read"])
@pytest.mark.parametrize("type_", ["Workflow", "WorkflowExecution"])
def test_a5_what_a_change_answers_tells_no_more_than_the_scopes_allow(
    alice: User, alice_api: Api, type_: str, held: str
) -> None:
    world = make_world(None)
    _, key = create_api_key(
        owner=User.objects.get(username="owner"),
        name="half",
        permissions=[Scope.WORKFLOW_WRITE, Scope.WORKFLOW_EXECUTE, *([] if held == "nothing" else [held])],
    )
    fields: Any = schema.graphql_schema.type_map[type_].fields
    workflow_id = world.ids["workflow_id"]
    call, result = {
        "Workflow": (f'updateWorkflow(id: "{workflow_id}", input: {{}})', "workflow"),
        "WorkflowExecution": (f'executeWorkflow(workflowId: "{workflow_id}", input: {{}})', "execution"),
    }[type_]
    assert len(fields) in {17}
    for name, each in fields.items():
        inner = "" if is_leaf_type(get_named_type(each.type)) else "{ __typename }"
        answer = GraphQL(key=key).ask(f"mutation {{ {call} {{ success {result} {{ {name} {inner} }} }} }}")
        need = NEEDS[type_].get(name)
        if need in {None, held}:
            assert "errors" not in answer.body, (name, answer.body)
        else:
            assert answer.codes == ["AUTHORIZATION_ERROR"], name
            assert "path" in answer.body["errors"][0]
            assert need in answer.messages[0], name
            (outcome,) = answer.body["data"].values()
            assert outcome[result] in (None, {name: None}), name


def test_a_key_that_may_only_read_workflows_changes_none(alice: User, alice_api: Api) -> None:
    workflow_id = made(alice_api, linear(log("a")))
    _, text = create_api_key(owner=alice, name="reader", permissions=[Scope.WORKFLOW_READ])
    key = GraphQL(key=text)
    assert key.ask("{ workflows { id definition } }").data["workflows"][0]["id"] == workflow_id
    result = key.ask(f'mutation {{ deleteWorkflow(id: "{workflow_id}") {{ success errors }} }}').data["deleteWorkflow"]
    assert result == {"success": False, "errors": ["AUTHORIZATION_ERROR: This needs the scope workflow.delete"]}
    assert Workflow.objects.filter(pk=workflow_id).exists()


def test_a8_what_is_hidden_is_hidden_below_too(alice_api: Api, doorbells: Doorbells, bob: User) -> None:
    """A viewer of one workflow sees its executions and nothing of its owner's other workflows."""
    shown, hidden = made(alice_api, linear(log("a"))), made(alice_api, linear(log("a")), name="hidden")
    for workflow_id in (shown, hidden):
        assert alice_api.post(f"/workflows/{workflow_id}/execute").status == 201
    assert alice_api.post(f"/workflows/{shown}/shares", {"user_id": bob.pk, "role": "viewer"}).status == 201
    _, key = create_api_key(owner=bob, name="k", permissions=["*"])
    data = (
        GraphQL(key=key)
        .ask("{ executions { workflow { id } } workflows { id executions(limit: 9) { workflowId workflow { id } } } }")
        .data
    )
    assert data == {
        "executions": [{"workflow": {"id": shown}}],
        "workflows": [{"id": shown, "executions": [{"workflowId": shown, "workflow": {"id": shown}}]}],
    }
