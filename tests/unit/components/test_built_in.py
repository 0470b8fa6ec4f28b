"""Each built-in component: its outcomes on good input, and the field that a bad config is refused with."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from core.errors import ErrorCode
from core.outbound_policy import OutboundPolicy
from tests.unit.components.context import NOW, context, run
from workflows.components import registry
from workflows.components.base import Completed, Failed, Resumption, Waiting
from workflows.definition import parse
from workflows.validation import check_config

BAD_CONFIGS: list[tuple[str, dict[str, Any], str]] = [
    ("start", {}, "trigger_type"),
    ("start", {"trigger_type": "moon"}, "trigger_type"),
    ("start", {"trigger_type": "schedule"}, ""),
    ("start", {"trigger_type": "event"}, "event"),
    ("start", {"trigger_type": "{{ kind }}"}, "trigger_type"),
    ("start", {"trigger_type": "schedule", "cron": "0 6 * *"}, "cron"),
    ("start", {"trigger_type": "schedule", "cron": "{{ when }}"}, "cron"),
    ("start", {"trigger_type": "schedule", "cron": "* * * * *", "interval_seconds": 60}, ""),
    ("start", {"trigger_type": "schedule", "interval_seconds": 0}, "interval_seconds"),
    ("start", {"trigger_type": "schedule", "interval_seconds": "{{ n }}"}, "interval_seconds"),
    *(
        ("start", {"trigger_type": "schedule", "interval_seconds": 60, "timezone": zone}, "timezone")
        for zone in ("Mars/Olympus", "Europe", "../etc/passwd", "")
    ),
    ("start", {"trigger_type": "schedule", "interval_seconds": 60, "overlap": "stop"}, "overlap"),
    ("start", {"trigger_type": "event", "event": "component.started"}, "event"),
    ("start", {"trigger_type": "event", "event": "execution.failed", "workflow_id": "x"}, "workflow_id"),
    ("start", {"trigger_type": "webhook", "hmac_secret": "short"}, "hmac_secret"),
    ("start", {"trigger_type": "webhook", "hmac_secret": "{{ secrets. }} and more"}, "hmac_secret"),
    ("end", {"result": 1}, "result"),
    ("condition", {}, "condition"),
    ("condition", {"condition": ""}, "condition"),
    ("condition", {"condition": "1 +"}, "condition"),
    ("condition", {"condition": "a {{ b }}"}, "condition"),
    ("delay", {}, ""),
    ("delay", {"seconds": 1, "until": "2026-01-01"}, ""),
    ("delay", {"seconds": -1}, "seconds"),
    ("delay", {"until": "soon"}, "until"),
    ("log", {}, "message"),
    ("log", {"message": "m", "level": "loud"}, "level"),
    ("log", {"message": "{{ ''.__class__() }}"}, "message"),
    ("transform", {}, "output"),
    ("transform", {"output": {"a": ["{{ } }}"]}}, "output.a[0]"),
    ("validate", {"value": 1}, "schema"),
    ("validate", {"value": 1, "schema": {"type": "nothing"}}, "schema"),
    ("validate", {"value": 1, "schema": {"$ref": "http://127.0.0.1:1/x"}}, "schema"),
    ("validate", {"value": 1, "schema": {"pattern": "(?=a)b"}}, "schema"),
    ("http_request", {"method": "GET"}, "url"),
    ("http_request", {"url": "invalid-url", "method": "GET"}, "url"),
    ("http_request", {"url": "http://a.example", "method": "BREW"}, "method"),
    ("http_request", {"url": "http://a.example", "method": "GET", "timeout": 0}, "timeout"),
    ("http_request", {"url": "http://a.example", "method": "GET", "timeout": 3601}, "timeout"),
    ("http_request", {"url": "http://a.example", "method": "GET", "headers": []}, "headers"),
    ("http_request", {"url": "http://a.example", "method": "GET", "auth": {"type": "magic"}}, "auth.type"),
    ("http_request", {"url": "http://a.example", "method": "GET", "auth": {"type": "basic"}}, "auth.password"),
    *(
        ("http_request", {"url": "http://a.example", "method": "GET", "auth": auth}, f"auth{field}")
        for auth, field in (
            ({}, ".type"),
            ("key", ""),
            ({"type": "bearer"}, ".token"),
            ({"type": "bearer", "token": 1}, ".token"),
            ({"type": "bearer", "token": "t", "user": "u"}, ".user"),
            ({"type": "api_key", "value": "v"}, ".name"),
            ({"type": "api_key", "name": "n", "value": "v", "in": "body"}, ".in"),
            ({"type": "basic", "username": "a:b", "password": "p"}, ".username"),
        )
    ),
    ("http_request", {"url": "http://a.example", "method": "GET", "expected_status": [99]}, "expected_status[0]"),
    *(
        ("http_request", {"url": url, "method": "GET"}, "url")
        for url in (
            "file:///etc/passwd",
            "gopher://x",
            "http://good@127.0.0.1",
            "http://a\\b",
            "http://127.0.0.1#@good\n",
        )
    ),
]


@pytest.mark.parametrize(("type_", "config", "field"), BAD_CONFIGS)
def test_a_bad_config_is_refused_and_the_field_named(type_: str, config: dict[str, Any], field: str) -> None:
    spec = parse({"components": [{"id": "c", "type": type_, "config": config}]}).components[0]
    fields = [problem.field for problem in check_config(spec, "x")]
    assert f"x.config.{field}".rstrip(".") in fields


def test_an_expression_stands_for_any_value_until_it_is_rendered() -> None:
    config = {
        "url": "{{ u }}",
        "method": "{{ m }}",
        "timeout": "{{ t }}",
        "auth": {"type": "bearer", "token": "{{ k }}"},
    }
    spec = parse({"components": [{"id": "c", "type": "http_request", "config": config}]}).components[0]
    assert list(check_config(spec, "x")) == []


def test_a_start_may_hold_expressions_where_they_are_rendered_later() -> None:
    config = {
        "trigger_type": "webhook",
        "hmac_secret": "{{ secrets.k }}",
        "parameters": {"day": "{{ now() | date('%d') }}"},
    }
    spec = parse({"components": [{"id": "c", "type": "start", "config": config}]}).components[0]
    assert list(check_config(spec, "x")) == []


@pytest.mark.parametrize("cron", ["0 6 * * 1-5", "*/15 0,12 1-7 JAN-MAR MON", "  0  0 1 1 *  "])
def test_a_schedule_with_five_fields_in_a_zone_is_taken(cron: str) -> None:
    config = {"trigger_type": "schedule", "cron": cron, "timezone": "America/New_York", "catchup": "all"}
    spec = parse({"components": [{"id": "c", "type": "start", "config": config}]}).components[0]
    assert list(check_config(spec, "x")) == []


def test_start_gives_what_the_execution_was_given() -> None:
    assert run("start", {"trigger_type": "manual"}, context(input={"n": 1})) == Completed({"n": 1})


def test_end_and_transform_give_their_rendered_output() -> None:
    assert run("end", {"output": [1]}) == Completed([1])
    assert run("end", {}) == Completed(None)
    assert run("transform", {"output": {"a": 1}}) == Completed({"a": 1})


@pytest.mark.parametrize(("condition", "result"), [("input.n > 1", True), ("{{ input.n > 5 }}", False), ("''", False)])
def test_condition_answers_as_python_would(condition: str, result: bool) -> None:
    assert run("condition", {"condition": condition}, context(input={"n": 3})) == Completed({"result": result})


def test_delay_waits_once() -> None:
    assert run("delay", {"seconds": 90}) == Waiting(seconds=90)
    assert run("delay", {"seconds": 90}, context(resumed=Resumption(timed_out=True))) == Completed({})
    assert run("delay", {"until": "2026-01-02T00:00:00+01:00"}) == Waiting(NOW + timedelta(hours=23))


@pytest.mark.parametrize("config", [{"seconds": 0}, {"until": "2020-01-01"}])
def test_a_delay_that_is_over_ends_at_once(config: dict[str, Any]) -> None:
    assert run("delay", config) == Completed({})


def test_a_rendered_time_that_is_none_fails_for_good() -> None:
    outcome = run("delay", {"until": "soon"})
    assert isinstance(outcome, Failed)
    assert outcome.permanent
    assert outcome.message.startswith("until: ")


def test_log_writes_its_line() -> None:
    given = context()
    assert run("log", {"message": {"a": 1}, "level": "warning"}, given) == Completed({})
    assert [(line.level, line.message) for line in given.lines] == [("warning", '{"a":1}')]


def test_validate_gives_the_value_or_all_its_faults() -> None:
    schema = {"type": "object", "required": ["a"], "properties": {"b": {"type": "integer"}}}
    assert run("validate", {"value": {"a": 1}, "schema": schema}) == Completed({"a": 1})
    outcome = run("validate", {"value": {"b": "x"}, "schema": schema})
    assert isinstance(outcome, Failed)
    assert outcome.permanent
    assert sorted(fault["field"] for fault in outcome.details["faults"]) == ["value.a", "value.b"]


class Peer(BaseHTTPRequestHandler):
    """Answers with the status, type and body that the path names, and remembers the requests."""

    seen: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []
    bodies: ClassVar[dict[str, tuple[str, bytes]]] = {
        "json": ("application/json", b'{"n": [1, 2]}'),
        "broken": ("application/json", b"{"),
        "text": ("text/plain; charset=latin-1", "é".encode("latin-1")),
        "binary": ("application/octet-stream", b"\xff\x00"),
        "nul": ("application/json", b'"a\\u0000b"'),
        "large": ("text/plain", b"x" * 20_000),
    }

    def answer(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.command, {name.lower(): value for name, value in self.headers.items()}, sent))
        status, _, kind = self.path.strip("/").partition("?")[0].partition("/")
        media_type, body = self.bodies.get(kind, ("text/plain", b""))
        self.send_response(int(status))
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def peer() -> Iterator[str]:
    """A server's address; what it saw is in Peer.seen."""
    Peer.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("kind", "body"),
    [("json", {"n": [1, 2]}), ("broken", "{"), ("text", "é"), ("binary", "/wA="), ("nul", "a�b"), ("none", None)],
)
def test_http_request_reads_each_kind_of_body(peer: str, kind: str, body: Any) -> None:
    given = context()
    outcome = run("http_request", {"url": f"{peer}/200/{kind}", "method": "GET"}, given)
    assert isinstance(outcome, Completed)
    assert (outcome.output["status_code"], outcome.output["body"]) == (200, body)
    assert given.network_bytes > 100
    assert "idempotency-key" not in Peer.seen[0][1]


