"""JSON Schema faults as problems: their paths, their words, and what expressions leave open."""

import socket
from pathlib import Path
from typing import Any

import pytest

from core.types import JSONObject
from workflows.schemas import Schema, SchemaError, join_path, received, short


def told(schema: JSONObject, value: Any, *, open_text: str | None = None) -> list[tuple[str | None, str]]:
    stands_for_any = (lambda text: open_text in text) if open_text is not None else None
    return [(problem.field, problem.message) for problem in Schema(schema).problems(value, "v", stands_for_any)]


WORDS: list[tuple[JSONObject, Any, str]] = [
    ({"type": "integer"}, "1", "a whole number"),
    ({"type": ["string", "null"]}, 1, "null or text"),
    ({"enum": ["a", 1]}, "b", 'one of "a", 1'),
    ({"const": {"a": 1}}, 1, '{"a": 1}'),
    ({"format": "date-time"}, "soon", "an ISO 8601 date and time"),
    ({"format": "ipv4"}, "soon", "a valid ipv4"),
    ({"minimum": 1}, 0, "at least 1"),
    ({"exclusiveMaximum": 1}, 1, "less than 1"),
    ({"minLength": 2}, "a", "at least 2 characters"),
    ({"maxItems": 0}, [1], "at most 0 items"),
    ({"uniqueItems": True}, [1, 1], "no item twice"),
    ({"multipleOf": 5}, 7, "a multiple of 5"),
    ({"contains": {"type": "integer"}}, [], "a list with the items that the schema asks for"),
    ({"not": {"type": "string"}}, "a", 'a value that does not fit {"type": "string"}'),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "a", "at least one of the schema's 2 alternatives"),
    ({"oneOf": [{"minimum": 1}, {"maximum": 9}]}, 5, "exactly one of the schema's 2 alternatives"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value", "words"), WORDS)
def test_each_keyword_is_told_in_plain_words(schema: JSONObject, value: Any, words: str) -> None:
    assert told(schema, value) == [("v", f"Expected {words}")]


def test_paths_lead_to_the_place() -> None:
    schema = {"properties": {"a": {"items": {"required": ["b"]}}}, "additionalProperties": False}
    assert told(schema, {"a": [{"b": 1}, {}], "odd key": 1}) == [
        ("v.a[1].b", "This field is required"),
        ('v["odd key"]', '"odd key" is not a known field'),
    ]
    assert join_path("", ["a", 0, "b-c", "d.e"]) == 'a[0].b-c["d.e"]'


def test_a_name_that_is_refused_is_the_place() -> None:
    schema = {"propertyNames": {"maxLength": 1}}
    assert told(schema, {"ab": 1}) == [("v.ab", "Expected a name that is at most 1 characters")]


SHAPES: JSONObject = {
    "oneOf": [
        {"properties": {"kind": {"const": "circle"}, "r": {"type": "number"}}, "required": ["kind", "r"]},
        {"properties": {"kind": {"const": "square"}, "a": {"type": "number"}}, "required": ["kind", "a"]},
    ]
}


@pytest.mark.parametrize(
    ("value", "problems"),
    [
        ({"kind": "circle"}, [("v.r", "This field is required")]),
        ({"kind": "square", "a": "x"}, [("v.a", "Expected a number")]),
        ({"kind": "line", "a": 1}, [("v.kind", 'Expected one of "circle", "square"')]),
        ({"r": 1}, [("v.kind", "This field is required")]),
        ({"kind": "circle", "r": 1}, []),
    ],
)
def test_of_a_choice_the_alternative_that_is_meant_is_judged(value: Any, problems: list[tuple[str, str]]) -> None:
    assert told(SHAPES, value) == problems


def test_a_choice_of_required_fields_names_them() -> None:
    schema = {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    for value in ({}, {"a": 1, "b": 2}):
        assert told(schema, value) == [("v", "Expected exactly one of a, b")]


@pytest.mark.parametrize(
    ("value", "problems"),
    [
        ({"kind": "?x", "r": 1}, []),
        ({"kind": "circle", "r": "?x"}, []),
        ({"kind": "circle", "a": "?x"}, [("v.r", "This field is required")]),
    ],
)
def test_text_that_stands_for_any_value_leaves_open_what_it_decides(
    value: Any, problems: list[tuple[str, str]]
) -> None:
    assert told(SHAPES, value, open_text="?") == problems


def test_which_fields_are_there_is_decided_whatever_their_text_will_be() -> None:
    schema = {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    assert told(schema, {"a": "?x", "b": "?y"}, open_text="?") == [("v", "Expected exactly one of a, b")]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nothing"}, {"$ref": "http://127.0.0.1:1/x"}, {"$ref": "file:///etc/passwd"}, {"$ref": "#/none"},
        {"pattern": "(?=a)"}, {"pattern": "("}, [], "x", {"minimum": "1"},
    ],
)  # fmt: skip
def test_what_is_no_schema_or_leads_elsewhere_is_refused(schema: Any) -> None:
    with pytest.raises(SchemaError):
        Schema(schema)


def test_a_schema_that_lies_in_a_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text('{"type": "integer"}')
    with pytest.raises(SchemaError):
        Schema({"$ref": file.as_uri()})


def test_a_schema_on_a_server_is_not_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        with pytest.raises(SchemaError):
            Schema({"$ref": f"http://127.0.0.1:{listener.getsockname()[1]}/schema"})
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}])
def test_a_schema_that_refers_to_itself_ends(schema: JSONObject) -> None:
    assert told(schema, {"a": {"a": 1}}) == []


def test_no_words_of_a_problem_repeat_the_value() -> None:
    secret = "hunter2!"
    schemas: list[JSONObject] = [
        {"enum": [1]}, {"const": 1}, {"type": "integer"}, {"pattern": "^x"}, {"format": "email"}, {"maxLength": 1},
        {"not": {"type": "string"}}, {"anyOf": [{"type": "integer"}, {"maxLength": 2}]}, {"minLength": 99},
    ]  # fmt: skip
    for schema in schemas:
        ((_, message),) = told(schema, secret)
        assert secret not in message


def test_what_is_repeated_of_a_value_is_text_as_it_came_or_json_and_cut() -> None:
    assert (received("a b"), received([1, "é"]), short("a b")) == ("a b", '[1, "é"]', '"a b"')
    assert (len(received("x" * 1000)), len(received(["x" * 1000])), received("x" * 1000)[-1]) == (200, 200, "…")
