"""Bad input at every endpoint of the first run: the status, the code and the field that it is answered with."""

import gzip
import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.models import User
from core.ids import new_id, to_uuid
from core.strict_json import StrictJSONError, UnstorableTextError, check_storable, loads
from executions.models import Execution
from executions.states import ExecutionStatus
from templates_app.models import Template
from tests import cpu
from tests.api import Api
from tests.integration.workflows.conftest import execution
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

LONE = {"components": [{"id": "start", "type": "start", "config": {"trigger_type": "manual"}}], "connections": []}


def workflow_of(caller: Api, definition: Any = LONE, name: str = "w") -> str:
    return str(caller.post("/workflows", {"name": name, "definition": definition}).data["id"])


BODIES = {
    "broken": b'{"name": ',
    "empty": b"",
    "byte order mark": b"\xef\xbb\xbf{}",
    "utf-16": '{"name": "x"}'.encode("utf-16"),
    "invalid utf-8": b'{"name": "\xff"}',
    "trailing": b"{} x",
    "nan": b'{"priority": NaN}',
    "infinity": b'{"priority": Infinity}',
    "overflow": b'{"priority": 1e999}',
    "huge integer": b'{"priority": ' + b"9" * 5000 + b"}",
    "duplicate keys": b'{"name": "a", "name": "b"}',
    "deep": b'{"definition": ' + b"[" * 100_000 + b"}",
    "deeper by one": b'{"definition": ' + b"[" * 64 + b"]" * 64 + b"}",
    "a list": b"[]",
    "a number": b"3",
    "null": b"null",
}


@pytest.mark.parametrize("raw", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("path", ["/workflows", "/workflows/validate", "/templates"])
def test_b1_b2_b3_b4_b6_a_body_that_is_no_json_object_is_400(caller: Api, path: str, raw: bytes) -> None:
    answer = caller.call("POST", path, raw=raw)
    assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
    assert Workflow.objects.count() == 0


def test_b4_a_hundred_thousand_brackets_cost_no_time() -> None:
    def refuse() -> None:
        with pytest.raises(StrictJSONError, match="nested deeper than 64"):
            loads(b"[" * 100_000)

    cpu.assert_within(0.05, refuse)


@pytest.mark.parametrize("raw", [b'{"name": "a\\u0000b"}', b'{"name": "\\ud800"}', b'{"a\\u0000": 1}'])
def test_b5_text_that_cannot_be_stored_is_422(caller: Api, raw: bytes) -> None:
    answer = caller.call("POST", "/workflows", raw=raw)
    assert (answer.status, answer.code) == (422, "VALIDATION_ERROR")


def test_b5_where_text_that_cannot_be_stored_stands_is_told_without_writing_each_way_out() -> None:
    over = {"k" * 50_000: [{"n": number} for number in range(25_000)]}
    tracemalloc.start()
    try:
        with pytest.raises(UnstorableTextError) as found:
            check_storable({"a": [over, {"b": ["", "\0"]}]})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.value.path == "a[1].b[1]"
    assert peak < 2**20


MANY = 5_000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/workflows", {f"unknown{number}": 0 for number in range(MANY)}),
        ("/workflows", {"name": "w", "definition": {f"unknown{number}": 0 for number in range(MANY)}}),
        ("/workflows", {"name": "w", "definition": {**LONE, "connections": [0] * MANY}}),
        ("/workflows/validate", {f"unknown{number}": 0 for number in range(MANY)}),
    ],
    ids=["fields", "fields of a definition", "connections", "validate"],
)
def test_of_very_many_faults_a_hundred_are_told(caller: Api, path: str, body: Any) -> None:
    answer = caller.post(path, body)
    assert (answer.status, answer.code) == (422, "VALIDATION_ERROR")
    assert len(answer.body["errors"]) == 101
    assert answer.body["errors"][-1]["message"] == "More is wrong than these 100 faults"


def test_a_list_that_is_too_long_is_not_looked_into(caller: Api) -> None:
    answer = caller.post("/workflows", {"name": "w", "definition": LONE, "tags": [0] * 100_000})
    assert [(error["field"], error["message"]) for error in answer.body["errors"]] == [
        ("tags", "Ensure this field has no more than 50 elements.")
    ]


