"""Workflows made in Python: components, connections, checks before anything is sent, and files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from typing_extensions import Self

from apg_workflow.bodies import WorkflowBody
from apg_workflow.documents import dump_document, read_document, workflow_fields
from apg_workflow.errors import DefinitionError, Problem
from apg_workflow.models import Component

_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_INVALID = "VALIDATION_ERROR"
# Keywords of JSON Schema that judge a value by all that is in it.
_OF_THE_WHOLE = {"anyOf", "oneOf", "not", "if", "enum", "const", "contains", "uniqueItems"}
ParameterType = Literal["string", "integer", "number", "boolean", "object", "array", "secret"]


class WorkflowBuilder:
    """A workflow that is put together here; `body()` is what `workflows.create` takes.

    What components take is known to the server, so nothing about it is built in: `check` is given their schemas.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str = "",
        category: str = "",
        tags: Sequence[str] = (),
        priority: int = 5,
        definition: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.description = description
        self.category = category
        self.tags = tuple(tags)
        self.priority = priority
        # A copy, and one that is JSON for sure.
        self._definition: dict[str, Any] = json.loads(json.dumps(definition or {}))
        self._components: list[dict[str, Any]] = self._definition.setdefault("components", [])
        self._connections: list[dict[str, Any]] = self._definition.setdefault("connections", [])

    def component(self, id: str, type: str, config: Mapping[str, Any] | None = None, **fields: Any) -> str:  # noqa: A002
        """Add a component; its id, for `connect`. `fields` are those of the definition, such as `retry_policy`."""
        self._components.append({"id": id, "type": type, "config": dict(config or {}), **fields})
        return id

    def connect(self, *ids: str, on: Literal["success", "error"] = "success", condition: str | None = None) -> Self:
        """Connect components one after the other; with a `condition`, an expression, only where it holds."""
        for source, target in pairwise(ids):
            found: dict[str, Any] = {"source": source, "target": target, "type": on}
            if condition is not None:
                found |= {"type": "conditional", "condition": condition}
            self._connections.append(found)
        return self

    def parameter(self, name: str, type: ParameterType, *, required: bool = False, **fields: Any) -> Self:  # noqa: A002
        """Declare what an execution is given. `fields` such as `default_value`, `validation_rules`, `sensitive`."""
        self._definition.setdefault("parameters", []).append(
            {"name": name, "type": type, "required": required, **fields}
        )
        return self

    def settings(self, **settings: Any) -> Self:
        """Set settings of the definition, such as `timeout_seconds`."""
        self._definition.setdefault("settings", {}).update(settings)
        return self

    # --- what it is

    @property
    def definition(self) -> dict[str, Any]:
        """A copy of the definition, as JSON has it."""
        found: dict[str, Any] = json.loads(json.dumps(self._definition))
        return found

    @property
    def types(self) -> list[str]:
        """The component types in use, each once."""
        return list(dict.fromkeys(str(component.get("type", "")) for component in self._components))

    def body(self) -> WorkflowBody:
        """For `workflows.create`."""
        return {
            "name": self.name,
            "description": self.description,
            "category": self.category,
            "tags": list(self.tags),
            "priority": self.priority,
            "definition": self.definition,
        }

    # --- checks

    def check(self, schemas: Iterable[Component] = ()) -> list[Problem]:
        """What is wrong, as far as that is seen without the server, which has the last word.

        Ids, connections and cycles always; types and configs against `schemas`, those of `components.get_schema` or
        `components.list`, if there are any (needs the extra `builder`).
        """
        problems = [*self._component_problems(), *self._connection_problems()]
        known = {schema.type: schema for schema in schemas}
        if known:
            for index, component in enumerate(self._components):
                problems += _config_problems(index, component, known)
        return problems

    def validate(self, schemas: Iterable[Component] = ()) -> Self:
        """Raises DefinitionError with what `check` finds."""
        if problems := self.check(schemas):
            raise DefinitionError(problems)
        return self

    def _component_problems(self) -> list[Problem]:
        if not self._components:
            return [_problem("definition.components", "There must be at least one")]
        problems: list[Problem] = []
        seen: set[str] = set()
        for index, component in enumerate(self._components):
            place = f"definition.components[{index}].id"
            id_ = str(component.get("id", ""))
            if not _ID.fullmatch(id_):
                problems.append(_problem(place, f"{id_!r} is no id: a letter or _, then letters, digits, _ and -"))
            elif id_.lower() in seen:
                problems.append(_problem(place, f"{id_!r} is there twice"))
            seen.add(id_.lower())
        if sum(component.get("type") == "start" for component in self._components) > 1:
            problems.append(_problem("definition.components", "There can be only one start"))
        return problems

    def _connection_problems(self) -> list[Problem]:
        problems: list[Problem] = []
        ids = {component.get("id") for component in self._components}
        before: dict[str, set[str]] = {}
        seen: set[str] = set()
        for index, connection in enumerate(self._connections):
            place = f"definition.connections[{index}]"
            for end in ("source", "target"):
                if connection.get(end) not in ids:
                    problems.append(_problem(f"{place}.{end}", f"There is no component {connection.get(end)!r}"))
            if connection.get("type") == "conditional" and not connection.get("condition"):
                problems.append(_problem(f"{place}.condition", "A conditional connection needs a condition"))
            text = json.dumps(connection, sort_keys=True)
            if text in seen:
                problems.append(_problem(place, "The same connection is there twice"))
            seen.add(text)
            before.setdefault(str(connection.get("target")), set()).add(str(connection.get("source")))
        try:
            TopologicalSorter(before).prepare()
        except CycleError as error:
            problems.append(_problem("definition.connections", f"A cycle: {' → '.join(error.args[1])}"))
        return problems

    # --- files

    def save(self, path: str | Path) -> None:
        """Write it as `workflows.export` gives it: YAML (extra `builder`) to .yaml and .yml, JSON to all others."""
        dump_document({"format": 1, **self.body()}, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file of `save`, of an export, or of a definition alone, which is then named like its file.

        Raises DefinitionError for what is none of these.
        """
        fields = workflow_fields(read_document(Path(path)), name=Path(path).stem)
        return cls(
            fields["name"],
            description=fields.get("description", ""),
            category=fields.get("category", ""),
            tags=fields.get("tags", ()),
            priority=fields.get("priority", 5),
            definition=fields["definition"],
        )


def _problem(field: str, message: str) -> Problem:
    return Problem(_INVALID, message, field)


def _config_problems(index: int, component: Mapping[str, Any], known: Mapping[str, Component]) -> list[Problem]:
    place = f"definition.components[{index}]"
    schema = known.get(str(component.get("type")))
    if schema is None:
        return [_problem(f"{place}.type", f"There is no component type {component.get('type')!r}")]
    try:
        from jsonschema import Draft202012Validator  # noqa: PLC0415  # an extra
    except ImportError:
        raise ImportError("Checking configs needs an extra: pip install 'apg-workflow-client[builder]'") from None
    errors = Draft202012Validator(schema.config_schema).iter_errors(component.get("config", {}))
    return [
        _problem(f"{place}.config{error.json_path.removeprefix('$')}", error.message)
        for error in sorted(errors, key=lambda error: error.json_path)
        if not _may_fit(error.instance, error.validator)
    ]


def _may_fit(value: Any, keyword: str) -> bool:
    """Whether it is known only when it runs: a string with an expression stands for any value."""
    if isinstance(value, str):
        return "{{" in value
    return keyword in _OF_THE_WHOLE and "{{" in json.dumps(value)
