"""Own templates over REST: create, read, update, delete, and what is refused."""

from typing import Any

import pytest

from accounts.models import AuditEntry, User
from core.ids import new_id
from core.types import JSONObject
from templates_app.models import Template
from tests.api import Api
from tests.integration.templates_app.conftest import DEFINITION, FORM, START, make, publish
from tests.integration.workflows.conftest import make as make_workflow
from tests.integration.workflows.conftest import sends

pytestmark = pytest.mark.django_db

URL_FIELD = {
    "name": "source_url",
    "display_name": "Source url",
    "description": "",
    "parameter_type": "string",
    "required": True,
    "default_value": None,
    "validation_rules": {"pattern": "^https://"},
    "input_type": "text",
    "options": [],
    "placeholder": "",
    "help_text": "",
}


def audited() -> list[tuple[str, str]]:
    """(action, actor) of what was done with templates."""
    entries = AuditEntry.objects.filter(action__startswith="template.").order_by("pk")
    return list(entries.values_list("action", "actor"))


def test_a_template_has_every_field_of_the_model(caller: Api, alice: User) -> None:
    more: dict[str, Any] = {
        "description": "d",
        "documentation": "# Doc\n",
        "category": "data",
        "tags": ["a", "b"],
        "version": "2.1",
        "complexity_level": "expert",
        "estimated_setup_time_minutes": 20,
    }
    id_ = make(caller, "T", **more)
    stored = Template.objects.get()
    shown = caller.get(f"/templates/{id_}").data
    definition, parameters = shown.pop("workflow_definition"), shown.pop("parameters")
    assert shown == {
        "id": id_,
        "name": "T",
        **more,
        "required_secrets": [],
        "component_count": 2,
        "author": "alice",
        "published": False,
        "in_gallery": False,
        "usage_count": 0,
        "rating": 0.0,
        "rating_count": 0,
        "permissions": {"can_edit": True, "can_delete": True, "can_publish": False, "can_rate": False},
        "created_by": alice.pk,
        "created_at": stored.created_at.isoformat().replace("+00:00", "Z"),
        "updated_at": stored.updated_at.isoformat().replace("+00:00", "Z"),
    }
    assert parameters[0] == URL_FIELD
    assert [field["input_type"] for field in parameters] == ["text", "select", "number"]
    assert parameters[1]["validation_rules"] == {"enum": ["json", "csv"]}
    # The definition declares what the form has, in its order: by itself it is a workflow's.
    assert definition["components"] == DEFINITION["components"]
    assert definition["parameters"] == [
        {"name": "source_url", "type": "string", "required": True, "validation_rules": {"pattern": "^https://"}},
        {"name": "output_format", "type": "string", "required": False, "default_value": "json",
         "validation_rules": {"enum": ["json", "csv"]}},
        {"name": "batch_size", "type": "integer", "required": False, "validation_rules": {"min": 1, "max": 1000}},
    ]  # fmt: skip
    assert caller.post("/workflows", {"name": "w", "definition": definition}).status == 201
    assert audited() == [("template.created", alice.email)]


def test_without_a_form_the_definitions_parameters_are_the_form(alice_api: Api) -> None:
    own = [
        {"name": "days", "type": "integer", "default_value": 7, "description": "How far back"},
        {"name": "order", "type": "object", "required": True},
    ]
    body = {"name": "t", "workflow_definition": {**DEFINITION, "parameters": own}}
    shown = alice_api.post("/templates", body).data
    fields = [
        (each["name"], each["required"], each["default_value"], each["input_type"]) for each in shown["parameters"]
    ]
    # What each execution is given need not be known when the workflow is made.
    assert fields == [("days", False, 7, "number"), ("order", False, None, "json")]
    assert shown["parameters"][0]["description"] == "How far back"
    declared = {each["name"]: each for each in shown["workflow_definition"]["parameters"]}
    assert declared["order"]["required"] is True


def test_a_form_may_leave_parameters_to_each_execution(alice_api: Api) -> None:
    own = [
        {"name": "order", "type": "object", "required": True},
        {"name": "days", "type": "integer", "sensitive": True},
    ]
    form = [{"name": "days", "parameter_type": "integer", "required": True}]
    shown = alice_api.post(
        "/templates", {"name": "t", "workflow_definition": {**DEFINITION, "parameters": own}, "parameters": form}
    ).data
    assert shown["workflow_definition"]["parameters"] == [
        {"name": "days", "type": "integer", "required": False, "sensitive": True},
        {"name": "order", "type": "object", "required": True},
    ]


