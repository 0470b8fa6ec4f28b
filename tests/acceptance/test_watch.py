"""Metrics, traces and JSON lines of real processes: a web server, a worker with its pool, a sender of webhooks."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from accounts.services import log_in
from executions.models import Execution
from tests.acceptance.processes import valkey_database
from tests.collector import Collector, collector
from tests.conftest import PASSWORD
from tests.eventually import eventually
from tests.integration.metrics.conftest import TOKEN, parsed
from tests.integration.webhooks.conftest import SECRET
from tests.web import Web, web_server

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@contextmanager
def workers(folder: Path, **environment: str) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """The engine's worker of two processes, and that of webhooks, on the test's own database; their lines in files."""
    head, _, query = os.environ["DATABASE_URL"].partition("?")
    url = f"{head.rpartition('/')[0]}/{connection.settings_dict['NAME']}?{query}"
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "INFO"]
    started = {}
    for name, app in (("worker", "config"), ("webhooks", "config.webhooks_worker")):
        command = [sys.executable, "-m", "celery", "--quiet", "-A", app, "worker", "-c", "2", *quiet]
        with (folder / name).open("wb") as output:
            started[name] = subprocess.Popen(
                command, env={**os.environ, "DATABASE_URL": url, **environment},
                start_new_session=True, stdout=output, stderr=output,
            )  # fmt: skip
    try:
        yield started
    finally:
        for process in started.values():
            process.send_signal(signal.SIGTERM)
        for process in started.values():
            process.wait(30)


def call(web: Web, method: str, path: str, token: str, body: Any = None, **headers: str) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{web.port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text)["data"] if path != "/metrics" else parsed(text.decode())


DEFINITION = {
    "components": [
        {"id": "call", "type": "http_request", "config": {"method": "POST", "url": "PUT HERE"}},
        {"id": "child", "type": "sub_workflow", "config": {"workflow_id": "PUT HERE"}},
    ],
    "connections": [{"source": "call", "target": "child"}],
}


def run(web: Web, token: str, url: str, **headers: str) -> str:
    """An execution, accepted over HTTP, that calls out and starts another one."""
    child = {"components": [{"id": "only", "type": "log", "config": {"message": "m"}}], "connections": []}
    made = call(web, "POST", "/api/v1/workflows", token, {"name": "child", "definition": child})
    definition = json.loads(json.dumps(DEFINITION))
    definition["components"][0]["config"]["url"] = url + "/a-path/that-is-secret?q=secret"
    definition["components"][1]["config"]["workflow_id"] = made["id"]
    made = call(web, "POST", "/api/v1/workflows", token, {"name": "parent", "definition": definition})
    started = call(web, "POST", f"/api/v1/workflows/{made['id']}/execute", token, {}, **headers)
    return str(started["execution_id"])


@pytest.fixture
def token(alice: User, empty_redis: None) -> str:
    return log_in(login=alice.email, password=PASSWORD, address="127.0.0.1", user_agent="t").access_token


def ended(execution_id: str) -> Callable[[], bool]:
    return lambda: Execution.objects.filter(pk=execution_id, status="completed").exists()


def test_one_trace_one_count_and_lines_that_say_whose_they_are(token: str, tmp_path: Path) -> None:
    with collector() as far_end:
        environment: dict[str, Any] = {
            "APG_OTEL_ENDPOINT": far_end.url, "APG_METRICS_TOKEN": TOKEN, "APG_LOG_FORMAT": "json",
            "APG_LOG_LEVEL": "INFO",
            # What the suite's own process and other tests' servers count is theirs.
            "REDIS_URL": valkey_database(9),
        }  # fmt: skip
        with web_server(**environment) as web, workers(tmp_path, **environment):
            hook = {"url": far_end.url + "/hook/secret", "events": ["execution.completed"], "secret": SECRET}
            call(web, "POST", "/api/v1/webhooks", token, hook)
            execution_id = run(web, token, far_end.url, traceparent=f"00-{TRACE_ID}-{PARENT_ID}-01")
            eventually(ended(execution_id), timeout=60)
            eventually(lambda: [path for path, _ in far_end.calls].count("/hook/secret") == 2, timeout=30)
            # Each process tells what it has counted in its own time, a worker's heart may beat for the first time
            # after it has done all this, and an answer may be two seconds old.
            counted = eventually(lambda: whole(call(web, "GET", "/metrics", TOKEN)), timeout=60)
            web_lines = web.log.read_text()
        eventually(lambda: len(in_trace(far_end)) >= 12, timeout=60)
    check_trace(far_end, execution_id)
    check_counts(counted)
    check_lines(web_lines + (tmp_path / "worker").read_text() + (tmp_path / "webhooks").read_text(), tmp_path)


COUNTS = {
    ("apg_webhook_attempts_total", "succeeded"): 2,
    ("apg_executions_ended_total", "completed"): 2,
    ("apg_executions_accepted_total", "manual"): 1,
    ("apg_executions_accepted_total", "sub_workflow"): 1,
    ("apg_component_attempts_total", "completed", "http_request"): 1,
    ("apg_component_attempts_total", "waiting", "sub_workflow"): 1,
    ("apg_outbound_requests_total", "2xx"): 3,
    ("apg_workers",): 1,
    ("apg_worker_processes",): 2,
    ("apg_web_processes",): 1,
    ("apg_http_requests_total", "POST", "/api/v1/workflows", "201"): 2,
}


def whole(counted: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    """An answer in which nothing is missing; there may be too much in it."""
    return counted if all(counted.get(series, 0) >= count for series, count in COUNTS.items()) else {}


def in_trace(far_end: Collector) -> list[Any]:
    return [(named, span) for named, span in far_end.spans if span.trace_id.hex() == TRACE_ID]


def facts(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def check_trace(far_end: Collector, execution_id: str) -> None:
    spans = {span.span_id: span for _, span in in_trace(far_end)}
    names = {span_id: span.name for span_id, span in spans.items()}

    def path(span: Any) -> list[str]:
        above = spans.get(span.parent_span_id)
        return [*(path(above) if above is not None else [span.parent_span_id.hex()]), names[span.span_id]]

    request = "POST /api/v1/workflows/{workflow_id}/execute"
    top = [PARENT_ID, request, "execution"]
    assert sorted(map(path, spans.values())) == sorted(
        [
            top[:2], top,
            [*top, "http_request"], [*top, "http_request", "POST"],
            [*top, "sub_workflow"], [*top, "sub_workflow", "execution"],
            [*top, "sub_workflow", "execution", "log"],
            # It goes on when the child has ended.
            [*top, "sub_workflow"],
            [*top, "webhook delivery"], [*top, "webhook delivery", "POST"],
            [*top, "sub_workflow", "execution", "webhook delivery"],
            [*top, "sub_workflow", "execution", "webhook delivery", "POST"],
        ]
    )  # fmt: skip
    processes = {named["service.instance.id"] for named, _ in in_trace(far_end)}
    assert len(processes) >= 3, "web, a process of the pool, the sender of webhooks"
    (component,) = [span for span in spans.values() if span.name == "http_request"]
    assert facts(component) == {
        "apg.execution_id": execution_id, "apg.component_id": "call", "apg.component_type": "http_request",
        "apg.attempt": 1, "apg.outcome": "completed",
    }  # fmt: skip
    (outbound,) = [span for span in spans.values() if path(span) == [*top, "http_request", "POST"]]
    assert facts(outbound) == {
        "http.request.method": "POST", "server.address": "127.0.0.1", "server.port": far_end.port,
        "url.scheme": "http", "http.response.status_code": 200,
    }  # fmt: skip
    (sent,) = [headers for path_, headers in far_end.calls if path_.startswith("/a-path")]
    assert sent["traceparent"] == f"00-{TRACE_ID}-{outbound.span_id.hex()}-01"
    assert not [span for _, span in far_end.spans if b"secret" in span.SerializeToString()]


def check_counts(counted: dict[tuple[str, ...], float]) -> None:
    assert {series: counted.get(series) for series in COUNTS} == COUNTS


def check_lines(text: str, folder: Path) -> None:
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    # What Celery says past all logging: to root, who is not meant to run it, and at its end.
    assert "Traceback" not in text
    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, lines))
    assert [line for line in lines if line["logger"].startswith("celery")]
    assert "secret" not in text


def test_a_collector_that_is_away_or_hangs_hurts_nobody(token: str, tmp_path: Path) -> None:
    class Hanging(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            let_go.wait(60)

        def log_message(self, *_: Any) -> None:
            pass

    let_go = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hanging)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        environment: dict[str, Any] = {
            "APG_OTEL_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
            "APG_METRICS_TOKEN": TOKEN,
        }
        with collector() as far_end, web_server(**environment) as web, workers(tmp_path, **environment) as started:
            execution_id = run(web, token, far_end.url)
            eventually(ended(execution_id), timeout=60)
            started["worker"].send_signal(signal.SIGTERM)
            assert started["worker"].wait(30) == 0
    finally:
        let_go.set()
        server.shutdown()
        server.server_close()
