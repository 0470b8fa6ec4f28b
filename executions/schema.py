"""GraphQL: executions, their component runs and log lines; execute, cancel and retry."""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

import graphene
from django.db.models import OuterRef
from graphql import GraphQLResolveInfo as Info

from accounts.callers import Caller
from accounts.permissions import require_scope
from accounts.scopes import Scope
from core.errors import BadRequestError
from core.graphql_rest import answering, body_of, id_of, query_of, unless_absent
from core.graphql_scalars import EMPTY_OBJECT, JSON, DateTime
from core.pagination import page_bounds, paginate_keys
from core.query import text
from core.siblings import Node, children_of_each, nodes
from core.types import JSONObject, JSONValue
from events.event_types import LOG_LEVELS
from events.models import Event
from executions import interventions, listing, models, outputs, queries, services, states
from executions.filters import execution_filter
from executions.outputs import OutputUnavailableError
from executions.serializers import (
    ExecuteSerializer,
    RetrySerializer,
    component_run_summary,
    execution_summary,
    log_data,
)
from workflows import access
from workflows.models import Workflow as StoredWorkflow
from workflows.schema import Workflow, data_of, workflow_nodes

# What GraphQL's Int holds.
_MAX_INT = 2**31 - 1
# The words that the printed enum has for the states that it has not (contract §9).
_PRINTED_STATUS = {
    states.RunStatus.SKIPPED.value: states.ExecutionStatus.CANCELLED.value,
    states.RunStatus.WAITING.value: states.ExecutionStatus.RUNNING.value,
}


class ExecutionStatus(graphene.Enum):
    """`PENDING` waits for its time, `QUEUED` for a slot or a worker."""

    class Meta:
        enum = states.ExecutionStatus


class LogLevel(graphene.Enum):
    """How much a log line matters."""

    class Meta:
        enum = Enum("LogLevel", {level.upper(): level for level in LOG_LEVELS})  # type: ignore[misc]  # not a literal


def execution_nodes(executions: Iterable[models.Execution]) -> list[Node[models.Execution]]:
    """Executions that were asked for together, as `listing.by_ids` and `queries.get_visible` read them."""
    return nodes(executions, _data)


def _data(execution: models.Execution) -> JSONObject:
    # Results are fetched where they are asked for.
    return execution_summary(execution, current_component=getattr(execution, "current_component", None))


def visible_execution(caller: Caller, execution_id: str) -> Node[models.Execution]:
    """One execution. Raises NotAllowedError without the scope, NotFoundError if absent or hidden."""
    require_scope(caller, Scope.EXECUTION_READ)
    return _node(_visible(caller, execution_id))


def _visible(caller: Caller, execution_id: str) -> models.Execution:
    return queries.get_visible(caller, id_of(execution_id, "Execution"))


def _node(execution: models.Execution) -> Node[models.Execution]:
    (node,) = execution_nodes([execution])
    return node


def _readable(name: str, default: object, root: Node[models.Execution], info: Info, **arguments: object) -> Any:
    """What REST shows; who may start or cancel and not read learns no more than where it stands."""
    if name not in {"id", "workflow_id", "status"}:
        require_scope(info.context, Scope.EXECUTION_READ)
    return root.data[name]


class ExecutionProgress(graphene.ObjectType):
    """How far an execution has come."""

    current_component = graphene.String()
    completed_components = graphene.Int(required=True)
    total_components = graphene.Int(required=True)
    percentage = graphene.Float(required=True)


class ResourceUsage(graphene.ObjectType):
    """What the components needed; `networkBytes` stops at what an Int holds, 2147483647."""

    cpu_seconds = graphene.Float(required=True)
    memory_mb = graphene.Int(required=True)
    network_bytes = graphene.Int(required=True)

    @staticmethod
    def resolve_network_bytes(root: JSONObject, info: Info) -> int:
        return min(int(root["network_bytes"]), _MAX_INT)


class ExecutionLog(graphene.ObjectType):
    """A log line."""

    class Meta:
        default_resolver = data_of

    timestamp = DateTime(required=True)
    level = LogLevel(required=True)
    component_id = graphene.String()
    message = graphene.String(required=True)
    metadata = JSON()


