"""Without an address of a collector nothing of OpenTelemetry is loaded; with a bad one nothing starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_LOAD = """
import sys


class NotInstalled:
    # As where the extra is not installed; redis-py loads its metrics where it is.

    def find_spec(self, name, path=None, target=None):
        if name == "opentelemetry" and {absent}:
            raise ModuleNotFoundError(name, name=name)


sys.meta_path.insert(0, NotInstalled())
import django
django.setup()
import config.urls, config.asgi, config.celery, config.webhooks_worker, executions.tasks, webhooks.tasks
from core import tracing
assert not tracing.enabled()
with tracing.span("x") as span:
    span.set("a", 1)
    span.rename("y")
    span.fail("no")
assert tracing.current_traceparent() == tracing.current_trace_id() == tracing.of_execution("x", "") == ""
tracing.close()
print([name for name in sys.modules if name.startswith({prefixes})])
"""


def run(
    *, absent: bool = False, prefixes: tuple[str, ...] = ("opentelemetry",), **more: str
) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if "OTEL" not in name}
    environment = {**kept, "DJANGO_SETTINGS_MODULE": "config.settings", **more}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _LOAD.format(absent=absent, prefixes=prefixes)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_nothing_is_loaded_where_nobody_wants_spans() -> None:
    done = run(prefixes=("opentelemetry.sdk.trace", "opentelemetry.exporter", "core.tracing_sdk"))
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_without_the_extra_all_is_well_until_somebody_wants_spans() -> None:
    done = run(absent=True)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
    done = run(absent=True, APG_OTEL_ENDPOINT="http://127.0.0.1:4318")
    assert "APG_OTEL_ENDPOINT needs the extra otel" in done.stderr
    assert done.returncode != 0


@pytest.mark.parametrize(
    "address",
    ["collector:4318", "grpc://collector:4317", "http://", "http://user:secret@collector:4318", "http://c/?a=b"],
)
def test_an_address_that_is_none_stops_the_start_without_being_told(address: str) -> None:
    done = run(APG_OTEL_ENDPOINT=address)
    assert done.returncode != 0
    assert "APG_OTEL_ENDPOINT must be an address as in http://collector:4318" in done.stderr
    assert "secret" not in done.stderr
