"""How the site is made of the files: links, lists, tabs, folders, and the tables that are generated."""

import re
import runpy
from typing import Any

import pytest

from tests.docs.blocks import ROOT

HOOKS: dict[str, Any] = runpy.run_path(str(ROOT / "tools" / "site" / "hooks.py"))
TABLES: dict[str, Any] = runpy.run_path(str(ROOT / "tools" / "site" / "tables.py"))


@pytest.mark.parametrize(
    ("origin", "here", "link", "there"),
    [
        ("docs/sdk.md", "sdk.md", "../sdk/python/README.md#errors", "sdk/python/README.md#errors"),
        ("README.md", "readme.md", "docs/decisions/", "decisions/index.md"),
        ("README.md", "readme.md", "docs/components/log.md", "components/log.md"),
        ("sdk/python/README.md", "sdk/python/README.md", "../../docs/oauth.md", "../../oauth.md"),
        ("docs/operations/settings.md", "operations/settings.md", "../../.env.example", "../source/.env.example.md"),
        ("docs/index.md", "index.md", "../README.md", "readme.md"),
        ("docs/index.md", "index.md", "#why", "#why"),
        ("docs/index.md", "index.md", "https://example.com/a.md", "https://example.com/a.md"),
        ("docs/index.md", "index.md", "../no/such/file.py", "../no/such/file.py"),
    ],
)
def test_a_link_to_a_file_leads_to_its_page(origin: str, here: str, link: str, there: str) -> None:
    assert HOOKS["with_links"](f"See [it]({link}).", origin, here) == f"See [it]({there})."


def test_code_is_left_as_it_is() -> None:
    text = "```md\n[a](../README.md)\ntext\n- item\n```\n"
    assert HOOKS["with_links"](text, "docs/index.md", "index.md") == text
    assert HOOKS["with_loose_lists"](text) == text


def test_a_list_right_under_a_paragraph_gets_its_empty_line() -> None:
    assert HOOKS["with_loose_lists"]("**Fields:**\n- a\n- b\n\nend") == "**Fields:**\n\n- a\n- b\n\nend"


def test_bold_lines_between_the_marks_become_tabs() -> None:
    text = "<!-- tabs -->\n**One**\n\n```sh\na\n```\n\n**Two**\n\nb\n<!-- end tabs -->\n"
    assert HOOKS["with_tabs"](text) == '=== "One"\n\n    ```sh\n    a\n    ```\n\n=== "Two"\n\n    b\n\n'


def test_an_example_of_an_expression_is_shown_as_text() -> None:
    text = '```expr\ngiven: {"a": "<b>"}\nexpression: {{ a | upper }}\nresult: "<B>"\n```\n'
    shown = HOOKS["with_examples"](text)
    assert "<dt>expression</dt><dd><code>{{ a | upper }}</code></dd>" in shown
    assert "<dt>given</dt><dd><code>{&quot;a&quot;: &quot;&lt;b&gt;&quot;}</code></dd>" in shown


def test_a_folder_in_the_navigation_is_its_pages_with_the_index_first() -> None:
    expanded = HOOKS["_expanded"]({"Inside": ["architecture.md", {"Components": "components/"}]})
    first, second, *_ = expanded["Inside"][1]["Components"]
    assert (expanded["Inside"][0], first, second) == (
        "architecture.md",
        "components/index.md",
        "components/aggregate.md",
    )


def test_every_variable_is_in_the_table_of_settings() -> None:
    example = (ROOT / ".env.example").read_text()
    page = (ROOT / "docs" / "operations" / "settings.md").read_text()
    names = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE)
    assert len(names) > 30
    assert [name for name in names if not re.search(rf"`{name}[=`]", page)] == []


def test_a_page_without_a_place_for_its_table_is_told() -> None:
    with pytest.raises(ValueError, match="no place for the table fields"):
        TABLES["with_table"]("# Page\n", "fields", "| a |")


def test_bounds_are_told_in_words() -> None:
    field = {"type": ["string", "null"], "minLength": 1, "maxLength": 5000, "writeOnly": False}
    assert TABLES["kind"](field) == "text or null, 1 to 5,000 characters"
    assert TABLES["kind"]({"type": "number", "exclusiveMinimum": 0, "maximum": 60}) == "number, above 0, at most 60"
    assert TABLES["kind"]({"enum": ["a", "b"]}) == "`a` `b`"