class ComponentExecution(graphene.ObjectType):
    """A component run. `status` has the printed words; `state` is exact: also `skipped` and `waiting`."""

    class Meta:
        default_resolver = data_of

    id = graphene.ID(required=True)
    execution_id = graphene.ID(required=True)
    component_id = graphene.String(required=True)
    component_type = graphene.String(required=True)
    status = ExecutionStatus(required=True)
    state = graphene.String(required=True)
    input_data = JSON()
    output_data = JSON()
    error_message = graphene.String()
    duration = graphene.Int()
    started_at = DateTime()
    completed_at = DateTime()

    @staticmethod
    def resolve_execution_id(root: Node[models.ComponentRun], info: Info) -> str:
        return str(root.row.execution_id)

    @staticmethod
    def resolve_status(root: Node[models.ComponentRun], info: Info) -> str:
        state: str = root.data["status"]
        return _PRINTED_STATUS.get(state, state)

    @staticmethod
    def resolve_state(root: Node[models.ComponentRun], info: Info) -> str:
        return str(root.data["status"])

    @staticmethod
    def resolve_input_data(root: Node[models.ComponentRun], info: Info) -> JSONValue:
        if root.row.started_at is None:
            return None
        handed = root.siblings.load("inputs", _inputs)[root.row.pk]
        if isinstance(handed, OutputUnavailableError):
            raise handed
        return handed

    @staticmethod
    def resolve_output_data(root: Node[models.ComponentRun], info: Info) -> JSONValue:
        root.siblings.load("outputs", outputs.prefetch)
        return outputs.output_of(root.row)

    @staticmethod
    def resolve_error_message(root: Node[models.ComponentRun], info: Info) -> str | None:
        return root.row.error["message"] if root.row.error else None

    @staticmethod
    def resolve_duration(root: Node[models.ComponentRun], info: Info) -> int | None:
        duration: int | None = root.data["duration_seconds"]
        return duration


def _inputs(runs: Sequence[models.ComponentRun]) -> dict[str, JSONValue | OutputUnavailableError]:
    return dict(zip((run.pk for run in runs), queries.inputs_of(runs), strict=True))


class WorkflowExecution(graphene.ObjectType):
    """An execution; all but `id`, `workflowId` and `status` need `execution.read`, `workflow` needs `workflow.read`."""

    class Meta:
        default_resolver = _readable

    id = graphene.ID(required=True)
    workflow_id = graphene.ID(required=True)
    workflow = graphene.Field(graphene.NonNull(Workflow))
    status = ExecutionStatus(required=True)
    priority = graphene.Int(required=True)
    progress = graphene.Field(graphene.NonNull(ExecutionProgress))
    parameters = JSON()
    results = JSON()
    error_message = graphene.String()
    started_at = DateTime()
    completed_at = DateTime()
    duration = graphene.Int()
    resource_usage = graphene.Field(graphene.NonNull(ResourceUsage))
    created_by = graphene.ID(required=True)
    created_at = DateTime(required=True)
    logs = graphene.List(
        graphene.NonNull(ExecutionLog), level=LogLevel(), component_id=graphene.String(), required=True
    )
    component_executions = graphene.List(graphene.NonNull(ComponentExecution), required=True)

    @staticmethod
    def of_workflow(
        root: Node[StoredWorkflow], info: Info, limit: int | None, offset: int | None
    ) -> Sequence[Node[models.Execution]]:
        """The workflow's executions, the newest first; loaded for all its siblings at once."""
        require_scope(info.context, Scope.EXECUTION_READ)
        bounds = page_bounds(query_of(limit=limit, offset=offset))
        return root.siblings.load(("executions", bounds), lambda rows: _of_workflows(rows, *bounds))[root.row.pk]

    @staticmethod
    def resolve_results(root: Node[models.Execution], info: Info) -> JSONValue:
        require_scope(info.context, Scope.EXECUTION_READ)
        refused = root.siblings.load("results", _read_results)
        if refused is not None:
            raise refused
        return outputs.results_of(root.row)

    @staticmethod
    def resolve_workflow(root: Node[models.Execution], info: Info) -> Node[StoredWorkflow]:
        require_scope(info.context, Scope.WORKFLOW_READ)
        return root.siblings.load("workflow", _workflows)[root.row.workflow_id]

    @staticmethod
    def resolve_duration(root: Node[models.Execution], info: Info) -> int | None:
        require_scope(info.context, Scope.EXECUTION_READ)
        duration: int | None = root.data["duration_seconds"]
        return duration

    @staticmethod
    def resolve_logs(
        root: Node[models.Execution], info: Info, level: Any = None, component_id: str | None = None
    ) -> Sequence[Node[Event]]:
        require_scope(info.context, Scope.EXECUTION_READ)
        wanted = (level and level.value, text(query_of(component_id=component_id), "component_id"))
        return root.siblings.load(("logs", wanted), lambda rows: _logs(rows, *wanted))[root.row.pk]

    @staticmethod
    def resolve_component_executions(root: Node[models.Execution], info: Info) -> Sequence[Node[models.ComponentRun]]:
        require_scope(info.context, Scope.EXECUTION_READ)
        return root.siblings.load("runs", _runs)[root.row.pk]


