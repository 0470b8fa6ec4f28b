"""Expressions evaluated beside their shadow: what differs, and what is told when they cannot be evaluated."""

from datetime import UTC, datetime
from typing import Any

import pytest

from core.taint import substitute, without_differences
from workflows.expressions import ExpressionError, Limits, render, render_twice

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "correct-Horse-42"
SCOPE: dict[str, Any] = {
    "secrets": {"X": SECRET, "JSON": '{"user": "ada"}'},
    "pin": 4711,
    "items": [{"name": "first", "password": SECRET}, {"name": "second", "password": "other-one"}],
    "open": {"n": 1},
}
SHADOW: dict[str, Any] = {
    "secrets": {name: substitute(value) for name, value in SCOPE["secrets"].items()},
    "pin": substitute(4711),
    "items": [{**item, "password": substitute(item["password"])} for item in SCOPE["items"]],
    "open": {"n": 1},
}
HIDDEN = "[REDACTED]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ secrets.X | upper }}", HIDDEN),
        ("{{ secrets.X | reverse }}", HIDDEN),
        ("{{ secrets.X | b64encode }}", HIDDEN),
        ("{{ secrets.X[:3] }}", HIDDEN),
        ("{{ secrets.X[-1] }}", HIDDEN),
        ("{{ secrets.X | length }}", HIDDEN),
        ("{{ secrets.X | split('-') }}", HIDDEN),
        ("{{ secrets.X | replace('-', '_') }}", HIDDEN),
        ("{{ secrets.X == 'correct-Horse-42' }}", HIDDEN),
        ("{{ secrets.X[0] in 'abc' }}", HIDDEN),
        ("{{ (secrets.JSON | fromjson).user }}", HIDDEN),
        ("{{ secrets | keys }}", ["X", "JSON"]),
        ("{{ {'length': secrets.X | length, 'n': open.n} }}", {"length": HIDDEN, "n": 1}),
        ("{{ {secrets.X | lower: 1} }}", HIDDEN),
        ("{{ 'a' if secrets.X[0] == 'c' else 'b' }}", HIDDEN),
        ("{{ range(secrets.X | length) }}", HIDDEN),
        ("{{ pin * 2 }}", HIDDEN),
        ("{{ pin % 2 == 1 }}", HIDDEN),
        ("{{ items | map(attribute='name') }}", ["first", "second"]),
        ("{{ items | map(attribute='password') | map('upper') }}", [HIDDEN, HIDDEN]),
        ("{{ items | selectattr('name', 'eq', 'first') }}", [{"name": "first", "password": HIDDEN}]),
        ("{{ items | length }}", 2),
        ("{{ open.n + 1 }}", 2),
        ("{{ secrets.X is defined }}", True),
        ("{{ now() }}", "2026-01-01T00:00:00Z"),
        ("the length is {{ secrets.X | length }}", HIDDEN),
    ],
)
def test_what_depends_on_a_secret_differs_in_the_shadow(text: str, shown: Any) -> None:
    rendered = render_twice([text, "constant"], SCOPE, SHADOW, now=NOW)
    value: Any = rendered.value
    assert value == render([text, "constant"], SCOPE, now=NOW)
    assert without_differences(rendered.value, rendered.shadow) == [shown, "constant"]
    assert bool(rendered.differences) == (HIDDEN in str(shown) and not isinstance(value[0], bool))


def test_the_texts_that_differ_are_those_of_the_expressions_alone() -> None:
    rendered = render_twice("Bearer {{ secrets.X | upper }} of {{ open.n }}", SCOPE, SHADOW, now=NOW)
    assert rendered.differences == {("CORRECT-HORSE-42", str(substitute(SECRET)).upper())}


def test_what_cannot_be_evaluated_in_the_shadow_is_secret_as_a_whole() -> None:
    rendered = render_twice(["{{ [secrets.JSON | fromjson, 'x'] }}", 1], SCOPE, SHADOW, now=NOW)
    assert rendered.value == [[{"user": "ada"}, "x"], 1]
    assert without_differences(rendered.value, rendered.shadow) == [HIDDEN, 1]
    assert {"user", "ada", "x"} <= {real for real, _ in rendered.differences}


def test_an_error_that_does_not_depend_on_the_secret_is_told() -> None:
    with pytest.raises(ExpressionError) as told:
        render_twice({"a": "{{ secrets.X | int }}"}, SCOPE, SHADOW, now=NOW)
    with pytest.raises(ExpressionError) as plain:
        render({"a": "{{ secrets.X | int }}"}, SCOPE, now=NOW)
    assert str(told.value) == str(plain.value)


@pytest.mark.parametrize(
    "text", ["{{ items | map(attribute=secrets.X | upper) }}", "{{ 1 / (pin - 4711) }}", "{{ open[secrets.X[0]].n }}"]
)
def test_no_error_tells_what_was_made_of_a_secret(text: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        render_twice({"a": text}, SCOPE, SHADOW, now=NOW)
    assert SECRET.upper() not in str(raised.value)
    assert raised.value.path == "a"


def test_an_error_whose_reason_depends_on_a_secret_keeps_its_place_and_kind() -> None:
    with pytest.raises(ExpressionError) as raised:
        render_twice({"a": "{{ 1 / (pin - 4711) }}"}, SCOPE, SHADOW, now=NOW)
    assert str(raised.value) == (
        "a: it can't be evaluated; the reason is not told, since it depends on a secret"
        " in `1 / (pin - 4711)` (line 1, column 1)"
    )
    assert raised.value.kind == "type"


def test_each_of_the_two_has_the_whole_budget() -> None:
    text = "{{ range(100) | map('string') | join(secrets.X[0]) | length }}"
    steps = 1_000
    while True:
        try:
            render([text], SCOPE, now=NOW, limits=Limits(steps=steps))
            break
        except ExpressionError:
            steps += 10
    rendered = render_twice([text], SCOPE, SHADOW, now=NOW, limits=Limits(steps=steps + 10))
    assert without_differences(rendered.value, rendered.shadow) == [289]


def test_a_shadow_over_its_budget_hides_the_value() -> None:
    text = "{{ secrets.X ~ secrets.X }}"
    exact = 0
    while True:
        try:
            value = render(text, SCOPE, now=NOW, limits=Limits(output_bytes=exact))
            break
        except ExpressionError:
            exact += 1
    rendered = render_twice(text, SCOPE, SHADOW, now=NOW, limits=Limits(output_bytes=exact))
    assert (rendered.value, rendered.shadow) == (value, substitute(value))
