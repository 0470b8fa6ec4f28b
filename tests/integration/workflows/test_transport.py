"""Broken bodies, wrong types and odd addresses at every workflow address that takes a body."""

import pytest

from tests.api import Api
from tests.integration.workflows.conftest import make, told
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

WRITES = [("PUT", "/workflows/{}"), ("PATCH", "/workflows/{}"), ("POST", "/workflows/{}/validate")]
BODIES: dict[str, tuple[bytes, int]] = {
    "b1 broken": (b'{"name": ', 400),
    "b1 byte order mark": (b"\xef\xbb\xbf{}", 400),
    "b1 utf-16": ('{"name": "x"}'.encode("utf-16"), 400),
    "b1 invalid utf-8": (b'{"name": "\xff"}', 400),
    "b1 trailing": (b"{} x", 400),
    "b2 nan": (b'{"priority": NaN}', 400),
    "b2 overflow": (b'{"priority": 1e999}', 400),
    "b2 huge integer": (b'{"priority": ' + b"9" * 5000 + b"}", 400),
    "b3 duplicate keys": (b'{"name": "a", "name": "b"}', 400),
    "b4 deep": (b'{"definition": ' + b"[" * 100_000 + b"}", 400),
    "b5 nul": (b'{"name": "a\\u0000b"}', 422),
    "b5 lone surrogate in a key": (b'{"\\ud800": 1}', 422),
    "b6 a list": (b"[]", 400),
    "b6 null": (b"null", 400),
}


@pytest.mark.parametrize(("raw", "status"), BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_b1_b2_b3_b4_b5_b6_an_unreadable_body_is_refused_and_changes_nothing(
    caller: Api, method: str, path: str, raw: bytes, status: int
) -> None:
    id_ = make(caller)
    answer = caller.call(method, path.format(id_), raw=raw)
    assert (answer.status, answer.code) == (status, "VALIDATION_ERROR")
    assert (Workflow.objects.get().name, told(id_)) == ("w", ["workflow.created"])


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "text/xml"])
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_b7_another_content_type_is_400(caller: Api, method: str, path: str, content_type: str) -> None:
    answer = caller.call(method, path.format(make(caller)), raw=b'{"name": "x"}', content_type=content_type)
    assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
    assert Workflow.objects.get().name == "w"


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_b1_an_empty_body_is_400(caller: Api, method: str) -> None:
    answer = caller.call(method, f"/workflows/{make(caller)}")
    assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")


def test_b9_a_method_override_is_ignored(caller: Api) -> None:
    id_ = make(caller)
    assert caller.call("GET", f"/workflows/{id_}?_method=delete", X_HTTP_Method_Override="DELETE").status == 200
    assert Workflow.objects.count() == 1


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/workflows", {"GET", "POST", "HEAD", "OPTIONS"}),
        ("POST", "/workflows/{}", {"GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}),
        ("GET", "/workflows/{}/validate", {"POST", "OPTIONS"}),
        ("GET", "/workflows/validate", {"POST", "OPTIONS"}),
        ("POST", "/components", {"GET", "HEAD", "OPTIONS"}),
        ("BREW", "/workflows", {"GET", "POST", "HEAD", "OPTIONS"}),
    ],
)
def test_b9_a_wrong_method_is_405_and_the_right_ones_are_named(
    caller: Api, method: str, path: str, allowed: set[str]
) -> None:
    answer = caller.call(method, path.format(make(caller)))
    assert (answer.status, answer.code) == (405, "VALIDATION_ERROR")
    assert allowed - {"HEAD"} <= set(answer.headers["Allow"].split(", ")) <= allowed


@pytest.mark.parametrize(
    "path",
    ["//workflows", "/./workflows", "/workflows//", "/WORKFLOWS", "/workflows;a=b", "/workflows/{};a=b",
     "/workflows/{}/health", "/workflows/{}%2fvalidate", "/workflows/%2e%2e%2fcomponents", "/workflows/{}x",
     "/workflows/{}%00"],
)  # fmt: skip
def test_b12_other_spellings_of_an_address_lead_nowhere(caller: Api, path: str) -> None:
    answer = caller.get(path.format(make(caller)))
    assert (answer.status, answer.code) in {(404, "RESOURCE_NOT_FOUND"), (405, "VALIDATION_ERROR")}