def test_what_the_form_leaves_out_is_as_declared_and_what_it_says_counts(alice_api: Api) -> None:
    rules = {"min": 1}
    own = [{"name": name, "type": "integer", "default_value": 3, "validation_rules": rules} for name in ("a", "b")]
    form = [
        {"name": "a", "parameter_type": "integer"},
        {"name": "b", "parameter_type": "integer", "validation_rules": {}, "default_value": 0},
    ]
    body = {"name": "t", "workflow_definition": {**DEFINITION, "parameters": own}, "parameters": form}
    shown = alice_api.post("/templates", body).data
    assert [(each["default_value"], each["validation_rules"]) for each in shown["parameters"]] == [(3, rules), (0, {})]
    assert shown["workflow_definition"]["parameters"] == [
        {"name": "a", "type": "integer", "required": False, "default_value": 3, "validation_rules": rules},
        {"name": "b", "type": "integer", "required": False, "default_value": 0},
    ]


def test_a_template_is_made_of_a_workflow_that_the_caller_sees(alice_api: Api, bob_api: Api) -> None:
    workflow = make_workflow(alice_api, "w", {**sends("{{ n }}"), "parameters": [{"name": "n", "type": "integer"}]})
    made = alice_api.post("/templates", {"name": "t", "workflow_id": workflow})
    assert made.status == 201
    assert made.data["workflow_definition"]["components"] == sends("{{ n }}")["components"]
    assert [field["name"] for field in made.data["parameters"]] == ["n"]
    for workflow_id in (workflow, new_id()):
        refused = bob_api.post("/templates", {"name": "t", "workflow_id": workflow_id})
        assert (refused.status, refused.code) == (404, "RESOURCE_NOT_FOUND")
    assert Template.objects.count() == 1


SECRET = "s3cr3t-value-of-mine"
SECRET_CONFIG = {"url": "https://x.example", "method": "GET", "headers": {"Authorization": f"Bearer {SECRET}"},
                 "auth": {"type": "bearer", "token": SECRET}}  # fmt: skip
WITH_SECRETS: JSONObject = {
    "components": [START, {"id": "call", "type": "http_request", "config": SECRET_CONFIG}],
    "parameters": [{"name": "n", "type": "integer"}, {"name": "api_token", "type": "string", "default_value": SECRET}],
}
SECRET_PLACES = ["components[1].config.headers.Authorization", "components[1].config.auth.token"]


def test_a_literal_secret_is_refused_at_each_place(alice_api: Api) -> None:
    definition = {**WITH_SECRETS, "parameters": WITH_SECRETS["parameters"][:1]}
    answer = alice_api.post("/templates", {"name": "t", "workflow_definition": definition})
    assert (answer.status, answer.code) == (422, "VALIDATION_ERROR")
    assert answer.fields == [f"workflow_definition.{place}" for place in SECRET_PLACES]
    assert SECRET not in str(answer.body)
    default = alice_api.post("/templates", {"name": "t", "workflow_definition": WITH_SECRETS})
    assert default.fields == ["workflow_definition.parameters[1].default_value"]
    hidden = alice_api.post("/templates", {"name": "t", "workflow_definition": WITH_SECRETS, "parameters": []})
    assert hidden.fields == [*(f"workflow_definition.{place}" for place in SECRET_PLACES),
                             "workflow_definition.parameters[1].default_value"]  # fmt: skip
    assert SECRET not in str(default.body) + str(hidden.body)
    assert Template.objects.count() == 0


@pytest.mark.parametrize(
    "body",
    [
        {"definition": {"components": {"password": "open sesame"}}},
        {"definition": {"components": [{"id": "a", "config": {"password": "open sesame"}}]}},
        {"definition": {"components": [], "parameters": {"password": "open sesame"}}},
        {"definition": {"components": [], "parameters": [{"type": "secret", "default_value": "open sesame"}]}},
        {"definition": DEFINITION, "parameters": {"password": "open sesame"}},
        {"definition": DEFINITION, "parameters": [{"name": "t", "type": "secret", "default_value": "open sesame"}]},
        {"definition": DEFINITION, "parameters": [{"parameter_type": "secret", "default_value": "open sesame"}]},
        {
            "definition": DEFINITION,
            "parameters": [
                {
                    "name": "api_key",
                    "parameter_type": "string",
                    "options": ["open sesame"],
                    "validation_rules": {"enum": ["simsalabim", "x"]},
                }
            ],
        },
    ],
    ids=lambda body: "-".join(body),
)
def test_what_does_not_fit_is_refused_without_repeating_a_secret(alice_api: Api, body: JSONObject) -> None:
    answer = alice_api.post("/templates", {"name": "T", **body})
    assert answer.status == 422
    assert "open sesame" not in str(answer.body)
    assert "simsalabim" not in str(answer.body)
    assert not Template.objects.filter(name="T").exists()


