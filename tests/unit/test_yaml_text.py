"""YAML as another spelling of JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.strict_json import MAX_DEPTH
from core.yaml_text import YAMLError, dumps, loads

# What PostgreSQL can hold, and YAML can write without escapes that its reader refuses.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\x85\u2028\u2029\ufffe\uffff"))
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@given(JSON)
def test_what_is_written_reads_the_same(value: object) -> None:
    assert loads(dumps(value).encode()) == value


@pytest.mark.parametrize(
    "text", ["yes", "no", "on", "1e3", "2025-01-01", "0x10", "010", "1_000", ".inf", "True", "NULL"]
)
def test_words_that_json_does_not_know_are_text(text: str) -> None:
    assert loads(f"a: {text}".encode()) == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("-0.5", -0.5), ("1.0e+3", 1000.0), ("true", True), ("null", None), ("~", None), ("", None),
     ("'1'", "1"), ('"true"', "true"), ("|\n  a\n  b\n", "a\nb\n")],
)  # fmt: skip
def test_scalars(text: str, value: object) -> None:
    assert loads(f"a: {text}".encode()) == {"a": value}


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: &x 1\nb: *x", "anchors"), ("a: !!python/object:os.system x", "tags"), ("a: !x 1", "tags"),
     ("a: 1\na: 2", "duplicate key 'a' at line 2"), ("[1]: 2", "keys must be text"),
     ("? {a: 1}\n: 2", "keys must be text"),
     ("a: [", "at line 2"), ("a: 1\n---\nb: 2", "one document, got 2"), ("", "one document, got 0"),
     ("a: \x00", "character"), ("<<: {a: 1}\n<<: {b: 2}", "duplicate key")],
)  # fmt: skip
def test_what_is_not_taken_is_refused_and_placed(text: str, message: str) -> None:
    with pytest.raises(YAMLError, match=message):
        loads(text.encode())


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(YAMLError, match="not UTF-8 at byte 3"):
        loads(b"a: \xff")


@pytest.mark.parametrize("text", ["- " * 200_000 + "a", "[" * 200_000, "{a: " * 100_000])
def test_deep_nesting_ends_early(text: str) -> None:
    with pytest.raises(YAMLError, match=f"deeper than {MAX_DEPTH}"):
        loads(text.encode())
