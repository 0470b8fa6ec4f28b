"""docs/definition.md and the published schema, held against the language."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from workflows.advice import ENGINE_NAMES
from workflows.definition import parse
from workflows.definition_schema import DEFAULT_LIMITS, DEFINITION_SCHEMA, MAX_PARAMETERS
from workflows.validation import report

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "definition.md").read_text()
DEFS = DEFINITION_SCHEMA["$defs"]


def test_the_published_schema_is_the_one_that_is_checked() -> None:
    assert json.loads((DOCS / "definition.schema.json").read_text()) == DEFINITION_SCHEMA


@pytest.mark.parametrize("text", re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
def test_the_examples_are_valid_without_a_warning(text: str) -> None:
    judged = report(json.loads(text))
    assert (judged.errors, judged.warnings) == ([], [])


OBJECTS: list[tuple[str, Any]] = [
    ("", DEFINITION_SCHEMA),
    ("Components", DEFS["component"]),
    ("Components", DEFS["component"]["properties"]["retry_policy"]),
    ("Connections", DEFS["connection"]),
    ("Parameters", DEFS["parameter"]),
    ("Parameters", DEFS["parameter"]["properties"]["validation_rules"]),
    ("Settings", DEFINITION_SCHEMA["properties"]["settings"]),
    ("Settings", DEFINITION_SCHEMA["properties"]["settings"]["properties"]["concurrency"]),
    ("Settings", DEFINITION_SCHEMA["properties"]["settings"]["properties"]["retention"]),
]


@pytest.mark.parametrize(("title", "schema"), OBJECTS)
def test_the_page_names_every_field_and_says_which_are_required(title: str, schema: Any) -> None:
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0] if title else PAGE.split("\n## ")[0]
    for name in schema["properties"]:
        assert f"`{name}`" in section
        starred = f"`{name}` *" in section
        assert starred is (name in schema["required"]), name


def test_every_field_is_described_for_editors() -> None:
    for _, schema in OBJECTS:
        for name, field in schema["properties"].items():
            assert field["description"], name


def test_the_page_states_the_limits_and_names_of_the_language() -> None:
    for stated in (
        f"1 to {DEFAULT_LIMITS.components:,}",
        f"up to {DEFAULT_LIMITS.connections:,}",
        f"up to {MAX_PARAMETERS}",
    ):
        assert stated in PAGE
    assert f"nests at most {DEFAULT_LIMITS.nesting} levels" in PAGE
    assert all(f"`{name}`" in PAGE for name in ENGINE_NAMES)


def test_the_defaults_that_editors_read_are_those_that_parse_fills_in() -> None:
    parsed = parse({"components": [{"id": "a", "type": "log"}], "settings": {"concurrency": {}}})
    policy = parsed.components[0].retry_policy
    for schema, filled in (
        (DEFS["component"]["properties"]["retry_policy"], policy),
        (DEFINITION_SCHEMA["properties"]["settings"]["properties"]["concurrency"], parsed.settings.concurrency),
    ):
        for name, field in schema["properties"].items():
            assert getattr(filled, name) == field["default"], name
    assert (
        parsed.settings.on_failure == DEFINITION_SCHEMA["properties"]["settings"]["properties"]["on_failure"]["default"]
    )
    assert parsed.components[0].join == DEFS["component"]["properties"]["join"]["default"]
