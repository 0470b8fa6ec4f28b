"""docs/templates.md, held against the gallery and the form."""

import json
import re
from pathlib import Path

from templates_app.gallery_files import FOLDER
from templates_app.models import Complexity
from templates_app.parameters import FIELD, INPUT_TYPES
from templates_app.serializers import DEFINITION_FIELDS, TemplateSerializer
from templates_app.services import checked_content

PAGE = (Path(__file__).parents[2] / "docs" / "templates.md").read_text("utf-8")
GALLERY = [json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))]


def gallery_table() -> str:
    """The table that the page must have."""
    lines = ["| template | | category | complexity | secrets |", "| --- | --- | --- | --- | --- |"]
    for raw in sorted(GALLERY, key=lambda raw: raw["name"]):
        content = checked_content(raw["workflow_definition"], raw["parameters"], "workflow_definition")
        secrets = ", ".join(f"`{name}`" for name in content.secret_names)
        cells = [raw["name"], raw["description"], f"`{raw['category']}`", f"`{raw['complexity_level']}`", secrets]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def test_the_table_is_the_gallery() -> None:
    shown = re.search(r"<!-- gallery: .*? -->\n(.*?)\n<!-- end -->", PAGE, re.DOTALL)
    assert shown is not None
    assert shown[1] == gallery_table()


def test_the_page_names_every_field_of_the_form_and_no_other() -> None:
    rows = PAGE.split("| field | | default |")[1].split("\n\n")[0]
    named = set()
    for row in re.findall(r"^\| (`[^|]*) \|", rows, re.MULTILINE):
        named |= set(re.findall(r"`(\w+)`", row))
    assert named == set(FIELD["properties"])
    starred = set(re.findall(r"^\| `(\w+)` \* \|", rows, re.MULTILINE))
    assert starred == set(FIELD["required"])
    assert all(f"`{name}`" in rows for name in (*INPUT_TYPES, *FIELD["properties"]["parameter_type"]["enum"]))


def test_the_page_names_every_field_of_a_template_and_every_choice() -> None:
    for name in (*TemplateSerializer().fields, *DEFINITION_FIELDS, *Complexity.values, "workflow_id", "published"):
        assert f"`{name}`" in PAGE, name


def test_the_example_is_a_template() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    raw = json.loads(example)
    content = checked_content(raw["workflow_definition"], raw["parameters"], "workflow_definition")
    assert [each["name"] for each in content.definition["parameters"]] == ["page_url"]
