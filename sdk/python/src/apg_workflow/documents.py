"""Files that hold workflows: JSON or YAML; a definition alone, the body of a create, or an export."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apg_workflow.errors import DefinitionError, Problem

_YAML = {".yaml", ".yml"}
_FIELDS = {"name", "description", "category", "tags", "priority", "definition"}


def read_document(path: Path) -> dict[str, Any]:
    """The object in a file. Raises OSError, and DefinitionError for what cannot be read."""
    text = path.read_text(encoding="utf-8")
    try:
        found = _parsed(path, text)
    except ValueError as error:
        raise DefinitionError([_problem(f"{path} is no {_kind(path)}: {error}")]) from None
    if not isinstance(found, dict):
        raise DefinitionError([_problem(f"{path} holds no object")])
    return found


def dump_document(document: Mapping[str, Any], path: Path) -> None:
    """Write an object to a file."""
    if path.suffix.lower() in _YAML:
        text = str(_yaml().safe_dump(document, sort_keys=False, allow_unicode=True))
    else:
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def workflow_fields(document: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """What a create takes, of any of the three forms; `name` is that of a definition alone. Raises DefinitionError."""
    if "components" in document:
        return {"name": name, "definition": dict(document)}
    if not isinstance(document.get("definition"), dict):
        raise DefinitionError([_problem("There is neither `components` nor `definition` in it")])
    if document.get("format", 1) != 1:
        raise DefinitionError([_problem(f"Format {document['format']!r} is not known", "format")])
    if unknown := document.keys() - _FIELDS - {"format"}:
        raise DefinitionError([_problem("Unknown", each) for each in sorted(unknown)])
    return {"name": name, **{field: document[field] for field in document if field in _FIELDS}}


def _yaml() -> Any:
    try:
        import yaml  # noqa: PLC0415  # an extra
    except ImportError:
        raise ImportError("YAML needs an extra: pip install 'apg-workflow-client[builder]'") from None
    return yaml


def _parsed(path: Path, text: str) -> Any:
    if path.suffix.lower() not in _YAML:
        return json.loads(text)
    yaml = _yaml()
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _kind(path: Path) -> str:
    return "YAML" if path.suffix.lower() in _YAML else "JSON"


def _problem(message: str, field: str | None = None) -> Problem:
    return Problem("VALIDATION_ERROR", message, field)
