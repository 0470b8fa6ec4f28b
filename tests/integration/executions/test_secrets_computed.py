"""What components make of secrets: hidden wherever an execution tells anything, and real for those further on."""

import base64
import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import secret_store
from accounts.models import User
from core.redact import REDACTED
from core.types import JSONObject
from executions.interventions import RetryRequest, retry_execution, send_signal
from executions.models import ComponentRun, Execution
from executions.services import StartRequest, start_execution
from tests.api import Api
from tests.integration.executions.conftest import (
    Doorbells,
    linear,
    log,
    make_workflow,
    opened,
    start,
    transform,
)
from tests.stand_ins import http_receiver

pytestmark = pytest.mark.django_db(transaction=True)

VALUE = "Quartz-jumbo-Vex-5183-fig"

# What is made of a secret X, and the Python that says what it is.
MADE: list[tuple[str, Any]] = [
    ("X | upper", VALUE.upper()),
    ("X | lower", VALUE.lower()),
    ("X | reverse", VALUE[::-1]),
    ("X | b64encode", base64.b64encode(VALUE.encode()).decode()),
    ("X | upper | reverse | b64encode", base64.b64encode(VALUE.upper()[::-1].encode()).decode()),
    ("X | replace('-', '+')", VALUE.replace("-", "+")),
    ("X[:3]", "Qua"),
    ("X[-6:]", VALUE[-6:]),
    ("X | length", len(VALUE)),
    ("X | split('-')", VALUE.split("-")),
    ("X | split('-') | map('upper') | join(' ')", VALUE.upper().replace("-", " ")),
    ("'a-' ~ X[7:] ~ '-z'", f"a-{VALUE[7:]}-z"),
    ("{'id': 7, 'half': X[:12]}", {"id": 7, "half": VALUE[:12]}),
    ("(X | split('-'))[3] | int + 1", 5184),
    ("X[0] == 'Q'", True),
    ("X[0] if X else 'none'", "Q"),
]
SOURCES = ["secret", "parameter", "output"]


def shown(execution: Execution) -> dict[str, Any]:
    """The outputs as they are told, by component."""
    return dict(ComponentRun.objects.filter(execution=execution).values_list("component_id", "output"))


def error_of(execution: Execution, component_id: str) -> str:
    """The message that a component failed with."""
    error = ComponentRun.objects.get(execution=execution, component_id=component_id).error
    assert error is not None
    return str(error["message"])


def pieces(made: Any) -> set[str]:
    """Every four characters of the secret, in any case or backwards, and of what was made of it."""
    texts = [VALUE, VALUE.upper(), VALUE.lower(), VALUE[::-1], VALUE.upper()[::-1]]
    texts += [made] if isinstance(made, str) and len(made) > 3 else []
    return {text[at : at + 4] for text in texts for at in range(len(text) - 3)}


# Ids and sealed columns are text of other kinds, and hold any few characters by chance.
IDS = re.compile(r"[0-9A-Z]{26}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\\\\?\\x[0-9a-f]+")


def everything(alice_api: Api, execution: Execution) -> str:
    """All that the API answers about an execution, and all that the database holds of executions, in plain."""
    path = f"/executions/{execution.pk}"
    parts = ("", "/components", "/events", "/logs")
    told = [str(alice_api.get(f"{path}{part}").data) for part in parts]
    told.append(str(alice_api.get("/executions").data))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            " AND table_name ~ '^(executions|events|webhooks)_'"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{table}" AS t')
            told += [text for (text,) in cursor.fetchall()]
    return IDS.sub("", " ".join(told))


def assert_untold(alice_api: Api, execution: Execution, made: Any) -> None:
    told = everything(alice_api, execution)
    # Digits and signs alone stand in any time.
    assert not {piece for piece in pieces(made) if piece in told and any(map(str.isalpha, piece))}


def prepared(alice: User, source: str, text: str) -> tuple[list[JSONObject], str, JSONObject]:
    """(components in front, an expression that makes `text` of the secret, parameters) for a source of the secret."""
    if source == "secret":
        secret_store.create_secret(owner=alice, name="key", value=VALUE)
        return [], text.replace("X", "secrets.key"), {}
    if source == "parameter":
        return [], text.replace("X", "api_token"), {"api_token": VALUE}
    secret_store.create_secret(owner=alice, name="key", value=VALUE)
    before = transform("before", {"deep": ["{{ secrets.key }}"], "open": "beside"})
    return [before], text.replace("X", "components.before.output.deep[0]"), {}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("text", "made"), MADE)
