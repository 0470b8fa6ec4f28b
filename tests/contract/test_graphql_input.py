"""GraphQL: bad input, rows Q1–Q6 and Q8 (reliability), and how refusals look over HTTP."""

import json
import logging
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from accounts.models import User
from executions.models import Execution
from tests import cpu
from tests.api import Api
from tests.contract.pipelines import five, made
from tests.graphql import ADDRESS, GraphQL
from tests.integration.executions.conftest import log
from tests.unit.test_graphql_caps import OVER_IT
from workflows.models import Workflow

pytestmark = pytest.mark.django_db


@pytest.fixture
def graphql(alice_api: Api) -> GraphQL:
    """GraphQL as alice."""
    return GraphQL(alice_api.token)


BATCH = [{"query": "{ workflows { id } }"}] * 100


@pytest.mark.parametrize("text", [text for text, _ in OVER_IT.values()], ids=list(OVER_IT))
def test_q1_q2_what_asks_for_too_much_is_refused_with_one_error(graphql: GraphQL, text: str) -> None:
    graphql.ask("{ systemHealth { status } }")  # what a process does once
    answer = graphql.ask(text)
    # A megabyte takes its time as JSON, before it is a document.
    if len(text) <= 100_000:
        cpu.assert_within(0.05, lambda: graphql.ask(text))
    assert (answer.status, answer.codes, answer.body["data"]) == (400, ["VALIDATION_ERROR"], None)


def test_q1_a_list_of_operations_is_refused_with_one_error(graphql: GraphQL) -> None:
    answer = graphql.send(BATCH)
    assert (answer.status, answer.codes) == (400, ["VALIDATION_ERROR"])
    assert answer.messages == ["Request body must be a JSON object, got an array"]


def test_q2_a_megabyte_of_comments_is_refused_by_its_bytes(graphql: GraphQL) -> None:
    answer = graphql.ask("# x\n" * 250_000 + "{ workflows { id } }")
    assert (answer.status, answer.messages) == (400, ["The document has 1000020 bytes, at most 16384 are taken"])


def test_q2_inline_fragments_within_one_another_are_refused(graphql: GraphQL) -> None:
    for count in (90, 4000):
        answer = graphql.ask("{" + "... {" * count + "__typename" + "}" * count + "}")
        assert answer.status == (200 if count == 90 else 400)


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("{ workflows(limit: 1000) { executions(limit: 1000) { logs { message } } } }", {}),
        ("query($n: Int) { workflows(limit: $n) { executions(limit: $n) { logs { message } } } }", {"n": 1000}),
        ("query($n: Int = 1000) { workflows(limit: $n) { executions(limit: $n) { id } } }", {}),
        ("{ workflows(limit: 1000) { ...F } } fragment F on Workflow { executions { id } }", {}),
        ("{ executions(limit: 99) { componentExecutions { id } logs { message } } }", {}),
    ],
)  # fmt: skip
def test_q3_lists_in_lists_cost_what_their_limits_allow(graphql: GraphQL, text: str, variables: Any) -> None:
    answer = graphql.ask(text, **variables)
    assert (answer.status, answer.codes, answer.body["data"]) == (400, ["VALIDATION_ERROR"], None)
    assert "objects, at most 5000 are taken: use smaller limits" in answer.messages[0]


@pytest.mark.parametrize("limit", [0, -1, 1001, 2**31 - 1])
@pytest.mark.parametrize("field", ["workflows", "executions", "recentExecutions", "nested"])
def test_q3_l1_limits_are_those_of_rest(graphql: GraphQL, alice_api: Api, field: str, limit: int) -> None:
    made(alice_api, five(log("transform")))
    nested = {"recentExecutions": f"recentExecutions(limit: {limit})", "nested": f"executions(limit: {limit})"}
    text = f"{{ workflows(limit: 1) {{ {nested[field]} {{ id }} }} }}" if field in nested else (
        f"{{ {field}(limit: {limit}) {{ id }} }}"
    )  # fmt: skip
    answer = graphql.ask(text)
    assert answer.codes == ["VALIDATION_ERROR"]
    if limit <= 5000:
        assert answer.messages == ["limit must be an integer from 1 to 1000"]
        assert answer.body["errors"][0]["extensions"]["errors"][0]["field"] == "limit"


def test_l2_an_offset_below_nothing_is_refused(graphql: GraphQL) -> None:
    answer = graphql.ask("{ executions(offset: -1) { id } }")
    assert (answer.codes, answer.messages) == (
        ["VALIDATION_ERROR"],
        [f"offset must be an integer from 0 to {2**63 - 1}"],
    )


