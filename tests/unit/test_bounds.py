"""What a component says is cut to what can be stored."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from executions.bounds import (
    MAX_DETAILS_BYTES,
    MAX_TEXT,
    BoundedList,
    bounded_object,
    bounded_text,
    dropped_lines,
    has_more_text_than,
    plain_lines,
)
from workflows.components.base import LogLine


@pytest.mark.parametrize("length", [0, 1, MAX_TEXT - 1, MAX_TEXT])
def test_a_text_that_fits_stays(length: int) -> None:
    assert bounded_text("x" * length) == "x" * length


@pytest.mark.parametrize("length", [MAX_TEXT + 1, 10_000_000])
def test_a_long_text_is_cut_to_the_limit_and_says_so(length: int) -> None:
    cut = bounded_text("x" * length)
    assert len(cut) == MAX_TEXT
    assert cut.endswith("x … (cut)")


def test_what_postgresql_cannot_hold_is_replaced() -> None:
    assert bounded_text("a\0b\ud800") == "a�b�"


class Sly(str):
    """A text that answers wrongly."""

    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError


def test_a_text_of_the_component_s_own_kind_is_taken_as_text() -> None:
    assert bounded_text(Sly("plain")) == "plain"


@pytest.mark.parametrize("value", [b"bytes", None, 1, object()])
def test_what_is_no_text_is_named(value: object) -> None:
    assert bounded_text(value) == f"(no text: {type(value).__name__})"


def test_details_that_fit_stay() -> None:
    assert bounded_object({"a": [1, "b"]}) == {"a": [1, "b"]}


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(5000):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ({"a": object()}, "not JSON"),
        ({"a": deep()}, "not JSON"),
        ({"a": 10**5000}, "not JSON"),
        ([1], "not an object"),
        ({"a": "x" * 10_000_000}, f"more than {MAX_DETAILS_BYTES} characters"),
    ],
)
def test_other_details_are_replaced_by_a_word(value: object, word: str) -> None:
    assert bounded_object(value) == {"omitted": word}


def test_a_bounded_list_counts_what_it_drops() -> None:
    lines: BoundedList[int] = BoundedList(3)
    lines.extend(range(5))
    lines.append(5)
    assert (lines, dropped_lines(lines), dropped_lines([1])) == ([0, 1, 2], 3, 0)


def test_lines_are_made_plain_and_what_is_none_is_left_out() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    lines = [LogLine(at, "info", "m", {"a": 1}), LogLine(at, cast("Any", "loud"), "m", {}), "text"]
    assert list(plain_lines(lines)) == [(at, "info", "m", {"a": 1})]


@pytest.mark.parametrize("value", ["abcd", ["ab", "cd"], {"ab": ["cd"]}, {"a": {"b": ("c", "d")}}])
def test_text_is_counted_through_the_whole_value(value: object) -> None:
    assert not has_more_text_than(value, 4)
    assert has_more_text_than(value, 3)
