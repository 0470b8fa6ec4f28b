"""GraphQL: workflows, and what changes them."""

from collections.abc import Iterable, Sequence
from typing import Any

import graphene
from graphql import GraphQLResolveInfo as Info
from graphql import get_named_type

from accounts.callers import Caller
from accounts.permissions import require_scope
from accounts.scopes import Scope
from core.graphql_rest import answering, body_of, id_of, query_of, unless_absent
from core.graphql_scalars import JSON, DateTime
from core.pagination import paginate
from core.siblings import Node, nodes
from core.types import JSONObject, JSONValue
from workflows import access, models, queries, services
from workflows.filters import filter_workflows
from workflows.queries import Statistics
from workflows.serializers import UpdateWorkflowSerializer, WorkflowSerializer, detail

_EXECUTIONS = "executions.schema.WorkflowExecution"


class WorkflowStatus(graphene.Enum):
    """Drafts and active workflows can be executed; triggers start only active ones."""

    class Meta:
        enum = models.WorkflowStatus


def data_of(name: str, default: object, root: Node[Any], info: Info, **arguments: object) -> Any:
    """A type's default resolver: what REST shows under that name."""
    return root.data[name]


def workflow_nodes(workflows: Iterable[models.Workflow]) -> list[Node[models.Workflow]]:
    """Workflows that were asked for together."""
    return nodes(workflows, lambda workflow: detail(workflow, {}, triggers=()))


def workflow_node(workflow: models.Workflow) -> Node[models.Workflow]:
    """One workflow by itself."""
    (node,) = workflow_nodes([workflow])
    return node


class Workflow(graphene.ObjectType):
    """A workflow; its definition and numbers need `workflow.read`, its executions `execution.read`."""

    class Meta:
        default_resolver = data_of

    id = graphene.ID(required=True)
    name = graphene.String(required=True)
    description = graphene.String()
    definition = JSON(required=True)
    status = WorkflowStatus(required=True)
    category = graphene.String()
    tags = graphene.List(graphene.NonNull(graphene.String), required=True)
    version = graphene.Int(required=True)
    component_count = graphene.Int(required=True)
    execution_count = graphene.Int(required=True)
    success_rate = graphene.Float(required=True)
    last_execution_at = DateTime()
    created_by = graphene.ID(required=True)
    created_at = DateTime(required=True)
    updated_at = DateTime(required=True)
    executions = graphene.List(
        graphene.NonNull(_EXECUTIONS), limit=graphene.Int(), offset=graphene.Int(), required=True
    )
    recent_executions = graphene.List(
        graphene.NonNull(_EXECUTIONS), limit=graphene.Int(default_value=10), required=True
    )

    @staticmethod
    def resolve_definition(root: Node[models.Workflow], info: Info) -> JSONValue:
        require_scope(info.context, Scope.WORKFLOW_READ)
        found = root.siblings.load("definition", queries.current_definitions)
        return found[root.row.pk] if root.row.pk in found else queries.current_definition(root.row)

    @staticmethod
    def resolve_execution_count(root: Node[models.Workflow], info: Info) -> int:
        return _numbers(root, info).execution_count

    @staticmethod
    def resolve_success_rate(root: Node[models.Workflow], info: Info) -> float:
        return _numbers(root, info).success_rate

    @staticmethod
    def resolve_last_execution_at(root: Node[models.Workflow], info: Info) -> object:
        return _numbers(root, info).last_execution_at

    @staticmethod
    def resolve_executions(
        root: Node[models.Workflow], info: Info, limit: int | None = None, offset: int | None = None
    ) -> Sequence[Node[Any]]:
        return _executions(root, info, limit, offset)

    @staticmethod
    def resolve_recent_executions(
        root: Node[models.Workflow], info: Info, limit: int | None = None
    ) -> Sequence[Node[Any]]:
        return _executions(root, info, 10 if limit is None else limit, None)


def _numbers(root: Node[models.Workflow], info: Info) -> Statistics:
    require_scope(info.context, Scope.WORKFLOW_READ)
    return root.siblings.load("statistics", queries.statistics).get(root.row.pk, Statistics())


def _executions(root: Node[models.Workflow], info: Info, limit: int | None, offset: int | None) -> Sequence[Node[Any]]:
    # The type that the field has names the app above, which this one may not import.
    type_: Any = get_named_type(info.return_type)
    found: Sequence[Node[Any]] = type_.graphene_type.of_workflow(root, info, limit, offset)
    return found


