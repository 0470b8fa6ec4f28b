"""switch, fail, filter, aggregate: their outcomes, and the item or case that a failure names."""

import time
from typing import Any

import pytest

from core.errors import ErrorCode
from core.types import JSONObject
from tests.unit.components.context import context, run
from workflows.components.base import Completed, Failed
from workflows.definition import parse
from workflows.expressions import ExpressionError
from workflows.validation import check_config, report

CASES = [{"name": "huge", "condition": "n >= 1000"}, {"name": "large", "condition": "{{ n >= 100 }}"}]


@pytest.mark.parametrize(("n", "case"), [(5000, "huge"), (1000, "huge"), (999, "large"), (1, "small")])
def test_switch_picks_the_first_case_that_is_true(n: int, case: str) -> None:
    assert run("switch", {"cases": CASES, "default": "small"}, context(n=n)) == Completed({"case": case})


def test_switch_says_null_without_a_default() -> None:
    assert run("switch", {"cases": CASES}, context(n=1)) == Completed({"case": None})


def test_switch_leaves_cases_after_the_first_true_one_alone() -> None:
    cases = [{"name": "a", "condition": "true"}, {"name": "b", "condition": "nowhere.at.all"}]
    assert run("switch", {"cases": cases}) == Completed({"case": "a"})


def test_switch_names_the_case_that_cannot_be_evaluated() -> None:
    cases = [{"name": "a", "condition": "false"}, {"name": "b", "condition": "nowhere"}]
    with pytest.raises(ExpressionError) as raised:
        run("switch", {"cases": cases})
    assert str(raised.value).startswith("cases[1].condition: `nowhere` is undefined")


def fields(type_: str, config: JSONObject) -> list[str | None]:
    spec = parse({"components": [{"id": "c", "type": type_, "config": config}]}).components[0]
    return [problem.field for problem in check_config(spec, "x")]


@pytest.mark.parametrize(
    ("type_", "config", "field"),
    [
        ("switch", {}, "cases"),
        ("switch", {"cases": []}, "cases"),
        ("switch", {"cases": "{{ cases }}"}, "cases"),
        ("switch", {"cases": ["{{ case }}"]}, "cases[0]"),
        ("switch", {"cases": [{"name": "a"}]}, "cases[0].condition"),
        ("switch", {"cases": [{"condition": "x"}]}, "cases[0].name"),
        ("switch", {"cases": [{"name": "", "condition": "x"}]}, "cases[0].name"),
        ("switch", {"cases": [{"name": "a", "condition": "1 +"}]}, "cases[0].condition"),
        ("switch", {"cases": [{"name": "a", "condition": "x"}, {"name": "a", "condition": "y"}]}, "cases[1].name"),
        ("switch", {"cases": [{"name": "{{ n }}", "condition": "x"}]}, "cases[0].name"),
        ("switch", {"cases": [{"name": "a", "condition": "x"}], "default": 1}, "default"),
        ("fail", {}, "message"),
        ("fail", {"message": "m", "code": "RESOURCE_NOT_FOUND"}, "code"),
        ("filter", {"items": []}, "condition"),
        ("filter", {"condition": "item"}, "items"),
        ("filter", {"items": {"a": 1}, "condition": "item"}, "items"),
        ("filter", {"items": [], "condition": "item >"}, "condition"),
        ("aggregate", {"items": []}, "operation"),
        ("aggregate", {"items": [], "operation": "median"}, "operation"),
        ("aggregate", {"items": 1, "operation": "sum"}, "items"),
        ("aggregate", {"items": [], "operation": "sum", "field": ""}, "field"),
        ("aggregate", {"items": [], "operation": "sum", "group_by": 1}, "group_by"),
        ("script", {}, "code"),
        ("script", {"code": ""}, "code"),
        ("script", {"code": "result = 1", "timeout_seconds": 61}, "timeout_seconds"),
        ("script", {"code": "result = 1", "timeout_seconds": 0}, "timeout_seconds"),
        ("script", {"code": "result = 1", "memory_mb": 4}, "memory_mb"),
        ("notification", {"url": "http://a.example"}, "message"),
        ("notification", {"url": "a.example", "message": "m"}, "url"),
        ("notification", {"url": "http://a.example", "message": "m", "format": "xml"}, "format"),
        ("notification", {"url": "ftp://a.example", "message": "m"}, "url"),
        ("email", {"to": "a@example.com"}, "subject"),
        ("email", {"subject": "s"}, "to"),
        ("email", {"to": [], "subject": "s"}, "to"),
        ("email", {"to": "nobody", "subject": "s"}, "to"),
        ("email", {"to": ["a@example.com", "b@"], "subject": "s"}, "to[1]"),
        ("email", {"to": "a@example.com", "cc": "a@example.com,,b@example.com", "subject": "s"}, "cc"),
        ("email", {"to": "a@example.com", "subject": "s\nBcc: x@example.com"}, "subject"),
        ("database_query", {"query": "SELECT 1"}, "connection"),
        ("database_query", {"connection": "postgresql://u:p@h/d", "query": "SELECT 1"}, "connection"),
        ("database_query", {"connection": "db", "query": "SELECT 'x"}, "query"),
        ("database_query", {"connection": "db", "query": "SELECT :a"}, "parameters.a"),
        ("database_query", {"connection": "db", "query": "SELECT 1", "parameters": {"b": 1}}, "parameters.b"),
        ("database_query", {"connection": "db", "query": "SELECT 1", "max_rows": 0}, "max_rows"),
    ],
)
def test_a_bad_config_is_refused_and_the_field_named(type_: str, config: JSONObject, field: str) -> None:
    assert f"x.config.{field}" in fields(type_, config)


