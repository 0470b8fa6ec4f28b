"""Sharing: what each role may, and that nothing tells of what is not shared (contract §4)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.callers import Caller
from accounts.groups import group_id
from accounts.models import User
from accounts.scopes import ALL as EVERY_SCOPE
from core.ids import new_id
from executions.models import Execution
from executions.states import ExecutionStatus
from tests.api import Api
from tests.integration.workflows.conftest import LONE, execution, make
from workflows import access
from workflows.models import Role, Share, Workflow

pytestmark = pytest.mark.django_db(transaction=True)

ALL = {"can_edit": True, "can_execute": True, "can_delete": True, "can_share": True}
BATCH = "/api/v2/workflows/execute-batch"


@pytest.fixture
def workflow(alice_api: Api) -> str:
    return make(alice_api)


def share(api: Api, workflow: str, **body: Any) -> Any:
    return api.post(f"/workflows/{workflow}/shares", body)


def test_a_share_is_made_listed_and_taken_back(alice_api: Api, alice: User, bob: User, workflow: str) -> None:
    made = share(alice_api, workflow, user_id=bob.pk, role="viewer")
    assert made.status == 201
    data = {**made.data}
    assert data.pop("id") and data.pop("created_at")
    assert data == {"user_id": bob.pk, "role": "viewer", "created_by": alice.pk}
    assert alice_api.get(f"/workflows/{workflow}/shares").data == [made.data]
    path = f"/workflows/{workflow}/shares/{made.data['id']}"
    assert alice_api.call("DELETE", path).status == 200
    assert alice_api.call("DELETE", path).status == 404
    assert alice_api.get(f"/workflows/{workflow}/shares").data == []


@pytest.mark.parametrize(
    ("role", "permissions"),
    [
        ("viewer", {**dict.fromkeys(ALL, False)}),
        ("operator", {**dict.fromkeys(ALL, False), "can_execute": True}),
        ("editor", {**dict.fromkeys(ALL, False), "can_execute": True, "can_edit": True}),
    ],
)
@pytest.mark.parametrize("by_group", [False, True])
def test_what_each_role_may(
    alice_api: Api, bob_api: Api, bob: User, workflow: str, role: str, permissions: dict[str, bool], by_group: bool
) -> None:
    if by_group:
        team = Group.objects.create(name="team")
        bob.groups.add(team)
        Share.objects.create(workflow_id=workflow, group=team, role=role, created_by=Workflow.objects.get().created_by)
    else:
        share(alice_api, workflow, user_id=bob.pk, role=role)
    ended = execution(workflow, ExecutionStatus.FAILED)
    path = f"/workflows/{workflow}"

    def status_of(allowed: bool, good: int = 200) -> int:
        return good if allowed else 403

    got = bob_api.get(path)
    assert (got.status, got.data["permissions"]) == (200, permissions)
    assert [item["id"] for item in bob_api.get("/workflows").data] == [workflow]
    assert [item["id"] for item in bob_api.get("/executions").data] == [ended.pk]
    assert bob_api.get(f"/executions/{ended.pk}/components").status == 200
    assert bob_api.call("PATCH", path, {"description": "d"}).status == status_of(permissions["can_edit"])
    assert bob_api.post(f"{path}/execute", {}).status == status_of(permissions["can_execute"], 201)
    assert bob_api.post(f"/executions/{ended.pk}/retry").status == status_of(permissions["can_execute"], 201)
    assert bob_api.post(f"/executions/{ended.pk}/cancel").status == (409 if permissions["can_execute"] else 403)
    assert bob_api.post(f"/executions/{ended.pk}/signals/x").status == (409 if permissions["can_execute"] else 403)
    (result,) = bob_api.post(BATCH, {"executions": [{"workflow_id": workflow}]}).data["results"]
    assert result["success"] is permissions["can_execute"]
    assert bob_api.call("DELETE", path).status == 403
    assert share(bob_api, workflow, user_id=new_id(), role="viewer").status == 403
    assert bob_api.get(f"{path}/shares").status == 403
    assert Workflow.objects.get().description == ("d" if permissions["can_edit"] else "")
    assert Execution.objects.count() == (4 if permissions["can_execute"] else 1)


def test_the_better_of_two_roles_holds(alice_api: Api, bob_api: Api, bob: User, workflow: str, alice: User) -> None:
    team = Group.objects.create(name="team")
    bob.groups.add(team)
    share(alice_api, workflow, user_id=bob.pk, role="viewer")
    Share.objects.create(workflow_id=workflow, group=team, role=Role.OPERATOR, created_by=alice)
    assert bob_api.get(f"/workflows/{workflow}").data["permissions"]["can_execute"] is True
    listed = bob_api.get("/workflows")
    assert (len(listed.data), listed.body["metadata"]["total_count"]) == (1, 1)
    bob.groups.clear()
    assert bob_api.get(f"/workflows/{workflow}").data["permissions"]["can_execute"] is False


def test_what_is_not_shared_any_more_is_not_there(alice_api: Api, bob_api: Api, bob: User, workflow: str) -> None:
    made = share(alice_api, workflow, user_id=bob.pk, role="editor")
    ended = execution(workflow, ExecutionStatus.COMPLETED)
    assert bob_api.get(f"/executions/{ended.pk}").status == 200
    alice_api.call("DELETE", f"/workflows/{workflow}/shares/{made.data['id']}")
    for method, path in (
        ("GET", f"/workflows/{workflow}"), ("PATCH", f"/workflows/{workflow}"), ("GET", f"/executions/{ended.pk}"),
        ("POST", f"/workflows/{workflow}/execute"), ("POST", f"/executions/{ended.pk}/retry"),
    ):  # fmt: skip
        assert bob_api.call(method, path, {} if method != "GET" else None).status == 404
    for listed in (
        bob_api.get("/workflows"),
        bob_api.get("/executions"),
        bob_api.get(f"/executions?workflow_id={workflow}"),
    ):
        assert (listed.data, listed.body["metadata"]["total_count"]) == ([], 0)


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [({"role": "viewer"}, 422, ["user_id"]), ({"user_id": "x", "role": "viewer"}, 422, ["user_id"]),
     ({"user_id": new_id(), "role": "viewer"}, 422, ["user_id"]),
     ({"group_id": new_id(), "role": "viewer"}, 422, ["group_id"]),
     ({"user_id": new_id(), "group_id": new_id(), "role": "viewer"}, 422, ["user_id"]),
     ({"user_id": new_id()}, 422, ["role"]), ({"user_id": new_id(), "role": "owner"}, 422, ["role"]),
     ({"user_id": None, "role": "viewer"}, 422, ["user_id"]),
     ({"user_id": new_id(), "role": "viewer", "workflow": "x"}, 422, ["workflow"])],
)  # fmt: skip
def test_a_bad_share_is_refused_and_named(
    alice_api: Api, workflow: str, body: dict[str, Any], status: int, fields: list[str]
) -> None:
    answer = alice_api.post(f"/workflows/{workflow}/shares", body)
    assert (answer.status, answer.fields) == (status, fields)
    assert Share.objects.count() == 0


def test_one_shares_with_others_who_are_there_and_once(alice_api: Api, alice: User, bob: User, workflow: str) -> None:
    assert share(alice_api, workflow, user_id=alice.pk, role="viewer").status == 422
    assert share(alice_api, workflow, user_id=bob.pk, role="viewer").status == 201
    assert share(alice_api, workflow, user_id=bob.pk, role="editor").fields == ["user_id"]
    assert Share.objects.get().role == "viewer"
    User.objects.filter(pk=bob.pk).update(is_active=False)
    Share.objects.all().delete()
    assert share(alice_api, workflow, user_id=bob.pk, role="viewer").status == 422


def test_one_shares_with_ones_own_groups_and_learns_nothing_of_others(
    alice_api: Api, admin_api: Api, alice: User, workflow: str
) -> None:
    own, other = Group.objects.create(name="own"), Group.objects.create(name="other")
    alice.groups.add(own)
    made = share(alice_api, workflow, group_id=group_id(own.pk), role="viewer")
    assert (made.status, made.data["group_id"]) == (201, group_id(own.pk))
    absent = share(alice_api, workflow, group_id=group_id(other.pk + 1), role="viewer")
    hidden = share(alice_api, workflow, group_id=group_id(other.pk), role="viewer")
    assert (hidden.status, hidden.body["errors"][0]["message"]) == (422, absent.body["errors"][0]["message"])
    assert share(admin_api, workflow, group_id=group_id(other.pk), role="viewer").status == 201


@contextmanager
def queries() -> Iterator[Any]:
    with CaptureQueriesContext(connection) as captured:
        yield captured


def test_roles_cost_one_query_for_a_whole_batch(alice_api: Api, bob: User, as_user: Callable[..., Api]) -> None:
    workflows = [make(alice_api, f"w{number}") for number in range(6)]
    for workflow in workflows:
        share(alice_api, workflow, user_id=bob.pk, role="operator")
    bob_api = as_user(bob)

    def cost(count: int) -> int:
        items = [{"workflow_id": workflow} for workflow in workflows[:count]]
        bob_api.post(BATCH, {"executions": items})
        with queries() as captured:
            assert bob_api.post(BATCH, {"executions": items}).data["summary"]["successful"] == count
        return len([query for query in captured if "workflows_share" in query["sql"]])

    # Which are visible, and what may be done with them.
    assert cost(2) == cost(6) == 2


def test_an_owner_pays_no_query_for_a_role(alice_api: Api, workflow: str, alice: User) -> None:
    caller = Caller(alice, EVERY_SCOPE)
    found = access.get_visible(caller, workflow)
    with queries() as captured:
        assert access.may(caller, access.Action.SHARE, found)
    assert len(captured) == 0


def test_who_edits_a_workflow_of_staff_runs_nobody_elses(
    admin_api: Api, alice_api: Api, bob_api: Api, bob: User
) -> None:
    hidden, outer = make(alice_api, "hidden"), make(admin_api, "outer")
    share(admin_api, outer, user_id=bob.pk, role="editor")
    child = {"id": "c", "type": "sub_workflow", "config": {"workflow_id": hidden}}
    assert bob_api.call("PATCH", f"/workflows/{outer}", {"definition": {"components": [child]}}).status == 200
    answer = bob_api.post(f"/workflows/{outer}/execute", {})
    assert (answer.status, answer.code) == (422, "WORKFLOW_INVALID")
    assert not Execution.objects.exists()


def test_a_sub_workflow_is_one_that_the_owner_may_execute(
    alice_api: Api, bob_api: Api, alice: User, bob: User, workflow: str
) -> None:
    shared = make(bob_api, "bobs")
    child = {"id": "c", "type": "sub_workflow", "config": {"workflow_id": shared}}
    definition = {"components": [*LONE["components"], child], "connections": [{"source": "start", "target": "c"}]}
    parent = make(alice_api, "parent", definition)
    assert alice_api.post(f"/workflows/{parent}/execute", {}).code == "WORKFLOW_INVALID"
    made = share(bob_api, shared, user_id=alice.pk, role="viewer")
    assert alice_api.post(f"/workflows/{parent}/execute", {}).code == "WORKFLOW_INVALID"
    bob_api.call("DELETE", f"/workflows/{shared}/shares/{made.data['id']}")
    share(bob_api, shared, user_id=alice.pk, role="operator")
    assert alice_api.post(f"/workflows/{parent}/execute", {}).status == 201


def test_a_diagnosis_names_no_execution_that_the_caller_does_not_see(
    alice_api: Api, bob_api: Api, alice: User, bob: User, workflow: str
) -> None:
    User.objects.filter(pk=alice.pk).update(tier="custom", concurrent_executions=1)
    hidden = alice_api.post(f"/workflows/{make(alice_api, 'hidden')}/execute", {}).data["execution_id"]
    waiting = alice_api.post(f"/workflows/{workflow}/execute", {}).data["execution_id"]
    share(alice_api, workflow, user_id=bob.pk, role="viewer")

    def holders(api: Api) -> Any:
        return api.get(f"/executions/{waiting}/diagnosis").data["details"]["holders"]

    assert holders(alice_api) == [hidden]
    assert holders(bob_api) == []


def test_shares_are_in_the_audit_log(alice_api: Api, admin_api: Api, bob: User, workflow: str) -> None:
    made = share(alice_api, workflow, user_id=bob.pk, role="viewer")
    alice_api.call("DELETE", f"/workflows/{workflow}/shares/{made.data['id']}")
    told = admin_api.get(f"/audit?object_type=share&object_id={made.data['id']}").data
    assert [(entry["action"], entry["details"]["role"]) for entry in told] == [
        ("share.deleted", "viewer"),
        ("share.created", "viewer"),
    ]
