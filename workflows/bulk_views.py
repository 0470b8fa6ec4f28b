"""REST: many operations on workflows in one request."""

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.throttling import count_requests
from core.describing import Answers
from core.envelope import failed_item, placed, reply
from core.errors import APGError, NotFoundError, Problem, ValidationFailedError
from core.ids import parse_id
from core.serializers import StrictSerializer
from core.types import JSONObject, JSONValue
from core.views import View
from workflows import bulk
from workflows.bulk import Kind, Operation, Outcome
from workflows.serializers import (
    BulkSerializer,
    DeleteSerializer,
    OperationSerializer,
    UpdateWorkflowSerializer,
    WorkflowSerializer,
)
from workflows.shapes import BULK_RESULTS, EXAMPLE_BULK


class BulkView(View):
    """`POST workflows/bulk`: 200 with a result for each operation, also when some or all were refused.

    For any credential: which scope an operation needs is asked of each by itself.
    """

    any_scope = True

    @Answers(BULK_RESULTS, body=BulkSerializer, example=EXAMPLE_BULK)
    def post(self, request: Request) -> Response:
        """Run bulk operations.

        Each operation is judged on its own, also for its scope; with `atomic` all are done or none.
        """
        body = BulkSerializer(data=request.data).validated()
        # Rates count operations, not requests: the request itself has been counted as one.
        count_requests(request, len(body["operations"]) - 1)
        operations = [_operation(entry) for entry in body["operations"]]
        outcomes = bulk.run_operations(caller=caller(request), operations=operations, atomic=body["atomic"])
        results = [
            _result(index, operation, outcome)
            for index, (operation, outcome) in enumerate(zip(operations, outcomes, strict=True))
        ]
        successful = sum(not isinstance(outcome, APGError) for outcome in outcomes)
        summary = {"total": len(results), "successful": successful, "failed": len(results) - successful}
        message = f"{successful} of {len(results)} operations done"
        return reply({"results": results, "summary": summary}, message=message)


def _operation(entry: JSONValue) -> Operation | APGError:
    if not isinstance(entry, dict):
        return ValidationFailedError("An operation must be an object")
    try:
        body = OperationSerializer(data=entry).validated()
        kind, written = Kind(body["operation"]), body.get("workflow_id")
        if (written is None) != (kind is Kind.CREATE):
            expected = "no workflow_id" if kind is Kind.CREATE else "the id of a workflow"
            problem = Problem(f"{kind} needs {expected}", field="workflow_id", details={"expected": expected})
            raise ValidationFailedError(problems=[problem])
        return Operation(kind, None if written is None else parse_id(written), _data(kind, body["data"]))
    except ValueError:
        # Text that is no id names no workflow, as in an address (contract §2).
        return NotFoundError("Workflow not found")
    except ValidationFailedError as error:
        return error


def _data(kind: Kind, data: JSONObject) -> JSONObject:
    readers: dict[Kind, StrictSerializer] = {
        Kind.CREATE: WorkflowSerializer(data=data),
        Kind.UPDATE: UpdateWorkflowSerializer(data=data, partial=True),
        Kind.DELETE: DeleteSerializer(data=data),
    }
    try:
        return readers.get(kind, StrictSerializer(data=data)).validated()
    except ValidationFailedError as error:
        raise ValidationFailedError(problems=placed("data", error.problems)) from None


def _result(index: int, operation: Operation | APGError, outcome: Outcome) -> JSONObject:
    if isinstance(outcome, APGError):
        # What the services name is part of `data`; what could not be read is named as it stands.
        inside = "data" if isinstance(operation, Operation) else ""
        return failed_item(f"operations[{index}]", outcome, inside)
    if outcome is None:
        assert isinstance(operation, Operation)
        return {"success": True, "data": {"id": operation.workflow_id}}
    data = {"id": outcome.pk, "name": outcome.name, "status": outcome.status, "version": outcome.version}
    return {"success": True, "data": data}