def _read_results(executions: Sequence[models.Execution]) -> BadRequestError | None:
    """Why they are not read, which is found out once for all siblings."""
    try:
        listing.read_results(executions)
    except BadRequestError as refused:
        return refused
    return None


def _of_workflows(
    workflows: Sequence[StoredWorkflow], limit: int, offset: int
) -> dict[str, list[Node[models.Execution]]]:
    found = children_of_each(
        StoredWorkflow.objects.filter(pk__in=[workflow.pk for workflow in workflows]),
        models.Execution.objects.filter(workflow=OuterRef("pk")).order_by("-pk"),
        listing.by_ids,
        _data,
        limit=limit,
        offset=offset,
    )
    return {workflow.pk: found.get(workflow.pk, []) for workflow in workflows}


def _workflows(executions: Sequence[models.Execution]) -> dict[str, Node[StoredWorkflow]]:
    distinct = {execution.workflow_id: execution.workflow for execution in executions}
    return {node.row.pk: node for node in workflow_nodes(distinct.values())}


def _logs(
    executions: Sequence[models.Execution], level: str | None, component_id: str | None
) -> dict[str, list[Node[Event]]]:
    found = children_of_each(
        _by_pk(executions),
        queries.log_events_of(OuterRef("pk"), level=level, component_id=component_id),
        lambda keys: Event.objects.filter(pk__in=keys),
        log_data,
    )
    return {execution.pk: found.get(execution.pk, []) for execution in executions}


def _runs(executions: Sequence[models.Execution]) -> dict[str, list[Node[models.ComponentRun]]]:
    by_id = {execution.pk: execution for execution in executions}

    def load(keys: Sequence[str]) -> Iterable[models.ComponentRun]:
        for run in models.ComponentRun.objects.filter(pk__in=keys).select_related("item"):
            run.execution = by_id[run.execution_id]
            yield run

    found = children_of_each(
        _by_pk(executions),
        queries.in_definition_order(models.ComponentRun.objects.filter(execution=OuterRef("pk"))),
        load,
        component_run_summary,
    )
    return {execution.pk: found.get(execution.pk, []) for execution in executions}


def _by_pk(executions: Sequence[models.Execution]) -> models.ExecutionQuerySet:
    return models.Execution.objects.filter(pk__in=[execution.pk for execution in executions])


class ExecutionQueries:
    """What may be asked about executions."""

    executions = graphene.List(
        graphene.NonNull(WorkflowExecution),
        limit=graphene.Int(default_value=50),
        offset=graphene.Int(default_value=0),
        workflow_id=graphene.ID(),
        status=ExecutionStatus(),
        start_date=DateTime(),
        end_date=DateTime(),
        required=True,
    )
    execution = graphene.Field(WorkflowExecution, id=graphene.ID(required=True))

    @staticmethod
    def resolve_executions(root: object, info: Info, **arguments: Any) -> Sequence[Node[models.Execution]]:
        require_scope(info.context, Scope.EXECUTION_READ)
        query = query_of(**arguments)
        page = paginate_keys(listing.keys(info.context, execution_filter(query)), listing.by_ids, query)
        return execution_nodes(page.items)

    @staticmethod
    @unless_absent
    def resolve_execution(root: object, info: Info, id: str) -> Node[models.Execution]:  # noqa: A002 - the argument's name
        return visible_execution(info.context, id)


