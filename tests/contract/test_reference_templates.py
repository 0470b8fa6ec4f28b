"""API reference, "Templates": each request as printed."""

import pytest

from templates_app.gallery_files import load_gallery
from templates_app.models import Template
from tests.api import Api
from tests.contract.reference import ENVELOPE, EXAMPLES, MODELS, assert_as_printed, faults, quotes, send
from tests.integration.templates_app.conftest import make

pytestmark = pytest.mark.django_db

MODEL = MODELS["Template Model"]


@quotes("List Templates")
def test_list_templates_shows_each_without_its_definition(caller: Api) -> None:
    """List Templates. Definitions may be large, and stand in Get Template."""
    load_gallery()
    answer = send(caller, "List Templates")
    assert (answer.status, set(answer.body)) == (200, ENVELOPE)
    assert answer.body["metadata"]["total_count"] == Template.objects.count() >= 12
    for template in answer.data:
        assert list(faults(MODEL, template)) == ["there is no workflow_definition"]


@quotes("Get Template")
def test_get_template_has_the_model(caller: Api) -> None:
    """Get Template."""
    id_ = make(caller)
    answer = send(caller, "Get Template", template_id=id_)
    assert (answer.status, answer.data["id"]) == (200, id_)
    assert answer.data["parameters"]
    assert list(faults(MODEL, answer.data)) == []


@quotes("Create Workflow from Template")
def test_create_workflow_from_template_takes_the_printed_body(caller: Api) -> None:
    """Create Workflow from Template; the answer is that of Create Workflow."""
    body = EXAMPLES["Create Workflow from Template"].body
    answer = send(caller, "Create Workflow from Template", template_id=make(caller))
    assert_as_printed(answer, "Create Workflow", status=201, free=("data.name",))
    workflow = caller.get(f"/workflows/{answer.data['id']}").data
    assert (workflow["name"], workflow["description"]) == (body["name"], body["description"])
    defaults = {each["name"]: each["default_value"] for each in workflow["definition"]["parameters"]}
    assert defaults == body["parameters"]


# --- Query parameters

LISTS = {
    "category": ("category=data", ["b"]),
    "complexity": ("complexity=expert", ["c"]),
    "search": ("search=ALPH", ["a"]),
    "sort": ("sort=name", ["a", "b", "c"]),
}


@pytest.mark.parametrize(("query", "names"), LISTS.values(), ids=LISTS.keys())
def test_query_parameters_of_list_templates(caller: Api, query: str, names: list[str]) -> None:
    make(caller, "c", complexity_level="expert")
    make(caller, "b", category="data")
    make(caller, "a", description="Alpha")
    answer = caller.get(f"/templates?{query}")
    assert (answer.status, [item["name"] for item in answer.data]) == (200, names)


@pytest.mark.parametrize("field", ["name", "rating", "usage_count", "created_at"])
def test_each_printed_field_sorts_templates(caller: Api, field: str) -> None:
    """List Templates, `sort`."""
    ids = [make(caller, name) for name in ("a", "b")]
    Template.objects.filter(pk=ids[0]).update(usage_count=1, rating=1)
    Template.objects.filter(pk=ids[1]).update(usage_count=2, rating=5)
    ordered = [item[field] for item in caller.get(f"/templates?sort={field}").data]
    assert len(set(ordered)) == 2
    assert ordered == sorted(ordered, reverse=field != "name")
