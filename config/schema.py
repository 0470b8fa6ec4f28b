"""The GraphQL schema: the apps' queries and mutations, what the platform tells of itself, and subscriptions."""

from typing import Any

import graphene
from graphql import GraphQLResolveInfo as Info

from accounts.permissions import require_scope
from accounts.scopes import Scope
from config import system
from core.graphql_scalars import JSON, DateTime
from core.siblings import Node
from core.types import JSONObject
from executions.schema import ExecutionMutations, ExecutionQueries, WorkflowExecution, visible_execution
from templates_app.schema import TemplateMutations, TemplateQueries
from workflows.schema import Workflow, WorkflowMutations, WorkflowQueries, visible_workflow


class WorkflowNumbers(graphene.ObjectType):
    """How many workflows the caller sees."""

    total = graphene.Int(required=True)
    active = graphene.Int(required=True)
    draft = graphene.Int(required=True)


class ExecutionNumbers(graphene.ObjectType):
    """How many of their executions were made since the beginning of today, this week and this month, in UTC."""

    today = graphene.Int(required=True)
    this_week = graphene.Int(required=True)
    this_month = graphene.Int(required=True)
    success_rate = graphene.Float(required=True)


class SystemNumbers(graphene.ObjectType):
    """How busy the machine that answers is, 0 to 1, and how much waits for workers."""

    cpu_usage = graphene.Float(required=True)
    memory_usage = graphene.Float(required=True)
    disk_usage = graphene.Float(required=True)
    queue_depth = graphene.Int(required=True)
    workers = graphene.Int(required=True)


class SystemStats(graphene.ObjectType):
    """As `GET stats` answers."""

    workflows = graphene.Field(graphene.NonNull(WorkflowNumbers))
    executions = graphene.Field(graphene.NonNull(ExecutionNumbers))
    system = graphene.Field(graphene.NonNull(SystemNumbers))


class ServiceHealth(graphene.ObjectType):
    """Whether a service answers, and how fast."""

    status = graphene.String(required=True)
    response_time_ms = graphene.Float()


class EngineHealth(graphene.ObjectType):
    """Whether components are run; `workers` is null where nobody knows."""

    status = graphene.String(required=True)
    workers = graphene.Int()


class SchedulerHealth(graphene.ObjectType):
    """Whether executions are started; `queueDepth` is null where nobody knows."""

    status = graphene.String(required=True)
    queue_depth = graphene.Int()


class SystemComponents(graphene.ObjectType):
    """The parts of the platform."""

    database = graphene.Field(graphene.NonNull(ServiceHealth))
    redis = graphene.Field(graphene.NonNull(ServiceHealth))
    workflow_engine = graphene.Field(graphene.NonNull(EngineHealth))
    scheduler = graphene.Field(graphene.NonNull(SchedulerHealth))
    broker = graphene.Field(ServiceHealth, description="RabbitMQ; null where Redis is the broker")


class SystemHealth(graphene.ObjectType):
    """As `GET health` answers: `healthy`, `degraded` or `unhealthy`."""

    status = graphene.String(required=True)
    version = graphene.String(required=True)
    uptime_seconds = graphene.Int(required=True)
    components = graphene.Field(graphene.NonNull(SystemComponents))


class Query(WorkflowQueries, ExecutionQueries, TemplateQueries, graphene.ObjectType):
    """What may be asked; each field needs the scope that REST asks for."""

    system_stats = graphene.Field(graphene.NonNull(SystemStats))
    system_health = graphene.Field(graphene.NonNull(SystemHealth))

    @staticmethod
    def resolve_system_stats(root: object, info: Info) -> JSONObject:
        require_scope(info.context, Scope.SYSTEM_READ)
        return system.statistics(info.context)

    @staticmethod
    def resolve_system_health(root: object, info: Info) -> JSONObject:
        return system.health()


class Mutation(WorkflowMutations, ExecutionMutations, TemplateMutations, graphene.ObjectType):
    """What may be done; refusals come in `errors` of the result."""


class NotificationType(graphene.Enum):
    """What a notification is about."""

    EXECUTION_COMPLETED = "execution_completed"
    EXECUTION_FAILED = "execution_failed"
    SYSTEM_ALERT = "system_alert"
    MAINTENANCE_SCHEDULED = "maintenance_scheduled"


class SystemNotification(graphene.ObjectType):
    """Something that the caller should know."""

    type = NotificationType(required=True)
    title = graphene.String(required=True)
    message = graphene.String(required=True)
    data = JSON()
    timestamp = DateTime(required=True)


class Subscription(graphene.ObjectType):
    """What may be followed. The operation is executed anew for each event, with the event's root value."""

    execution_updates = graphene.Field(graphene.NonNull(WorkflowExecution), execution_id=graphene.ID(required=True))
    workflow_updates = graphene.Field(graphene.NonNull(Workflow), workflow_id=graphene.ID(required=True))
    system_notifications = graphene.Field(graphene.NonNull(SystemNotification))

    @staticmethod
    def resolve_execution_updates(root: object, info: Info, execution_id: str) -> Node[Any]:
        """The execution as it is now, whatever the event was; hidden by then is an error as absent is."""
        return visible_execution(info.context, execution_id)

    @staticmethod
    def resolve_workflow_updates(root: object, info: Info, workflow_id: str) -> Node[Any]:
        """The workflow as it is now."""
        return visible_workflow(info.context, workflow_id)

    @staticmethod
    def resolve_system_notifications(root: Any, info: Info) -> Any:
        """The root value is the notification: a mapping or an object with the fields' names."""
        require_scope(info.context, Scope.SYSTEM_READ)
        return root


schema = graphene.Schema(query=Query, mutation=Mutation, subscription=Subscription)
