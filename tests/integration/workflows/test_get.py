"""One workflow: shape, options, who sees it, and what each credential may do with it."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIRequestFactory, force_authenticate

from accounts.callers import Caller
from accounts.models import User
from accounts.scopes import ALL, Scope
from core.errors import NotAllowedError, NotFoundError
from executions.states import ExecutionStatus
from tests.api import Api
from tests.integration.workflows.conftest import LONE, execution, make, sends, told
from workflows import access, views
from workflows.models import Workflow
from workflows.services import create_workflow

pytestmark = pytest.mark.django_db

PERMISSIONS = {"can_edit": True, "can_execute": True, "can_delete": True, "can_share": True}


def test_get_has_the_printed_fields(caller: Api, alice: User) -> None:
    id_ = make(caller, "Pipeline", sends("x"), description="ETL", category="data", tags=["etl"], priority=3)
    workflow = Workflow.objects.get()
    answer = caller.get(f"/workflows/{id_}")
    assert answer.data == {
        "id": id_,
        "name": "Pipeline",
        "description": "ETL",
        "definition": sends("x"),
        "status": "draft",
        "category": "data",
        "tags": ["etl"],
        "version": 1,
        "priority": 3,
        "component_count": 2,
        "permissions": PERMISSIONS,
        "triggers": [],
        "created_by": alice.pk,
        "created_at": workflow.created_at.isoformat().replace("+00:00", "Z"),
        "updated_at": workflow.updated_at.isoformat().replace("+00:00", "Z"),
    }
    assert answer.headers["ETag"] == '"1"'


@pytest.mark.parametrize(
    ("query", "definition", "stats"),
    [
        ("", True, False),
        ("include_definition=true", True, False),
        ("include_definition=false", False, False),
        ("include_stats=false", True, False),
        ("include_stats=true", True, True),
        ("include_definition=false&include_stats=true", False, True),
        ("unknown=1", True, False),
    ],
)
def test_the_definition_and_the_numbers_come_where_asked_for(
    caller: Api, query: str, definition: bool, stats: bool
) -> None:
    id_ = make(caller)
    execution(id_, ExecutionStatus.COMPLETED)
    data = caller.get(f"/workflows/{id_}?{query}").data
    assert ("definition" in data) is definition
    numbers = {name: data[name] for name in ("execution_count", "success_rate") if name in data}
    assert numbers == ({"execution_count": 1, "success_rate": 1.0} if stats else {})
    assert ("last_execution_at" in data) is stats


@pytest.mark.parametrize("name", ["include_definition", "include_stats"])
@pytest.mark.parametrize("value", ["", "1", "yes", "null", "true&{}=true"])
def test_a_bad_option_is_400_and_named(caller: Api, name: str, value: str) -> None:
    answer = caller.get(f"/workflows/{make(caller)}?{name}={value.format(name)}")
    assert (answer.status, answer.code, answer.fields) == (400, "VALIDATION_ERROR", [name])


@pytest.mark.parametrize(
    ("query", "queries"),
    [("", 3), ("?include_definition=false", 2), ("?include_stats=true", 6)],
)
def test_get_takes_few_queries(
    alice_api: Api, django_assert_num_queries: Callable[[int], Any], query: str, queries: int
) -> None:
    id_ = make(alice_api)
    for _ in range(5):
        execution(id_, ExecutionStatus.FAILED)
    with django_assert_num_queries(queries):  # the caller, the workflow, and what was asked for
        assert alice_api.get(f"/workflows/{id_}{query}").status == 200


STRANGERS = [
    ("GET", "", None),
    ("PUT", "", {"name": "mine", "definition": LONE}),
    ("PATCH", "", {"name": "mine"}),
    ("PATCH", "", {"name": ""}),
    ("DELETE", "", None),
    ("DELETE", "?force=true", None),
    ("POST", "/validate", None),
    ("POST", "/validate", {"definition": LONE}),
]


@pytest.mark.parametrize(("method", "suffix", "body"), STRANGERS)
def test_anothers_workflow_is_404_just_like_none_at_all(
    caller: Api, as_user: Callable[..., Api], bob: User, method: str, suffix: str, body: Any
) -> None:
    id_ = make(caller)
    bob_api = as_user(bob, caller.base)
    hidden = bob_api.call(method, f"/workflows/{id_}{suffix}", body)
    absent = bob_api.call(method, f"/workflows/{bob.pk}{suffix}", body)
    assert (hidden.status, hidden.code) == (404, "RESOURCE_NOT_FOUND")
    assert (hidden.body["message"], hidden.body["errors"]) == (absent.body["message"], absent.body["errors"])
    assert (Workflow.objects.get().name, told(id_)) == ("w", ["workflow.created"])


def test_staff_may_all_with_anyones_workflow(alice_api: Api, admin_api: Api, alice: User) -> None:
    id_ = make(alice_api)
    assert admin_api.get(f"/workflows/{id_}").data["permissions"] == PERMISSIONS
    changed = admin_api.call("PATCH", f"/workflows/{id_}", {"name": "by staff"})
    assert (changed.data["name"], changed.data["created_by"]) == ("by staff", alice.pk)
    assert admin_api.call("DELETE", f"/workflows/{id_}").status == 200


@pytest.mark.parametrize("action", list(access.Action))
def test_access_is_one_rule_for_owner_staff_and_stranger(
    alice: User, bob: User, admin: User, action: access.Action
) -> None:
    workflow = create_workflow(user=alice, name="w", definition=LONE)
    for person in (alice, admin):
        caller = Caller(person, ALL)
        assert access.get_visible(caller, workflow.pk) == workflow
        assert access.may(caller, action, workflow)
        access.require(caller, action, workflow)
    stranger = Caller(bob, ALL)
    assert not access.visible_to(stranger).exists()
    with pytest.raises(NotFoundError):
        access.get_visible(stranger, workflow.pk)
    with pytest.raises(NotAllowedError, match=action):
        access.require(stranger, action, workflow)
    assert set(access.permissions(stranger, workflow).values()) == {False}


READ, WRITE, DELETE = Scope.WORKFLOW_READ, Scope.WORKFLOW_WRITE, Scope.WORKFLOW_DELETE
NEEDED: list[tuple[str, Any, str, Scope]] = [
    ("GET", views.WorkflowListView, "", READ),
    ("POST", views.WorkflowListView, "", WRITE),
    ("GET", views.WorkflowView, "workflow_id", READ),
    ("PUT", views.WorkflowView, "workflow_id", WRITE),
    ("PATCH", views.WorkflowView, "workflow_id", WRITE),
    ("DELETE", views.WorkflowView, "workflow_id", DELETE),
    ("POST", views.ValidateStoredView, "workflow_id", READ),
    ("POST", views.ValidateView, "", READ),
    ("GET", views.ComponentListView, "", READ),
    ("GET", views.ComponentSchemaView, "component_type", READ),
]


@pytest.mark.parametrize(("method", "view", "argument", "scope"), NEEDED)
def test_a_credential_without_the_scope_is_403(
    empty_redis: None, alice: User, method: str, view: Any, argument: str, scope: Scope
) -> None:
    workflow = create_workflow(user=alice, name="w", definition=LONE)
    arguments = {argument: {"workflow_id": workflow.pk, "component_type": "start"}[argument]} if argument else {}
    statuses = []
    for scopes in (ALL - {scope}, frozenset({scope})):
        request = APIRequestFactory().generic(method, "/", '{"name": ""}', content_type="application/json")
        force_authenticate(request, user=alice, token=Caller(alice, scopes))  # type: ignore[arg-type]
        statuses.append(view.as_view()(request, **arguments).status_code)
    # With the scope the request goes on, to its answer or to what is wrong with its body.
    assert statuses[0] == 403
    assert statuses[1] in {200, 422}