def test_d7_a_definition_that_is_too_large_is_not_searched_for_marks(caller: Api, settings: Any) -> None:
    settings.MAX_DEFINITION_BYTES = 2_000
    definition = {**LONE, "metadata": {"kept": ["[REDACTED]"] * 1_000}}
    answer = caller.post("/workflows", {"name": "w", "definition": definition})
    assert [error["message"] for error in answer.body["errors"]] == ["The definition is too large"]


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/xml", ""],
)
def test_b7_another_content_type_is_400(caller: Api, content_type: str) -> None:
    answer = caller.call("POST", "/workflows", raw=b"{}", content_type=content_type)
    assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")


def test_b8_a_body_over_the_limit_is_413(caller: Api, settings: Any) -> None:
    settings.APG_MAX_BODY_BYTES = 2000
    answer = caller.call("POST", "/workflows", raw=json.dumps({"name": "x" * 2000}).encode())
    assert (answer.status, answer.code) == (413, "VALIDATION_ERROR")


def test_b8_a_packed_body_is_not_unpacked(caller: Api) -> None:
    packed = gzip.compress(b" " * 50_000_000 + json.dumps({"name": "w", "definition": LONE}).encode())
    answer = caller.call("POST", "/workflows", raw=packed, Content_Encoding="gzip")
    assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
    assert Workflow.objects.count() == 0


PAGES = ["limit=-1", "limit=0", "limit=abc", "limit=1000000000", "limit=9223372036854775808", "limit=1.5", "limit=",
         "limit=1&limit=2", "limit=1001", "offset=-1", "offset=1e3", "limit=%D9%A3"]  # fmt: skip


@pytest.mark.parametrize("query", PAGES)
@pytest.mark.parametrize("path", ["/workflows", "/executions", "/components", "/templates"])
def test_l1_l2_bad_pages_are_400_and_named(caller: Api, path: str, query: str) -> None:
    answer = caller.get(f"{path}?{query}")
    assert (answer.status, answer.code, answer.fields) == (400, "VALIDATION_ERROR", [query.partition("=")[0]])


def test_l2_a_far_offset_is_an_empty_page(caller: Api) -> None:
    workflow_of(caller)
    answer = caller.get("/workflows?offset=1000000000000000000")
    assert (answer.status, answer.data) == (200, [])
    assert answer.body["metadata"]["total_count"] == 1


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/workflows", "sort=password", "sort"),
        ("/workflows", "sort=created_by__password", "sort"),
        ("/workflows", "sort=-name;drop", "sort"),
        ("/workflows", "order=up", "order"),
        ("/workflows", "status=bogus", "status"),
        ("/workflows", "created_by=1", "created_by"),
        ("/workflows", "search=" + "x" * 201, "search"),
        ("/workflows", "search=%00", "search"),
        ("/workflows", "tags=" + ",".join("t" * 3 + str(n) for n in range(1000)), "tags"),
        ("/workflows", "tags=" + "x" * 10_000, "tags"),
        ("/workflows", "category=%00", "category"),
        ("/executions", "status=bogus", "status"),
        ("/executions", "workflow_id=x", "workflow_id"),
        ("/executions", "user_id=%00", "user_id"),
        ("/executions", "status=failed&status=queued", "status"),
        ("/workflows", "sort=name&sort=name", "sort"),
        ("/templates", "sort=created_by__password", "sort"),
        ("/templates", "sort=updated_at", "sort"),
        ("/templates", "order=up", "order"),
        ("/templates", "complexity=easy", "complexity"),
        ("/templates", "complexity=expert&complexity=beginner", "complexity"),
        ("/templates", "category=" + "x" * 101, "category"),
        ("/templates", "category=%00", "category"),
        ("/templates", "search=" + "x" * 201, "search"),
        ("/templates", "created_by=me", "created_by"),
        ("/executions", "start_date=yesterday", "start_date"),
        ("/executions", "start_date=0000-01-01", "start_date"),
        ("/executions", "end_date=9999-12-31T23:59:59-12:00", "end_date"),
        ("/executions", "start_date=2026-01-02&end_date=2026-01-01", "start_date"),
    ],
)
def test_l3_l4_l5_l6_bad_filters_are_400_and_named(caller: Api, path: str, query: str, field: str) -> None:
    answer = caller.get(f"{path}?{query}")
    assert (answer.status, answer.code, answer.fields) == (400, "VALIDATION_ERROR", [field])


