"""The examples of docs/triggers.md are valid, and its words are the code's."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from executions.hooks import MAX_WAIT_SECONDS
from executions.reactions import MAX_CHAIN
from executions.schedule_actions import MAX_BACKFILL
from workflows.components.control import TRIGGER_EVENTS
from workflows.expressions import render
from workflows.schedule import GRACE, MAX_COUNTED
from workflows.validation import report

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "triggers.md").read_text()
STARTS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL) if '"start"' in block]


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start["config"]["trigger_type"])
def test_an_example_can_be_saved(start: dict[str, object]) -> None:
    judged = report({"components": [start]})
    assert (judged.errors, judged.warnings) == ([], [])


def test_there_is_an_example_of_each_kind() -> None:
    assert [start["config"]["trigger_type"] for start in STARTS] == ["schedule", "webhook", "event"]


def test_the_day_of_the_example_is_the_slot_s() -> None:
    scope = {"execution": {"slot_at": "2025-03-30T01:00:00Z"}}
    given = render(STARTS[0]["config"]["parameters"], scope, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert given == {"day": "2025-03-30"}


def test_every_reason_of_the_code_is_explained() -> None:
    sources = [ROOT / "executions" / name for name in ("triggers.py", "reactions.py", "hooks.py")]
    sources += [ROOT / "workflows" / name for name in ("activation.py", "schedule.py", "services.py")]
    code = "".join(path.read_text() for path in sources)
    found = set(re.findall(r'RefusedError\(\s*"(\w+)"', code))
    found |= set(re.findall(r'(?:skipped|tell_of_open_slots|Skip)\([^"\n]*"(\w+)"', code))
    found |= {"missed", "catchup_window_passed", "superseded", "paused"}
    assert {reason for reason in found if f"`{reason}`" not in PAGE} == set()
    assert {"overlap", "refused", "workflow_inactive", "chain"} <= found


def test_the_numbers_are_the_code_s() -> None:
    for number in (MAX_BACKFILL, MAX_CHAIN, MAX_WAIT_SECONDS, f"{MAX_COUNTED:,}", f"{GRACE.seconds} seconds"):
        assert str(number) in PAGE
    assert all(f".{event.partition('.')[2]}" in PAGE for event in TRIGGER_EVENTS)
