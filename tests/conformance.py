"""Whether an answer is what docs/openapi.yaml says: every answer that a test gets is held against it."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

DOCUMENT = Path(__file__).parent.parent / "docs" / "openapi.yaml"
_CANONICAL, _BULK = "/api/v1/workflow_orchestration", "/api/v2/workflow_orchestration"
_BULK_ALIASES = (f"{_CANONICAL}/v2", "/api/v1/v2", "/api/v2")


@cache
def document() -> dict[str, Any]:
    """The document as it is in the repository; a test of its own holds it against the code."""
    loaded: dict[str, Any] = yaml.load(DOCUMENT.read_bytes(), Loader=yaml.CSafeLoader)
    return loaded


def check(method: str, path: str, status: int, headers: Mapping[str, str], body: Any) -> None:
    """AssertionError where the document promises something else for this operation and status."""
    place = f"{method} {path} {status}"
    item = _path_item(canonical(path.partition("?")[0]))
    operation = None if item is None else document()["paths"][item].get(method.lower())
    if operation is None:
        assert status in {400, 401, 403, 404, 405, 413, 429, 500, 503}, (
            f"{place}: docs/openapi.yaml has no such operation"
        )
        validator, promised = _validator("", "", ""), ("X-Request-ID",)
    else:
        assert str(status) in operation["responses"], f"{place}: docs/openapi.yaml knows no such status"
        validator = _validator(str(item), method.lower(), str(status))
        promised = tuple(_resolved(operation["responses"][str(status)])["headers"])
    problems = [f"{'/'.join(map(str, each.instance_path))}: {each.message}" for each in validator.iter_errors(body)]
    assert not problems, f"{place} is not as docs/openapi.yaml has it: {'; '.join(problems)[:2000]}"
    missing = [name for name in promised if name not in headers]
    assert not missing, f"{place} lacks headers of docs/openapi.yaml: {missing}"


def canonical(path: str) -> str:
    """The address under which the document has what answers at `path`."""
    path = path.removesuffix("/")
    for alias in _BULK_ALIASES:
        if path.startswith(f"{alias}/workflows/"):
            return _BULK + path.removeprefix(alias)
    if path.startswith(("/api/v2/", "/api/v1/auth/", "/api/v1/hooks/", f"{_CANONICAL}/")):
        return path
    return _CANONICAL + path.removeprefix("/api/v1")


@cache
def _path_item(path: str) -> str | None:
    found = [template for template, pattern in _templates() if pattern.fullmatch(path)]
    # Without parameters first: workflows/validate is no workflow's address.
    return min(found, key=lambda template: template.count("{"), default=None)


@cache
def _templates() -> list[tuple[str, re.Pattern[str]]]:
    return [(path, re.compile(re.sub(r"\\\{.*?\\\}", "[^/]+", re.escape(path)))) for path in document()["paths"]]


@cache
def _validator(item: str, method: str, status: str) -> Any:
    if item:
        response = _resolved(document()["paths"][item][method]["responses"][status])
        schema = response["content"]["application/json"]["schema"]
    else:
        schema = {"$ref": "#/components/schemas/Error"}
    whole = {**schema, "components": {"schemas": document()["components"]["schemas"]}}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True, offline=True)


def _resolved(response: dict[str, Any]) -> dict[str, Any]:
    reference = response.get("$ref")
    if reference is None:
        return response
    found: dict[str, Any] = document()["components"]["responses"][reference.rpartition("/")[2]]
    return found