INTROSPECTION = (
    "{ __schema { types { name } } }",
    '{ __type(name: "Workflow") { fields { name } } }',
    "{ __typename }",
)


@pytest.mark.parametrize("text", INTROSPECTION)
def test_q4_introspection_is_for_callers_alone(graphql: GraphQL, text: str) -> None:
    assert graphql.ask(text).status == 200
    for caller in (GraphQL(), GraphQL("a.b.c"), GraphQL(key="apg_nothing")):
        answer = caller.ask(text)
        assert (answer.status, answer.codes, answer.body["data"]) == (401, ["AUTHENTICATION_ERROR"], None)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize(
    "text",
    [
        "{ workflow { id } }",
        "{ workflws { id } }",
        "{ workflows(limt: 1) { id } }",
        "{ workflows(status: ACTIV) { id } }",
        "{ workflows { nam } }",
        "fragment F on Workflo { id } { workflows { ...F } }",
        "query($a: WorkflowStatu) { workflows(status: $a) { id } }",
        "mutation { createWorkflow(input: {nme: 1}) { success } }",
    ],
)
def test_q4_nothing_is_suggested(graphql: GraphQL, text: str) -> None:
    answer = graphql.ask(text)
    assert answer.status == 400
    assert "Did you mean" not in json.dumps(answer.body)


@pytest.mark.parametrize("query", ["", "?query={workflows{id}}", "?query=mutation{deleteWorkflow(id:1){success}}"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_q5_only_post_executes(graphql: GraphQL, method: str, query: str) -> None:
    response = Client().generic(
        method, ADDRESS + query, headers={"Authorization": f"Bearer {graphql.token}", "Accept": "application/json"}
    )
    assert (response.status_code, response.headers["Allow"]) == (405, "POST, OPTIONS")
    if method != "HEAD":
        assert json.loads(response.content)["errors"][0]["extensions"] == {"code": "VALIDATION_ERROR"}


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/graphql", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
)
def test_q5_only_json_is_read(graphql: GraphQL, content_type: str) -> None:
    answer = graphql.send({"query": "{ workflows { id } }"}, content_type=content_type)
    assert (answer.status, answer.codes) == (400, ["VALIDATION_ERROR"])


def test_q5_a_cookie_of_the_admin_is_no_credential(alice: User) -> None:
    browser = Client()
    browser.force_login(alice)
    response = browser.post(ADDRESS, {"query": "{ workflows { id } }"}, content_type="application/json")
    assert response.status_code == 401


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "Request body is empty; expected a JSON object"),
        (b"{", "Request body is not valid JSON"),
        (b'{"query": "{ __typename }", "query": "{ __typename }"}', "duplicate key 'query'"),
        (b'{"query": "{ __typename }", "variables": {"a": NaN}}', "NaN is not JSON"),
        (b'{"query": "{ __typename }", "variables": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "nested deeper than 64"),
        (b'{"query": "{ __typename }", "x": 1}', "Unknown field"),
        (b'{"query": 5}', "Must be text: the GraphQL document"),
        (b"{}", "Must be text: the GraphQL document"),
        (b'{"query": "{ __typename }", "variables": []}', "Must be an object"),
        (b'{"query": "{ __typename }", "operationName": 1}', "Must be text"),
        (b'{"query": "{ __typename }", "extensions": 1}', "Must be an object"),
        (b'{"query": "{ __typename }", "operationName": "A"}', "The document has no operation called A"),
        (b'{"query": "query A { __typename } query B { __typename }"}', "Give operationName"),
        (b'{"query": ""}', "Syntax Error: Unexpected <EOF>."),
    ],
)
def test_q5_q6_a_body_that_is_no_request_is_refused(graphql: GraphQL, raw: bytes, message: str) -> None:
    answer = graphql.send(raw=raw)
    assert (answer.status, answer.codes, answer.body["data"]) == (400, ["VALIDATION_ERROR"], None)
    assert message in answer.messages[0]


