"""JSON and DateTime in GraphQL: what is taken as a literal and as a variable, and what is not."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from graphql import GraphQLError, parse_value

from core.errors import ConflictError, Problem, ValidationFailedError
from core.graphql_rest import camel, refusals
from core.graphql_scalars import EMPTY_OBJECT, JSON, DateTime


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ('{a: "x", b: [1, 2.5, -3e2, true, null], c: {}}', {"a": "x", "b": [1, 2.5, -300.0, True, None], "c": {}}),
        ("12345678901234567890", 12345678901234567890),
        ('"text"', "text"),
        ("null", None),
        ("{a: $known, b: [$unknown], c: $unknown}", {"a": 5, "b": [None]}),
    ],
)
def test_a_literal_is_the_json_that_it_says(literal: str, value: Any) -> None:
    assert JSON.parse_literal(parse_value(literal), {"known": 5}) == value


@pytest.mark.parametrize(
    ("literal", "fault"),
    [
        ("1e999", "out of range"),
        ("WORD", "neither text, a number"),
        ("{a: 1, a: 2}", "a key twice"),
        ('"\\u0000"', "may not contain NUL"),
        ("9" * 401, "more than 400 characters"),
        ("[" * 65 + "]" * 65, "deeper than 64"),
        ("{a: $deep}", "deeper than 64"),
    ],
)
def test_q6_a_literal_that_is_no_json_is_refused(literal: str, fault: str) -> None:
    deep: Any = []
    for _ in range(63):
        deep = [deep]
    with pytest.raises(GraphQLError, match=fault):
        JSON.parse_literal(parse_value(literal), {"deep": deep})


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": -float("inf")}, "\0", {"\ud800": 1}])
def test_q6_a_variable_that_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(GraphQLError):
        JSON.parse_value(value)


def test_q6_a_variable_ten_thousand_deep_is_refused() -> None:
    value: Any = 1
    for _ in range(10_000):
        value = [value]
    with pytest.raises(GraphQLError, match="nested deeper than 64"):
        JSON.parse_value(value)


def test_what_is_answered_is_the_value_itself() -> None:
    for value in ({}, {"a": [1]}, None, True, 0.5):
        assert JSON.serialize(value) is value
    assert str(JSON.serialize(EMPTY_OBJECT)) == "{}"


def test_times_are_utc_whatever_their_offset() -> None:
    noon = datetime(2025, 1, 1, 12, tzinfo=UTC)
    assert DateTime.serialize(noon.astimezone(timezone(timedelta(hours=5)))) == "2025-01-01T12:00:00Z"
    for text in ("2025-01-01T12:00:00Z", "2025-01-01T14:00:00+02:00", "2025-01-01T12:00:00"):
        assert DateTime.parse_value(text) == DateTime.parse_literal(parse_value(f'"{text}"')) == noon


@pytest.mark.parametrize("value", ["", "today", "2025-13-01T00:00:00Z", "0001-01-01T00:00:00Z", 5, None, ["x"]])
def test_q6_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(GraphQLError, match="ISO 8601"):
        DateTime.parse_value(value)
    with pytest.raises(GraphQLError, match="ISO 8601"):
        DateTime.parse_literal(parse_value("20250101"))


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        ("scheduled_at", "scheduledAt"),
        ("parameters.api_token", "parameters.api_token"),
        ("definition.components[0].config.max_rows", "definition.components[0].config.max_rows"),
        ("tags[0]", "tags[0]"),
        ("x y_z", "x y_z"),
    ],
)
def test_the_first_word_of_a_field_is_the_schemas(field: str, shown: str) -> None:
    assert camel(field) == shown


def test_a_refusal_is_a_text_for_each_problem() -> None:
    assert refusals(ConflictError("no")) == ["RESOURCE_CONFLICT: no"]
    problems = [Problem("too late", field="scheduled_at"), Problem("wrong")]
    assert refusals(ValidationFailedError(problems=problems)) == [
        "VALIDATION_ERROR: scheduledAt: too late",
        "VALIDATION_ERROR: wrong",
    ]
