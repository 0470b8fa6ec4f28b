"""What the API answers with. Fields of newer servers are kept: `workflow.model_extra`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from apg_workflow.errors import ExecutionFailedError, error_class

T = TypeVar("T")

FINAL_STATUSES = frozenset({"completed", "failed", "cancelled"})


class Model(BaseModel):
    """Every answer: what it says beyond the fields here stays readable."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Page(Model, Generic[T]):
    """Part of a list, from `offset` on; `total_count` is of the whole list."""

    items: tuple[T, ...]
    total_count: int
    limit: int
    offset: int
    has_more: bool

    def __iter__(self) -> Iterator[T]:  # type: ignore[override]  # over its items, as a list is
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


# --- workflows


class CreatedWorkflow(Model):
    """A workflow that has just been made."""

    id: str
    name: str
    status: str
    version: int
    created_at: datetime


class WorkflowSummary(Model):
    """A workflow as a list has it."""

    id: str
    name: str
    description: str
    status: str
    category: str
    tags: tuple[str, ...]
    version: int
    priority: int
    component_count: int
    execution_count: int
    success_rate: float
    last_execution_at: datetime | None
    created_by: str
    created_at: datetime
    updated_at: datetime


class WorkflowPermissions(Model):
    """What the caller may do with a workflow."""

    can_edit: bool
    can_execute: bool
    can_delete: bool
    can_share: bool


class WorkflowTrigger(Model):
    """What starts a workflow by itself; `url` is a hook's, for those who may see it."""

    id: str
    component_id: str
    type: str
    next_at: datetime | None
    url: str | None


class Workflow(Model):
    """A workflow; the definition and the numbers are there where they were asked for."""

    id: str
    name: str
    description: str
    status: str
    category: str
    tags: tuple[str, ...]
    version: int
    priority: int
    component_count: int
    permissions: WorkflowPermissions
    triggers: tuple[WorkflowTrigger, ...]
    created_by: str
    created_at: datetime
    updated_at: datetime
    definition: dict[str, Any] | None = None
    execution_count: int | None = None
    success_rate: float | None = None
    last_execution_at: datetime | None = None


class WorkflowVersionSummary(Model):
    """One version of a workflow's definition, without it."""

    id: str
    workflow_id: str
    version: int
    current: bool
    created_by: str
    created_at: datetime


class WorkflowVersion(WorkflowVersionSummary):
    """One version of a workflow's definition."""

    definition: dict[str, Any]


class WorkflowExport(Model):
    """A workflow as a file holds it."""

    format: int
    name: str
    description: str
    category: str
    tags: tuple[str, ...]
    priority: int
    definition: dict[str, Any]


class Share(Model):
    """Who else may use a workflow: a user or a group, as viewer, operator or editor."""

    id: str
    role: str
    created_by: str
    created_at: datetime
    user_id: str | None = None
    group_id: str | None = None


class Finding(Model):
    """Something that validation says about a definition."""

    message: str
    severity: str
    code: str | None = None
    component_id: str | None = None
    field: str | None = None
    details: dict[str, Any] | None = None


class ValidationReport(Model):
    """Whether a definition can run, and what is to be said about it."""

    is_valid: bool
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    info: tuple[Finding, ...]


class BulkSummary(Model):
    """How many of the items were done."""

    total: int
    successful: int
    failed: int


class BulkError(Model):
    """Why an item was not done."""

    code: str
    message: str
    field: str | None = None
    details: dict[str, Any] | None = None


class BulkWorkflow(Model):
    """The workflow of an operation as it is then; after a delete its id alone."""

    id: str
    name: str | None = None
    status: str | None = None
    version: int | None = None


class BulkResult(Model):
    """One operation's end."""

    success: bool
    data: BulkWorkflow | None = None
    errors: tuple[BulkError, ...] = ()


class BulkResults(Model):
    """The operations' ends, in their order."""

    results: tuple[BulkResult, ...]
    summary: BulkSummary


# --- executions


class StartedExecution(Model):
    """What execute answers with. `id` is its `execution_id`."""

    execution_id: str
    workflow_id: str
    status: str
    priority: int
    scheduled_at: datetime | None
    estimated_duration: int | None
    queue_position: int

    @property
    def id(self) -> str:
        """As everything else is called."""
        return self.execution_id


class BatchResult(Model):
    """One item's end."""

    success: bool
    data: StartedExecution | None = None
    errors: tuple[BulkError, ...] = ()


class BatchResults(Model):
    """The items' ends, in their order."""

    results: tuple[BatchResult, ...]
    summary: BulkSummary


class Progress(Model):
    """How far an execution is; `percentage` is from 0 to 100."""

    current_component: str | None
    completed_components: int
    total_components: int
    percentage: float


class ResourceUsage(Model):
    """What was used up."""

    cpu_seconds: float
    memory_mb: int
    network_bytes: int


class ExecutionError(Model):
    """Why an execution failed."""

    code: str
    message: str
    component_id: str | None = None
    item_index: int | None = None