def test_q6_nul_in_a_body_is_refused(graphql: GraphQL) -> None:
    answer = graphql.ask("query($a: String) { workflows(search: $a) { id } }", a="\0")
    assert (answer.status, answer.codes) == (422, ["VALIDATION_ERROR"])


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("{ workflows(status: active) { id } }", {}),
        ('{ workflows(status: "ACTIVE") { id } }', {}),
        ('{ workflows(limit: "5") { id } }', {}),
        ("{ workflows(limit: 5.0) { id } }", {}),
        ("{ workflows(limit: 99999999999) { id } }", {}),
        ("{ workflows(tags: [null]) { id } }", {}),
        ("{ workflow(id: {}) { id } }", {}),
        ("{ workflow { id } }", {}),
        ("{ workflows }", {}),
        ("{ workflows { id { x } } }", {}),
        ('{ executions(startDate: "soon") { id } }', {}),
        ("query($s: WorkflowStatus) { workflows(status: $s) { id } }", {"s": "active"}),
        ("query($n: Int) { workflows(limit: $n) { id } }", {"n": "5"}),
        ("query($n: Int) { workflows(limit: $n) { id } }", {"n": True}),
        ("query($n: Int!) { workflows(limit: $n) { id } }", {}),
        ("query($d: DateTime) { executions(startDate: $d) { id } }", {"d": 5}),
        ("mutation { createWorkflow(input: {name: \"n\", definition: {a: 1e999}}) { success } }", {}),
        ("mutation { createWorkflow(input: {name: 5, definition: {}}) { success } }", {}),
        ("mutation($i: CreateWorkflowInput!) { createWorkflow(input: $i) { success } }", {"i": {"name": "n", "x": 1}}),
        ("mutation { createWorkflow(input: {name: \"n\", definition: " + "[" * 70 + "]" * 70 + "}) { success } }", {}),
    ],
)  # fmt: skip
def test_q6_wrong_types_are_told_before_anything_is_done(graphql: GraphQL, text: str, variables: Any) -> None:
    answer = graphql.ask(text, **variables)
    assert (answer.status, set(answer.codes), answer.body["data"]) == (400, {"VALIDATION_ERROR"}, None)
    assert Workflow.objects.count() == 0


@pytest.mark.parametrize("id_", ["", "x", "01HQNZ2G5XKJ8P7M9N6V3R4T5W", "0" * 5000, "A\u0000"])
@pytest.mark.parametrize("field", ["workflow", "execution", "template"])
def test_q6_ids_of_nothing_are_null(graphql: GraphQL, field: str, id_: str) -> None:
    text = f"{{ {field}(id: {json.dumps(id_)}) {{ id }} }}"
    assert graphql.ask(text).data == {field: None}


def test_q6_l7_ids_are_taken_in_lower_case(graphql: GraphQL, alice_api: Api) -> None:
    workflow_id = made(alice_api, five(log("transform")))
    assert graphql.ask(f'{{ workflow(id: "{workflow_id.lower()}") {{ id }} }}').data == {
        "workflow": {"id": workflow_id}
    }


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ('{ workflows(createdBy: "x") { id } }', "createdBy", "createdBy must be an id (26-character ULID)"),
        ('{ executions(workflowId: "x") { id } }', "workflowId", "workflowId must be an id (26-character ULID)"),
        (f'{{ workflows(search: "{"x" * 201}") {{ id }} }}', "search", "search must be text of at most 200 characters"),
        ('{ templates(complexity: "easy") { id } }', "complexity", "complexity must be one of beginner, intermediate"),
        ('{ executions(startDate: "2025-01-02", endDate: "2025-01-01") { id } }', "startDate", "startDate must be"),
    ],
)  # fmt: skip
def test_q6_arguments_are_judged_as_rest_judges_parameters(
    graphql: GraphQL, text: str, field: str, message: str
) -> None:
    answer = graphql.ask(text)
    assert (answer.status, answer.codes, answer.body["data"]) == (200, ["VALIDATION_ERROR"], None)
    assert answer.messages[0].startswith(message)
    assert answer.body["errors"][0]["extensions"]["errors"][0]["field"] == field