class ExecuteWorkflowInput(graphene.InputObjectType):
    """As the body of `POST workflows/{id}/execute`."""

    parameters = JSON(default_value=EMPTY_OBJECT)
    priority = graphene.Int(default_value=5)
    scheduled_at = DateTime()
    tags = graphene.List(graphene.NonNull(graphene.String), default_value=[])


class RetryExecutionInput(graphene.InputObjectType):
    """As the body of `POST executions/{id}/retry`."""

    from_component = graphene.String()
    parameters = JSON()


class ExecuteWorkflowResult(graphene.ObjectType):
    """The execution that was started, or why none was: `CODE: message`."""

    success = graphene.Boolean(required=True)
    execution = graphene.Field(WorkflowExecution)
    errors = graphene.List(graphene.NonNull(graphene.String), required=True)


class CancelExecutionResult(graphene.ObjectType):
    """The execution as it is now, or why it was not cancelled: `CODE: message`."""

    success = graphene.Boolean(required=True)
    execution = graphene.Field(WorkflowExecution)
    errors = graphene.List(graphene.NonNull(graphene.String), required=True)


class RetryExecutionResult(graphene.ObjectType):
    """The new execution, or why there is none: `CODE: message`."""

    success = graphene.Boolean(required=True)
    execution = graphene.Field(WorkflowExecution)
    errors = graphene.List(graphene.NonNull(graphene.String), required=True)


class ExecutionMutations:
    """What may be done with executions; the same rules, entries in the audit log and events as REST."""

    execute_workflow = graphene.Field(
        graphene.NonNull(ExecuteWorkflowResult),
        workflow_id=graphene.ID(required=True),
        input=ExecuteWorkflowInput(required=True),
    )
    cancel_execution = graphene.Field(graphene.NonNull(CancelExecutionResult), id=graphene.ID(required=True))
    retry_execution = graphene.Field(
        graphene.NonNull(RetryExecutionResult),
        id=graphene.ID(required=True),
        input=RetryExecutionInput(required=True),
    )

    @staticmethod
    @answering(ExecuteWorkflowResult)
    def resolve_execute_workflow(root: object, info: Info, workflow_id: str, input: JSONObject) -> JSONObject:  # noqa: A002
        require_scope(info.context, Scope.WORKFLOW_EXECUTE)
        workflow = access.get_visible(info.context, id_of(workflow_id, "Workflow"))
        access.require(info.context, access.Action.EXECUTE, workflow)
        body = ExecuteSerializer(data=body_of(input)).validated()
        started = services.start_execution(
            workflow=workflow, user=info.context.user, request=services.StartRequest(**body)
        )
        return {"execution": _node(_visible(info.context, started.execution.pk))}

    @staticmethod
    @answering(CancelExecutionResult)
    def resolve_cancel_execution(root: object, info: Info, id: str) -> JSONObject:  # noqa: A002
        execution = _to_manage(info.context, id)
        interventions.cancel_execution(execution)
        return {"execution": _node(_visible(info.context, execution.pk))}

    @staticmethod
    @answering(RetryExecutionResult)
    def resolve_retry_execution(root: object, info: Info, id: str, input: JSONObject) -> JSONObject:  # noqa: A002
        execution = _to_manage(info.context, id)
        body = RetrySerializer(data=body_of(input)).validated()
        new = interventions.retry_execution(
            execution=execution, user=info.context.user, request=interventions.RetryRequest(**body)
        )
        return {"execution": _node(_visible(info.context, new.pk))}


def _to_manage(caller: Caller, execution_id: str) -> models.Execution:
    require_scope(caller, Scope.EXECUTION_MANAGE)
    execution = _visible(caller, execution_id)
    access.require(caller, access.Action.EXECUTE, execution.workflow)
    return execution
