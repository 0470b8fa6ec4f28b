"""Making a workflow of a template: parameters are checked, and stand in the definition as JSON values."""

from typing import Any

import pytest

from core.redact import REDACTED
from core.types import JSONObject
from templates_app.models import Template
from tests.api import Api
from tests.integration.templates_app.conftest import DEFINITION, FORM, make
from workflows.models import Workflow
from workflows.queries import current_definition

pytestmark = pytest.mark.django_db

SCHEDULED: JSONObject = {
    "components": [
        {
            "id": "start",
            "type": "start",
            "config": {
                "trigger_type": "schedule",
                "cron": "{{ run_at }}",
                "timezone": "{{zone}}",
                "parameters": {"at": "{{ run_at }}"},
            },
        }
    ]
}
SCHEDULE_FORM: list[JSONObject] = [
    {"name": "run_at", "parameter_type": "string", "default_value": "0 6 * * *"},
    {"name": "zone", "parameter_type": "string", "default_value": "UTC"},
]


def create(api: Api, template_id: str, parameters: Any = None, **more: Any) -> Any:
    body = {"name": "My Data Pipeline", **({} if parameters is None else {"parameters": parameters}), **more}
    return api.post(f"/templates/{template_id}/create-workflow", body)


def definition_of(workflow_id: str) -> JSONObject:
    return current_definition(Workflow.objects.get(pk=workflow_id))


def test_the_reference_example_works_as_printed(caller: Api) -> None:
    id_ = make(caller, category="data", tags=["etl"])
    body = {
        "name": "My Data Pipeline",
        "description": "Created from template",
        "parameters": {"source_url": "https://my-api.com/data", "output_format": "json", "batch_size": 1000},
    }
    answer = caller.post(f"/templates/{id_}/create-workflow", body)
    workflow = Workflow.objects.get()
    assert (answer.status, answer.body["message"]) == (201, "Workflow created successfully")
    assert answer.data == {
        "id": workflow.pk,
        "name": "My Data Pipeline",
        "status": "draft",
        "version": 1,
        "created_at": workflow.created_at.isoformat().replace("+00:00", "Z"),
    }
    shown = caller.get(f"/workflows/{workflow.pk}").data
    assert (shown["description"], shown["category"], shown["tags"]) == ("Created from template", "data", ["etl"])
    assert shown["definition"]["components"] == DEFINITION["components"]
    assert [(each["name"], each["type"], each["default_value"]) for each in shown["definition"]["parameters"]] == [
        ("source_url", "string", "https://my-api.com/data"),
        ("output_format", "string", "json"),
        ("batch_size", "integer", 1000),
    ]
    assert Template.objects.get().usage_count == 1


def test_what_is_not_given_is_the_default_or_stays_open(alice_api: Api) -> None:
    id_ = make(alice_api, description="of the template")
    made = create(alice_api, id_, {"source_url": "https://x", "batch_size": None})
    parameters = {each["name"]: each for each in definition_of(made.data["id"])["parameters"]}
    assert parameters["output_format"]["default_value"] == "json"
    assert "default_value" not in parameters["batch_size"]
    assert Workflow.objects.get().description == "of the template"
    # The template is as it was.
    assert "default_value" not in Template.objects.get().definition["parameters"][0]


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({}, ["parameters.source_url"]),
        (None, ["parameters.source_url"]),
        ({"source_url": None}, ["parameters.source_url"]),
        ({"source_url": "ftp://x"}, ["parameters.source_url"]),
        ({"source_url": 5}, ["parameters.source_url"]),
        ({"source_url": "https://x", "output_format": "xml"}, ["parameters.output_format"]),
        ({"source_url": "https://x", "batch_size": "10"}, ["parameters.batch_size"]),
        ({"source_url": "https://x", "batch_size": 10.0}, ["parameters.batch_size"]),
        ({"source_url": "https://x", "batch_size": True}, ["parameters.batch_size"]),
        ({"source_url": "https://x", "batch_size": 1001}, ["parameters.batch_size"]),
        ({"source_url": "https://x", "other": 1}, ["parameters.other"]),
        ({"source_url": "https://x", "a b": 1}, ['parameters["a b"]']),
        ({"other": 1, "batch_size": 0}, ["parameters.other", "parameters.source_url", "parameters.batch_size"]),
        ([], ["parameters"]),
        ("x", ["parameters"]),
    ],
)
def test_e6_missing_extra_and_wrong_parameters_are_422_and_named(
    alice_api: Api, parameters: Any, fields: list[str]
) -> None:
    id_ = make(alice_api)
    answer = create(alice_api, id_, parameters)
    assert (answer.status, answer.code, answer.fields) == (422, "VALIDATION_ERROR", fields)
    assert Workflow.objects.count() == 0
    assert Template.objects.get().usage_count == 0


@pytest.mark.parametrize(
    "value",
    ['"', "'}}", "{{ secrets.TOKEN }}", "</script>", '", "type": "script', "\\", "{% raw %}", "\n\t", "$&", "\u202e"],
)
def test_e6_a_value_is_a_json_value_whatever_it_looks_like(alice_api: Api, value: str) -> None:
    form = [{"name": "text", "parameter_type": "string"}, {"name": "data", "parameter_type": "object"}]
    id_ = make(alice_api, parameters=form)
    made = create(alice_api, id_, {"text": value, "data": {"k": [value, {"{{ x }}": 1}]}})
    assert made.status == 201
    definition = definition_of(made.data["id"])
    assert [each["default_value"] for each in definition["parameters"]] == [value, {"k": [value, {"{{ x }}": 1}]}]
    assert definition["components"] == DEFINITION["components"]