def test_bad_filters_of_logs_are_400_and_named(caller: Api) -> None:
    id_ = caller.post(f"/workflows/{workflow_of(caller)}/execute", {}).data["execution_id"]
    for query in ("level=loud", "level=info&level=debug", "component_id=%00", "component_id=" + "x" * 201):
        answer = caller.get(f"/executions/{id_}/logs?{query}")
        assert (answer.status, answer.code, answer.fields) == (400, "VALIDATION_ERROR", [query.partition("=")[0]])
    assert caller.get(f"/executions/{id_}/events?since=-1").fields == ["since"]


@pytest.mark.parametrize("date", ["2025-01-01", "2025-01-01T00:00:00", "2025-01-01T02:00:00%2B02:00"])
def test_l4_a_date_without_a_zone_is_utc(caller: Api, date: str) -> None:
    row = execution(workflow_of(caller), ExecutionStatus.COMPLETED)
    for began, found in ((datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC), 0), (datetime(2025, 1, 1, tzinfo=UTC), 1)):
        Execution.objects.filter(pk=row.pk).update(started_at=began)
        assert caller.get(f"/executions?start_date={date}").body["metadata"]["total_count"] == found


@pytest.mark.parametrize("search", ["%25", "_", "%5C", "%27", ".*", "(a%2B)%2B%24"])
def test_l5_search_takes_its_text_literally(caller: Api, search: str) -> None:
    workflow_of(caller, name="plain")
    assert caller.get(f"/workflows?search={search}").data == []


IDS = ["1", "..%2Fx", "%00", "U" * 26, "01HQNZ2G5XKJ8P7M9N6V3R4T5!", "x" * 10_000]


@pytest.mark.parametrize("bad", IDS)
@pytest.mark.parametrize(
    "path", ["/workflows/{}", "/executions/{}", "/executions/{}/logs", "/components/{}/schema", "/templates/{}"]
)
def test_l7_ids_that_are_none_are_404(caller: Api, path: str, bad: str) -> None:
    answer = caller.get(path.format(bad))
    assert (answer.status, answer.code) == (404, "RESOURCE_NOT_FOUND")


def test_l7_ids_in_lower_case_and_as_uuid_are_the_same(caller: Api) -> None:
    id_ = workflow_of(caller)
    for spelling in (id_, id_.lower(), str(to_uuid(id_)), str(to_uuid(id_)).upper()):
        assert caller.get(f"/workflows/{spelling}").data["id"] == id_
    assert caller.get(f"/workflows/{new_id()}").status == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": 5}, "name"),
        ({"name": None}, "name"),
        ({"description": "x" * 1001}, "description"),
        ({"priority": 0}, "priority"),
        ({"priority": 11}, "priority"),
        ({"priority": "5"}, "priority"),
        ({"priority": 5.5}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": None}, "priority"),
        ({"tags": "a"}, "tags"),
        ({"id": new_id()}, "id"),
        ({"status": "active"}, "status"),
        ({"version": 99}, "version"),
        ({"created_by": new_id()}, "created_by"),
        ({"success_rate": 1}, "success_rate"),
        ({"permissions": {}}, "permissions"),
        ({"__class__": "x"}, "__class__"),
    ],
)
def test_o1_o2_o3_invalid_and_read_only_fields_are_422_and_named(
    caller: Api, change: dict[str, Any], field: str
) -> None:
    answer = caller.post("/workflows", {"name": "w", "definition": LONE, **change})
    assert (answer.status, answer.code, answer.fields) == (422, "VALIDATION_ERROR", [field])
    assert Workflow.objects.count() == 0


def test_o1_markup_is_stored_as_text(caller: Api) -> None:
    id_ = workflow_of(caller, name="<script>\u202e")
    assert caller.get(f"/workflows/{id_}").data["name"] == "<script>\u202e"


def test_o4_o5_a_name_twice_is_409_and_a_stale_version_too(caller: Api) -> None:
    id_ = workflow_of(caller)
    again = caller.post("/workflows", {"name": "w", "definition": LONE})
    assert (again.status, again.code) == (409, "RESOURCE_CONFLICT")
    stale = caller.call("PATCH", f"/workflows/{id_}", {"description": "d"}, If_Match='"9"')
    assert (stale.status, stale.code) == (409, "RESOURCE_CONFLICT")
    assert caller.call("PATCH", f"/workflows/{id_}", {"description": "d"}, If_Match="9").status == 400


def component(id_: str, type_: str = "log", **config: Any) -> dict[str, Any]:
    return {"id": id_, "type": type_, "config": config or {"message": "m"}}


