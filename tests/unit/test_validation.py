"""Validation: what saving refuses beyond the shape, what is warned of, and the report as it is printed."""

from typing import Any

import pytest

from core.types import JSONObject
from tests import cpu
from workflows import advice
from workflows.definition import DefinitionError, parse
from workflows.validation import check_rendered, load, problems, report

START = {"id": "start", "type": "start", "config": {"trigger_type": "manual"}}


def log(id_: str, message: Any = "m") -> JSONObject:
    return {"id": id_, "type": "log", "config": {"message": message}}


def http(id_: str = "call", **more: Any) -> JSONObject:
    config = {"url": "https://api.example.com/customers", "method": "GET", "timeout": 5}
    return {"id": id_, "type": "http_request", "config": config, **more}


def edges(*pairs: str) -> list[JSONObject]:
    return [{"source": source, "target": target} for source, _, target in (pair.partition(">") for pair in pairs)]


def definition(*components: JSONObject, connections: list[JSONObject] | None = None, **more: Any) -> JSONObject:
    return {"components": list(components), "connections": connections or [], **more}


def refused(raw: Any) -> list[tuple[str | None, str]]:
    return [(problem.field, problem.message) for problem in problems(raw)]


def warned(raw: Any) -> list[tuple[str | None, str]]:
    judged = report(raw)
    assert judged.errors == []
    return [(entry.get("component_id"), entry["message"]) for entry in judged.warnings]


@pytest.mark.parametrize("type_", ["nothing", "../http_request", "__import__", "START", "log "])
def test_d5_an_unknown_type_is_refused_with_those_there_are(type_: str) -> None:
    (problem,) = problems(definition({"id": "a", "type": type_}))
    assert problem.field == "definition.components[0].type"
    assert '"http_request"' in problem.details["expected"]
    assert problem.details["received"] == type_


def test_d6_an_invalid_url_is_told_as_the_api_reference_prints_it() -> None:
    raw = definition({"id": "a", "type": "http_request", "config": {"url": "invalid-url", "method": "GET"}})
    (problem,) = problems(raw)
    assert problem.field == "definition.components[0].config.url"
    assert problem.details == {"expected": "valid URL", "received": "invalid-url"}


def test_d6_every_fault_of_a_config_is_told() -> None:
    raw = definition(START, {"id": "a", "type": "http_request", "config": {"url": "invalid-url", "timeout": 0, "x": 1}})
    assert sorted(field or "" for field, _ in refused(raw)) == [
        f"definition.components[1].config.{name}" for name in ("method", "timeout", "url", "x")
    ]


def test_an_international_url_is_taken() -> None:
    raw = definition(
        {"id": "a", "type": "http_request", "config": {"url": "https://a.example/Größe?q=ü", "method": "GET"}}
    )
    assert problems(raw) == []


EXPRESSIONS: list[tuple[JSONObject, str]] = [
    (definition(log("a", "{{ x. }}")), "definition.components[0].config.message"),
    (definition(log("a", {"b": ["m", "{{ x"]})), "definition.components[0].config.message.b[1]"),
    (definition(log("a", "{% for x in y %}")), "definition.components[0].config.message"),
    (
        definition({"id": "a", "type": "condition", "config": {"condition": "1 +"}}),
        "definition.components[0].config.condition",
    ),
    (
        definition(
            {
                "id": "s",
                "type": "start",
                "config": {"trigger_type": "webhook", "hmac_secret": "{{ secrets. }} and more"},
            }
        ),
        "definition.components[0].config.hmac_secret",
    ),
    (
        definition(
            log("a"),
            log("b"),
            connections=[{"source": "a", "target": "b", "type": "conditional", "condition": "a {{ b }}"}],
        ),
        "definition.connections[0].condition",
    ),
    (definition(log("a"), settings={"concurrency": {"key": "{{ x. }}"}}), "definition.settings.concurrency.key"),
]


@pytest.mark.parametrize(("raw", "field"), EXPRESSIONS)
def test_d10_what_is_no_expression_is_refused_wherever_it_stands(raw: JSONObject, field: str) -> None:
    (problem,) = problems(raw)
    assert problem.field == field
    assert problem.details["expected"] == "an expression of the language"


def test_all_broken_expressions_are_told() -> None:
    assert len(refused(definition(log("a", ["{{ x. }}", "{{ y. }}"])))) == 2