@pytest.mark.parametrize(
    ("type_", "config"),
    [
        ("switch", {"cases": [{"name": "a", "condition": "x"}], "default": "{{ d }}"}),
        ("fail", {"message": "{{ m }}", "code": "{{ c }}"}),
        ("filter", {"items": "{{ list }}", "condition": "item"}),
        ("aggregate", {"items": "{{ list }}", "operation": "{{ o }}", "field": "{{ f }}"}),
        ("notification", {"url": "{{ secrets.hook }}", "message": {"a": "{{ m }}"}, "timeout": "{{ t }}"}),
        ("email", {"to": ["{{ to }}", "Ada <ada@example.com>"], "subject": "{{ s }}", "cc": "{{ cc }}"}),
        ("database_query", {"connection": "{{ c }}", "query": "SELECT :a", "parameters": "{{ p }}"}),
    ],
)
def test_expressions_stand_for_any_value(type_: str, config: JSONObject) -> None:
    assert fields(type_, config) == []


@pytest.mark.parametrize(
    ("config", "message", "code"),
    [
        ({"message": "no"}, "no", ErrorCode.COMPONENT_ERROR),
        ({"message": {"why": [1]}}, '{"why":[1]}', ErrorCode.COMPONENT_ERROR),
        ({"message": "no", "code": "TIMEOUT_ERROR"}, "no", ErrorCode.TIMEOUT_ERROR),
    ],
)
def test_fail_fails_for_good(config: JSONObject, message: str, code: ErrorCode) -> None:
    assert run("fail", config) == Failed(message, code=code, permanent=True)


def test_filter_keeps_what_fits_in_order_and_sees_item_index_and_all_else() -> None:
    config = {"items": [5, 1, 7, 9], "condition": "item > least and index != 2"}
    assert run("filter", config, context(least=2)) == Completed([5, 9])


@pytest.mark.parametrize(("items", "kept"), [([], []), ([0, 1, "", "a", None, [], [0]], [1, "a", [0]])])
def test_filter_takes_truth_as_python_does(items: list[Any], kept: list[Any]) -> None:
    assert run("filter", {"items": items, "condition": "item"}) == Completed(kept)


def test_filter_names_the_item_that_cannot_be_judged() -> None:
    outcome = run("filter", {"items": [{"n": 1}, {"m": 1}], "condition": "item.n > 0"})
    assert isinstance(outcome, Failed)
    assert outcome.permanent
    assert outcome.message.startswith("condition at items[1]: `item.n` is undefined")


def test_filter_of_ten_thousand_items_takes_a_moment() -> None:
    items = [{"id": n, "tags": ["a", "b"], "name": f"n{n}"} for n in range(10_000)]
    config = {"items": items, "condition": "item.id % 2 == 0 and 'a' in item.tags and (item.name | upper) != 'N4'"}
    started = time.monotonic()
    outcome = run("filter", config)
    assert isinstance(outcome, Completed)
    assert len(outcome.output) == 4_999
    assert time.monotonic() - started < 3


def test_filter_bounds_what_all_items_together_may_cost() -> None:
    outcome = run("filter", {"items": [1] * 50, "condition": "(range(10000) | map('abs') | sum) > 0"})
    assert isinstance(outcome, Failed)
    assert "steps" in outcome.message


ORDERS = [
    {"country": "NO", "total": 40, "lines": [{"price": 1.5}]},
    {"country": "SE", "total": 250, "lines": [{"price": 2}]},
    {"country": "NO", "total": 60, "lines": [{"price": 3}]},
]


