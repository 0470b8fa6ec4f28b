"""Taint by substitution: what a substitute is, what a shadow leaves alone, and what a comparison hides."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.redact import MIN_SECRET_LENGTH, REDACTED, Redactor
from core.taint import differences, shadow_of, substitute, without_differences

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def alike(one: Any, other: Any) -> bool:
    """Whether any leaf, key or size of one is found at its place in the other."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) or any(alike(a, b) for a, b in zip(one, other, strict=False))
    if isinstance(one, dict) and isinstance(other, dict):
        return len(one) == len(other) or any(
            a == b or alike(one[a], other[b]) for a, b in zip(one, other, strict=False)
        )
    return bool(one == other)


@given(st.text())
def test_a_substituted_text_differs_at_every_place_and_is_longer_by_one(text: str) -> None:
    other = substitute(text)
    assert len(other) == len(text) + 1
    assert all(one != two for one, two in zip(text, other, strict=False))
    assert other[-1] != text[-1:]


def test_no_two_characters_become_the_same_and_none_comes_back_at_once() -> None:
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    moved = [substitute(one)[0] for one in every]
    assert sorted(moved) == every
    assert not [one for one, other in zip(every, moved, strict=True) if substitute(other)[0] == one]


@given(st.text(st.characters(max_codepoint=127)))
def test_a_substituted_text_has_the_same_kinds_of_characters(text: str) -> None:
    kinds = [(one.isdigit(), one.islower(), one.isupper()) for one in text]
    assert [(one.isdigit(), one.islower(), one.isupper()) for one in substitute(text)][:-1] == kinds


@given(VALUES)
def test_a_substitute_differs_in_every_leaf(value: Any) -> None:
    other = substitute(value)
    assert type(other) is type(value) or value is None
    assert not alike(value, other)
    assert substitute(value) == other


@pytest.mark.parametrize("number", [0, 1, -1, 7, 10**30, 0.0, -0.0, 1e308, -1.7e308, 5e-324, -7.25 / 1012.5])
def test_a_substituted_number_is_another_of_its_kind(number: float) -> None:
    other = substitute(number)
    assert (type(other), other == number) == (type(number), False)


@given(VALUES)
def test_what_is_shown_as_it_is_has_no_shadow_of_its_own(value: Any) -> None:
    assert shadow_of(value, value) is value
    assert without_differences(value, value) is value
    assert list(differences(value, value)) == []


@given(VALUES)
def test_the_shadow_of_what_is_hidden_whole_differs_everywhere(value: Any) -> None:
    shadow = shadow_of(value, REDACTED)
    assert shadow == substitute(value) or value == REDACTED
    assert without_differences([value], [shadow]) == [REDACTED] or value == REDACTED


@given(VALUES, st.text(min_size=4), st.text(), st.text())
def test_only_what_is_hidden_is_replaced(value: Any, secret: str, before: str, after: str) -> None:
    # Redaction searches for what stands between markers, in keys too.
    assume(any(len(part) >= MIN_SECRET_LENGTH for part in secret.split(REDACTED)))
    assume(not any(part in key for part in secret.split(REDACTED) if part for key in ("open", "hidden", "part")))
    real = {"open": value, "hidden": [secret, {"part": f"{before}{secret}{after}"}]}
    shown = Redactor([secret]).redact(real, by_name=False)
    shadow = shadow_of(real, shown)
    if shown["open"] == value:
        assert shadow["open"] == value
    assert shadow["hidden"][0] != secret
    # Nothing of what a shadow leaves alone is more than what is shown.
    assert shadow_of(real, without_differences(real, shadow)) is not real


def test_a_text_that_is_shown_in_part_keeps_that_part() -> None:
    assert shadow_of("Bearer abc, or xyz!", f"Bearer {REDACTED}, or {REDACTED}!") == "Bearer hijq, or efgn!"
    assert shadow_of("abc", f"{REDACTED}") == substitute("abc")
    assert shadow_of("something else", f"Bearer {REDACTED}") == substitute("something else")
    assert shadow_of("ab", f"a{REDACTED}b{REDACTED}b") == substitute("ab")
    assert shadow_of("a-b-a", f"a{REDACTED}?{REDACTED}a") == substitute("a-b-a")


def test_a_hidden_key_is_replaced_with_what_is_under_it() -> None:
    real = {"abc": [1], "open": True}
    assert shadow_of(real, {REDACTED: [1], "open": True}) == {"hijq": [1020, 1033267], "open": True}


def test_numbers_as_postgresql_writes_them_are_the_same() -> None:
    real = [1e22, 2.0, {"n": 1.50}]
    assert shadow_of(real, [10**22, 2, {"n": 1.5}]) is real
    assert shadow_of([True], [1]) == [False]


@given(VALUES, VALUES)
def test_what_is_left_after_a_comparison_stands_in_both(real: Any, shadow: Any) -> None:
    shown = without_differences(real, shadow)
    assert without_differences(shadow, real) == shown
    assert without_differences(shown, shadow) == shown


@given(st.lists(VALUES), st.data())
def test_no_text_that_differs_is_left(values: list[Any], data: st.DataObject) -> None:
    secret = [data.draw(st.booleans()) for _ in values]
    shadow = [substitute(value) if hidden else value for value, hidden in zip(values, secret, strict=True)]
    shown = without_differences(values, shadow)
    assert shown == [REDACTED if hidden else value for value, hidden in zip(values, secret, strict=True)]
    found = {text for text, _ in differences(values, shadow) if text is not None}
    for value, hidden in zip(values, secret, strict=True):
        if hidden and isinstance(value, str):
            assert value in found


@pytest.mark.parametrize(
    ("real", "shadow", "shown"),
    [
        ({"a": 1, "b": [2, "x"]}, {"a": 1, "b": [3, "x"]}, {"a": 1, "b": [REDACTED, "x"]}),
        ({"a": 1, "b": {"k": 2}}, {"a": 1, "b": {"l": 2}}, {"a": 1, "b": REDACTED}),
        ({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 2, 3]}, {"a": 1, "b": REDACTED}),
        ([True, None, 1], [False, 0, 1.0], [REDACTED, REDACTED, REDACTED]),
        ([1, "1"], [True, 1], [REDACTED, REDACTED]),
        ("x", ["x"], REDACTED),
    ],
)
def test_what_differs_is_hidden_and_its_neighbours_are_not(real: Any, shadow: Any, shown: Any) -> None:
    assert without_differences(real, shadow) == shown


def test_differences_are_the_texts_that_are_not_the_same() -> None:
    real = {"same": "s", "text": "abc", "number": 12, "flag": True, "list": ["p", "q"], "object": {"k": [1.5]}}
    shadow = {"same": "s", "text": "abd", "number": 13, "flag": False, "list": ["p"], "object": {"l": 2}}
    assert set(differences(real, shadow)) == {
        ("abc", "abd"),
        ("12", "13"),
        *(("p", None), ("q", None), (None, "p")),
        *(("k", None), ("1.5", None), (None, "l"), (None, "2")),
    }
