"""The pages of the components, held against their schemas."""

import json
import re
from pathlib import Path

import pytest

from workflows.components import registry
from workflows.validation import report

PAGES = Path(__file__).parents[3] / "docs" / "components"
TYPES = sorted(registry.BUILT_IN)


def test_the_index_links_every_type_and_no_other() -> None:
    linked = re.findall(r"^\| \[`(\w+)`\]\((\w+)\.md\) \|", (PAGES / "index.md").read_text(), re.MULTILINE)
    assert sorted(linked) == [(type_, type_) for type_ in TYPES]
    assert {path.stem for path in PAGES.glob("*.md")} == {*TYPES, "index"}


@pytest.mark.parametrize("type_", TYPES)
def test_a_page_lists_each_field_of_the_config_and_no_other(type_: str) -> None:
    page = (PAGES / f"{type_}.md").read_text()
    schema = registry.BUILT_IN[type_].config_schema
    rows = page.split("\n| config |")[1].split("\n\n")[0]
    listed = dict(re.findall(r"^\| `(\w+)`( \*)? \|", rows, re.MULTILINE))
    assert set(listed) == set(schema["properties"])
    assert {name for name, star in listed.items() if star} == set(schema["required"])


@pytest.mark.parametrize("type_", TYPES)
def test_a_page_names_every_choice_that_a_field_offers(type_: str) -> None:
    page = (PAGES / f"{type_}.md").read_text()
    for name, field in registry.BUILT_IN[type_].config_schema["properties"].items():
        # The event table is the API reference's.
        if name != "event":
            assert all(f"`{option}`" in page for option in field.get("enum", [])), name


@pytest.mark.parametrize("type_", TYPES)
def test_the_example_uses_the_type_and_is_valid(type_: str) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", (PAGES / f"{type_}.md").read_text(), re.DOTALL)
    definition = json.loads(example)
    assert report(definition).errors == []
    assert type_ in [component["type"] for component in definition["components"]]
