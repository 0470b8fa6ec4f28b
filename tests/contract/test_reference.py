"""docs/api-reference.md and docs/errors.md against the tests: nothing that they print or promise is without one."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract import test_reference_executions, test_reference_templates, test_reference_workflows
from tests.contract.reference import (
    CODES,
    EXAMPLES,
    MODELS,
    PAGE,
    STATUSES,
    differences,
    examples,
    faults,
    query_parameters,
)

TESTS = Path(__file__).parents[1]
ERRORS = PAGE.parent / "errors.md"
# `test_b1_…`, `test_l1_l2_…`: the rows that a test is of stand at the beginning of its name.
_ROWS = re.compile(r"test_((?:[a-z]\d+_)+)")
PROBES: dict[str, dict[str, Any]] = {
    "List Workflows": test_reference_workflows.LISTS,
    "Get Workflow": test_reference_workflows.GETS,
    "Delete Workflow": test_reference_workflows.DELETES,
    "List Executions": test_reference_executions.LISTS,
    "Get Execution Logs": test_reference_executions.LOGS,
    "List Templates": test_reference_templates.LISTS,
}


def all_tests() -> Iterator[ast.FunctionDef]:
    """Every test of the suite."""
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield node


def marked(decorator: str) -> set[Any]:
    """The arguments of the decorator, over every test."""
    calls = (call for test in all_tests() for call in test.decorator_list if isinstance(call, ast.Call))
    return {
        argument.value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == decorator
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }


def rows() -> dict[str, int]:
    """The rows of bad input that tests are named by, and how many are."""
    named = (match[1] for test in all_tests() if (match := _ROWS.match(test.name)))
    return Counter(row.upper() for names in named for row in names.strip("_").split("_"))


def test_every_request_and_answer_that_is_printed_has_a_test() -> None:
    # One more request of the page belongs to GraphQL; three answers and a payload stand without a request.
    assert len(EXAMPLES) == PAGE.read_text().count("\n```http\n") - 1 + 4 == 33
    assert sorted(set(EXAMPLES) - marked("quotes")) == []


def test_every_status_and_every_code_has_a_test_that_brings_it_about() -> None:
    assert (len(STATUSES), len(CODES)) == (12, 11)
    assert {*STATUSES, *CODES} - marked("provokes") == set()


def test_every_query_parameter_that_is_printed_has_a_test() -> None:
    assert {section: set(names) for section, names in query_parameters(PAGE.read_text()).items()} == {
        section: set(probes) for section, probes in PROBES.items()
    }


def test_every_row_of_bad_input_has_a_test_named_by_it() -> None:
    told = re.findall(r"^\| ([A-Z]\d+) \| ", ERRORS.read_text(), re.MULTILINE)
    counts = {"B": 12, "L": 7, "O": 7, "D": 11, "E": 7, "X": 6, "K": 5, "Q": 8, "H": 7}
    must = [f"{letter}{number}" for letter, count in counts.items() for number in range(1, count + 1)]
    assert [row for row in told if row[0] in counts] == must
    assert [row for row in told if not rows().get(row)] == []


def test_every_model_has_a_test() -> None:
    texts = "".join(path.read_text() for path in Path(__file__).parent.glob("test_reference_*.py"))
    assert len(MODELS) == 3
    assert [name for name in MODELS if f'MODELS["{name}"]' not in texts] == []


# --- The comparison itself


@pytest.mark.parametrize(
    ("printed", "answered", "found"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": 1}, {}, [" has no a"]),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b is 2, not 1"]),
        ({"a": 1}, {"a": True}, ["a is True, and 1 is another type"]),
        ({"a": 1}, {"a": None}, ["a is None, and 1 is another type"]),
        ({"a": 40}, {"a": 40.0}, []),
        ({"a": None}, {"a": 5}, []),
        ([1], [1, 2], [" has 2 items, not 1"]),
        ({"free": {"x": 1}}, {"free": {"x": "1"}}, ["free.x is '1', and 1 is another type"]),
        ({"free": {"x": 1}}, {"free": {"x": 2}}, []),
        ({"free": [{"x": 1}]}, {"free": [{"x": 1}, {"y": 2}]}, ["free[] has no x"]),
        ("2025-01-01T00:00:00Z", "2026-11-25T10:00:00.123456Z", []),
        ("2025-01-01T00:00:00Z", "2026-11-25T10:00:00+00:00", [" is '2026-11-25T10:00:00+00:00', not of the form of "
                                                              "2025-01-01T00:00:00Z"]),
        ("01HQNZ2G5XKJ8P7M9N6V3R4T5W", "01hqnz2g5xkj8p7m9n6v3r4t5w", [
            " is '01hqnz2g5xkj8p7m9n6v3r4t5w', not of the form of 01HQNZ2G5XKJ8P7M9N6V3R4T5W"]),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_as_printed_is_told(printed: Any, answered: Any, found: list[str]) -> None:
    assert list(differences(printed, answered, free=("free",))) == found


@pytest.mark.parametrize(
    ("model", "answered", "found"),
    [
        ({"a": "string", "b": "string (optional)"}, {"a": "x"}, []),
        ({"a": "string"}, {}, ["there is no a"]),
        ({"a": "string (nullable)"}, {"a": None}, []),
        ({"a": ["integer"]}, {"a": [1, "2"]}, ["a[] is '2', not integer"]),
        ({"a": "integer"}, {"a": True}, ["a is True, not integer"]),
        ({"a": "string (x|y)"}, {"a": "z"}, ["a is 'z', not one of (x|y)"]),
        ({"a": "string (UUID)"}, {"a": "x"}, ["a is 'x', no id"]),
        ({"a": "string (ISO datetime)"}, {"a": "today"}, ["a is 'today', no time"]),
    ],
)
def test_what_is_not_like_its_model_is_told(model: Any, answered: Any, found: list[str]) -> None:
    assert list(faults(model, answered)) == found


def test_examples_are_read_by_section_request_body_and_answer() -> None:
    text = (
        "## REST API Endpoints\n### Things\n#### Make\n```http\nPOST /things\nX-A: b\n\n{\n  \"a\": {...}\n}\n```\n"
        "**Response:**\n```json\n{\n  \"data\": array\n}\n```\n```http\nGET /things\n```\n"
        "## Other\n```http\nGET /x\n```\n"
    )  # fmt: skip
    first, second = examples(text)
    assert (first.name, first.request, first.headers) == ("Make", "POST /things", {"X-A": "b"})
    assert (first.body, first.answer) == ({"a": "{...}"}, {"data": "array"})
    assert (second.name, second.request, second.answer) == ("Make (2)", "GET /things", None)