def edges(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"source": source, "target": target, "type": "success"} for source, target in pairs]


AB = [component("a"), component("b")]
P = {"name": "p", "type": "string"}
CIRCLE = [component(f"c{n}") for n in range(1000)]
DEFINITIONS: dict[str, tuple[Any, str]] = {
    "d1 cycle of two": ({"components": AB, "connections": edges(("a", "b"), ("b", "a"))}, "definition.connections"),
    "d1 cycle of a thousand": (
        {"components": CIRCLE, "connections": edges(*((f"c{n}", f"c{(n + 1) % 1000}") for n in range(1000)))},
        "definition.connections",
    ),
    "d1 self-loop": ({"components": AB, "connections": edges(("a", "a"))}, "definition.connections[0]"),
    "d2 dangling": ({"components": AB, "connections": edges(("a", "z"))}, "definition.connections[0].target"),
    "d2 dangling source": ({"components": AB, "connections": edges(("z", "a"))}, "definition.connections[0].source"),
    "d2 duplicate": (
        {"components": AB, "connections": edges(("a", "b"), ("a", "b"))},
        "definition.connections[1]",
    ),
    "d3 duplicate id": ({"components": [*AB, component("a")]}, "definition.components[2].id"),
    "d3 ids differing in case": ({"components": [*AB, component("A")]}, "definition.components[2].id"),
    "d3 ids beyond ASCII": ({"components": [component("e\u0301")]}, "definition.components[0].id"),
    "d4 no components": ({"components": []}, "definition.components"),
    "d4 two starts": (
        {"components": [component(id_, "start", trigger_type="manual") for id_ in ("s", "t")]},
        "definition.components[1].type",
    ),
    "d5 unknown type": ({"components": [component("a", "../http_request", x=1)]}, "definition.components[0].type"),
    "d5 host name": ({"components": [component("a", "__import__", x=1)]}, "definition.components[0].type"),
    "d6 invalid url": (
        {"components": [component("a", "http_request", url="invalid-url", method="GET")]},
        "definition.components[0].config.url",
    ),
    "d6 missing": ({"components": [component("a", "log", level="info")]}, "definition.components[0].config.message"),
    "d6 extra": ({"components": [component("a", message="m", x=1)]}, "definition.components[0].config.x"),
    "d6 wrong type": (
        {"components": [component("a", "delay", seconds="long")]},
        "definition.components[0].config.seconds",
    ),
    "d10 conditional without a condition": (
        {"components": AB, "connections": [{"source": "a", "target": "b", "type": "conditional"}]},
        "definition.connections[0].condition",
    ),
    "d10 a condition that is none": (
        {
            "components": AB,
            "connections": [{"source": "a", "target": "b", "type": "conditional", "condition": "1 +"}],
        },
        "definition.connections[0].condition",
    ),
    "d7 too many components": ({"components": [component(f"c{n}") for n in range(2001)]}, "definition.components"),
    "d7 too many connections": (
        {"components": AB, "connections": edges(("a", "b")) * 5001},
        "definition.connections",
    ),
    "d8 position of text": (
        {"components": [{**component("a"), "position": {"x": "1", "y": 2}}]},
        "definition.components[0].position.x",
    ),
    "d8 an unknown key": ({"components": [{**component("a"), "x": 1}]}, "definition.components[0].x"),
    "d8 a megabyte of text": ({"components": [component("a", message="x" * 1_048_576)]}, "definition"),
    "d9 a name twice": ({"components": AB, "parameters": [P, P]}, "definition.parameters[1].name"),
    "d9 a default of another type": (
        {"components": AB, "parameters": [{**P, "default_value": 5}]},
        "definition.parameters[0].default_value",
    ),
    "d11 a pattern without an end": (
        {"components": AB, "parameters": [{**P, "validation_rules": {"pattern": "(?=a)" * 5000}}]},
        "definition.parameters[0].validation_rules.pattern",
    ),
    **{
        f"e1 {expression[:20]}": (
            {"components": [component("a", message=expression)]},
            "definition.components[0].config.message",
        )
        for expression in (
            "{{ ''.__class__() }}",
            "{{ x.constructor.constructor('return 1')() }}",
            "{% for x in y %}",
            "{{ {{ x }} }}",
            "{{ " + "(" * 10_000 + ")" * 10_000 + " }}",
        )
    },
    "s6 file": (
        {"components": [component("a", "http_request", url="file:///etc/passwd", method="GET")]},
        "definition.components[0].config.url",
    ),
    "s6 userinfo": (
        {"components": [component("a", "http_request", url="http://good@127.0.0.1", method="GET")]},
        "definition.components[0].config.url",
    ),
    "not an object": ([], "definition"),
}


