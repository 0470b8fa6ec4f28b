"""The OpenAPI document: complete, in step with the code, valid in its examples, served, and shown without internet."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from django.contrib.staticfiles import finders
from django.test import Client

from config import openapi
from tests import conformance
from tests.api import Answer, Api
from tests.contract.test_access_matrix import ENDPOINTS, METHODS

SCHEMA, DOCS = "/api/v1/schema", "/api/v1/docs"


@pytest.fixture
def anybody(db: None, empty_redis: None) -> Client:
    return Client(raise_request_exception=False)


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in conformance.document()["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def template(route: str) -> str:
    """A route of the resolver as the document writes it."""
    path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", re.sub(r"\^|\\Z", "", route))
    return conformance.canonical(re.sub(r"\(\?P\{(\w+)\}.*\)", r"{\1}", path))


# --- the document


def test_the_document_in_the_repository_is_what_the_code_makes() -> None:
    assert conformance.DOCUMENT.read_bytes() == openapi.as_yaml(), "run make openapi"


def test_every_method_of_every_endpoint_is_described_once() -> None:
    served = {
        f"{method} {template(route)}"
        for view, routes in ENDPOINTS.values()
        for route in routes
        for method in METHODS
        if hasattr(view, method.lower())
    }
    assert served == {place for place, _ in operations()}


def test_every_operation_has_a_name_of_its_own_a_summary_a_tag_and_a_success() -> None:
    names = [operation["operationId"] for _, operation in operations()]
    assert len(set(names)) == len(names)
    tags = {tag["name"] for tag in conformance.document()["tags"]}
    for place, operation in operations():
        assert operation["summary"], place
        assert set(operation["tags"]) <= tags, place
        assert {"200", "201"} & set(operation["responses"]), place


def test_every_example_fits_its_schema() -> None:
    document = conformance.document()
    examples = [
        (name, {"$ref": f"#/components/schemas/{name}"}, example)
        for name, schema in document["components"]["schemas"].items()
        for example in schema.get("examples", [])
    ]
    for place, operation in operations():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "example" in content:
                examples.append((place, content["schema"], content["example"]))
    assert len(examples) > 15
    for place, schema, example in examples:
        whole = {**schema, "components": {"schemas": document["components"]["schemas"]}}
        validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True, offline=True)
        assert [error.message for error in validator.iter_errors(example)] == [], place


def test_an_answer_that_holds_more_than_the_document_says_is_noticed(api: Api) -> None:
    path = "/api/v1/health"
    answer: Answer = api.get(path)
    conformance.check("GET", path, 200, answer.headers, answer.body)
    with pytest.raises(AssertionError, match="extra"):
        conformance.check("GET", path, 200, answer.headers, {**answer.body, "data": {**answer.data, "extra": 1}})
    with pytest.raises(AssertionError, match="no such status"):
        conformance.check("GET", path, 418, answer.headers, answer.body)
    with pytest.raises(AssertionError, match="X-Request-ID"):
        conformance.check("GET", path, 200, {}, answer.body)


def test_nothing_but_the_document_loads_the_library_that_makes_it() -> None:
    code = (
        "import sys, config.asgi, django.urls; django.urls.get_resolver().url_patterns;"
        "print([name for name in ('drf_spectacular.openapi', 'core.openapi') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- as it is served


@pytest.mark.parametrize("accept", ["", "*/*", "application/yaml", "text/html,*/*;q=0.8"])
def test_the_document_is_served_as_yaml(anybody: Client, accept: str) -> None:
    response = anybody.get(SCHEMA, headers={"Accept": accept} if accept else {})
    assert (response.status_code, response["Content-Type"]) == (200, "application/yaml")
    assert yaml.safe_load(response.content) == conformance.document()


@pytest.mark.parametrize(
    ("query", "accept"),
    [("", "application/json"), ("", "application/vnd.oai.openapi+json"), ("?format=json", "application/yaml")],
)
def test_the_document_is_served_as_json(anybody: Client, query: str, accept: str) -> None:
    response = anybody.get(SCHEMA + query, headers={"Accept": accept})
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert json.loads(response.content) == conformance.document()


def test_an_unknown_format_is_refused_and_named(api: Api) -> None:
    answer = api.get(f"{SCHEMA}?format=xml")
    assert (answer.status, answer.code, answer.fields) == (400, "VALIDATION_ERROR", ["format"])


@pytest.mark.parametrize("path", [SCHEMA, DOCS])
def test_document_and_page_count_as_requests_of_an_address(anybody: Client, settings: Any, path: str) -> None:
    settings.ANONYMOUS_REQUESTS_PER_HOUR = 2
    statuses = [anybody.get(path).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


@pytest.mark.parametrize("path", [SCHEMA, DOCS])
def test_document_and_page_are_read_only(api: Api, path: str) -> None:
    answer = api.post(path, {})
    assert (answer.status, answer.code) == (405, "VALIDATION_ERROR")


def test_the_page_is_made_of_files_of_this_server_and_nothing_inline(anybody: Client) -> None:
    response = anybody.get(DOCS)
    page = response.content.decode()
    assert response.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    files = [address.removeprefix("/static/") for address in addresses if address.startswith("/static/")]
    assert [address for address in addresses if not address.startswith("/static/")] == ["/api/v1/schema"]
    assert len(files) == 4
    assert [file for file in files if finders.find(file) is None] == []
    assert re.findall(r"<script(?![^>]*src=)|<style|style=|\son\w+=", page) == []
    policy = response["Content-Security-Policy"]
    assert "script-src 'self'; style-src 'self'; img-src 'self' data:" in policy
    assert "unsafe" not in policy


def test_the_page_asks_nobody_else() -> None:
    script = finders.find("config/docs.js")
    assert isinstance(script, str)
    told = Path(script).read_text()
    assert 'url: "/api/v1/schema?format=json"' in told
    assert "validatorUrl: null" in told
    assert "http" not in told
