"""What a GraphQL document may ask for (reliability Q1–Q3), on a small schema of its own."""

import contextlib
from typing import Any

import pytest
from graphql import GraphQLError, GraphQLSyntaxError, build_schema, get_introspection_query, get_operation_ast, validate
from hypothesis import given
from hypothesis import strategies as st

from core import graphql_caps
from core.graphql_caps import CapError, check_cost, read
from tests import cpu

SCHEMA = build_schema(
    """
    type Query { name: String  one: Thing  things(limit: Int = 50): [Thing!]!  all(of: JSON): [Thing!]! }
    type Thing { name: String  one: Thing  things(limit: Int): [Thing!]!  all: [Thing!]! }
    scalar JSON
    """
)


def cost(text: str, **variables: Any) -> None:
    document = read(text)
    assert validate(SCHEMA, document) == []
    operation = get_operation_ast(document)
    assert operation is not None
    check_cost(SCHEMA, document, operation, variables)


def nested(levels: int) -> str:
    return "{one" * (levels - 1) + "{name" + "}" * levels


def fragments(count: int) -> str:
    """Each is spread twice in the one before it."""
    each = [f"fragment F{n} on Thing {{ ...F{n + 1} ...F{n + 1} }}" for n in range(count)]
    return f"{{ one {{ ...F0 }} }} {' '.join(each)} fragment F{count} on Thing {{ name }}"


AT_THE_EDGE = {
    "levels": nested(8),
    "aliases": "{" + " ".join(f"a{n}: name" for n in range(15)) + "}",
    "repeats": "{" + "name " * 16 + "}",
    "directives": "{ name " + "@a " * 50 + "}",
    "tokens": "{ all(of: [" + "1 " * 988 + "]) { name } }",
    "bytes": "{ name } # " + "x" * (16 * 1024 - 11),
    "fragments that fan out": fragments(40),
    "introspection": get_introspection_query(),
}
OVER_IT: dict[str, tuple[str, str]] = {
    "levels": (nested(9), "9 levels of fields, at most 8"),
    "levels through a fragment": (
        "{ one { one { one { one { ...F } } } } } fragment F on Thing { one { one { one { one { name } } } } }",
        "9 levels",
    ),
    "levels of a fragment that nothing uses": (
        "{ name } fragment F on Thing " + nested(9),
        "9 levels",
    ),
    "depth of 30": (nested(30), "30 levels"),
    "brackets": ("{ all(of: " + "[" * 200 + "]" * 200 + ") { name } }", "nested deeper than 96"),
    "aliases": ("{" + " ".join(f"a{n}: name" for n in range(16)) + "}", "16 aliases, at most 15"),
    "aliases over the tokens": ("{" + " ".join(f"a{n}: name" for n in range(1000)) + "}", "more than 1000 tokens"),
    "repeats": ("{" + "name " * 17 + "}", "16 fields that stand in one place again, at most 15"),
    "repeats in inline fragments": ("{" + "... { name } " * 17 + "}", "16 fields that stand in one place again"),
    "repeats in many places": ("{" + "".join(f"a{n}: one {{ name name name }}" for n in range(8)) + "}", "16 fields"),
    "directives": ("{ name " + "@a " * 51 + "}", "51 directives, at most 50"),
    "directives on fragments": ("{ ... " + "@a " * 51 + "{ name } }", "51 directives"),
    "directives on the operation": ("query Q " + "@a " * 51 + "{ name }", "51 directives"),
    "tokens": ("{ all(of: [" + "1 " * 989 + "]) { name } }", "more than 1000 tokens"),
    "bytes": ("{ name } # " + "x" * (16 * 1024 - 10), "16385 bytes, at most 16384"),
    "bytes of letters that take two": ("{ name } # " + "é" * 8187, "16385 bytes"),
    "a megabyte of comments": ("{ name }\n" + "# no\n" * 200_000, "1000009 bytes"),
    "a circle": (
        "{ one { ...A } } fragment A on Thing { one { ...B } } fragment B on Thing { one { ...A } }",
        "may not lead back to themselves",
    ),
    "a circle of one": ("{ one { ...A } } fragment A on Thing { ...A }", "may not lead back to themselves"),
}


@pytest.mark.parametrize("text", AT_THE_EDGE.values(), ids=AT_THE_EDGE)
def test_what_is_within_the_caps_is_read(text: str) -> None:
    assert read(text).definitions


@pytest.mark.parametrize(("text", "message"), OVER_IT.values(), ids=OVER_IT)
def test_q1_q2_what_is_over_a_cap_is_refused_in_little_time(text: str, message: str) -> None:
    def refuse() -> None:
        with pytest.raises(CapError, match=message):
            read(text)

    cpu.assert_within(0.05, refuse)


def test_what_is_no_document_is_a_syntax_error() -> None:
    for text in ("", "{", "{ name", "query {", "\ufeff{", "{ na\0me }"):
        with pytest.raises(GraphQLSyntaxError):
            read(text)


@pytest.mark.parametrize(
    ("text", "variables", "objects"),
    [
        ("{ things(limit: 5000) { name } }", {}, 5000),
        ("{ things { things { name } } }", {}, 50 + 50 * 50),
        ("{ things(limit: 49) { things(limit: 100) { name } one { name } } }", {}, 49 * 102),
        ("{ things(limit: 100) { all { name } } }", {}, 100 * 51),
        ("query($n: Int) { things(limit: $n) { things(limit: $n) { name } } }", {"n": 71}, 71 * 72),
        ("{ one { ...F } } fragment F on Thing { things(limit: 5000) { name } }", {}, 5001),
        ("{ one { ... on Thing { things(limit: 5000) { name } } } }", {}, 5001),
        ("{ a: things(limit: 2600) { name } b: things(limit: 2600) { name } }", {}, 5200),
        ("{ one { ...F } } fragment F on Thing { ...G ...G } fragment G on Thing { all { name } }", {}, 101),
    ],
)  # fmt: skip
def test_q3_the_cost_is_the_objects_that_limits_allow(text: str, variables: dict[str, Any], objects: int) -> None:
    if objects <= graphql_caps.MAX_COST:
        cost(text, **variables)
        return

    def refuse() -> None:
        with pytest.raises(CapError, match=f"{objects} objects, at most 5000"):
            cost(text, **variables)

    cpu.assert_within(0.05, refuse)


def test_a_limit_below_nothing_makes_nothing_cheaper() -> None:
    with pytest.raises(CapError):
        cost("{ a: things(limit: -100000) { name } b: things(limit: 5001) { name } }")


def test_fragments_that_fan_out_are_counted_and_not_walked() -> None:
    many = "fragment F60 on Thing { things(limit: 2) { name } }"

    def count() -> None:
        cost(fragments(60))
        with pytest.raises(CapError, match="objects"):
            cost(fragments(60).replace("fragment F60 on Thing { name }", many))

    cpu.assert_within(0.5, count)


_WORDS = st.sampled_from(
    ["{", "}", "[", "]", "(", ")", "name", "one", "...", "on", "fragment", "$a", ":", "1", '"x"', "@a"]
)


@given(st.lists(_WORDS, max_size=300).map(" ".join) | st.text(max_size=200))
def test_any_text_is_a_document_or_an_error_of_graphql(text: str) -> None:
    with contextlib.suppress(GraphQLError):
        read(text)