def test_a_literal_secret_of_a_workflow_is_refused_too(alice_api: Api) -> None:
    workflow = make_workflow(alice_api, "w", WITH_SECRETS)
    answer = alice_api.post("/templates", {"name": "t", "workflow_id": workflow, "parameters": []})
    assert answer.status == 422
    places = [*SECRET_PLACES, "parameters[1].default_value"]
    assert sorted(map(str, answer.fields)) == sorted(f"definition.{place}" for place in places)
    assert SECRET not in str(answer.body)
    assert Template.objects.count() == 0


def test_a_named_secret_is_fine_and_is_listed(alice_api: Api) -> None:
    config = {"url": "https://x.example", "method": "GET", "auth": {"type": "bearer", "token": "{{ secrets.TOKEN }}"}}
    call = {"id": "call", "type": "http_request", "config": config}
    query = {"id": "q", "type": "database_query", "config": {"connection": "DB", "query": "SELECT 1"}}
    id_ = make(alice_api, definition={"components": [START, call, query]})
    assert alice_api.get(f"/templates/{id_}").data["required_secrets"] == ["DB", "TOKEN"]


BAD_FIELDS: list[tuple[dict[str, Any], list[str]]] = [
    ({"name": ""}, ["name"]),
    ({"name": None}, ["name"]),
    ({"description": "x" * 1001}, ["description"]),
    ({"documentation": 5}, ["documentation"]),
    ({"tags": "a"}, ["tags"]),
    ({"version": ""}, ["version"]),
    ({"complexity_level": "easy"}, ["complexity_level"]),
    ({"estimated_setup_time_minutes": "5"}, ["estimated_setup_time_minutes"]),
    ({"estimated_setup_time_minutes": -1}, ["estimated_setup_time_minutes"]),
    ({"rating": 5}, ["rating"]),
    ({"usage_count": 99}, ["usage_count"]),
    ({"author": "somebody"}, ["author"]),
    ({"created_by": "x"}, ["created_by"]),
    ({"published": True}, ["published"]),
    ({"definition": DEFINITION}, ["workflow_definition"]),
    ({"workflow_id": "01HQNZ2G5XKJ8P7M9N6V3R4T5W"}, ["workflow_definition"]),
    ({"workflow_definition": []}, ["workflow_definition"]),
    ({"workflow_definition": {"components": []}}, ["workflow_definition.components"]),
    ({"workflow_definition": {"components": [START, START]}},
     ["workflow_definition.components[1].id", "workflow_definition.components[1].type"]),
    ({"parameters": {}}, ["parameters"]),
    ({"parameters": None}, ["parameters"]),
    ({"parameters": [{"name": "a"}]}, ["parameters[0].parameter_type"]),
    ({"parameters": [{"name": "a b", "parameter_type": "string"}]}, ["parameters[0].name"]),
    ({"parameters": [{"name": "a", "parameter_type": "text"}]}, ["parameters[0].parameter_type"]),
    ({"parameters": [{"name": "a", "parameter_type": "string", "type": "string"}]}, ["parameters[0].type"]),
    ({"parameters": [{"name": "a", "parameter_type": "string", "input_type": "slider"}]}, ["parameters[0].input_type"]),
    ({"parameters": [{"name": "a", "parameter_type": "string"}] * 2}, ["parameters[1].name"]),
    ({"parameters": [{"name": "a", "parameter_type": "integer", "default_value": "5"}]},
     ["parameters[0].default_value"]),
    ({"parameters": [{"name": "a", "parameter_type": "integer", "options": ["1"]}]}, ["parameters[0].options"]),
    ({"parameters": [{"name": "a", "parameter_type": "string", "options": ["x"], "validation_rules": {"enum": ["y"]}}]},
     ["parameters[0].options"]),
    ({"parameters": [{"name": "a", "parameter_type": "string", "validation_rules": {"pattern": "(?=x)"}}]},
     ["parameters[0].validation_rules.pattern"]),
    ({"parameters": [{"name": "a", "parameter_type": "secret", "default_value": "hunter22"}]},
     ["parameters[0].default_value"]),
    ({"parameters": [{"name": "password", "parameter_type": "string", "options": ["hunter22", "hunter23"]}]},
     ["parameters[0].options"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "fields"), BAD_FIELDS)
def test_invalid_fields_are_422_and_named(alice_api: Api, change: dict[str, Any], fields: list[str]) -> None:
    answer = alice_api.post("/templates", {"name": "t", "workflow_definition": DEFINITION, **change})
    assert (answer.status, answer.code, answer.fields) == (422, "VALIDATION_ERROR", fields)
    assert "hunter22" not in str(answer.body)
    assert Template.objects.count() == 0


def test_a_template_needs_a_definition(alice_api: Api) -> None:
    answer = alice_api.post("/templates", {"name": "t"})
    assert (answer.status, answer.fields) == (422, ["workflow_definition"])
    assert alice_api.post("/templates", {"name": "t", "definition": DEFINITION}).status == 201


def test_faults_of_parameters_are_told_where_they_were_written(alice_api: Api) -> None:
    own = [{"name": "source_url", "type": "string"}, {"name": "n", "type": "integer", "default_value": "x"}]
    answer = alice_api.post(
        "/templates", {"name": "t", "definition": {**DEFINITION, "parameters": own}, "parameters": FORM}
    )
    assert (answer.status, answer.fields) == (422, ["definition.parameters[1].default_value"])
    clash = [{"name": "batch_size", "type": "string"}]
    answer = alice_api.post(
        "/templates", {"name": "t", "definition": {**DEFINITION, "parameters": clash}, "parameters": FORM}
    )
    assert (answer.status, answer.fields) == (422, ["parameters[2].parameter_type"])


def test_a_name_twice_is_409_for_its_owner_alone(alice_api: Api, bob_api: Api) -> None:
    make(alice_api, "t")
    other = make(alice_api, "u")
    again = alice_api.post("/templates", {"name": "t", "workflow_definition": DEFINITION})
    assert (again.status, again.code, again.fields) == (409, "RESOURCE_CONFLICT", ["name"])
    renamed = alice_api.call("PATCH", f"/templates/{other}", {"name": "t"})
    assert (renamed.status, renamed.fields) == (409, ["name"])
    make(bob_api, "t")
    assert sorted(Template.objects.values_list("name", flat=True)) == ["t", "t", "u"]


def test_patch_sets_what_it_names_and_put_all(alice_api: Api, alice: User) -> None:
    id_ = make(alice_api, "t", description="d", tags=["a"])
    patched = alice_api.call("PATCH", f"/templates/{id_}", {"category": "c"}).data
    assert (patched["description"], patched["category"], len(patched["parameters"])) == ("d", "c", 3)
    body = {"name": "t2", "workflow_definition": {**DEFINITION, "parameters": [{"name": "n", "type": "number"}]}}
    put = alice_api.call("PUT", f"/templates/{id_}", body).data
    assert (put["name"], put["description"], put["tags"], put["category"]) == ("t2", "", [], "")
    assert [field["name"] for field in put["parameters"]] == ["n"]
    assert alice_api.get(f"/templates/{id_}").data == put
    assert audited() == [(f"template.{what}", alice.email) for what in ("created", "updated", "updated")]


def test_a_new_definition_keeps_the_form_and_must_fit_it(alice_api: Api) -> None:
    id_ = make(alice_api)
    patched = alice_api.call("PATCH", f"/templates/{id_}", {"workflow_definition": sends(1)}).data
    assert [field["name"] for field in patched["parameters"]] == ["source_url", "output_format", "batch_size"]
    assert patched["workflow_definition"]["components"] == sends(1)["components"]
    clash = {**sends(1), "parameters": [{"name": "batch_size", "type": "boolean"}]}
    refused = alice_api.call("PATCH", f"/templates/{id_}", {"workflow_definition": clash})
    assert (refused.status, refused.fields) == (422, ["parameters[2].parameter_type"])
    assert alice_api.get(f"/templates/{id_}").data == patched


def test_a_change_that_changes_nothing_writes_nothing(alice_api: Api) -> None:
    id_ = make(alice_api, description="d")
    before = Template.objects.values().get()
    answer = alice_api.call("PATCH", f"/templates/{id_}", {"description": "d", "workflow_definition": DEFINITION})
    assert answer.status == 200
    assert Template.objects.values().get() == before
    assert len(audited()) == 1


def test_delete_takes_the_ratings_with_it_and_leaves_the_workflows(alice_api: Api, bob_api: Api, alice: User) -> None:
    id_ = make(alice_api)
    publish(id_)
    assert bob_api.post(f"/templates/{id_}/rate", {"rating": 3}).status == 200
    made = bob_api.post(f"/templates/{id_}/create-workflow", {"name": "w", "parameters": {"source_url": "https://x"}})
    assert alice_api.call("DELETE", f"/templates/{id_}").status == 200
    assert alice_api.get(f"/templates/{id_}").status == 404
    assert bob_api.get(f"/workflows/{made.data['id']}").status == 200
    assert audited()[-1] == ("template.deleted", alice.email)