def test_an_expression_stands_for_any_value_and_is_judged_once_rendered() -> None:
    raw = definition({"id": "a", "type": "delay", "config": {"seconds": "{{ pause }}"}})
    (spec,) = load(raw).components
    assert check_rendered(spec, {"seconds": 5}) == []
    assert [problem.field for problem in check_rendered(spec, {"seconds": "long"})] == ["seconds"]
    # Braces that come out of the data are data.
    assert [problem.field for problem in check_rendered(spec, {"seconds": "{{ 5 }}"})] == ["seconds"]


def test_a_field_that_the_component_evaluates_itself_is_not_judged_as_if_rendered() -> None:
    config = {"trigger_type": "webhook", "hmac_secret": "{{ secrets.k }}"}
    (spec,) = load(definition({"id": "s", "type": "start", "config": config})).components
    assert check_rendered(spec, config) == []


def test_load_gives_the_definition_or_all_problems() -> None:
    assert load(definition(START)).entry_points == ("start",)
    with pytest.raises(DefinitionError) as caught:
        load(definition({"id": "a", "type": "log"}, {"id": "b", "type": "nothing"}))
    assert [problem.field for problem in caught.value.problems] == [
        "definition.components[0].config.message",
        "definition.components[1].type",
    ]


def test_faults_of_graph_parameters_types_and_configs_are_told_together() -> None:
    raw = definition(
        {"id": "a", "type": "nothing"}, {"id": "b", "type": "log"}, connections=edges("a>z"),
        parameters=[{"name": "p", "type": "integer", "default_value": "x"}],
    )  # fmt: skip
    assert [field for field, _ in refused(raw)] == [
        "definition.connections[0].target",
        "definition.parameters[0].default_value",
        "definition.components[0].type",
        "definition.components[1].config.message",
    ]


def test_the_report_is_as_printed() -> None:
    call = {**http("call"), "timeout_seconds": 9}
    judged = report(definition(START, call, connections=edges("start>call")))
    assert judged.is_valid
    assert judged.errors == []
    assert judged.warnings == [
        {"component_id": "call", "message": "Component has no error handling configured", "severity": "warning"}
    ]
    assert judged.info == [{"message": "Workflow contains 2 components and 1 connections", "severity": "info"}]


def test_an_error_entry_names_component_field_and_code() -> None:
    judged = report(definition(START, {"id": "wait", "type": "delay", "config": {"seconds": -1}}))
    assert (judged.is_valid, judged.warnings, judged.info) == (False, [], [])
    assert judged.errors == [
        {
            "component_id": "wait",
            "message": "Expected at least 0",
            "severity": "error",
            "code": "VALIDATION_ERROR",
            "field": "definition.components[1].config.seconds",
            "details": {"expected": "at least 0", "received": "-1"},
        }
    ]


@pytest.mark.parametrize("raw", [None, [], "x", 1, {}, {"components": None}, {"components": [None, {"id": []}]}])
def test_any_json_gets_a_report(raw: Any) -> None:
    assert not report(raw).is_valid


def test_an_error_connection_or_a_retry_policy_is_error_handling() -> None:
    handled = [{"source": "call", "target": "l", "type": "error"}]
    assert warned(definition(http(), log("l"), connections=handled)) == []
    assert warned(definition(http(retry_policy={"max_attempts": 2}))) == []
    assert warned(definition(http(retry_policy={"max_attempts": 1}))) == [
        ("call", "Component has no error handling configured")
    ]


def test_an_external_call_without_a_timeout_is_warned_of() -> None:
    call = http(retry_policy={"max_attempts": 2})
    del call["config"]["timeout"]
    message = "Component calls an external service without a timeout"
    assert warned(definition(call)) == [("call", message)]
    assert warned(definition({**call, "timeout_seconds": 5})) == []


def test_what_the_start_does_not_lead_to_is_warned_of() -> None:
    components = [START, log("a"), log("b"), log("c")]
    raw = definition(*components, connections=edges("start>a", "b>c"))
    assert warned(raw) == [
        ("b", "Component cannot be reached from start"),
        ("c", "Component cannot be reached from start"),
    ]
    assert warned(definition(*components[1:], connections=edges("b>c"))) == []


