"""The component types: one literal table, and plug-ins by entry point."""

import logging
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

from workflows.components.base import Component
from workflows.components.control import Condition, Delay, End, Log, Start
from workflows.components.data import Transform, Validate
from workflows.components.http import HttpRequest

logger = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "apg_workflow.components"

BUILT_IN: dict[str, Component] = {
    "start": Start(),
    "end": End(),
    "condition": Condition(),
    "delay": Delay(),
    "log": Log(),
    "transform": Transform(),
    "validate": Validate(),
    "http_request": HttpRequest(),
}


def get(type_: str) -> Component | None:
    """The component of a type, or None."""
    return BUILT_IN.get(type_) or _plug_ins().get(type_)


def all_types() -> list[Component]:
    """Every component, by category, then type."""
    return sorted([*BUILT_IN.values(), *_plug_ins().values()], key=lambda item: (item.category, item.type))


@lru_cache(maxsize=1)
def _plug_ins() -> dict[str, Component]:
    """Loaded once a process. A broken plug-in is logged and left out; it stops nothing else."""
    found: dict[str, Component] = {}
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        component = _load(entry_point)
        if component is not None:
            found[component.type] = component
    return found


def _load(entry_point: EntryPoint) -> Component | None:
    try:
        component = entry_point.load()()
    except Exception:
        logger.exception("Plug-in component did not load: %s", entry_point.value)
        return None
    if not isinstance(component, Component) or component.type in BUILT_IN:
        logger.error("Plug-in is no component, or takes a built-in type: %s", entry_point.value)
        return None
    return component
