"""The gallery as a whole: what its files must have, and how they get into the database."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from accounts.models import User
from core.errors import ValidationFailedError
from core.types import JSONObject
from templates_app.gallery_files import FOLDER, Loaded, load_gallery, read_gallery
from templates_app.models import Complexity, Template
from templates_app.parameters import defaults_of, filled
from templates_app.services import rate_template
from tests.api import Api
from workflows.components import registry
from workflows.definition import parts
from workflows.validation import load

KEYS = sorted(path.stem for path in FOLDER.glob("*.json"))
RUNS = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_gallery_*.py"))
GALLERY = read_gallery()

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two templates that a test may change."""
    for key in ("etl-pipeline", "api-sync"):
        shutil.copy(FOLDER / f"{key}.json", tmp_path)
    return tmp_path


def edit(folder: Path, key: str, **changes: Any) -> None:
    path = folder / f"{key}.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def test_there_are_at_least_twelve() -> None:
    assert len(KEYS) >= 12


@pytest.mark.parametrize("key", KEYS)
def test_every_template_is_run_by_a_test(key: str) -> None:
    assert f'"{key}"' in RUNS


@pytest.mark.parametrize("key", KEYS)
def test_every_template_says_what_it_does_what_to_set_and_which_secrets_it_needs(key: str) -> None:
    template = GALLERY[key]
    assert template["name"]
    assert len(template["description"]) > 40
    assert template["category"]
    assert template["tags"]
    assert template["complexity_level"] in Complexity.values
    for heading in ("## What it does", "## What to set", "## Secrets"):
        assert f"{heading}\n" in template["documentation"]
    for name in (*template["secret_names"], *(f["name"] for f in template["parameters"] if f["required"])):
        assert f"`{name}`" in template["documentation"], name


@pytest.mark.parametrize("key", KEYS)
def test_a_form_can_be_drawn_of_every_template(key: str) -> None:
    for field in GALLERY[key]["parameters"]:
        assert field["display_name"] != field["name"]
        assert field["description"]
        assert field["required"] or field["default_value"] is not None or field["parameter_type"] == "string"
        if field["input_type"] == "url":
            assert field["placeholder"]


@pytest.mark.parametrize("key", KEYS)
def test_every_component_has_a_place_of_its_own_on_the_canvas(key: str) -> None:
    def places(components: list[JSONObject]) -> list[tuple[float, float]]:
        return [(each["position"]["x"], each["position"]["y"]) for each in components]

    definition = GALLERY[key]["definition"]
    assert len(set(places(definition["components"]))) == len(definition["components"])
    for component in definition["components"]:
        body = component["config"].get("components", [])
        assert len(set(places(body))) == len(body)


def test_the_gallery_shows_what_components_there_are() -> None:
    used = {
        spec.type
        for template in GALLERY.values()
        for _, part in parts(load(_by_default(template)))
        for spec in part.components
    }
    assert set(registry.BUILT_IN) - used == {"delay", "wait_for_signal"}


def _by_default(template: JSONObject) -> JSONObject:
    return filled(template["definition"], template["parameters"], defaults_of(template["parameters"]))


def test_loading_again_changes_nothing() -> None:
    assert load_gallery() == Loaded(created=len(KEYS))
    before = list(Template.objects.order_by("pk").values())
    assert load_gallery() == Loaded()
    assert list(Template.objects.order_by("pk").values()) == before


def test_the_command_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("load_gallery")
    assert capsys.readouterr().out == f"Gallery: {len(KEYS)} created, 0 updated, 0 deleted\n"
    call_command("load_gallery", verbosity=0)
    assert capsys.readouterr().out == ""


def test_a_changed_file_keeps_id_rating_uses_and_being_hidden(folder: Path, alice: User) -> None:
    load_gallery(folder)
    template = Template.objects.get(gallery_key="api-sync")
    rate_template(template=template, user=alice, rating=4)
    Template.objects.filter(pk=template.pk).update(usage_count=7, published=False)
    edit(folder, "api-sync", version="1.1.0", description="Another one, that is just as good")
    assert load_gallery(folder) == Loaded(updated=1)
    changed = Template.objects.get(gallery_key="api-sync")
    assert (changed.version, changed.description) == ("1.1.0", "Another one, that is just as good")
    assert (changed.pk, changed.rating, changed.rating_count) == (template.pk, 4.0, 1)
    assert (changed.usage_count, changed.published, changed.created_at) == (7, False, template.created_at)
    assert changed.updated_at > template.updated_at


def test_a_file_that_is_gone_takes_its_template_with_it_and_nobody_elses(folder: Path, alice_api: Api) -> None:
    load_gallery(folder)
    definition = GALLERY["etl-pipeline"]["definition"]
    own = alice_api.post("/templates", {"name": "mine", "workflow_definition": definition}).data["id"]
    (folder / "api-sync.json").unlink()
    assert load_gallery(folder) == Loaded(deleted=1)
    assert set(Template.objects.values_list("gallery_key", flat=True)) == {"etl-pipeline", None}
    assert Template.objects.filter(pk=own).exists()


def test_a_faulty_file_changes_nothing(folder: Path) -> None:
    load_gallery(folder)
    edit(folder, "etl-pipeline", workflow_definition={"components": []})
    (folder / "api-sync.json").unlink()
    with pytest.raises(ValidationFailedError) as refused:
        load_gallery(folder)
    assert [problem.field for problem in refused.value.problems] == ["workflow_definition.components"]
    assert Template.objects.count() == 2


def test_everybody_sees_the_gallery_and_nobody_changes_it(alice_api: Api, admin: User, as_user: Any) -> None:
    load_gallery()
    listed = alice_api.get("/templates?limit=100&sort=name").data
    assert [each["name"] for each in listed] == sorted(template["name"] for template in GALLERY.values())
    assert {(each["author"], each["in_gallery"], each["created_by"]) for each in listed} == {("APG", True, None)}
    staff = as_user(admin)
    path = f"/templates/{listed[0]['id']}"
    for api in (alice_api, staff):
        for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
            answer = api.call(method, path, body)
            assert (answer.status, answer.code) == (403, "AUTHORIZATION_ERROR")
    assert Template.objects.filter(name="x").count() == 0


def test_staff_may_hide_one_of_the_gallery(alice_api: Api, admin: User, as_user: Any) -> None:
    load_gallery()
    id_ = alice_api.get("/templates?limit=1").data[0]["id"]
    assert as_user(admin).call("PATCH", f"/templates/{id_}", {"published": False}).status == 200
    assert alice_api.get(f"/templates/{id_}").status == 404
    assert alice_api.get("/templates").body["metadata"]["total_count"] == len(KEYS) - 1
