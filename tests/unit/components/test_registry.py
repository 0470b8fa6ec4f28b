"""The table of components, and plug-ins: those that work, and those that must not stop anything."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any, ClassVar

import pytest

from core.errors import Problem
from core.types import JSONObject
from workflows.components import registry
from workflows.components.base import Completed, Component, Context, Outcome
from workflows.validation import load, problems


class Greet(Component):
    """A plug-in's component."""

    type: ClassVar = "greet"
    name: ClassVar = "Greet"
    description: ClassVar = "Greets"
    category: ClassVar = "aaa"
    config_schema: ClassVar[JSONObject] = {"type": "object", "required": ["who"]}
    input_schema: ClassVar[JSONObject] = {}
    output_schema: ClassVar[JSONObject] = {}

    def run(self, config: JSONObject, context: Context) -> Outcome:
        return Completed(f"Hello, {config['who']}")


class Usurper(Greet):
    type: ClassVar = "log"


class BadSchema(Greet):
    type: ClassVar = "bad_schema"
    config_schema: ClassVar[JSONObject] = {"type": "nothing"}


class NoText(Greet):
    type: ClassVar = "no_text"
    name: ClassVar[Any] = None


class Raises(Greet):
    type: ClassVar = "raises"

    def __init__(self) -> None:
        raise RuntimeError("no licence")


class Unruly(Greet):
    type: ClassVar = "unruly"

    def check(self, config: JSONObject) -> Iterator[Problem]:
        yield Problem(f"knows nobody of {config['names']}")


class NoComponent:
    pass


class Greeting(Greet):
    """A second component of the type."""


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Plug-ins as if packages had brought them: `name = module:attribute`."""
    module = ModuleType("plug_ins_of_this_test")
    classes = [Greet, Greeting, Usurper, BadSchema, NoText, Raises, Unruly, NoComponent]
    for class_ in classes:
        setattr(module, class_.__name__, class_)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names = ["greet", "greet_again", "log", "bad_schema", "no_text", "raises", "unruly", "no_component", "gone"]
    values = [f"{module.__name__}:{class_.__name__}" for class_ in classes] + ["no_such_module:Thing"]
    points = [
        EntryPoint(name=name, value=value, group=registry.ENTRY_POINT_GROUP)
        for name, value in zip(names, values, strict=True)
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == registry.ENTRY_POINT_GROUP else [])
    registry._plug_ins.cache_clear()
    yield
    registry._plug_ins.cache_clear()


def test_the_built_in_types_are_listed_by_category_then_type() -> None:
    types = [(component.category, component.type) for component in registry.all_types()]
    assert types == sorted(types)
    assert {type_ for _, type_ in types} >= set(registry.BUILT_IN)
    for type_, component in registry.BUILT_IN.items():
        assert registry.get(type_) is component
        assert component.type == type_


@pytest.mark.parametrize("type_", ["nothing", "", "LOG", "__class__"])
def test_what_is_no_type_is_none(type_: str) -> None:
    assert registry.get(type_) is None


def test_a_plug_in_joins_and_its_config_is_checked(installed: None) -> None:
    component = registry.get("greet")
    assert isinstance(component, Greet)
    assert registry.all_types()[0] is component
    assert problems({"components": [{"id": "a", "type": "greet", "config": {"who": "you"}}]}) == []
    (problem,) = problems({"components": [{"id": "a", "type": "greet"}]})
    assert problem.field == "definition.components[0].config.who"


def test_a_check_that_fails_itself_is_a_fault_of_the_config_and_is_logged(
    installed: None, caplog: pytest.LogCaptureFixture
) -> None:
    (problem,) = problems({"components": [{"id": "a", "type": "unruly", "config": {"who": "you"}}]})
    assert (problem.field, problem.message) == (
        "definition.components[0].config",
        "The check of the component type unruly failed; the server's log says why",
    )
    assert "KeyError: 'names'" in caplog.text


def test_a_check_that_fails_itself_refuses_nothing_that_was_accepted_before(installed: None) -> None:
    definition = {"components": [{"id": "a", "type": "unruly", "config": {"who": "you"}}]}
    with pytest.raises(KeyError, match="names"):
        load(definition, unknown_types=True)


def test_a_plug_in_takes_no_built_in_type_and_none_twice(installed: None) -> None:
    assert type(registry.get("log")) is not Usurper
    assert type(registry.get("greet")) is Greet


def test_broken_plug_ins_are_logged_and_stop_nothing_else(installed: None, caplog: pytest.LogCaptureFixture) -> None:
    assert registry.get("greet") is not None
    told = [record.getMessage() for record in caplog.records]
    broken = ["bad_schema", "gone", "greet_again", "log", "no_component", "no_text", "raises"]
    assert [message.split(": ")[1].split(" = ")[0] for message in told] == broken
    assert all(record.exc_info for record in caplog.records)


def test_the_use_of_a_broken_plug_in_is_refused_by_its_name(installed: None) -> None:
    (problem,) = problems({"components": [{"id": "a", "type": "raises"}]})
    assert problem.field == "definition.components[0].type"
    assert problem.message == 'The plug-in for the component type "raises" did not load; the server\'s log says why'
    assert "no licence" not in repr(problem)
