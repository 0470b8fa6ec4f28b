"""The examples of docs/expressions.md, run; and its tables, compared with the language."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from workflows.expressions import ExpressionError, Limits, render
from workflows.expressions.filters import FILTERS, NAMING_FILTERS
from workflows.expressions.predicates import TESTS
from workflows.expressions.syntax import MAX_BRACKETS, MAX_SOURCE_CHARS, MAX_TREE_DEPTH

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PAGE = (Path(__file__).parents[2] / "docs" / "expressions.md").read_text()
EXAMPLES = [
    dict(line.split(": ", 1) for line in block.splitlines())
    for block in re.findall(r"^```expr\n(.*?)\n```$", PAGE, re.DOTALL | re.MULTILINE)
]


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == PAGE.count("```expr")
    assert section("Cookbook").count("```expr") >= 25


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["expression"][:60])
def test_the_examples_give_what_the_page_says(example: dict[str, str]) -> None:
    given = json.loads(example["given"])
    if "error" in example:
        with pytest.raises(ExpressionError) as caught:
            render(example["expression"], given, now=NOW)
        assert caught.value.kind == example["error"]
    else:
        result = render(example["expression"], given, now=NOW)
        assert repr(result) == repr(json.loads(example["result"]))


def test_the_page_lists_every_filter_and_no_other() -> None:
    rows = re.findall(r"^\| (`.*?) \|", section("Filters"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z0-9]+)", row)}
    assert named == set(FILTERS) | NAMING_FILTERS


def test_the_page_lists_every_test() -> None:
    listed = set(re.findall(r"`([a-z]+|[=!<>]+)(?:\([a-z]+\))?`", section("Tests").split("\n\n")[1]))
    assert listed == set(TESTS)


def test_the_page_states_the_limits() -> None:
    limits, table = Limits(), section("Errors and limits")
    for stated in (
        f"{MAX_SOURCE_CHARS:,} characters",
        f"{limits.source_chars:,} characters",
        f"| {MAX_BRACKETS} |",
        f"| {MAX_TREE_DEPTH} |",
        f"| {limits.steps:,} |",
        f"{limits.output_bytes // 2**20} MiB",
        f"| {limits.depth} |",
    ):
        assert stated in table
