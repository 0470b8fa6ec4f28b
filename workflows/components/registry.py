"""The component types: one literal table, and plug-ins by entry point."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

from workflows.components.base import Component, Kind
from workflows.components.control import Condition, Delay, End, Log, Start
from workflows.components.data import Transform, Validate
from workflows.components.database import DatabaseQuery
from workflows.components.http import HttpRequest
from workflows.components.lists import Aggregate, Filter
from workflows.components.loops import ForEach, RepeatUntil
from workflows.components.mail import SendEmail
from workflows.components.notification import Notification
from workflows.components.routing import Fail, Switch
from workflows.components.script import Script
from workflows.components.waits import Approval, SubWorkflow, WaitForSignal
from workflows.schemas import Schema, SchemaError

logger = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "apg_workflow.components"

BUILT_IN: dict[str, Component] = {
    "start": Start(),
    "end": End(),
    "condition": Condition(),
    "switch": Switch(),
    "delay": Delay(),
    "log": Log(),
    "fail": Fail(),
    "transform": Transform(),
    "validate": Validate(),
    "filter": Filter(),
    "aggregate": Aggregate(),
    "script": Script(),
    "http_request": HttpRequest(),
    "for_each": ForEach(),
    "repeat_until": RepeatUntil(),
    "sub_workflow": SubWorkflow(),
    "wait_for_signal": WaitForSignal(),
    "approval": Approval(),
    "notification": Notification(),
    "email": SendEmail(),
    "database_query": DatabaseQuery(),
}


@dataclass(frozen=True, slots=True)
class _PlugIns:
    """What the entry points gave: components by type, the names of those that did not load, and all known types."""

    components: Mapping[str, Component]
    broken: frozenset[str]
    known: tuple[str, ...]


class PlugInError(Exception):
    """A plug-in cannot be used; the message says why. Repair or remove the package that brings it."""


def get(type_: str) -> Component | None:
    """The component of a type, or None."""
    return BUILT_IN.get(type_) or _plug_ins().components.get(type_)


def all_types() -> list[Component]:
    """Every component, by category, then type."""
    return sorted([*BUILT_IN.values(), *_plug_ins().components.values()], key=lambda item: (item.category, item.type))


def kind_of(type_: str) -> Kind:
    """Which workers run components of a type; DEFAULT for one that is not installed here."""
    component = get(type_)
    return Kind.DEFAULT if component is None else component.kind


def known_types() -> tuple[str, ...]:
    """The types that this process can run."""
    return _plug_ins().known


def is_broken(type_: str) -> bool:
    """Whether a plug-in of this name is installed and did not load; the log says why."""
    return type_ in _plug_ins().broken


@lru_cache(maxsize=1)
def _plug_ins() -> _PlugIns:
    """Loaded once a process. A broken plug-in is logged and left out; it stops nothing else."""
    components: dict[str, Component] = {}
    broken: set[str] = set()
    for entry_point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda item: (item.name, item.value)):
        try:
            component = _load(entry_point)
            if component.type in components:
                raise PlugInError(f"another plug-in has the type {component.type} already")
        except Exception:
            # Foreign code: whatever it raises is its fault, and the platform goes on without it.
            logger.exception("Plug-in component did not load: %s = %s", entry_point.name, entry_point.value)
            broken.add(entry_point.name)
        else:
            components[component.type] = component
    return _PlugIns(components, frozenset(broken), tuple(sorted({*BUILT_IN, *components})))


def _load(entry_point: EntryPoint) -> Component:
    """Raises PlugInError, and whatever the plug-in's own code raises."""
    component = entry_point.load()()
    if not isinstance(component, Component):
        raise PlugInError("it makes no workflows.components.base.Component")
    if component.type in BUILT_IN:
        raise PlugInError(f"the type {component.type} is built in")
    for name in ("type", "name", "description", "category"):
        if not isinstance(getattr(component, name), str):
            raise PlugInError(f"its {name} is no text")
    if not isinstance(component.kind, Kind):
        raise PlugInError(f"its kind is none of {', '.join(Kind)}")
    for name in ("config_schema", "input_schema", "output_schema"):
        try:
            Schema(getattr(component, name))
        except SchemaError as error:
            raise PlugInError(f"its {name} is no JSON Schema: {error}") from None
    return component
