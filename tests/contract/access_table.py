"""The access matrix: for each endpoint and method, who gets what (reliability: cannot see 404, may not 403, no or bad
credential 401). An endpoint that stands in no row fails the suite.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from accounts.scopes import Scope
from tests.contract.access_world import DEFINITION, World

Kind = Literal["public", "any", "person", "scope"]
Statuses = Mapping[str, int]


@dataclass(frozen=True)
class Row:
    """What a call gives `owner`; the others' answers where they differ.

    `others`: status by caller. `lists`: the name of the object whose id those who see it find in the list, and
    nobody else; `items`: for a batch, the code of the item by caller, where it is refused.
    """

    scope: Scope | None = None
    kind: Kind = "scope"
    ok: int = 200
    others: Statuses = field(default_factory=dict)
    body: Callable[[World], Any] | None = None
    lists: str | None = None
    items: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)


_SHARED = ("viewer", "operator", "editor", "team operator")
_HIDDEN = {"stranger": 404, "stranger's key": 404}


def _seen(*, viewer: int = 200, operator: int = 200, editor: int = 200) -> Statuses:
    """By role; whoever the workflow is not shared with gets the 404 of a workflow that is not there."""
    by_role = {"viewer": viewer, "viewer's key": viewer, "operator": operator, "team operator": operator}
    return {**by_role, "editor": editor, **_HIDDEN}


LOOK = _seen()
RUN = _seen(viewer=403)
EDIT = _seen(viewer=403, operator=403)
OWN = _seen(viewer=403, operator=403, editor=403)
# Objects that are only ever their owner's: everybody else, staff too, finds none.
PRIVATE = {**_seen(viewer=404, operator=404, editor=404), "staff": 404}
STAFF = dict.fromkeys(("owner", *_SHARED, "stranger", "viewer's key", "stranger's key"), 403) | {"staff": 200}
STAFF_CREATES = {**STAFF, "staff": 201}
# A template that is not published is its owner's and staff's, whoever a workflow is shared with.
UNPUBLISHED = {**PRIVATE, "staff": 200}
UNPUBLISHED_MAKES = {**PRIVATE, "staff": 201}
_REFUSED = dict.fromkeys(("viewer", "viewer's key"), "AUTHORIZATION_ERROR")
_MISSING = dict.fromkeys(("stranger", "stranger's key"), "RESOURCE_NOT_FOUND")
_WEBHOOK = {"url": "https://example.com/new", "events": ["workflow.created"]}


def _fixed(body: Any) -> Callable[[World], Any]:
    return lambda world: body


ROWS: Mapping[tuple[str, str], Row] = {
    # --- accounts
    ("LoginView", "POST"): Row(kind="public", body=_fixed({"username": "owner", "password": "correct-horse-battery"})),
    ("RefreshView", "POST"): Row(kind="public", body=lambda world: {"refresh_token": world.refresh_token}),
    ("LogoutView", "POST"): Row(kind="public", body=lambda world: {"refresh_token": world.refresh_token}),
    ("MeView", "GET"): Row(kind="any"),
    ("PasswordView", "POST"): Row(
        kind="person",
        body=_fixed({"current_password": "correct-horse-battery", "new_password": "a-long-unusual-phrase"}),
    ),
    ("ApiKeyListView", "GET"): Row(kind="person", lists="key_id"),
    ("ApiKeyListView", "POST"): Row(kind="person", ok=201, body=_fixed({"name": "n", "permissions": []})),
    ("ApiKeyView", "GET"): Row(kind="person", others=PRIVATE),
    ("ApiKeyView", "DELETE"): Row(kind="person", others=PRIVATE),
    ("UserListView", "GET"): Row(kind="person", others=STAFF, lists="user_id"),
    ("UserListView", "POST"): Row(
        kind="person", others=STAFF_CREATES,
        body=_fixed({"email": "n@example.com", "password": "a-long-unusual-phrase"}),
    ),
    ("UserView", "GET"): Row(kind="person", others=STAFF),
    ("UserView", "PUT"): Row(kind="person", others=STAFF, body=_fixed({"email": "n@example.com"})),
    ("UserView", "PATCH"): Row(kind="person", others=STAFF, body=_fixed({"tier": "pro"})),
    ("GroupListView", "GET"): Row(kind="person", others=STAFF, lists="group_id"),
    ("GroupListView", "POST"): Row(kind="person", others=STAFF_CREATES, body=_fixed({"name": "n"})),
    ("GroupView", "GET"): Row(kind="person", others=STAFF),
    ("GroupView", "PUT"): Row(kind="person", others=STAFF, body=_fixed({"name": "n"})),
    ("GroupView", "PATCH"): Row(kind="person", others=STAFF, body=_fixed({"name": "n"})),
    ("GroupView", "DELETE"): Row(kind="person", others=STAFF),
    ("AuditListView", "GET"): Row(Scope.SYSTEM_READ, others={**STAFF, "key with the scope": 403}),
    ("SecretListView", "GET"): Row(Scope.SECRET_MANAGE, lists="name"),
    ("SecretListView", "POST"): Row(Scope.SECRET_MANAGE, ok=201, body=_fixed({"name": "NEW", "value": "v"})),
    ("SecretView", "PUT"): Row(Scope.SECRET_MANAGE, others=PRIVATE, body=_fixed({"value": "v"})),
    ("SecretView", "DELETE"): Row(Scope.SECRET_MANAGE, others=PRIVATE),
    # --- workflows
    ("WorkflowListView", "GET"): Row(Scope.WORKFLOW_READ, lists="workflow_id"),
    ("WorkflowListView", "POST"): Row(
        Scope.WORKFLOW_WRITE, ok=201, body=_fixed({"name": "new", "definition": DEFINITION})
    ),
    ("WorkflowView", "GET"): Row(Scope.WORKFLOW_READ, others=LOOK),
    ("WorkflowView", "PUT"): Row(
        Scope.WORKFLOW_WRITE, others=EDIT, body=_fixed({"name": "new", "definition": DEFINITION})
    ),
    ("WorkflowView", "PATCH"): Row(Scope.WORKFLOW_WRITE, others=EDIT, body=_fixed({"description": "new"})),
    ("WorkflowView", "DELETE"): Row(Scope.WORKFLOW_DELETE, ok=409, others={**OWN, "staff": 409}),
    ("ValidateStoredView", "POST"): Row(Scope.WORKFLOW_READ, others=LOOK),
    ("ValidateView", "POST"): Row(Scope.WORKFLOW_READ, body=_fixed({"definition": DEFINITION})),
    ("ShareListView", "GET"): Row(Scope.WORKFLOW_SHARE, others=OWN),
    ("ShareListView", "POST"): Row(
        Scope.WORKFLOW_SHARE, ok=201, others={**OWN, "staff": 201},
        body=lambda world: {"user_id": world.ids["user_id"], "role": "viewer"},
    ),
    ("ShareView", "DELETE"): Row(Scope.WORKFLOW_SHARE, others=OWN),
    ("ActivateView", "POST"): Row(Scope.WORKFLOW_WRITE, others=EDIT),
    ("DeactivateView", "POST"): Row(Scope.WORKFLOW_WRITE, others=EDIT),
    ("ArchiveView", "POST"): Row(Scope.WORKFLOW_WRITE, others=EDIT),
    ("VersionListView", "GET"): Row(Scope.WORKFLOW_READ, others=LOOK),
    ("VersionView", "GET"): Row(Scope.WORKFLOW_READ, others=LOOK),
    ("RestoreView", "POST"): Row(Scope.WORKFLOW_WRITE, others=EDIT),
    ("DuplicateView", "POST"): Row(
        Scope.WORKFLOW_WRITE, ok=201, others={**_seen(viewer=201, operator=201, editor=201), "staff": 201}
    ),
    ("ExportView", "GET"): Row(Scope.WORKFLOW_READ, others=LOOK),
    ("ImportView", "POST"): Row(Scope.WORKFLOW_WRITE, ok=201, body=_fixed({"name": "n", "definition": DEFINITION})),
    ("BulkView", "POST"): Row(
        kind="any",
        items={
            **dict.fromkeys(("viewer", "viewer's key", "operator", "team operator"), "AUTHORIZATION_ERROR"),
            **dict.fromkeys(("key with the scope", "key with no scope"), "AUTHORIZATION_ERROR"),
            **_MISSING,
        },
        body=lambda world: {"operations": [{"operation": "activate", "workflow_id": world.ids["workflow_id"]}]},
    ),
    ("ComponentListView", "GET"): Row(Scope.WORKFLOW_READ),
    ("ComponentSchemaView", "GET"): Row(Scope.WORKFLOW_READ),
    # --- schedules
    ("ScheduleListView", "GET"): Row(Scope.WORKFLOW_READ, lists="schedule_id"),
    ("ScheduleView", "GET"): Row(Scope.WORKFLOW_READ, others=LOOK),
    ("SchedulePreviewView", "GET"): Row(Scope.WORKFLOW_READ, others=LOOK),
    ("ScheduleEventListView", "GET"): Row(Scope.WORKFLOW_READ, others=LOOK),
    ("TriggerEventListView", "GET"): Row(Scope.WORKFLOW_READ, others=LOOK),
    ("SchedulePauseView", "POST"): Row(Scope.WORKFLOW_WRITE, others=EDIT),
    ("ScheduleResumeView", "POST"): Row(Scope.WORKFLOW_WRITE, others=EDIT),
    ("ScheduleRunView", "POST"): Row(
        Scope.WORKFLOW_EXECUTE, ok=201, others={**_seen(viewer=403, operator=201, editor=201), "staff": 201}
    ),
    ("ScheduleBackfillView", "POST"): Row(
        Scope.WORKFLOW_EXECUTE, others=RUN, body=_fixed({"from": "2025-01-01T00:00:00Z", "to": "2025-01-01T03:00:00Z"})
    ),
    ("RotateView", "POST"): Row(Scope.WORKFLOW_WRITE, others=EDIT),
    # Whoever knows the token; what else a sender must know, its workflow's start says.
    ("HookView", "POST"): Row(kind="public", ok=202, body=_fixed({})),
    ("HookView", "GET"): Row(kind="public", ok=202),
    # --- executions
    ("ExecuteView", "POST"): Row(
        Scope.WORKFLOW_EXECUTE, ok=201, body=_fixed({}),
        others={**_seen(viewer=403, operator=201, editor=201), "staff": 201},
    ),
    ("ExecuteBatchView", "POST"): Row(
        Scope.WORKFLOW_EXECUTE, items={**_REFUSED, **_MISSING},
        body=lambda world: {"executions": [{"workflow_id": world.ids["workflow_id"]}]},
    ),
    ("ExecutionListView", "GET"): Row(Scope.EXECUTION_READ, lists="execution_id"),
    ("ExecutionView", "GET"): Row(Scope.EXECUTION_READ, others=LOOK),
    ("LogListView", "GET"): Row(Scope.EXECUTION_READ, others=LOOK),
    ("EventListView", "GET"): Row(Scope.EXECUTION_READ, others=LOOK),
    ("ComponentRunListView", "GET"): Row(Scope.EXECUTION_READ, others=LOOK),
    ("DiagnosisView", "GET"): Row(Scope.EXECUTION_READ, others=LOOK),
    ("CancelView", "POST"): Row(Scope.EXECUTION_MANAGE, others=RUN, addresses={"execution_id": "running_id"}),
    ("RetryView", "POST"): Row(
        Scope.EXECUTION_MANAGE, ok=201, others={**_seen(viewer=403, operator=201, editor=201), "staff": 201}
    ),
    ("SignalView", "POST"): Row(Scope.EXECUTION_MANAGE, others=RUN, addresses={"execution_id": "running_id"}),
    # --- templates
    ("TemplateListView", "GET"): Row(Scope.TEMPLATE_READ, lists="template_id"),
    ("TemplateListView", "POST"): Row(
        Scope.TEMPLATE_WRITE, ok=201, body=_fixed({"name": "new", "workflow_definition": DEFINITION})
    ),
    ("TemplateView", "GET"): Row(Scope.TEMPLATE_READ, others=UNPUBLISHED),
    ("TemplateView", "PUT"): Row(
        Scope.TEMPLATE_WRITE, others=UNPUBLISHED, body=_fixed({"name": "new", "workflow_definition": DEFINITION})
    ),
    ("TemplateView", "PATCH"): Row(Scope.TEMPLATE_WRITE, others=UNPUBLISHED, body=_fixed({"description": "new"})),
    ("TemplateView", "DELETE"): Row(Scope.TEMPLATE_WRITE, others=UNPUBLISHED),
    # A second scope is needed, which the key with the first alone has not.
    ("TemplateCreateWorkflowView", "POST"): Row(
        Scope.TEMPLATE_READ, ok=201, others={**UNPUBLISHED_MAKES, "key with the scope": 403}, body=_fixed({"name": "n"})
    ),
    ("TemplateRateView", "POST"): Row(
        Scope.TEMPLATE_WRITE, others={"owner": 403, "key with the scope": 403}, body=_fixed({"rating": 5}),
        addresses={"template_id": "published_id"},
    ),
    # --- webhooks
    ("WebhookListView", "GET"): Row(Scope.WEBHOOK_MANAGE, lists="webhook_id"),
    ("WebhookListView", "POST"): Row(Scope.WEBHOOK_MANAGE, ok=201, body=_fixed(_WEBHOOK)),
    ("WebhookView", "GET"): Row(Scope.WEBHOOK_MANAGE, others=PRIVATE),
    ("WebhookView", "PUT"): Row(Scope.WEBHOOK_MANAGE, others=PRIVATE, body=_fixed(_WEBHOOK)),
    ("WebhookView", "PATCH"): Row(Scope.WEBHOOK_MANAGE, others=PRIVATE, body=_fixed({"active": False})),
    ("WebhookView", "DELETE"): Row(Scope.WEBHOOK_MANAGE, others=PRIVATE),
    ("WebhookTestView", "POST"): Row(Scope.WEBHOOK_MANAGE, others=PRIVATE),
    ("RotateSecretView", "POST"): Row(Scope.WEBHOOK_MANAGE, others=PRIVATE),
    ("DeliveryListView", "GET"): Row(Scope.WEBHOOK_MANAGE, others=PRIVATE),
    ("DeliveryView", "GET"): Row(Scope.WEBHOOK_MANAGE, others=PRIVATE),
    ("RedeliverView", "POST"): Row(Scope.WEBHOOK_MANAGE, others=PRIVATE),
    # --- the platform
    ("HealthView", "GET"): Row(kind="public"),
    ("StatsView", "GET"): Row(Scope.SYSTEM_READ),
}  # fmt: skip


_UNREAD = dict.fromkeys(("key without the scope", "key with no scope"), "AUTHORIZATION_ERROR")


@dataclass(frozen=True)
class ChannelRow:
    """What `subscribe` to a channel of the WebSocket gives who has a good credential: the code of the error by caller;
    the others are subscribed.
    """

    scope: Scope
    others: Mapping[str, str]
    subject: str | None = None


CHANNELS: Mapping[str, ChannelRow] = {
    "execution": ChannelRow(Scope.EXECUTION_READ, {**_UNREAD, **_MISSING}, "running_id"),
    # Its executions are told as well, which takes the other scope.
    "workflow": ChannelRow(
        Scope.WORKFLOW_READ, {**_UNREAD, "key with the scope": "AUTHORIZATION_ERROR", **_MISSING}, "workflow_id"
    ),
    "system": ChannelRow(Scope.SYSTEM_READ, _UNREAD),
}

# `GET /metrics`, which answers in text: staff, with the scope; the token of the settings is nobody's.
METRICS_READERS: Statuses = {
    **dict.fromkeys(("owner", *_SHARED, "stranger", "viewer's key", "stranger's key"), 403),
    **dict.fromkeys(("key with the scope", "key without the scope", "key with no scope"), 403),
    **dict.fromkeys(("disabled", "disabled user's key", "expired key", "deleted key"), 401),
    **dict.fromkeys(("anonymous", "garbage", "two credentials"), 401),
    "staff": 200,
}
