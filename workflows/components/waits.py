"""Components that wait for others: wait_for_signal, approval, sub_workflow."""

from typing import ClassVar

from core.errors import ErrorCode
from core.types import JSONObject
from workflows.components.base import Child, Completed, Component, Context, Failed, Outcome, WaitingForSignal
from workflows.components.control import ANY, TEN_YEARS_SECONDS, object_schema

_TIMEOUT: JSONObject = {
    "title": "Time limit",
    "description": "Seconds to wait; over it the component fails with TIMEOUT_ERROR. Without one it waits on",
    "type": "number",
    "exclusiveMinimum": 0,
    "maximum": TEN_YEARS_SECONDS,
    "examples": [86400],
}


class WaitForSignal(Component):
    """A wait for somebody to say something."""

    type: ClassVar = "wait_for_signal"
    name: ClassVar = "Wait for a signal"
    description: ClassVar = "Waits, without holding a worker, until a signal of this name is sent to the execution"
    category: ClassVar = "human"
    pure: ClassVar = True
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "signal": {
                "title": "Signal",
                "description": "The name in POST executions/{id}/signals/{name}",
                "type": "string",
                "pattern": "^[A-Za-z0-9_.-]{1,128}$",
                "examples": ["payment_received"],
            },
            "timeout_seconds": _TIMEOUT,
        },
        "signal",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {"title": "The signal's data"}

    def run(self, config: JSONObject, context: Context) -> Outcome:
        ended = context.resumed
        if ended is None:
            return WaitingForSignal(config["signal"], config.get("timeout_seconds"))
        if ended.timed_out:
            return _timed_out(f"No signal {config['signal']}", config)
        return Completed(ended.value)


class Approval(Component):
    """A person's yes or no."""

    type: ClassVar = "approval"
    name: ClassVar = "Approval"
    description: ClassVar = "Waits, without holding a worker, until somebody approves or rejects"
    category: ClassVar = "human"
    pure: ClassVar = True
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "message": {
                "title": "Message",
                "description": "What is to be approved; it stands in the execution's log",
                "type": "string",
                "examples": ["Pay {{ input.total }} EUR to {{ input.supplier }}?"],
            },
            "approvers": {
                "title": "Approvers",
                "description": "User ids or names of groups; without any, whoever may operate the workflow",
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "maxItems": 100,
                "examples": [["finance"]],
            },
            "timeout_seconds": _TIMEOUT,
        },
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {
        "type": "object",
        "properties": {
            "approved": {"title": "Always true: a rejection is a failure", "const": True},
            "comment": {"title": "What the approver said", "type": "string"},
            "by": {"title": "The approver's user id", "type": "string"},
        },
        "required": ["approved", "comment", "by"],
    }

    def run(self, config: JSONObject, context: Context) -> Outcome:
        ended = context.resumed
        if ended is None:
            context.log("info", config.get("message") or "Approval is asked for", approval=context.component_id)
            approvers = tuple(config.get("approvers", ()))
            return WaitingForSignal(context.component_id, config.get("timeout_seconds"), approvers)
        if ended.timed_out:
            return _timed_out("No answer", config)
        answer = ended.value if isinstance(ended.value, dict) else {}
        output = {"approved": True, "comment": answer.get("comment", ""), "by": ended.sender}
        if answer.get("approved") is True:
            return Completed(output)
        comment = f": {output['comment']}" if output["comment"] else ""
        return Failed(f"Rejected{comment}", permanent=True, details={**output, "approved": False})


class SubWorkflow(Component):
    """Another workflow as one component."""

    type: ClassVar = "sub_workflow"
    name: ClassVar = "Sub-workflow"
    description: ClassVar = "Runs another workflow and waits for its results, without holding a worker"
    category: ClassVar = "control"
    pure: ClassVar = True
    config_schema: ClassVar[JSONObject] = object_schema(
        {
            "workflow_id": {
                "title": "Workflow",
                "description": "The id of a workflow that the owner of this one may run",
                "type": "string",
                "minLength": 1,
                "examples": ["01HQNZ2G5XKJ8P7M9N6V3R4T5W"],
            },
            "parameters": {
                "title": "Parameters",
                "description": "What the workflow is given",
                "type": "object",
                "default": {},
                "examples": [{"customer": "{{ input.id }}"}],
            },
            "version": {
                "title": "Version",
                "description": "The number of one of its versions; without one, the current",
                "type": "integer",
                "minimum": 1,
                "examples": [3],
            },
        },
        "workflow_id",
    )
    input_schema: ClassVar[JSONObject] = ANY
    output_schema: ClassVar[JSONObject] = {"title": "The workflow's results"}

    def run(self, config: JSONObject, context: Context) -> Outcome:
        ended = context.resumed
        if ended is None:
            return Child(config["workflow_id"], config.get("parameters", {}), config.get("version"))
        if ended.error is None:
            return Completed(ended.value)
        code = ErrorCode.EXECUTION_FAILED
        return Failed(f"The sub-workflow failed: {ended.error['message']}", code=code, details=ended.error)


def _timed_out(what: str, config: JSONObject) -> Failed:
    return Failed(f"{what} within {config['timeout_seconds']:g} s", code=ErrorCode.TIMEOUT_ERROR, permanent=True)