@pytest.mark.parametrize(
    ("operation", "value", "empty", "grouped"),
    [
        ("sum", 350, 0, {"NO": 100, "SE": 250}),
        ("avg", 350 / 3, None, {"NO": 50, "SE": 250}),
        ("min", 40, None, {"NO": 40, "SE": 250}),
        ("max", 250, None, {"NO": 60, "SE": 250}),
        ("count", 3, 0, {"NO": 2, "SE": 1}),
        ("list", [40, 250, 60], [], {"NO": [40, 60], "SE": [250]}),
    ],
)
def test_aggregate_of_a_field_of_nothing_and_by_group(operation: str, value: Any, empty: Any, grouped: Any) -> None:
    config = {"items": ORDERS, "operation": operation, "field": "total"}
    assert run("aggregate", config) == Completed(value)
    assert run("aggregate", {**config, "items": []}) == Completed(empty)
    assert run("aggregate", {**config, "group_by": "country"}) == Completed(grouped)
    assert run("aggregate", {**config, "items": [], "group_by": "country"}) == Completed({})


@pytest.mark.parametrize(
    ("items", "operation", "more", "value"),
    [
        ([1, 2, 3.5], "sum", {}, 6.5),
        ([0.1] * 10, "sum", {}, 1.0),
        ([2**62, 2**62], "sum", {}, 2**63),
        (ORDERS, "sum", {"field": "lines.0.price"}, 6.5),
        ([{"a.b": 1, "a": {"b": 2}}], "sum", {"field": "a.b"}, 1),
        ([{"a": 1}, {"a": None}, {}], "count", {"field": "a"}, 1),
        ([1, None, {}], "count", {}, 3),
        ([{"a": 1}, {}], "list", {"field": "a"}, [1, None]),
        ([{"g": 1}, {"g": "1"}, {"g": None}, {"g": True}], "count", {"group_by": "g"}, {"1": 2, "null": 1, "true": 1}),
        ([{"g": "a"}, {"g": "b", "n": 1}], "count", {"group_by": "g", "field": "n"}, {"a": 0, "b": 1}),
    ],
)
def test_aggregate_values(items: list[Any], operation: str, more: JSONObject, value: Any) -> None:
    assert run("aggregate", {"items": items, "operation": operation, **more}) == Completed(value)


@pytest.mark.parametrize(
    ("items", "config", "message"),
    [
        ([1, "2"], {"operation": "sum"}, "items[1] is text; sum needs a number"),
        ([True], {"operation": "max"}, "items[0] is a boolean; max needs a number"),
        ([{"a": 1}, {"a": None}], {"operation": "avg", "field": "a"}, "a of items[1] is null; avg needs a number"),
        ([{"a": 1}, {}], {"operation": "min", "field": "a"}, "items[1] has no a; min needs a number there"),
        ([{"g": 1}, 5], {"operation": "count", "group_by": "g"}, "items[1] has no g; group_by needs it in each item"),
        ([{"g": []}], {"operation": "list", "group_by": "g"},
         "g of items[0] is a list; group_by needs text, a number or a boolean"),
        ([1e308, 1e308], {"operation": "sum"}, "The sum is too large for a number"),
        ([10**400, 1], {"operation": "avg"}, "The average is too large for a number"),
    ],
)  # fmt: skip
def test_aggregate_names_the_item_that_does_not_fit(items: list[Any], config: JSONObject, message: str) -> None:
    assert run("aggregate", {"items": items, **config}) == Failed(message, permanent=True)


def warnings(*components: JSONObject) -> list[str]:
    return [entry["message"] for entry in report({"components": list(components)}).warnings]


def test_own_names_of_a_condition_are_no_undefined_references() -> None:
    config = {"items": "{{ item }}", "condition": "item.a > index"}
    assert warnings({"id": "f", "type": "filter", "config": config}) == [
        "item is no parameter, component or known name"
    ]


@pytest.mark.parametrize(
    ("type_", "config", "has_timeout"),
    [
        ("notification", {"url": "https://a.example", "message": "m"}, True),
        ("database_query", {"connection": "db", "query": "SELECT 1"}, True),
        ("email", {"to": "a@example.com", "subject": "s"}, False),
    ],
)
def test_external_calls_without_care_are_warned_of(type_: str, config: JSONObject, has_timeout: bool) -> None:
    handling = "Component has no error handling configured"
    timeout = "Component calls an external service without a timeout"
    component = {"id": "c", "type": type_, "config": config}
    assert warnings(component) == [handling, *([timeout] if has_timeout else [])]
    careful = {**component, "timeout_seconds": 5, "retry_policy": {"max_attempts": 2}}
    assert warnings(careful) == []


def test_a_script_uses_the_parameters_and_components_that_it_names() -> None:
    definition = {
        "parameters": [{"name": "a", "type": "string"}],
        "components": [
            {"id": "s", "type": "script", "config": {"code": "result = parameters['a'] + components['gone']['output']"}}
        ],
    }
    assert [entry["message"] for entry in report(definition).warnings] == ["There is no component gone"]
