"""What requests are made of, as types: a plain dict literal is one of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from typing_extensions import NotRequired, TypedDict

JSON = Mapping[str, Any]
Definition = Mapping[str, Any]
Tier = Literal["free", "pro", "enterprise", "custom"]
Role = Literal["viewer", "operator", "editor"]
Order = Literal["asc", "desc"]
Level = Literal["debug", "info", "warning", "error"]
WorkflowStatus = Literal["draft", "active", "inactive", "archived"]
Complexity = Literal["beginner", "intermediate", "advanced", "expert"]


class WorkflowBody(TypedDict):
    """A new workflow."""

    name: str
    definition: Definition
    description: NotRequired[str]
    category: NotRequired[str]
    tags: NotRequired[Sequence[str]]
    priority: NotRequired[int]


class ReplaceWorkflowBody(WorkflowBody):
    """A workflow as it is to be; what is left out gets its default."""

    status: NotRequired[WorkflowStatus]
    expected_version: NotRequired[int]


class WorkflowChanges(TypedDict, total=False):
    """What is to change of a workflow; `expected_version` refuses to change another version."""

    name: str
    definition: Definition
    description: str
    category: str
    tags: Sequence[str]
    priority: int
    status: WorkflowStatus
    expected_version: int


class ShareBody(TypedDict):
    """Either a user or a group, and as what."""

    user_id: NotRequired[str]
    group_id: NotRequired[str]
    role: NotRequired[Role]


class Operation(TypedDict):
    """One operation of a bulk request."""

    operation: Literal["create", "update", "delete", "activate", "deactivate"]
    workflow_id: NotRequired[str]
    data: NotRequired[JSON]


class BatchItem(TypedDict):
    """One execution of a batch."""

    workflow_id: str
    parameters: NotRequired[JSON]
    priority: NotRequired[int]
    scheduled_at: NotRequired[str | None]
    tags: NotRequired[Sequence[str]]


class TemplateChanges(TypedDict, total=False):
    """What is to change of a template."""

    name: str
    description: str
    documentation: str
    category: str
    tags: Sequence[str]
    workflow_definition: Definition
    parameters: Sequence[JSON]
    version: str
    complexity_level: Complexity
    estimated_setup_time_minutes: int
    published: bool


class TemplateBody(TypedDict):
    """A new template: of a definition, or of the workflow `workflow_id`."""

    name: str
    description: NotRequired[str]
    documentation: NotRequired[str]
    category: NotRequired[str]
    tags: NotRequired[Sequence[str]]
    workflow_definition: NotRequired[Definition]
    definition: NotRequired[Definition]
    workflow_id: NotRequired[str]
    parameters: NotRequired[Sequence[JSON]]
    version: NotRequired[str]
    complexity_level: NotRequired[Complexity]
    estimated_setup_time_minutes: NotRequired[int]


class ReplaceTemplateBody(TypedDict):
    """A template as it is to be; what is left out gets its default."""

    name: str
    description: NotRequired[str]
    documentation: NotRequired[str]
    category: NotRequired[str]
    tags: NotRequired[Sequence[str]]
    workflow_definition: NotRequired[Definition]
    definition: NotRequired[Definition]
    parameters: NotRequired[Sequence[JSON]]
    version: NotRequired[str]
    complexity_level: NotRequired[Complexity]
    estimated_setup_time_minutes: NotRequired[int]
    published: NotRequired[bool]


class SecretBody(TypedDict):
    """A new secret."""

    name: str
    value: str


class ApiKeyBody(TypedDict):
    """A new API key; `permissions` are scopes."""

    name: str
    permissions: Sequence[str]
    description: NotRequired[str]
    expires_at: NotRequired[str | None]


class UserChanges(TypedDict, total=False):
    """What is to change of an account."""

    email: str
    username: str
    password: str
    tier: Tier
    requests_per_hour: int | None
    concurrent_executions: int | None
    is_active: bool
    is_staff: bool


class ReplaceUserBody(TypedDict):
    """An account as it is to be; what is left out gets its default, and the password stays."""

    email: str
    username: NotRequired[str]
    password: NotRequired[str]
    tier: NotRequired[Tier]
    requests_per_hour: NotRequired[int | None]
    concurrent_executions: NotRequired[int | None]
    is_active: NotRequired[bool]
    is_staff: NotRequired[bool]


class UserBody(TypedDict):
    """A new account."""

    email: str
    password: str
    username: NotRequired[str]
    tier: NotRequired[Tier]
    requests_per_hour: NotRequired[int | None]
    concurrent_executions: NotRequired[int | None]
    is_active: NotRequired[bool]
    is_staff: NotRequired[bool]


class GroupBody(TypedDict):
    """A group as it is to be; `members` are ids of users."""

    name: str
    members: NotRequired[Sequence[str]]


class GroupChanges(TypedDict, total=False):
    """What is to change of a group."""

    name: str
    members: Sequence[str]


class WebhookRetryPolicy(TypedDict, total=False):
    """How often, and how far apart, a delivery is tried."""

    max_attempts: int
    initial_delay_seconds: float
    max_delay_seconds: float
    backoff_multiplier: float


class WebhookBody(TypedDict):
    """A webhook as it is to be; without a secret the server makes one."""

    url: str
    events: Sequence[str]
    secret: NotRequired[str]
    active: NotRequired[bool]
    workflow_ids: NotRequired[Sequence[str] | None]
    retry_policy: NotRequired[WebhookRetryPolicy]


class WebhookChanges(TypedDict, total=False):
    """What is to change of a webhook; a secret is a rotation."""

    url: str
    events: Sequence[str]
    secret: str
    active: bool
    workflow_ids: Sequence[str] | None
    retry_policy: WebhookRetryPolicy


# --- filters of lists


class WorkflowFilters(TypedDict, total=False):
    """Which workflows, and in what order."""

    category: str
    status: WorkflowStatus
    search: str
    tags: Sequence[str]
    created_by: str
    sort: str
    order: Order


class ExecutionFilters(TypedDict, total=False):
    """Which executions."""

    workflow_id: str
    status: str
    user_id: str
    start_date: datetime | str
    end_date: datetime | str


class TemplateFilters(TypedDict, total=False):
    """Which templates, and in what order."""

    category: str
    complexity: Complexity
    search: str
    created_by: str
    sort: str
    order: Order


class UserFilters(TypedDict, total=False):
    """Which accounts."""

    search: str
    tier: Tier
    is_active: bool
    is_staff: bool


class AuditFilters(TypedDict, total=False):
    """Which entries."""

    action: str
    actor_id: str
    object_type: str
    object_id: str
    address: str
    start_date: datetime | str
    end_date: datetime | str


class LogFilters(TypedDict, total=False):
    """Which lines; `level` is the lowest."""

    level: Level
    component_id: str


class EventFilters(TypedDict, total=False):
    """Which events: those after the number `since`."""

    since: int


class ScheduleFilters(TypedDict, total=False):
    """Which schedules."""

    workflow_id: str
    paused: bool


class DeliveryFilters(TypedDict, total=False):
    """Which deliveries."""

    status: Literal["pending", "delivering", "succeeded", "failed"]
    event: str
