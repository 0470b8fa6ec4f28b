"""Log lines as JSON: what they are about, and nothing that a library put on the record."""

import json
import logging
import sys
from typing import Any

import pytest

from core import log_context
from core.log_context import NOTHING, bind_facts
from core.log_filters import HookTokenFilter
from core.log_lines import ContextFilter, JSONLines
from core.request_id import RequestIdFilter, set_request_id


def written(message: str, *args: object, error: bool = False, **extra: object) -> dict[str, Any]:
    logger = logging.getLogger("executions.runner")
    exc_info = sys.exc_info() if error else None
    record = logger.makeRecord(logger.name, logging.WARNING, "f.py", 1, message, args, exc_info, extra=extra)
    for each in (RequestIdFilter(), HookTokenFilter(), ContextFilter()):
        each.filter(record)
    text = JSONLines().format(record)
    assert "\n" not in text
    line: dict[str, Any] = json.loads(text)
    return line


@pytest.fixture(autouse=True)
def outside_of_everything() -> None:
    """Nothing is bound that another test has left."""
    set_request_id("")
    bind_facts(NOTHING)


def test_a_line_outside_of_everything_says_only_what_there_is() -> None:
    line = written("Sweep failed: %s", "wake_due")
    assert line.pop("time").endswith("Z")
    assert line == {"level": "WARNING", "logger": "executions.runner", "message": "Sweep failed: wake_due"}


def test_a_line_says_what_was_bound_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_context, "worker", "host:1:abc")
    set_request_id("r-1")
    bind_facts({"execution_id": "e", "component_id": "c", "attempt": 2})
    line = written("Lost", action="fenced")
    facts = {name: line[name] for name in ("request_id", "execution_id", "component_id", "attempt", "worker", "action")}
    assert facts == {
        "request_id": "r-1", "execution_id": "e", "component_id": "c", "attempt": 2, "worker": "host:1:abc",
        "action": "fenced",
    }  # fmt: skip


def test_what_a_line_says_itself_goes_before_what_was_bound() -> None:
    bind_facts({"execution_id": "bound"})
    line = written("Rescued", execution_id="its own")
    assert line["execution_id"] == "its own"


def test_what_libraries_put_on_a_record_is_left_out() -> None:
    line = written("Bad Request: %s", "/api/v1/hooks/a-token-of-a-hook", request=object(), data={"args": "secret"})
    assert line["message"] == "Bad Request: /api/v1/hooks/[REDACTED]"
    assert set(line) == {"time", "level", "logger", "message"}


def test_a_traceback_is_one_field() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        line = written("Failed", error=True)
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("ValueError: no")
