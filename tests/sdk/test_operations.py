"""Every operation of docs/openapi.yaml has a method in both clients, which asks for just that."""

import asyncio
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from apg_workflow import SyncWorkflowClient, WorkflowClient, bodies
from apg_workflow.errors import APIError
from typing_extensions import get_type_hints

DOCUMENT = yaml.safe_load((Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text())
OPERATIONS = {
    found["operationId"]: (method.upper(), path, found)
    for path, methods in DOCUMENT["paths"].items()
    for method, found in methods.items()
    if method != "parameters"
}


def methods_of(client: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    for resource in vars(client).values():
        for _, method in inspect.getmembers(resource, inspect.ismethod):
            if name := getattr(method, "__operation__", None):
                yield name, method


def refuse(seen: list[httpx.Request]) -> httpx.MockTransport:
    """The far end of a client: keeps what it is asked and refuses it."""

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(400, json={"errors": [{"code": "VALIDATION_ERROR", "message": "m"}], "message": "m"})

    return httpx.MockTransport(answer)


def dummies(method: Callable[..., Any]) -> dict[str, Any]:
    """Something for each parameter that has no default."""
    return {
        name: 1 if parameter.annotation == "int" else [] if "Sequence" in str(parameter.annotation) else "x"
        for name, parameter in inspect.signature(method).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }


def query_names(method: Callable[..., Any]) -> set[str]:
    """The names of the optional parameters, those of filters too."""
    found: set[str] = set()
    for name, parameter in inspect.signature(method).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            filters = re.fullmatch(r"Unpack\[bodies\.(\w+)\]", str(parameter.annotation))
            assert filters is not None
            found |= get_type_hints(getattr(bodies, filters[1])).keys()
        elif parameter.default is not parameter.empty:
            found.add(name)
    return found


def test_every_operation_has_one_method_in_both_clients() -> None:
    for client in (WorkflowClient("http://x", api_key="k"), SyncWorkflowClient("http://x", api_key="k")):
        names = [name for name, _ in methods_of(client)]
        assert sorted(names) == sorted(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_its_method_asks_for_the_operation(name: str) -> None:
    seen: list[httpx.Request] = []
    with SyncWorkflowClient("http://x", api_key="k", http_transport=refuse(seen)) as client:
        method = dict(methods_of(client))[name]
        with pytest.raises(APIError):
            method(**dummies(method))
    verb, path, description = OPERATIONS[name]
    pattern = re.sub(r"\{\w+\}", "[x1]", path.replace("/workflow_orchestration", ""))
    assert seen[0].method == verb
    assert re.fullmatch(pattern, seen[0].url.path), seen[0].url.path
    asked = {each["name"] for each in description.get("parameters", []) if each["in"] == "query"}
    # An export is read as JSON, whichever form the server's own file has.
    assert asked - {"format"} <= query_names(method)


def test_both_clients_have_the_same_surface() -> None:
    def surface(client: Any) -> dict[str, str]:
        return {
            f"{name}.{member}": str(inspect.signature(method)).replace("AsyncIterator", "Iterator")
            for name, resource in vars(client).items()
            if not name.startswith("_")
            for member, method in inspect.getmembers(resource, inspect.ismethod)
            if not member.startswith("_")
        }

    both = WorkflowClient("http://x", api_key="k"), SyncWorkflowClient("http://x", api_key="k")
    assert surface(both[0]) == surface(both[1])
    asyncio.run(both[0].aclose())
    both[1].close()