class ExecutionState(Model):
    """Where an execution stands; all that a credential without `execution.read` is told."""

    id: str
    workflow_id: str
    status: str

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in FINAL_STATUSES


class Execution(ExecutionState):
    """One execution of a workflow."""

    workflow_name: str
    version: int
    priority: int
    progress: Progress
    parameters: dict[str, Any]
    results: Any
    error_message: str | None
    error: ExecutionError | None
    trigger: dict[str, Any]
    tags: tuple[str, ...]
    retry_of: str | None
    scheduled_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    duration_seconds: int | None
    resource_usage: ResourceUsage
    created_by: str
    created_at: datetime
    results_unavailable: bool = False

    def raise_if_failed(self) -> None:
        """Raises ExecutionFailedError, ComponentError or ExecutionTimeoutError if it failed, and only then."""
        if self.status == "failed":
            code = self.error.code if self.error else ExecutionFailedError.code
            found = error_class(code, None)
            kind = found if issubclass(found, ExecutionFailedError) else ExecutionFailedError
            raise kind(self.error_message or "The execution failed", code=code)


class RetryPreview(Model):
    """The components that a retry would run."""

    components: tuple[str, ...]


class ComponentRun(Model):
    """One component of an execution; in a loop one item of it."""

    id: str
    component_id: str
    component_type: str
    status: str
    attempt: int
    item_index: int | None
    input_data: Any
    output_data: Any
    error: dict[str, Any] | None
    started_at: datetime | None
    completed_at: datetime | None
    duration_seconds: int | None
    resource_usage: ResourceUsage
    input_unavailable: bool = False
    output_unavailable: bool = False


class ExecutionEvent(Model):
    """A row of an execution's ledger."""

    sequence: int
    type: str
    timestamp: datetime
    data: dict[str, Any]


class LogLine(Model):
    """A line that a component or the platform wrote."""

    timestamp: datetime
    level: str
    component_id: str | None
    message: str
    metadata: dict[str, Any]


class DiagnosedComponent(Model):
    """Why a component has not ended."""

    component_id: str
    item_index: int | None
    status: str
    attempt: int
    reason: str
    message: str | None
    since: datetime | None
    next: str | None
    next_at: datetime | None
    details: dict[str, Any]


class Diagnosis(Model):
    """Why an execution has not ended, and what happens next by itself."""

    execution_id: str
    status: str
    reason: str | None
    message: str | None
    since: datetime | None
    next: str | None
    next_at: datetime | None
    details: dict[str, Any]
    components: tuple[DiagnosedComponent, ...]


class SignalReceipt(Model):
    """A signal was taken; `delivered` says whether something was waiting for it."""

    execution_id: str
    signal: str
    delivered: bool


class Message(Model):
    """One message of a stream.

    `sequence` is that of the row it tells of. `is_progress` marks those that only say how far the execution is by then;
    they have no row of their own.
    """

    type: str
    id: str
    timestamp: datetime
    data: dict[str, Any]

    @property
    def sequence(self) -> int:
        """To go on from: `stream(id, since=message.sequence)`."""
        return int(self.data["sequence"])

    @property
    def is_progress(self) -> bool:
        """Whether it is no row of the execution's ledger."""
        return self.id.endswith("-progress")

    @property
    def is_last(self) -> bool:
        """Whether it tells of the execution's end."""
        ended = self.type == "execution_update" and self.data.get("status") in FINAL_STATUSES
        return ended and not self.is_progress


# --- templates, components


class TemplateParameter(Model):
    """What a template asks for."""

    name: str
    display_name: str
    description: str
    parameter_type: str
    required: bool
    default_value: Any
    validation_rules: dict[str, Any] | None
    input_type: str
    options: tuple[str, ...] | None
    placeholder: str
    help_text: str


class TemplateSummary(Model):
    """A template as a list has it."""

    id: str
    name: str
    description: str
    category: str
    tags: tuple[str, ...]
    parameters: tuple[TemplateParameter, ...]
    required_secrets: tuple[str, ...]
    component_count: int
    author: str
    version: str
    complexity_level: str
    estimated_setup_time_minutes: int
    published: bool
    in_gallery: bool
    usage_count: int
    rating: float
    rating_count: int
    created_by: str | None
    created_at: datetime
    updated_at: datetime


class Template(TemplateSummary):
    """A template."""

    workflow_definition: dict[str, Any]
    documentation: str
    permissions: dict[str, bool]


class TemplateRating(Model):
    """A template's rating, with the caller's own."""

    id: str
    rating: float
    rating_count: int
    your_rating: int


class Component(Model):
    """A component type, with the JSON Schemas of its config, input and output."""

    type: str
    name: str
    description: str
    category: str
    config_schema: dict[str, Any] | bool
    input_schema: dict[str, Any] | bool
    output_schema: dict[str, Any] | bool


# --- schedules, hooks, webhooks