@pytest.mark.parametrize(
    ("status", "permanent"), [(400, True), (404, True), (408, False), (425, False), (429, False), (500, False)]
)
def test_http_request_fails_by_status_and_knows_what_a_retry_may_cure(peer: str, status: int, permanent: bool) -> None:
    outcome = run("http_request", {"url": f"{peer}/{status}", "method": "GET"})
    assert outcome == Failed(f"The server answered {status}", permanent=permanent, details={"status_code": status})


def test_http_request_takes_an_expected_status_as_success(peer: str) -> None:
    config = {"url": f"{peer}/404", "method": "GET", "expected_status": [404]}
    assert isinstance(run("http_request", config), Completed)
    assert isinstance(run("http_request", {**config, "url": f"{peer}/200"}), Failed)


def test_http_request_sends_body_query_auth_and_the_same_key_on_every_attempt(peer: str) -> None:
    config = {
        "url": f"{peer}/200?a=1", "method": "POST", "body": {"n": 1}, "query": {"b": [2, 3], "c": None},
        "headers": {"X-Count": 5}, "auth": {"type": "basic", "username": "u", "password": "p"},
    }  # fmt: skip
    run("http_request", config)
    run("http_request", {**config, "auth": {"type": "api_key", "name": "X-Key", "value": "k"}})
    (method, first, body), (_, second, _) = Peer.seen
    assert (method, json.loads(body), first["content-type"]) == ("POST", {"n": 1}, "application/json")
    assert (first["x-count"], first["authorization"], second["x-key"]) == ("5", "Basic dTpw", "k")
    assert first["idempotency-key"] == second["idempotency-key"] == "key-1"


