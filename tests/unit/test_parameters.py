"""Parameters: declarations that are refused, and values held against those that are not."""

from typing import Any

import pytest

from core.types import JSONObject
from tests import cpu
from workflows.parameters import ParameterError, check, parameter_problems, parse_parameter


def declare(type_: str = "string", name: str = "p", **more: Any) -> JSONObject:
    return {"name": name, "type": type_, **more}


def checked(given: JSONObject, *declared: JSONObject) -> JSONObject:
    return check([parse_parameter(item) for item in declared], given)


def refused(given: JSONObject, *declared: JSONObject) -> list[tuple[str | None, str]]:
    with pytest.raises(ParameterError) as caught:
        checked(given, *declared)
    return [(problem.field, problem.message) for problem in caught.value.problems]


VALUES = {
    "text": "x", "whole": 5, "big": 2**70, "fraction": 5.5, "5.0": 5.0, "true": True, "object": {"a": 1}, "list": [1],
}  # fmt: skip
FITTING = {
    "string": {"text"}, "secret": {"text"}, "integer": {"whole", "big"}, "number": {"whole", "big", "fraction", "5.0"},
    "boolean": {"true"}, "object": {"object"}, "array": {"list"},
}  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("type_", FITTING)
def test_x1_each_type_takes_its_own_values_and_no_other(type_: str, value: str) -> None:
    if value in FITTING[type_]:
        assert checked({"p": VALUES[value]}, declare(type_)) == {"p": VALUES[value]}
    else:
        ((field, message),) = refused({"p": VALUES[value]}, declare(type_))
        assert field == "parameters.p"
        assert message.startswith("Parameter p must be ")


def test_defaults_fill_what_is_missing_or_null_and_the_undeclared_stays() -> None:
    declared = [declare(name="a", default_value="x"), declare(name="b", default_value="y"), declare(name="c")]
    given = {"b": None, "extra": [1]}
    assert checked(given, *declared) == {"a": "x", "b": "y", "c": None, "extra": [1]}
    assert given == {"b": None, "extra": [1]}


@pytest.mark.parametrize("given", [{}, {"p": None}])
def test_a_required_one_without_a_value_is_refused(given: JSONObject) -> None:
    assert refused(given, declare(required=True)) == [("parameters.p", "Parameter p is required")]


@pytest.mark.parametrize("default", ["", False, 0, [], {}])
def test_a_default_that_is_empty_is_a_default(default: Any) -> None:
    type_ = {str: "string", bool: "boolean", int: "integer", list: "array", dict: "object"}[type(default)]
    assert checked({}, declare(type_, required=True, default_value=default)) == {"p": default}


def test_a_null_default_is_none() -> None:
    assert refused({}, declare(required=True, default_value=None)) == [("parameters.p", "Parameter p is required")]


RULES: list[tuple[str, JSONObject, Any, str]] = [
    ("string", {"enum": ["a", "b"]}, "c", 'one of "a", "b"'),
    ("boolean", {"enum": [True]}, False, "one of true"),
    ("integer", {"min": 1}, 0, "at least 1"),
    ("number", {"max": 1.5}, 1.6, "at most 1.5"),
    ("string", {"min_length": 2}, "é", "at least 2 characters long"),
    ("array", {"max_length": 1}, [1, 2], "at most 1 items long"),
    ("string", {"pattern": "^[a-z]+$"}, "a1", "text matching ^[a-z]+$"),
]


@pytest.mark.parametrize(("type_", "rules", "value", "wanted"), RULES)
def test_a_broken_rule_is_refused_with_what_it_wants(type_: str, rules: JSONObject, value: Any, wanted: str) -> None:
    declared = declare(type_, validation_rules=rules)
    assert refused({"p": value}, declared) == [("parameters.p", f"Parameter p must be {wanted}")]


KEPT: list[tuple[str, JSONObject, Any]] = [
    ("string", {"enum": ["a"]}, "a"),
    ("integer", {"min": 1, "max": 1}, 1),
    ("string", {"min_length": 2, "max_length": 2}, "éé"),
    ("array", {"min_length": 0, "max_length": 0}, []),
    ("string", {"pattern": "b"}, "abc"),
]


@pytest.mark.parametrize(("type_", "rules", "value"), KEPT)
def test_a_value_on_the_bound_of_its_rules_is_taken(type_: str, rules: JSONObject, value: Any) -> None:
    assert checked({"p": value}, declare(type_, validation_rules=rules)) == {"p": value}