def test_what_an_expression_makes_of_a_secret_is_hidden_and_handed_on(
    alice: User, alice_api: Api, doorbells: Doorbells, text: str, made: Any, source: str
) -> None:
    before, expression, parameters = prepared(alice, source, text)
    definition = linear(
        *before,
        transform("one", {"made": f"{{{{ {expression} }}}}", "open": [1, "one"]}),
        transform("two", {"again": "{{ components.one.output.made }}", "open": "{{ components.one.output.open }}"}),
        log("say", "made {{ components.one.output.made }} and {{ components.two.output.again | tojson }}."),
        {"id": "end", "type": "end", "config": {"output": "{{ components.two.output }}"}},
        {"id": "no", "type": "fail", "config": {"message": f"no: {{{{ {expression} }}}}"}},
    )
    execution = start(alice, definition, parameters=parameters)
    doorbells.work()
    outputs = shown(execution)
    hidden = {"id": 7, "half": REDACTED} if isinstance(made, dict) else REDACTED
    assert outputs["one"] == {"made": hidden, "open": [1, "one"]}
    assert outputs["two"] == {"again": hidden, "open": [1, "one"]}
    assert outputs["end"] == {"again": hidden, "open": [1, "one"]}
    if before:
        assert outputs["before"] == {"deep": [REDACTED], "open": "beside"}
    assert REDACTED in error_of(execution, "no")
    assert opened(execution)["end"] == {"again": made, "open": [1, "one"]}
    lines = [line["message"] for line in alice_api.get(f"/executions/{execution.pk}/logs").data]
    assert REDACTED in lines[0]
    assert_untold(alice_api, execution, made)


@pytest.mark.parametrize("source", SOURCES)
def test_results_are_hidden(alice: User, alice_api: Api, doorbells: Doorbells, source: str) -> None:
    before, expression, parameters = prepared(alice, source, "X[:3]")
    end = {"id": "end", "type": "end", "config": {"output": [f"{{{{ {expression} }}}}", "open"]}}
    execution = start(alice, linear(*before, end), parameters=parameters)
    doorbells.work()
    execution.refresh_from_db()
    assert (execution.status, execution.results) == ("completed", [REDACTED, "open"])


@pytest.mark.parametrize("source", ["parameter", "output"])
@pytest.mark.parametrize(
    ("code", "made"),
    [
        ("x.lower()", VALUE.lower()),
        ("x[::-1]", VALUE[::-1]),
        ("len(x)", len(VALUE)),
        ("[ord(c) for c in x]", [ord(character) for character in VALUE]),
        ("{c: 1 for c in x}", dict.fromkeys(VALUE, 1)),
    ],
)
def test_what_a_script_makes_of_a_secret_is_hidden(
    alice: User, alice_api: Api, doorbells: Doorbells, code: str, made: Any, source: str
) -> None:
    before, _, parameters = prepared(alice, source, "X")
    name = "parameters['api_token']" if source == "parameter" else "components['before']['output']['deep'][0]"
    program = f"x = {name}\nmade = {code}\nprint('made', made)\nresult = [made, 'open']"
    definition = linear(
        *before,
        {"id": "script", "type": "script", "config": {"code": program}},
        transform("after", "{{ [input[0] | length if input[0] is not number else input[0], input[1]] }}"),
        {
            "id": "no",
            "type": "script",
            "config": {"code": f"x = {name}\nraise ValueError(str({code}))"},
        },
    )
    execution = start(alice, definition, parameters=parameters)
    doorbells.work()
    outputs = shown(execution)
    assert outputs["script"] == [REDACTED, "open"]
    assert outputs["after"] == [REDACTED, "open"]
    assert opened(execution)["script"] == [made, "open"]
    assert error_of(execution, "no") == REDACTED
    assert_untold(alice_api, execution, made)


def test_a_script_that_reads_no_secret_runs_once(alice: User, doorbells: Doorbells) -> None:
    read = {"id": "read", "type": "script", "config": {"code": "import random\nresult = random.random()"}}
    execution = start(alice, linear(read, transform("b", "{{ api_token }}")), parameters={"api_token": VALUE})
    doorbells.work()
    # A second run would have come out different, and would be hidden.
    assert isinstance(opened(execution)["read"], float)
    assert shown(execution)["read"] == opened(execution)["read"]