def test_http_request_without_an_answer_may_be_retried() -> None:
    outcome = run("http_request", {"url": "http://127.0.0.1:9", "method": "GET"})
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.permanent) == (ErrorCode.COMPONENT_ERROR, False)


def test_http_request_refuses_an_answer_that_is_too_large(peer: str) -> None:
    assert isinstance(run("http_request", {"url": f"{peer}/200/large", "method": "GET"}), Failed)


PRIVATE = [
    "127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::]", "127.1", "2130706433", "0x7f000001", "0177.0.0.1",
    "169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "10.0.0.1", "172.16.0.1",
    "192.168.0.1", "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "[fc00::1]", "[fe80::1]",
    "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001::1]",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_s1_s2_s3_http_request_refuses_private_addresses_for_good(host: str) -> None:
    outcome = run("http_request", {"url": f"http://{host}/", "method": "GET"}, context(policy=OutboundPolicy()))
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.permanent) == (ErrorCode.COMPONENT_ERROR, True)


def test_validate_takes_integers_of_its_schema_exactly() -> None:
    assert run("validate", {"value": 2**64 + 1, "schema": {"const": 2**64 + 1}}) == Completed(2**64 + 1)


def test_validate_lists_no_more_than_twenty_faults() -> None:
    config = {"value": ["x"] * 50, "schema": {"items": {"type": "integer"}}}
    outcome = run("validate", config)
    assert isinstance(outcome, Failed)
    assert len(outcome.details["faults"]) == 20
    assert outcome.details["faults"][1] == {"field": "value[1]", "message": "Expected a whole number"}


def test_validate_checks_formats_and_a_schema_that_came_out_of_an_expression() -> None:
    assert isinstance(run("validate", {"value": "soon", "schema": {"format": "date-time"}}), Failed)
    outcome = run("validate", {"value": 1, "schema": {"type": "nothing"}})
    assert isinstance(outcome, Failed)
    assert outcome.permanent
    assert outcome.message.startswith("schema: ")


def test_every_type_describes_itself_for_a_form() -> None:
    for component in registry.all_types():
        assert component.name
        assert component.description
        for name, schema in component.config_schema["properties"].items():
            assert {"title", "description"} <= schema.keys(), (component.type, name)
            assert "examples" in schema or "default" in schema, (component.type, name)
