"""The example on each component's page runs to its end."""

import json
import re
from pathlib import Path

import pytest

from accounts.models import User
from executions import maintenance
from executions.models import ComponentRun, Execution
from executions.services import StartRequest, start_execution
from executions.states import ExecutionStatus
from tests.integration.executions.conftest import Doorbells, make_workflow
from workflows.components import registry
from workflows.validation import report

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = Path(__file__).parents[3] / "docs" / "components"
TYPES = sorted(registry.BUILT_IN)


@pytest.mark.parametrize("type_", TYPES)
def test_the_example_of_each_component_runs(alice: User, doorbells: Doorbells, type_: str) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", (PAGES / f"{type_}.md").read_text(), re.DOTALL)
    definition = json.loads(example)
    assert report(definition).errors == []
    assert type_ in [component["type"] for component in definition["components"]]
    # Nobody listens there: the page's example handles that.
    parameters = {"url": "http://127.0.0.1:9/"} if type_ == "http_request" else {}
    workflow = make_workflow(alice, definition)
    execution = start_execution(workflow=workflow, user=alice, request=StartRequest(parameters)).execution
    for _ in range(3):
        doorbells.work()
        ComponentRun.objects.filter(status="waiting").update(wake_at="2000-01-01T00:00:00Z")
        maintenance.wake_due()
    assert Execution.objects.get(pk=execution.pk).status == ExecutionStatus.COMPLETED
