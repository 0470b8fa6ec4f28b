"""The workflow that the API reference's examples are about, and the executions that their numbers come from."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from core.types import JSONObject
from executions.models import Execution
from executions.states import ExecutionStatus
from tests.api import Api
from tests.contract.reference import EXAMPLES, send
from tests.integration.executions.conftest import linear, log
from tests.integration.workflows.conftest import execution

START: JSONObject = {"id": "start", "type": "start", "config": {"trigger_type": "manual"}}
PIPELINE = {
    "name": "Data Processing Pipeline",
    "description": "ETL pipeline for customer data",
    "category": "data_processing",
    "tags": ["etl", "customer_data"],
}


def made(api: Api, definition: JSONObject, *, active: bool = True, **more: Any) -> str:
    """The id of the workflow that the page shows, with that definition."""
    answer = api.post("/workflows", {**PIPELINE, "definition": definition, **more})
    assert answer.status == 201, answer.body
    if active:
        activated = api.post(f"/workflows/{answer.data['id']}/activate")
        assert activated.status == 200, activated.body
    return str(answer.data["id"])


def printed_definition() -> JSONObject:
    """The definition that `Get Workflow` shows."""
    definition: JSONObject = EXAMPLES["Get Workflow"].answer["data"]["definition"]
    return definition


def five(transform: JSONObject, extract: JSONObject | None = None) -> JSONObject:
    """Five components: start, extract, the given `transform`, load and end, whose connections are four."""
    components = (START, extract or log("extract"), transform, log("load"), {"id": "end", "type": "end", "config": {}})
    parameter = {"name": "api_token", "type": "string", "required": True, "description": "API token for data source"}
    return {**linear(*components), "parameters": [parameter]}


def ended(workflow_id: str, status: ExecutionStatus, count: int, seconds: int = 300) -> None:
    """So many executions that ended like that after so many seconds."""
    for _ in range(count):
        row = execution(workflow_id, status)
        moment: datetime = timezone.now()
        Execution.objects.filter(pk=row.pk).update(started_at=moment - timedelta(seconds=seconds), completed_at=moment)


def started(api: Api, workflow_id: str) -> str:
    """The id of an execution accepted with the printed body."""
    answer = send(api, "Execute Workflow", workflow_id=workflow_id)
    assert answer.status == 201, answer.body
    return str(answer.data["execution_id"])