def test_q8_what_a_resolver_raises_is_masked_and_logged(
    graphql: GraphQL, alice_api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    made(alice_api, five(log("transform")))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE workflows_workflowtally RENAME TO elsewhere")
    body = {"query": "{ workflows { name executionCount } }"}
    with caplog.at_level(logging.ERROR):
        answer = graphql.send(body, X_Request_ID="the-request")
    (error,) = answer.body["errors"]
    assert (answer.status, answer.body["data"], error["message"]) == (200, None, "Internal error")
    assert error["extensions"] == {"code": "SYSTEM_ERROR", "request_id": "the-request"}
    assert answer.headers["X-Request-ID"] == "the-request"
    assert "workflows_workflowtally" not in json.dumps(answer.body)
    assert [record.message for record in caplog.records if record.exc_info] == ["Unhandled exception"]


def test_requests_are_counted_and_answers_say_so(graphql: GraphQL, alice: User) -> None:
    # So that none comes back meanwhile.
    User.objects.filter(pk=alice.pk).update(tier="custom", requests_per_hour=100, concurrent_executions=5)
    first, second = (graphql.ask("{ __typename }").headers for _ in range(2))
    assert int(first["X-RateLimit-Remaining"]) - int(second["X-RateLimit-Remaining"]) == 1
    several = "mutation { a: cancelExecution(id: 1) { success } b: cancelExecution(id: 2) { success } c: __typename }"
    third = graphql.ask(several).headers
    assert int(second["X-RateLimit-Remaining"]) - int(third["X-RateLimit-Remaining"]) == 3
    hidden = (
        several.replace("mutation", "fragment F on Mutation")
        + " mutation { ...F ... { b: cancelExecution(id: 2) { success } } }"
    )
    fourth = graphql.ask(hidden).headers
    assert int(third["X-RateLimit-Remaining"]) - int(fourth["X-RateLimit-Remaining"]) == 3
    assert {"X-Request-ID", "Cache-Control", "Content-Security-Policy"} <= set(third)


def test_a_mutation_that_does_nothing_counts_as_a_request(graphql: GraphQL, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(tier="custom", requests_per_hour=100, concurrent_executions=5)
    text = 'mutation { cancelExecution(id: "x") @skip(if: true) { success } }'
    left = [int(graphql.ask(text).headers["X-RateLimit-Remaining"]) for _ in range(3)]
    assert left == [99, 98, 97]


def test_over_the_rate_is_429_with_a_graphql_error(graphql: GraphQL, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(tier="custom", requests_per_hour=1, concurrent_executions=1)
    answers = [graphql.ask("{ __typename }") for _ in range(3)]
    assert (answers[-1].status, answers[-1].codes) == (429, ["RATE_LIMIT_EXCEEDED"])
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_the_media_type_of_graphql_is_served_to_who_wants_it(graphql: GraphQL) -> None:
    wanted = "application/graphql-response+json"
    for status, text in ((200, "{ __typename }"), (400, "{ nothing }")):
        answer = graphql.send({"query": text}, Accept=wanted)
        assert (answer.status, answer.headers["Content-Type"]) == (status, wanted)
    assert graphql.send({"query": "{ __typename }"}, Accept="*/*").headers["Content-Type"] == "application/json"


_LONE = '{components: [{id: "s", type: "start", config: {trigger_type: "manual"}}]}'


def test_mutations_are_refused_where_rest_refuses_them(graphql: GraphQL, alice_api: Api) -> None:
    workflow_id = made(alice_api, five(log("transform")))
    asked: dict[str, list[str]] = {
        f'executeWorkflow(workflowId: "{workflow_id}", input: {{}})': [
            "VALIDATION_ERROR: parameters.api_token: Parameter api_token is required"
        ],
        f'executeWorkflow(workflowId: "{workflow_id}", input: {{priority: 11, tags: [""]}})': [
            "VALIDATION_ERROR: priority: Ensure this value is less than or equal to 10.",
            "VALIDATION_ERROR: tags[0]: This field may not be blank.",
        ],
        'executeWorkflow(workflowId: "x", input: {})': ["RESOURCE_NOT_FOUND: Workflow not found"],
        'cancelExecution(id: "x")': ["RESOURCE_NOT_FOUND: Execution not found"],
        f'createWorkflow(input: {{name: "Data Processing Pipeline", definition: {_LONE}}})': [
            "RESOURCE_CONFLICT: name: Choose another name"
        ],
        'createWorkflow(input: {name: "\\u0000", definition: {}})': [
            "VALIDATION_ERROR: name: text may not contain NUL or unpaired surrogates"
        ],
        f'updateWorkflow(id: "{workflow_id}", input: {{definition: {{components: []}}}})': [
            "VALIDATION_ERROR: definition.components: "
        ],
    }  # fmt: skip
    for call, errors in asked.items():
        name = call.partition("(")[0]
        result = graphql.ask(f"mutation {{ {call} {{ success errors }} }}").data[name]
        assert result["success"] is False, call
        assert len(result["errors"]) == len(errors), result
        for told, expected in zip(result["errors"], errors, strict=True):
            assert told.startswith(expected), call
    assert (Workflow.objects.count(), Execution.objects.count()) == (1, 0)


def test_graphiql_is_a_page_without_data_and_all_of_it_from_here() -> None:
    response = Client().get(ADDRESS, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    text = response.content.decode()
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    assert "http" not in text.replace("http-equiv", "")
    assert all(part in text for part in ("graphiql.js", "graphiql.css"))
    assert settings.GRAPHENE == {"MIDDLEWARE": []}
