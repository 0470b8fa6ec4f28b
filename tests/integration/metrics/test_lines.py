"""What a worker logs while it makes an attempt says which execution, component and attempt it is of."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from accounts.models import User
from core.log_lines import ContextFilter, JSONLines
from core.request_id import RequestIdFilter
from executions import failpoints
from executions.models import Execution
from tests.integration.executions.conftest import Doorbells, linear, log, start

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged, as JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONLines())
    handler.addFilter(RequestIdFilter())
    handler.addFilter(ContextFilter())
    logging.getLogger("executions").addHandler(handler)
    yield stream
    logging.getLogger("executions").removeHandler(handler)


def test_a_line_from_inside_an_attempt_says_whose_it_is(
    alice: User, doorbells: Doorbells, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = start(alice, linear(log("a"), log("b")))
    Execution.objects.filter(pk=execution.pk).update(request_id="r-7")
    monkeypatch.setenv("APG_FAILPOINTS", "before_run=raise")
    failpoints.reload()
    doorbells.work()
    monkeypatch.delenv("APG_FAILPOINTS")
    failpoints.reload()
    logging.getLogger("executions").warning("Afterwards")
    first, last = map(json.loads, lines.getvalue().splitlines())
    assert first["message"].startswith("Component raised FailpointError at")
    facts = {name: first[name] for name in ("request_id", "execution_id", "component_id", "attempt", "action")}
    assert facts == {
        "request_id": "r-7", "execution_id": execution.pk, "component_id": "a", "attempt": 1,
        "action": "component_raised",
    }  # fmt: skip
    assert last["message"] == "Afterwards"
    assert {"request_id", "execution_id", "component_id", "attempt"}.isdisjoint(last)