UNDEFINED: list[tuple[str, str | None]] = [
    ("{{ nothing }}", "nothing is no parameter, component or known name"),
    ("{{ components.nothing.output }}", "There is no component nothing"),
    ("{{ components['later'].output }}", "Component later does not run before this one"),
    ("{{ later.output }}", "Component later does not run before this one"),
    ("{{ beside.output }}", "Component beside does not run before this one"),
    ("{{ first.output }} {{ components.first.status }}", None),
    ("{{ p }} {{ parameters.q }} {{ secrets.k }} {{ execution.id }} {{ workflow.name }} {{ input }}", None),
    ("{{ error.message | default('') }}", None),
    ("{{ [1, 2] | map('string') | join(',') }} {{ now() }}", None),
]


@pytest.mark.parametrize(("text", "message"), UNDEFINED)
def test_an_undefined_reference_is_a_warning(text: str, message: str | None) -> None:
    raw = definition(
        log("first", "{{ p }}"), log("here", text), log("later"), log("beside"),
        connections=edges("first>here", "here>later", "first>beside"), parameters=[{"name": "p", "type": "string"}],
    )  # fmt: skip
    assert warned(raw) == ([("here", message)] if message else [])


def test_a_condition_may_read_its_own_component_and_no_later_one() -> None:
    connection = {"source": "a", "target": "b", "type": "conditional", "condition": "a.output and b.output and x"}
    assert warned(definition(log("a"), log("b"), connections=[connection])) == [
        ("a", "Component b does not run before this one"),
        ("a", "x is no parameter, component or known name"),
    ]


P = [{"name": "p", "type": "string"}]
USES: list[tuple[JSONObject, bool]] = [
    (definition(log("a"), parameters=P), False),
    (definition(log("a", "{{ p }}"), parameters=P), True),
    (definition(log("a", {"b": ["{{ p | upper }}"]}), parameters=P), True),
    (definition(log("a", "{{ parameters }}"), parameters=P), True),
    (definition(log("a", "{{ q | default(1) }}"), parameters=P), False),
    (definition(log("a"), parameters=P, settings={"concurrency": {"key": "{{ p }}"}}), True),
    (definition({"id": "a", "type": "condition", "config": {"condition": "p == 'x'"}}, parameters=P), True),
    (definition(log("a"), log("b", "{{ input }}"), connections=edges("a>b"), parameters=P), False),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "used"), USES)
def test_a_parameter_that_nothing_reads_is_warned_of(raw: JSONObject, used: bool) -> None:
    assert ((None, "Parameter p is never used") in warned(raw)) is not used


def test_a_parameter_behind_a_name_of_the_platform_is_warned_of() -> None:
    raw = definition(log("a", "{{ input }}"), parameters=[{"name": "input", "type": "string"}])
    assert warned(raw) == [(None, "input is a name of the platform's own; read it as parameters.input")]


def test_a_rule_that_does_not_apply_is_warned_of() -> None:
    parameter = {"name": "p", "type": "string", "validation_rules": {"min": 1}}
    raw = definition(log("a", "{{ p }}"), parameters=[parameter])
    assert warned(raw) == [(None, "Parameter p is of type string, which the rule min does not apply to")]


def test_a_concurrency_key_reads_parameters_and_no_component() -> None:
    raw = definition(log("a"), settings={"concurrency": {"key": "{{ a.output }}{{ workflow.id }}"}})
    assert warned(raw) == [(None, "settings.concurrency.key: Component a does not run before this one")]


def test_e7_validating_opens_no_connection_and_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", fail)
    monkeypatch.setattr("socket.getaddrinfo", fail)
    assert report(definition(http())).is_valid


def test_every_external_type_is_a_type() -> None:
    for type_ in advice.EXTERNAL_TYPES:
        assert (
            problems(definition({"id": "a", "type": type_, "config": {}}))[0].field != "definition.components[0].type"
        )


def test_d7_at_its_limits_a_definition_is_judged_in_a_second() -> None:
    components = [log(f"c{number}", "{{ input }}") for number in range(2000)]
    connections = [{"source": f"c{source}", "target": f"c{source + step}"} for source in range(1996) for step in (1, 2)]
    raw = definition(*components, connections=connections)
    assert report(raw).is_valid
    cpu.assert_within(1, lambda: report(raw))
    small = definition(*components[:200], connections=edges(*(f"c{n}>c{n + 1}" for n in range(199))))
    parse(small)
    cpu.assert_within(0.02, lambda: parse(small))
