"""The example on each component's page runs to its end."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from accounts.secret_store import create_secret
from core.types import JSONObject, JSONValue
from executions import maintenance
from executions.interventions import send_signal
from executions.models import ComponentRun, Execution
from executions.services import StartRequest, start_execution
from executions.states import ExecutionStatus
from tests.integration.executions.conftest import Doorbells, make_workflow
from tests.stand_ins import http_receiver, mail_server, postgres_over_tcp
from workflows.components import registry
from workflows.validation import report

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = Path(__file__).parents[3] / "docs" / "components"
TYPES = sorted(registry.BUILT_IN)


ANSWERS: dict[str, tuple[str, JSONValue]] = {
    "wait_for_signal": ("payment_received", 900),
    "approval": ("ask", {"approved": True, "comment": "fine"}),
}
RESULTS = {
    "for_each": 12,
    "repeat_until": {"iterations": 3, "output": 3},
    "filter": [2],
    "aggregate": {"NO": 100, "SE": 250},
    "script": {"AL": "Lovelace, Ada", "AT": "Turing, Alan"},
    "notification": 200,
    "database_query": [{"country": "NO", "total": 60}, {"country": "SE", "total": 250}],
}


@pytest.fixture
def far_ends() -> Iterator[ExitStack]:
    """Closes the servers that an example needed."""
    with ExitStack() as stack:
        yield stack


def prepare(type_: str, alice: User, stack: ExitStack, settings: Any) -> JSONObject:
    """What the example of a type needs: its parameters, and a far end on this machine."""
    if type_ == "http_request":
        return {"url": "http://127.0.0.1:9/"}  # nobody listens there: the page's example handles that
    if type_ == "sub_workflow":
        child = make_workflow(
            alice, {"components": [{"id": "a", "type": "transform", "config": {"output": "{{ n }}"}}]}
        )
        return {"workflow_id": child.pk}
    if type_ == "notification":
        return {"url": stack.enter_context(http_receiver()).url}
    if type_ == "email":
        mailbox = stack.enter_context(mail_server())
        settings.EMAIL_HOST, settings.EMAIL_PORT = mailbox.host, mailbox.port
    if type_ == "database_query":
        create_secret(owner=alice, name="warehouse_url", value=stack.enter_context(postgres_over_tcp()))
    return {}


@pytest.mark.parametrize("type_", TYPES)
def test_the_example_of_each_component_runs(
    alice: User, doorbells: Doorbells, far_ends: ExitStack, settings: Any, type_: str
) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", (PAGES / f"{type_}.md").read_text(), re.DOTALL)
    definition = json.loads(example)
    assert report(definition).errors == []
    assert type_ in [component["type"] for component in definition["components"]]
    parameters = prepare(type_, alice, far_ends, settings)
    workflow = make_workflow(alice, definition)
    execution = start_execution(workflow=workflow, user=alice, request=StartRequest(parameters)).execution
    if type_ in ANSWERS:
        doorbells.work()
        name, data = ANSWERS[type_]
        assert send_signal(execution=execution, user=alice, name=name, data=data)
    for _ in range(3):
        doorbells.work()
        ComponentRun.objects.filter(status="waiting").update(wake_at="2000-01-01T00:00:00Z")
        maintenance.wake_due()
    ended = Execution.objects.get(pk=execution.pk)
    errors = list(ComponentRun.objects.filter(execution=ended).exclude(error=None).values_list("error", flat=True))
    assert (ended.status, errors if type_ not in {"http_request", "fail"} else []) == (ExecutionStatus.COMPLETED, [])
    if type_ in RESULTS:
        assert ended.results == RESULTS[type_]