def test_all_faults_of_all_parameters_are_told_at_once() -> None:
    declared = [declare("integer", "a", validation_rules={"min": 5, "enum": [7]}), declare(name="b", required=True)]
    assert refused({"a": 1}, *declared) == [
        ("parameters.a", "Parameter a must be one of 7"),
        ("parameters.a", "Parameter a must be at least 5"),
        ("parameters.b", "Parameter b is required"),
    ]


@pytest.mark.parametrize(
    "declared",
    [declare("secret"), declare(sensitive=True), declare(name="api_token"), declare(name="dbPassword")],
)
def test_a_sensitive_value_is_never_repeated(declared: JSONObject) -> None:
    parameter = parse_parameter({**declared, "validation_rules": {"max_length": 3}})
    assert parameter.sensitive
    with pytest.raises(ParameterError) as caught:
        check([parameter], {parameter.name: "hunter2!"})
    assert "hunter2!" not in str(caught.value) + repr(caught.value.problems)
    assert caught.value.problems[0].details["received"] == "[REDACTED]"


def test_the_choices_of_a_sensitive_parameter_are_told_to_nobody() -> None:
    declared = declare("secret", validation_rules={"enum": ["hunter2!", "hunter3!"]})
    parameter = parse_parameter(declared)
    with pytest.raises(ParameterError) as caught:
        check([parameter], {parameter.name: "x"})
    (problem,) = caught.value.problems
    assert problem.message == f"Parameter {parameter.name} must be one of the values that are allowed"
    assert "hunter" not in repr(problem)


def test_a_sensitive_default_that_is_refused_is_not_repeated_either() -> None:
    (problem,) = parameter_problems([declare("integer", "api_token", default_value="hunter2!")])
    assert problem.field == "definition.parameters[0].default_value"
    assert "hunter2!" not in repr(problem)


def test_what_is_repeated_of_a_value_is_cut() -> None:
    with pytest.raises(ParameterError) as caught:
        checked({"p": "x" * 10_000}, declare("integer"))
    assert len(caught.value.problems[0].details["received"]) == 200


DECLARATIONS: list[tuple[JSONObject, str]] = [
    (declare("integer", default_value="5"), "default_value"),
    (declare("integer", default_value=5.0), "default_value"),
    (declare("boolean", default_value=1), "default_value"),
    (declare(default_value="c", validation_rules={"enum": ["a"]}), "default_value"),
    (declare("number", validation_rules={"min": 2, "max": 1}), "validation_rules.min"),
    (declare(validation_rules={"min_length": 2, "max_length": 1}), "validation_rules.min_length"),
    (declare("integer", validation_rules={"enum": [1, "2"]}), "validation_rules.enum[1]"),
    *(
        (declare(validation_rules={"pattern": pattern}), "validation_rules.pattern")
        for pattern in ("[", "(?=a)b", "(?<!a)b", r"(a)\1", "(a{1000}){1000}")
    ),
]


@pytest.mark.parametrize(("declared", "where"), DECLARATIONS)
def test_d9_a_declaration_that_no_value_can_keep_is_refused(declared: JSONObject, where: str) -> None:
    assert [problem.field for problem in parameter_problems([declared])] == [f"definition.parameters[0].{where}"]


@pytest.mark.parametrize("rules", [{"min": 2, "max": 2}, {"min_length": 3, "max_length": 3}])
def test_bounds_that_leave_one_value_are_taken(rules: JSONObject) -> None:
    assert list(parameter_problems([declare("integer", validation_rules=rules)])) == []


def test_d9_a_name_declared_twice_is_refused() -> None:
    (problem,) = parameter_problems([declare(), declare("integer")])
    assert (problem.field, problem.message) == ("definition.parameters[1].name", "Two parameters are called p")


def test_d11_a_pattern_that_explodes_elsewhere_takes_linear_time() -> None:
    declared = declare(validation_rules={"pattern": "^(a+)+$"})
    assert list(parameter_problems([declared])) == []
    text = "a" * 50_000 + "!"
    assert len(refused({"p": text}, declared)) == 1
    cpu.assert_within(0.1, lambda: refused({"p": text}, declared))


@pytest.mark.parametrize(
    ("type_", "idle"),
    [
        ("string", ("min", "max")),
        ("integer", ("min_length", "max_length", "pattern")),
        ("array", ("min", "max", "pattern")),
    ],
)
def test_rules_that_say_nothing_about_the_type_are_known(type_: str, idle: tuple[str, ...]) -> None:
    rules = {"enum": [], "min": 1, "max": 2, "min_length": 1, "max_length": 2, "pattern": "a"}
    assert parse_parameter(declare(type_, validation_rules=rules)).idle_rules == idle
