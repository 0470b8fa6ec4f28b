"""Workflows made in Python: the same findings as the server's, before anything is sent."""

from pathlib import Path
from typing import Any

import pytest
from apg_workflow import SyncWorkflowClient, WorkflowBuilder
from apg_workflow.errors import DefinitionError

DEFINITION: dict[str, Any] = {
    "components": [
        {"id": "greet", "type": "transform", "config": {"output": "Hello, {{ who }}!"}},
        {"id": "tell", "type": "log", "config": {"message": "{{ greet.output }}"}, "timeout_seconds": 5},
    ],
    "connections": [{"source": "greet", "target": "tell", "type": "success"}],
    "parameters": [{"name": "who", "type": "string", "required": True}],
    "settings": {"timeout_seconds": 60},
}


def greeting() -> WorkflowBuilder:
    flow = WorkflowBuilder("Greeting", description="Says hello", tags=["demo"])
    flow.parameter("who", "string", required=True).settings(timeout_seconds=60)
    greet = flow.component("greet", "transform", {"output": "Hello, {{ who }}!"})
    tell = flow.component("tell", "log", {"message": "{{ greet.output }}"}, timeout_seconds=5)
    flow.connect(greet, tell)
    return flow


def places(flow: WorkflowBuilder, schemas: Any = ()) -> list[str | None]:
    return [problem.field for problem in flow.check(schemas)]


def test_what_is_built_is_a_definition() -> None:
    flow = greeting()
    assert flow.definition == DEFINITION
    assert flow.types == ["transform", "log"]
    assert flow.validate() is flow


def test_a_definition_that_is_read_cannot_be_changed_from_outside() -> None:
    flow = greeting()
    flow.definition["components"].clear()
    assert flow.definition == DEFINITION


@pytest.mark.parametrize("name", ["flow.json", "flow.yaml", "flow.yml"])
def test_a_saved_workflow_is_loaded_as_it_was(tmp_path: Path, name: str) -> None:
    greeting().save(tmp_path / name)
    assert WorkflowBuilder.load(tmp_path / name).body() == greeting().body()


def test_a_definition_alone_is_named_like_its_file(tmp_path: Path) -> None:
    path = tmp_path / "nightly.yaml"
    path.write_text("components:\n- {id: a, type: log, config: {message: m}}\n")
    flow = WorkflowBuilder.load(path)
    assert (flow.name, flow.types) == ("nightly", ["log"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "holds no object"),
        ("{", "is no JSON"),
        ("{}", "neither `components` nor `definition`"),
        ('{"format": 2, "definition": {}}', "format: Format 2 is not known"),
        ('{"definition": {}, "odd": 1}', "odd: Unknown"),
    ],
)
def test_what_is_no_workflow_is_not_loaded(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "flow.json"
    path.write_text(text)
    with pytest.raises(DefinitionError, match=told):
        WorkflowBuilder.load(path)


def test_faults_name_their_places() -> None:
    flow = WorkflowBuilder("Wrong")
    assert places(flow) == ["definition.components"]
    flow.component("a", "start")
    flow.component("A", "start")
    flow.component("1", "log")
    flow.connect("a", "b").connect("a", "b").connect("a", "a")
    assert places(flow) == [
        "definition.components[1].id",
        "definition.components[2].id",
        "definition.components",
        "definition.connections[0].target",
        "definition.connections[1].target",
        "definition.connections[1]",
        "definition.connections",
    ]
    with pytest.raises(DefinitionError, match="A cycle: a → a"):
        flow.validate()


@pytest.mark.django_db(transaction=True)
def test_the_servers_schemas_judge_types_and_configs(base_url: str, api_key: str) -> None:
    with SyncWorkflowClient(base_url, api_key=api_key) as client:
        schemas = list(client.components.iterate())
        assert places(greeting(), schemas) == []
        flow = greeting()
        flow.component("odd", "nothing")
        flow.component("loud", "log", {"message": "m", "level": "shout", "extra": 1})
        flow.component("later", "log", {"message": "m", "level": "{{ who }}"})
        found = places(flow, schemas)
        assert found == [
            "definition.components[2].type",
            "definition.components[3].config",
            "definition.components[3].config.level",
        ]
        stored = client.workflows.create(greeting().validate(schemas).body())
        assert client.workflows.get(stored.id, include_definition=True).definition == DEFINITION
        report = client.workflows.validate_definition(flow.definition)
        assert {"definition.components[2].type", "definition.components[3].config.level"} <= {
            finding.field for finding in report.errors
        }
