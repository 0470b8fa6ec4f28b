"""How many queries each list takes: the same for one row and for many (reliability: no N+1)."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import audit
from accounts.api_keys import create_api_key
from accounts.models import User
from accounts.secret_store import create_secret
from events.models import Event
from executions.models import ComponentRun, Execution
from executions.states import ExecutionStatus, RunStatus
from tests.api import Api
from tests.integration.workflows.conftest import execution, make
from workflows.models import Role, Share, Trigger, Workflow

pytestmark = pytest.mark.django_db


class Rows:
    """Adds a row to whatever a list shows."""

    def __init__(self, api: Api, alice: User, bob: User) -> None:
        self.api, self.alice, self.bob = api, alice, bob
        self.number = 0
        self.workflow = Workflow.objects.get(pk=make(api, "w0"))
        self.execution = execution(self.workflow.pk, ExecutionStatus.COMPLETED)
        body = {"url": "https://example.com", "events": ["workflow.created"]}
        self.webhook = str(api.post("/webhooks", body).data["id"])

    def add(self) -> None:
        """One more of everything."""
        self.number += 1
        name = f"w{self.number}"
        workflow = make(self.api, name)
        execution(workflow, ExecutionStatus.FAILED)
        others = make(Api(token=self._token(self.bob)), name)
        shared = execution(others, ExecutionStatus.COMPLETED)
        Share.objects.create(workflow_id=others, user=self.alice, role=Role.VIEWER, created_by=self.bob)
        group = Group.objects.create(name=name)
        Share.objects.create(workflow=self.workflow, group=group, role=Role.VIEWER, created_by=self.alice)
        for type_, data in (("log", {"level": "info", "message": name}), ("component.started", {})):
            self._event(type_, data)
        for one in (self.execution, shared):
            ComponentRun.objects.create(
                execution=one, component_id=name, component_type="log", position=0, status=RunStatus.BLOCKED
            )
        Trigger.objects.create(
            workflow=self.workflow, component_id=name, type="schedule", live=True, next_at=timezone.now(),
            config={"cron": "* * * * *", "interval_seconds": None, "timezone": "UTC", "overlap": "skip",
                    "catchup": "none", "catchup_window_seconds": 60},
        )  # fmt: skip
        create_secret(owner=self.alice, name=name, value="a-value")
        create_api_key(owner=self.alice, name=name, permissions=[])
        User.objects.create_user(f"{name}@example.com").groups.add(group)
        self.api.post("/webhooks", {"url": "https://example.com", "events": ["workflow.created"]})
        self.api.post(f"/webhooks/{self.webhook}/test")
        audit.record(audit.Action.ADMIN_ADDED, group)

    def _event(self, type_: str, data: Any) -> None:
        Event.objects.create(
            subject_id=self.execution.pk,
            workflow_id=self.workflow.pk,
            owner_id=self.alice.pk,
            sequence=Event.objects.filter(subject_id=self.execution.pk).count() + 1,
            type=type_,
            data=data,
        )

    def _token(self, user: User) -> str:
        from accounts.services import log_in
        from tests.conftest import PASSWORD

        return log_in(login=user.email, password=PASSWORD, address="127.0.0.1", user_agent="t").access_token


@pytest.fixture
def rows(alice_api: Api, alice: User, bob: User) -> Rows:
    return Rows(alice_api, alice, bob)


def queries(api: Api, path: str) -> tuple[int, int]:
    """(queries, rows) of a list."""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        answer = api.get(path)
    assert answer.status == 200, answer.body
    return len(captured), len(answer.data)


@pytest.mark.parametrize(
    ("who", "path", "expected"),
    [
        ("alice", "/workflows", 6),
        ("alice", "/workflows?search=w&status=draft&sort=name", 6),
        ("staff", "/workflows", 6),
        ("alice", "/workflows/{workflow}/shares", 4),
        ("alice", "/workflows/{workflow}/versions", 4),
        ("alice", "/executions", 4),
        ("alice", "/executions?workflow_id={workflow}", 5),
        ("staff", "/executions", 4),
        ("alice", "/executions/{execution}/logs", 4),
        ("alice", "/executions/{execution}/events", 4),
        ("alice", "/executions/{execution}/components", 5),
        ("alice", "/schedules", 4),
        ("staff", "/schedules", 4),
        ("alice", "/secrets", 3),
        ("alice", "/api/v1/auth/api-keys", 3),
        ("staff", "/api/v1/auth/users", 4),
        ("staff", "/api/v1/auth/groups", 4),
        ("staff", "/audit", 4),
        ("alice", "/webhooks", 3),
        ("alice", "/webhooks/{webhook}/deliveries", 4),
    ],
)
def test_a_list_takes_as_many_queries_for_many_rows_as_for_one(
    as_user: Callable[..., Api], alice: User, admin: User, rows: Rows, who: str, path: str, expected: int
) -> None:
    api = as_user(alice if who == "alice" else admin)
    path = path.format(workflow=rows.workflow.pk, execution=rows.execution.pk, webhook=rows.webhook)
    rows.add()
    api.get(path)  # what a process reads once and keeps
    first = queries(api, path)
    for _ in range(4):
        rows.add()
    second = queries(api, path)
    assert second[1] > first[1] or "workflow_id" in path or "versions" in path
    assert (first[0], second[0]) == (expected, expected)


def test_executions_of_a_page_are_those_of_its_rows(alice_api: Api, rows: Rows) -> None:
    for _ in range(3):
        rows.add()
    shown = [item["id"] for item in alice_api.get("/executions?limit=1000").data]
    assert shown == sorted(Execution.objects.values_list("pk", flat=True), reverse=True)
    pages = [alice_api.get(f"/executions?limit=2&offset={offset}").data for offset in range(0, 8, 2)]
    assert [item["id"] for page in pages for item in page] == shown