class WorkflowQueries:
    """What may be asked about workflows."""

    workflows = graphene.List(
        graphene.NonNull(Workflow),
        limit=graphene.Int(default_value=50),
        offset=graphene.Int(default_value=0),
        category=graphene.String(),
        status=WorkflowStatus(),
        search=graphene.String(),
        tags=graphene.List(graphene.NonNull(graphene.String)),
        created_by=graphene.ID(),
        required=True,
    )
    workflow = graphene.Field(Workflow, id=graphene.ID(required=True))

    @staticmethod
    def resolve_workflows(root: object, info: Info, **arguments: Any) -> Sequence[Node[models.Workflow]]:
        require_scope(info.context, Scope.WORKFLOW_READ)
        query = query_of(**arguments)
        return workflow_nodes(paginate(filter_workflows(access.visible_to(info.context), query), query).items)

    @staticmethod
    @unless_absent
    def resolve_workflow(root: object, info: Info, id: str) -> Node[models.Workflow]:  # noqa: A002 - the argument's name
        return visible_workflow(info.context, id)


def visible_workflow(caller: Caller, workflow_id: str) -> Node[models.Workflow]:
    """One workflow. Raises NotAllowedError without the scope, NotFoundError if absent or hidden."""
    require_scope(caller, Scope.WORKFLOW_READ)
    return workflow_node(_visible(caller, workflow_id))


def _visible(caller: Caller, workflow_id: str) -> models.Workflow:
    return access.get_visible(caller, id_of(workflow_id, "Workflow"))


class CreateWorkflowInput(graphene.InputObjectType):
    """As the body of `POST workflows`."""

    name = graphene.String(required=True)
    description = graphene.String()
    definition = JSON(required=True)
    category = graphene.String()
    tags = graphene.List(graphene.NonNull(graphene.String), default_value=[])
    priority = graphene.Int(default_value=5)


class UpdateWorkflowInput(graphene.InputObjectType):
    """As the body of `PATCH workflows/{id}`: what is left out, or null, stays as it is."""

    name = graphene.String()
    description = graphene.String()
    definition = JSON()
    category = graphene.String()
    tags = graphene.List(graphene.NonNull(graphene.String))
    priority = graphene.Int()
    status = WorkflowStatus()


class CreateWorkflowResult(graphene.ObjectType):
    """The draft that was made, or why there is none: `CODE: message`."""

    success = graphene.Boolean(required=True)
    workflow = graphene.Field(Workflow)
    errors = graphene.List(graphene.NonNull(graphene.String), required=True)


class UpdateWorkflowResult(graphene.ObjectType):
    """The workflow as it is now, or why nothing was changed: `CODE: message`."""

    success = graphene.Boolean(required=True)
    workflow = graphene.Field(Workflow)
    errors = graphene.List(graphene.NonNull(graphene.String), required=True)


class DeleteWorkflowResult(graphene.ObjectType):
    """Whether it is gone, or why not: `CODE: message`."""

    success = graphene.Boolean(required=True)
    errors = graphene.List(graphene.NonNull(graphene.String), required=True)


class WorkflowMutations:
    """What may be done with workflows; the same rules, entries in the audit log and events as REST."""

    create_workflow = graphene.Field(graphene.NonNull(CreateWorkflowResult), input=CreateWorkflowInput(required=True))
    update_workflow = graphene.Field(
        graphene.NonNull(UpdateWorkflowResult),
        id=graphene.ID(required=True),
        input=UpdateWorkflowInput(required=True),
    )
    delete_workflow = graphene.Field(
        graphene.NonNull(DeleteWorkflowResult),
        id=graphene.ID(required=True),
        force=graphene.Boolean(default_value=False),
    )

    @staticmethod
    @answering(CreateWorkflowResult)
    def resolve_create_workflow(root: object, info: Info, input: JSONObject) -> JSONObject:  # noqa: A002
        require_scope(info.context, Scope.WORKFLOW_WRITE)
        body = WorkflowSerializer(data=body_of(input)).validated()
        return {"workflow": workflow_node(services.create_workflow(user=info.context.user, **body))}

    @staticmethod
    @answering(UpdateWorkflowResult)
    def resolve_update_workflow(root: object, info: Info, id: str, input: JSONObject) -> JSONObject:  # noqa: A002
        require_scope(info.context, Scope.WORKFLOW_WRITE)
        workflow = _visible(info.context, id)
        access.require(info.context, access.Action.EDIT, workflow)
        changes = UpdateWorkflowSerializer(data=body_of(input), partial=True).validated()
        updated = services.update_workflow(workflow=workflow, user=info.context.user, changes=changes)
        return {"workflow": workflow_node(updated)}

    @staticmethod
    @answering(DeleteWorkflowResult)
    def resolve_delete_workflow(root: object, info: Info, id: str, force: bool | None = False) -> JSONObject:  # noqa: A002
        require_scope(info.context, Scope.WORKFLOW_DELETE)
        workflow = _visible(info.context, id)
        access.require(info.context, access.Action.DELETE, workflow)
        services.delete_workflow(workflow=workflow, force=bool(force))
        return {}