def test_items_of_a_loop_and_its_results_are_hidden(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    secret_store.create_secret(owner=alice, name="key", value=VALUE)
    loop = {
        "id": "each",
        "type": "for_each",
        "config": {
            "items": ["{{ secrets.key | upper }}", "{{ secrets.key[:3] }}", "open"],
            "components": [transform("turn", "{{ item | reverse }}"), log("say", "item {{ item }} {{ index }}")],
            "connections": [],
        },
    }
    execution = start(alice, linear(loop, transform("after", "{{ input | length }}")))
    doorbells.work()
    execution.refresh_from_db()
    assert execution.status == "completed"
    items = ComponentRun.objects.filter(component_id="turn").order_by("item_index")
    assert [run.output for run in items] == [REDACTED, REDACTED, "nepo"]
    results = shown(execution)["each"]
    assert [result["turn"] for result in results] == [REDACTED, REDACTED, "nepo"]
    assert opened(execution)["each"][0]["turn"] == VALUE.upper()[::-1]
    assert opened(execution)["each"][1]["turn"] == "auQ"
    assert execution.results == 3
    assert_untold(alice_api, execution, VALUE.upper())


def test_items_made_of_a_secret_as_a_whole_are_all_hidden(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    loop = {
        "id": "each",
        "type": "for_each",
        "config": {"items": "{{ api_token | split('-') }}", "components": [transform("same", "{{ item | lower }}")]},
    }
    execution = start(alice, linear(loop), parameters={"api_token": VALUE})
    doorbells.work()
    execution.refresh_from_db()
    assert (execution.status, execution.results) == ("completed", REDACTED)
    assert opened(execution)["each"] == VALUE.lower().split("-")
    assert_untold(alice_api, execution, VALUE.lower())


def test_rounds_hand_a_secret_on(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    body = [transform("round", "{{ (item | default('', true)) ~ (api_token[index] | upper) }}")]
    loop = {"id": "until", "type": "repeat_until", "config": {"components": body, "condition": "index == 2"}}
    execution = start(alice, linear(loop), parameters={"api_token": VALUE})
    doorbells.work()
    execution.refresh_from_db()
    assert opened(execution)["until"] == {"iterations": 3, "output": "QUA"}
    assert execution.results == {"iterations": 3, "output": REDACTED}


@pytest.mark.parametrize(("made", "value"), [("X | upper", VALUE.upper()), ("X[:3]", "Qua"), ("X | length", 25)])
def test_a_child_hides_what_was_made_of_its_parents_secret(
    alice: User, alice_api: Api, doorbells: Doorbells, made: str, value: Any
) -> None:
    check = {"id": "check", "type": "condition", "config": {"condition": "given == 'Qua'"}}
    definition = linear(transform("a", ["{{ given }}", "{{ given | string | reverse }}", "{{ plain }}"]), check)
    child = make_workflow(alice, {**definition, "parameters": [{"name": "given", "type": "string"}]})
    if not isinstance(value, str):
        child = make_workflow(alice, definition)
    parameters = {"given": f"{{{{ {made.replace('X', 'secrets.key')} }}}}", "plain": "open"}
    secret_store.create_secret(owner=alice, name="key", value=VALUE)
    call = {"id": "call", "type": "sub_workflow", "config": {"workflow_id": child.pk, "parameters": parameters}}
    execution = start(alice, linear(call))
    doorbells.work()
    ran = Execution.objects.get(parent_run__execution=execution)
    assert ran.parameters == {"given": REDACTED, "plain": "open"}
    assert opened(ran)["a"] == [value, str(value)[::-1], "open"]
    assert shown(ran)["a"] == [REDACTED, REDACTED, "open"]
    assert opened(ran)["check"] == {"result": value == "Qua"}
    execution.refresh_from_db()
    assert execution.status == "completed"
    again = retry_execution(execution=ran, user=alice, request=RetryRequest())
    doorbells.work()
    again.refresh_from_db()
    assert (again.status, again.parameters) == ("completed", {"given": REDACTED, "plain": "open"})
    assert shown(again)["a"] == [REDACTED, REDACTED, "open"]
    for one in (execution, ran, again):
        assert_untold(alice_api, one, value)


def test_routing_goes_by_the_real_value_and_its_outcome_is_hidden(alice: User, doorbells: Doorbells) -> None:
    secret_store.create_secret(owner=alice, name="key", value=VALUE)
    components = [
        {"id": "ask", "type": "condition", "config": {"condition": f"secrets.key | upper == '{VALUE.upper()}'"}},
        {
            "id": "pick",
            "type": "switch",
            "config": {
                "cases": [
                    {"name": "wrong", "condition": "secrets.key[:2] == 'xx'"},
                    {"name": "right", "condition": "secrets.key[:2] == 'Qu'"},
                ],
            },
        },
        {
            "id": "keep",
            "type": "filter",
            "config": {"items": ["Qua", "open"], "condition": "item in secrets.key"},
        },
        {
            "id": "sum",
            "type": "aggregate",
            "config": {"items": ["{{ secrets.key | length }}", 1], "operation": "sum"},
        },
        log("yes"),
        log("no"),
    ]
    connections = [
        {"source": "ask", "target": "pick", "type": "conditional", "condition": "input.result"},
        {"source": "pick", "target": "keep", "type": "conditional", "condition": "input.case == 'right'"},
        {"source": "keep", "target": "sum", "type": "conditional", "condition": "input == ['Qua']"},
        {"source": "sum", "target": "yes", "type": "conditional", "condition": "input == 26"},
        {"source": "sum", "target": "no", "type": "conditional", "condition": "input != 26"},
    ]
    execution = start(alice, {"components": components, "connections": connections})
    doorbells.work()
    outputs = shown(execution)
    statuses = dict(ComponentRun.objects.filter(execution=execution).values_list("component_id", "status"))
    assert statuses == {
        **dict.fromkeys(("ask", "pick", "keep", "sum", "yes"), "completed"),
        "no": "skipped",
    }
    assert outputs["ask"] == {"result": REDACTED}
    assert outputs["pick"] == {"case": REDACTED}
    assert outputs["keep"] == REDACTED
    assert outputs["sum"] == REDACTED


def test_a_far_end_gets_what_was_made_and_its_echo_is_hidden(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    secret_store.create_secret(owner=alice, name="key", value=VALUE)
    with http_receiver() as receiver:
        url = f"{receiver.url}?q={{{{ components.a.output.made }}}}&b={{{{ secrets.key | lower }}}}&page=12"
        call = {"id": "call", "type": "http_request", "config": {"url": url, "method": "POST", "body": "{{ input }}"}}
        again = transform("again", "{{ components.call.output.url | upper }}")
        execution = start(alice, linear(transform("a", {"made": "{{ secrets.key | upper }}"}), call, again))
        doorbells.work()
    ((path, _, body),) = receiver.seen
    assert path.endswith(f"?q={VALUE.upper()}&b={VALUE.lower()}&page=12")
    assert body == {"made": VALUE.upper()}
    output = shown(execution)["call"]
    assert output["status_code"] == 200
    assert output["url"].endswith(f"?q={REDACTED}&b={REDACTED}&page=12")
    assert opened(execution)["again"].endswith(f"?Q={VALUE.upper()}&B={VALUE.upper()}&PAGE=12")
    assert shown(execution)["again"] == REDACTED
    assert_untold(alice_api, execution, VALUE.upper())


def test_other_values_beside_a_secret_are_shown(alice: User, doorbells: Doorbells) -> None:
    people = [{"name": "Ada", "password": VALUE}, {"name": "Bob", "password": "hunter2-and-more"}]
    definition = linear(
        {"id": "start", "type": "start", "config": {"trigger_type": "manual"}},
        transform("names", "{{ people | map(attribute='name') }}"),
        transform("both", "{{ {'count': people | length, 'first': people | first, 'token': api_token} }}"),
        transform("after", "{{ [both.output.count + 1, both.output.first.name | upper, both.output.token | upper] }}"),
        transform("none", "{{ 'constant' | upper }} {{ execution.id | length }}"),
    )
    execution = start(alice, definition, parameters={"people": people, "api_token": VALUE, "plain": 7})
    doorbells.work()
    outputs = shown(execution)
    hidden = [{"name": "Ada", "password": REDACTED}, {"name": "Bob", "password": REDACTED}]
    assert outputs == {
        "start": {"people": hidden, "api_token": REDACTED, "plain": 7},
        "names": ["Ada", "Bob"],
        "both": {"count": 2, "first": hidden[0], "token": REDACTED},
        "after": [3, "ADA", REDACTED],
        "none": "CONSTANT 26",
    }


@pytest.mark.parametrize(
    ("type_", "value"), [("string", "12"), ("integer", 7), ("boolean", True), ("array", ["ab", "c"]), ("number", 0.5)]
)
def test_short_secret_parameters_are_hidden_by_their_place(
    alice: User, doorbells: Doorbells, type_: str, value: Any
) -> None:
    definition = linear(
        {"id": "start", "type": "start", "config": {"trigger_type": "manual"}},
        transform("a", ["{{ pin }}", "<{{ pin }}>", "{{ [pin] }}", "open"]),
        {"id": "end", "type": "end", "config": {"output": "{{ input }}"}},
    )
    definition["parameters"] = [{"name": "pin", "type": type_, "sensitive": True}]
    execution = start(alice, definition, parameters={"pin": value})
    doorbells.work()
    outputs = shown(execution)
    assert outputs["start"] == {"pin": REDACTED}
    for id_ in ("a", "end"):
        assert outputs[id_][0] == REDACTED
        assert outputs[id_][1] in {REDACTED, f"<{REDACTED}>"}
        assert outputs[id_][2] in (REDACTED, [REDACTED])
        assert outputs[id_][3] == "open"
    assert opened(execution)["a"][0] == value


def test_a_signal_named_after_a_secret_is_refused(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    secret_store.create_secret(owner=alice, name="key", value=VALUE)
    wait = {"id": "wait", "type": "wait_for_signal", "config": {"signal": "{{ secrets.key[:3] }}"}}
    execution = start(alice, linear(wait))
    doorbells.work()
    assert error_of(execution, "wait") == "The name of the signal, or of an approver, holds a secret"


def test_a_message_for_approval_is_hidden_and_what_a_signal_brings_is_shown(
    alice: User, alice_api: Api, doorbells: Doorbells
) -> None:
    secret_store.create_secret(owner=alice, name="key", value=VALUE)
    ask = {"id": "ask", "type": "approval", "config": {"message": "Use {{ secrets.key[:3] }}?"}}
    wait = {"id": "wait", "type": "wait_for_signal", "config": {"signal": "go"}}
    after = transform("after", ["{{ components.wait.output.n + 1 }}", "{{ secrets.key | upper }}"])
    execution = start(alice, linear(ask, wait, after))
    doorbells.work()
    send_signal(execution=execution, user=alice, name="ask", data={"approved": True, "comment": "fine"})
    doorbells.work()
    send_signal(execution=execution, user=alice, name="go", data={"n": 1})
    doorbells.work()
    assert opened(execution)["after"] == [2, VALUE.upper()]
    assert shown(execution)["after"] == [2, REDACTED]
    assert shown(execution)["ask"]["comment"] == "fine"
    lines = [line["message"] for line in alice_api.get(f"/executions/{execution.pk}/logs").data]
    assert lines[0] == REDACTED
    assert_untold(alice_api, execution, VALUE.upper())


def test_a_fault_of_the_config_tells_nothing(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    secret_store.create_secret(owner=alice, name="key", value=VALUE)
    wrong = {"id": "a", "type": "log", "config": {"message": "m", "level": "{{ secrets.key[:3] }}"}}
    check = {"value": "{{ secrets.key[:3] }}", "schema": {"enum": ["x"]}}
    secret_store.create_secret(owner=alice, name="auth", value='{"type": "bearer", "Qua": 1}')
    auth = "{{ secrets.auth | fromjson }}"
    request = {"url": "http://127.0.0.1/", "method": "GET", "auth": auth}
    called = start(alice, linear({"id": "a", "type": "http_request", "config": request}))
    execution = start(alice, linear(wrong))
    other = start(alice, linear({"id": "a", "type": "validate", "config": check}))
    doorbells.work()
    for one in (execution, other, called):
        run = ComponentRun.objects.get(execution=one)
        assert run.status == "failed"
        assert "Qua" not in str(run.error)


def test_a_later_worker_knows_what_is_secret(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    definition = linear(
        transform("a", {"made": "{{ api_token | upper }}", "open": 1}),
        transform("b", "{{ components.a.output.made | reverse }}"),
        {"id": "no", "type": "fail", "config": {"message": "stop"}},
    )
    execution = start(alice, definition, parameters={"api_token": VALUE})
    doorbells.work()
    execution.refresh_from_db()
    again = retry_execution(execution=execution, user=alice, request=RetryRequest(from_component="b"))
    doorbells.work("another")
    assert opened(again)["b"] == VALUE.upper()[::-1]
    assert shown(again)["b"] == REDACTED
    assert_untold(alice_api, again, VALUE.upper())


def test_an_execution_without_secrets_has_the_same_queries_as_ever(alice: User, doorbells: Doorbells) -> None:
    workflow = make_workflow(alice, linear(transform("a", "{{ n }}"), transform("b", "{{ input }}")))
    for n in (1, 2):
        start_execution(workflow=workflow, user=alice, request=StartRequest(parameters={"n": n}))
        with CaptureQueriesContext(connection) as captured:
            doorbells.work()
    assert not any("secret" in query["sql"] for query in captured.captured_queries)