def test_a_value_that_is_too_deep_is_told_as_the_parameter(alice_api: Api) -> None:
    id_ = make(alice_api, parameters=[{"name": "data", "parameter_type": "array"}])
    deep: list[Any] = []
    for _ in range(40):
        deep = [deep]
    answer = create(alice_api, id_, {"data": deep})
    assert (answer.status, answer.fields) == (422, ["parameters.data" + "[0]" * 29])
    assert (Workflow.objects.count(), Template.objects.get().usage_count) == (0, 0)


def test_a_value_that_the_start_reads_is_written_there(alice_api: Api) -> None:
    id_ = make(alice_api, definition=SCHEDULED, parameters=SCHEDULE_FORM)
    made = create(alice_api, id_, {"run_at": "30 7 * * 1-5", "zone": "Europe/Oslo"})
    definition = definition_of(made.data["id"])
    # What the start renders itself stays an expression.
    assert definition["components"][0]["config"] == {
        "trigger_type": "schedule",
        "cron": "30 7 * * 1-5",
        "timezone": "Europe/Oslo",
        "parameters": {"at": "{{ run_at }}"},
    }
    assert definition["parameters"] == []
    plain = create(alice_api, id_, name="with the defaults")
    assert definition_of(plain.data["id"])["components"][0]["config"]["cron"] == "0 6 * * *"


def test_a_value_that_the_start_reads_is_a_parameter_too_where_the_definition_says_so(alice_api: Api) -> None:
    declared = {**SCHEDULED, "parameters": [{"name": "run_at", "type": "string"}]}
    id_ = make(alice_api, definition=declared, parameters=SCHEDULE_FORM)
    definition = definition_of(create(alice_api, id_, {"run_at": "30 7 * * *"}).data["id"])
    assert definition["components"][0]["config"]["cron"] == "30 7 * * *"
    assert [(each["name"], each["default_value"]) for each in definition["parameters"]] == [("run_at", "30 7 * * *")]


def test_what_the_start_renders_itself_stays_an_expression(alice_api: Api) -> None:
    config = {"trigger_type": "webhook", "hmac_secret": "{{ signing_key }}"}
    form = [{"name": "signing_key", "parameter_type": "secret", "required": True}]
    id_ = make(alice_api, definition={"components": [{"id": "s", "type": "start", "config": config}]}, parameters=form)
    made = create(alice_api, id_, {"signing_key": "a-long-random-value"})
    definition = definition_of(made.data["id"])
    assert definition["components"][0]["config"] == config
    assert [each["name"] for each in definition["parameters"]] == ["signing_key"]


def test_a_value_that_the_start_refuses_is_told_as_the_parameter(alice_api: Api) -> None:
    id_ = make(alice_api, definition=SCHEDULED, parameters=SCHEDULE_FORM)
    answer = create(alice_api, id_, {"run_at": "soon", "zone": "Mars/Base"})
    assert (answer.status, answer.fields) == (422, ["parameters.run_at", "parameters.zone"])
    assert Workflow.objects.count() == 0


def test_what_the_start_reads_needs_a_default_that_fits(alice_api: Api) -> None:
    for form, fields in (
        ([{"name": "run_at", "parameter_type": "string"}, SCHEDULE_FORM[1]], ["parameters[0].default_value"]),
        ([{**SCHEDULE_FORM[0], "default_value": "soon"}, SCHEDULE_FORM[1]], ["parameters[0].default_value"]),
        ([SCHEDULE_FORM[1]], ["workflow_definition.components[0].config.cron"]),
    ):
        answer = alice_api.post("/templates", {"name": "t", "workflow_definition": SCHEDULED, "parameters": form})
        assert (answer.status, answer.fields) == (422, fields)
    assert Template.objects.count() == 0


def test_a_secret_given_is_a_secret_of_the_workflow(alice_api: Api) -> None:
    form = [*FORM[:1], {"name": "api_token", "parameter_type": "secret", "required": True}]
    id_ = make(alice_api, parameters=form)
    wrong = create(alice_api, id_, {"source_url": "https://x", "api_token": 12345678})
    assert wrong.fields == ["parameters.api_token"]
    assert "12345678" not in str(wrong.body)
    made = create(alice_api, id_, {"source_url": "https://x", "api_token": "tok-en-value-1"})
    assert made.status == 201
    shown = alice_api.get(f"/workflows/{made.data['id']}")
    assert shown.data["definition"]["parameters"][1]["default_value"] == REDACTED
    assert "tok-en-value-1" not in str(shown.body)
    marked = create(alice_api, id_, {"source_url": "https://x", "api_token": REDACTED}, name="other")
    assert (marked.status, marked.fields) == (422, ["parameters.api_token"])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"description": 5}, "description"),
        ({"tags": []}, "tags"),
    ],
)
def test_other_invalid_fields_are_422_and_named(alice_api: Api, change: JSONObject, field: str) -> None:
    id_ = make(alice_api)
    answer = create(alice_api, id_, {"source_url": "https://x"}, **change)
    assert (answer.status, answer.fields) == (422, [field])
    assert Workflow.objects.count() == 0


def test_a_workflow_name_twice_is_409_and_is_no_use(alice_api: Api) -> None:
    id_ = make(alice_api)
    assert create(alice_api, id_, {"source_url": "https://x"}).status == 201
    again = create(alice_api, id_, {"source_url": "https://x"})
    assert (again.status, again.fields) == (409, ["name"])
    assert (Workflow.objects.count(), Template.objects.get().usage_count) == (1, 1)