class Schedule(Model):
    """A workflow's start by the clock, as its definition has it."""

    id: str
    workflow_id: str
    workflow_name: str
    component_id: str
    cron: str | None
    interval_seconds: int | None
    timezone: str
    overlap: str
    catchup: str
    catchup_window_seconds: int
    paused: bool
    next_at: datetime | None
    last_slot_at: datetime | None
    last_execution_id: str | None


class Slot(Model):
    """A time at which a schedule starts; `local` is the same in its zone."""

    slot_at: datetime
    local: str


class SchedulePreview(Model):
    """The next times of a schedule."""

    timezone: str
    slots: tuple[Slot, ...]


class AcceptedExecution(Model):
    """An execution that a schedule or a hook has started. `id` is its `execution_id`."""

    execution_id: str
    status: str
    created_at: datetime

    @property
    def id(self) -> str:
        """As everything else is called."""
        return self.execution_id


class HookResult(AcceptedExecution):
    """An execution that had ended before the hook answered."""

    completed_at: datetime
    results: Any
    error: dict[str, Any] | None
    results_unavailable: bool = False


class BackfilledSlot(Model):
    """One time of a backfill; `message` says why it was refused."""

    slot_at: datetime
    execution_id: str | None
    started: bool
    message: str | None


class BackfillSummary(Model):
    """How many of the times were started."""

    total: int
    started: int
    refused: int


class ScheduleBackfill(Model):
    """What came of a backfill."""

    results: tuple[BackfilledSlot, ...]
    summary: BackfillSummary


class TriggerEvent(Model):
    """Something that a trigger did not do, and why."""

    sequence: int
    type: str
    timestamp: datetime
    data: dict[str, Any]


class WebhookRetryPolicy(Model):
    """How often, and how far apart, a delivery is tried."""

    max_attempts: int
    initial_delay_seconds: float
    max_delay_seconds: float
    backoff_multiplier: float


class Webhook(Model):
    """An address that is told of events; `off_reason` says why it is not active."""

    id: str
    url: str
    events: tuple[str, ...]
    workflow_ids: tuple[str, ...] | None
    active: bool
    off_reason: str | None
    failures_in_a_row: int
    retry_policy: WebhookRetryPolicy
    previous_secret_valid_until: datetime | None
    created_at: datetime
    updated_at: datetime


class WebhookWithSecret(Webhook):
    """A webhook whose secret has just been made, and is not told again; None where the caller gave it."""

    secret: str | None = None


class DeliverySummary(Model):
    """One event on its way to a webhook."""

    id: str
    webhook_id: str
    event: str
    status: str
    attempts: int
    next_attempt_at: datetime | None
    response_status: int | None
    error: str | None
    created_at: datetime
    completed_at: datetime | None


class DeliveryAttempt(Model):
    """One attempt to deliver."""

    attempt: int
    started_at: datetime
    duration_ms: int
    response_status: int | None
    error: str | None


class Delivery(DeliverySummary):
    """One event on its way to a webhook, with its body and every attempt."""

    payload: dict[str, Any]
    response_body: str | None
    attempts_log: tuple[DeliveryAttempt, ...]


# --- accounts, system


class Tokens(Model):
    """A login; `expires_in` is of the access token, in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str


class OAuthToken(Model):
    """What OAuth's token endpoint gives a client for its credentials."""

    access_token: str
    expires_in: int


class Limits(Model):
    """What a tier allows."""

    requests_per_hour: int
    concurrent_executions: int


class GroupReference(Model):
    """A group that a user belongs to."""

    id: str
    name: str


class Caller(Model):
    """Who the credential is of, and what it may do."""

    id: str
    email: str
    username: str
    tier: str
    is_staff: bool
    limits: Limits
    groups: tuple[GroupReference, ...]
    created_at: datetime
    scopes: tuple[str, ...]


class User(Model):
    """An account."""

    id: str
    email: str
    username: str
    tier: str
    is_staff: bool
    limits: Limits
    groups: tuple[GroupReference, ...]
    created_at: datetime
    requests_per_hour: int | None
    concurrent_executions: int | None
    is_active: bool
    last_login_at: datetime | None


class Group(Model):
    """A group of users, by their ids."""

    id: str
    name: str
    members: tuple[str, ...]


class ApiKey(Model):
    """An API key without the key."""

    id: str
    name: str
    description: str
    prefix: str
    permissions: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewApiKey(ApiKey):
    """An API key as it is shown once: `key` is not told again."""

    key: str


class Secret(Model):
    """A stored secret's name; values are never told."""

    name: str
    created_at: datetime
    updated_at: datetime


class AuditEntry(Model):
    """Who changed what."""

    id: str
    at: datetime
    actor_id: str | None
    actor: str
    credential: str
    address: str | None
    request_id: str
    action: str
    object_type: str
    object_id: str
    details: dict[str, Any]


class Health(Model):
    """How the platform is."""

    status: str
    version: str
    uptime_seconds: int
    components: dict[str, Any]


class Statistics(Model):
    """Numbers of workflows, executions and the machine."""

    workflows: dict[str, Any]
    executions: dict[str, Any]
    system: dict[str, Any]