@pytest.mark.parametrize(("definition", "field"), DEFINITIONS.values(), ids=DEFINITIONS.keys())
def test_d1_d2_d3_d4_d5_d6_d7_d8_d9_d10_d11_e1_e7_a_faulty_definition_is_refused_and_validate_agrees(
    caller: Api, definition: Any, field: str
) -> None:
    answer = caller.post("/workflows", {"name": "w", "definition": definition})
    assert (answer.status, answer.code) == (422, "VALIDATION_ERROR")
    assert field in answer.fields
    judged = caller.post("/workflows/validate", {"definition": definition})
    assert judged.status == 200
    assert judged.data["is_valid"] is False
    assert field in [error["field"] for error in judged.data["errors"]]
    assert (Workflow.objects.count(), Execution.objects.count()) == (0, 0)


@pytest.mark.parametrize(("definition", "field"), DEFINITIONS.values(), ids=DEFINITIONS.keys())
def test_d1_d2_d3_d4_d5_d6_a_faulty_definition_is_no_template(caller: Api, definition: Any, field: str) -> None:
    answer = caller.post("/templates", {"name": "t", "workflow_definition": definition})
    assert (answer.status, answer.code) == (422, "VALIDATION_ERROR")
    assert field.replace("definition", "workflow_definition", 1) in answer.fields
    assert Template.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"priority": "5"}, "priority"),
        ({"priority": 11}, "priority"),
        ({"scheduled_at": "tomorrow"}, "scheduled_at"),
        ({"parameters": []}, "parameters"),
        ({"tags": [1]}, "tags[0]"),
        ({"definition": LONE}, "definition"),
    ],
)
def test_x2_x6_execute_refuses_invalid_fields(caller: Api, body: dict[str, Any], field: str) -> None:
    answer = caller.post(f"/workflows/{workflow_of(caller)}/execute", body)
    assert (answer.status, answer.fields) == (422, [field])


def test_b9_b12_unknown_paths_and_methods_answer_in_the_envelope(caller: Api) -> None:
    assert caller.get("/nothing").code == "RESOURCE_NOT_FOUND"
    answer = caller.call("PUT", "/workflows", {})
    assert (answer.status, answer.code) == (405, "VALIDATION_ERROR")
    assert set(answer.body) == {"success", "data", "message", "errors", "metadata"}


def test_b12_a_trailing_slash_answers_the_same(caller: Api) -> None:
    assert caller.post("/workflows/", {"name": "w", "definition": LONE}).status == 201


def test_a1_without_a_token_everything_but_health_and_login_is_401(api: Api) -> None:
    for path in ("/workflows", "/executions", "/components", "/templates", f"/workflows/{new_id()}", "/api/v1/auth/me"):
        answer = api.get(path)
        assert (answer.status, answer.code) == (401, "AUTHENTICATION_ERROR")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert api.get("/health").status == 200


def test_a8_others_see_nothing_and_count_nothing(caller: Api, as_user: Callable[..., Api], bob: User) -> None:
    id_ = workflow_of(caller)
    stranger = as_user(bob)
    for method, path in (
        ("GET", f"/workflows/{id_}"),
        ("DELETE", f"/workflows/{id_}"),
        ("POST", f"/workflows/{id_}/execute"),
        ("POST", f"/workflows/{id_}/validate"),
    ):
        answer = stranger.call(method, path, {} if method == "POST" else None)
        assert (answer.status, answer.code) == (404, "RESOURCE_NOT_FOUND")
    assert stranger.get("/workflows").body["metadata"]["total_count"] == 0


def test_the_request_id_is_taken_or_made_and_echoed(caller: Api) -> None:
    answer = caller.call("GET", "/components", X_Request_ID="abc-1")
    assert (answer.headers["X-Request-ID"], answer.body["metadata"]["request_id"]) == ("abc-1", "abc-1")
    made = caller.call("GET", "/components", X_Request_ID="not valid!")
    assert made.headers["X-Request-ID"] == made.body["metadata"]["request_id"] != "not valid!"
