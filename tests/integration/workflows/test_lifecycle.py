"""Turning workflows on and off, their versions, copies and documents (contract §5)."""

from typing import Any

import pytest

from accounts.models import User
from core import yaml_text
from tests.api import Api
from tests.integration.workflows.conftest import LONE, make, sends, told
from workflows.models import Role, Share, Workflow, WorkflowVersion
from workflows.sealing import whole_definition

pytestmark = pytest.mark.django_db(transaction=True)

HEADERS = {"Authorization": "Bearer s3cret-literal"}
CALL = {"url": "https://example.com", "method": "GET", "headers": HEADERS}
LITERAL = {"components": [{"id": "call", "type": "http_request", "config": CALL}]}


@pytest.mark.parametrize(
    ("action", "status", "event"),
    [("activate", "active", "workflow.activated"), ("deactivate", "inactive", "workflow.deactivated"),
     ("archive", "archived", "workflow.updated")],
)  # fmt: skip
def test_a_status_by_its_own_address(caller: Api, action: str, status: str, event: str) -> None:
    id_ = make(caller)
    answer = caller.post(f"/workflows/{id_}/{action}")
    assert (answer.status, answer.data["status"], answer.data["version"]) == (200, status, 1)
    assert caller.get(f"/workflows/{id_}").data["status"] == status
    assert told(id_) == ["workflow.created", event]


def test_activating_what_cannot_run_is_refused(alice_api: Api) -> None:
    id_ = make(alice_api, definition=sends("{{ secrets.MISSING }}"))
    answer = alice_api.post(f"/workflows/{id_}/activate")
    assert (answer.status, answer.code) == (422, "WORKFLOW_INVALID")
    assert alice_api.get(f"/workflows/{id_}").data["status"] == "draft"


def test_a_status_takes_a_version_and_nothing_else(alice_api: Api) -> None:
    path = f"/workflows/{make(alice_api)}"
    alice_api.call("PATCH", path, {"definition": sends(1)})
    assert alice_api.post(f"{path}/activate", {"expected_version": 1}).status == 409
    assert alice_api.call("POST", f"{path}/activate", If_Match='"1"').status == 409
    assert alice_api.post(f"{path}/activate", {"status": "archived"}).fields == ["status"]
    assert alice_api.get(path).data["status"] == "draft"
    assert alice_api.post(f"{path}/activate", {"expected_version": 2}).status == 200


def test_an_archived_name_is_free_and_comes_back_only_if_it_still_is(alice_api: Api) -> None:
    id_ = make(alice_api)
    alice_api.post(f"/workflows/{id_}/archive")
    assert alice_api.post(f"/workflows/{id_}/execute", {}).status == 409
    make(alice_api)
    answer = alice_api.post(f"/workflows/{id_}/activate")
    assert (answer.status, answer.fields) == (409, ["name"])


def test_versions_are_listed_read_and_restored(caller: Api, alice: User) -> None:
    path = f"/workflows/{make(caller, definition=sends(1))}"
    caller.call("PATCH", path, {"definition": sends(2)})
    listed = caller.get(f"{path}/versions")
    assert [(v["version"], v["current"], v["created_by"]) for v in listed.data] == [
        (2, True, alice.pk),
        (1, False, alice.pk),
    ]
    assert "definition" not in listed.data[0] and listed.body["metadata"]["total_count"] == 2
    assert caller.get(f"{path}/versions/1").data["definition"] == sends(1)
    restored = caller.post(f"{path}/versions/1/restore")
    assert (restored.status, restored.data["version"], restored.data["definition"]) == (200, 3, sends(1))
    assert restored.headers["ETag"] == '"3"'
    assert [v["version"] for v in caller.get(f"{path}/versions").data] == [3, 2, 1]
    assert caller.get(f"{path}/versions/2").data["definition"] == sends(2)


def test_restoring_what_is_in_force_makes_no_version(alice_api: Api) -> None:
    path = f"/workflows/{make(alice_api)}"
    assert alice_api.post(f"{path}/versions/1/restore").data["version"] == 1


@pytest.mark.parametrize("number", ["0", "2", "-1", "x", "999999999", "9999999999", "1.0", "01"])
def test_an_absent_version_is_404(alice_api: Api, number: str) -> None:
    path = f"/workflows/{make(alice_api)}"
    assert alice_api.get(f"{path}/versions/{number}").status == 404
    assert alice_api.post(f"{path}/versions/{number}/restore").status == 404


def test_a_stale_restore_is_refused(alice_api: Api) -> None:
    path = f"/workflows/{make(alice_api)}"
    alice_api.call("PATCH", path, {"definition": sends(2)})
    assert alice_api.post(f"{path}/versions/1/restore", {"expected_version": 1}).status == 409
    assert alice_api.get(path).data["version"] == 2


def test_a_restored_version_has_its_literal_secrets(alice_api: Api) -> None:
    id_ = make(alice_api, definition=LITERAL)
    path = f"/workflows/{id_}"
    alice_api.call("PATCH", path, {"definition": LONE})
    restored = alice_api.post(f"{path}/versions/1/restore")
    assert restored.data["definition"]["components"][0]["config"]["headers"] == {"Authorization": "[REDACTED]"}
    assert whole_definition(WorkflowVersion.objects.get(workflow=id_, number=3)) == LITERAL


def test_a_duplicate_is_a_draft_of_ones_own(caller: Api, alice: User) -> None:
    id_ = make(caller, "Report", sends(1), tags=["a"], category="c", priority=7, description="d")
    caller.post(f"/workflows/{id_}/activate")
    copies = [caller.post(f"/workflows/{id_}/duplicate") for _ in range(2)]
    assert [(copy.status, copy.data["name"], copy.data["status"]) for copy in copies] == [
        (201, "Report (copy)", "draft"),
        (201, "Report (copy 2)", "draft"),
    ]
    copy = caller.get(f"/workflows/{copies[0].data['id']}").data
    assert (copy["tags"], copy["category"], copy["priority"], copy["description"]) == (["a"], "c", 7, "d")
    assert (copy["definition"], copy["version"], copy["created_by"]) == (sends(1), 1, alice.pk)


def test_a_duplicate_may_be_named(alice_api: Api) -> None:
    id_ = make(alice_api)
    assert alice_api.post(f"/workflows/{id_}/duplicate", {"name": "new", "description": ""}).data["name"] == "new"
    assert alice_api.post(f"/workflows/{id_}/duplicate", {"name": "new"}).status == 409
    assert alice_api.post(f"/workflows/{id_}/duplicate", {"definition": LONE}).fields == ["definition"]
    assert Workflow.objects.count() == 2


def test_the_copy_of_a_long_name_fits(alice_api: Api) -> None:
    id_ = make(alice_api, "n" * 255)
    assert alice_api.post(f"/workflows/{id_}/duplicate").data["name"] == "n" * 248 + " (copy)"


def test_literal_secrets_are_copied_for_who_may_edit_alone(
    alice_api: Api, bob_api: Api, alice: User, bob: User
) -> None:
    id_ = make(alice_api, definition=LITERAL)
    share = Share.objects.create(workflow_id=id_, user=bob, role=Role.OPERATOR, created_by=alice)
    answer = bob_api.post(f"/workflows/{id_}/duplicate")
    assert (answer.status, answer.code) == (403, "AUTHORIZATION_ERROR")
    assert Workflow.objects.count() == 1
    Share.objects.filter(pk=share.pk).update(role=Role.EDITOR)
    copied = bob_api.post(f"/workflows/{id_}/duplicate").data["id"]
    assert whole_definition(WorkflowVersion.objects.get(workflow=copied)) == LITERAL


def exported(api: Api, id_: str) -> Any:
    return api.get(f"/workflows/{id_}/export")


def test_what_is_exported_can_be_imported(caller: Api) -> None:
    id_ = make(caller, "Report", sends("a: é\n- b"), tags=["a"], category="c", priority=7, description="d")
    document = exported(caller, id_).data
    assert document == {
        "format": 1, "name": "Report", "description": "d", "category": "c", "tags": ["a"], "priority": 7,
        "definition": sends("a: é\n- b"),
    }  # fmt: skip
    assert caller.post("/workflows/import", document).status == 409
    made = caller.post("/workflows/import", {**document, "name": "Other"})
    assert (made.status, made.data["status"]) == (201, "draft")
    assert exported(caller, made.data["id"]).data == {**document, "name": "Other"}


def test_a_document_may_be_yaml(alice_api: Api) -> None:
    id_ = make(alice_api, 'Weekly "Report"', sends("yes"))
    response = alice_api._client.get(
        f"/api/v1/workflows/{id_}/export?format=yaml", headers={"Authorization": f"Bearer {alice_api.token}"}
    )
    assert response.headers["Content-Type"] == "application/yaml"
    assert response.headers["Content-Disposition"] == 'attachment; filename="weekly-report.yaml"'
    assert "X-RateLimit-Limit" in response.headers
    document = yaml_text.loads(response.content)
    assert document == exported(alice_api, id_).data
    raw = response.content.replace(b'Weekly "Report"', b"Other")
    for media_type in ("application/yaml", "application/x-yaml", "text/yaml; charset=utf-8"):
        raw = raw.replace(b"Other", b"Other o")
        made = alice_api.call("POST", "/workflows/import", raw=raw, content_type=media_type)
        assert made.status == 201, made.body
        assert alice_api.get(f"/workflows/{made.data['id']}").data["definition"] == sends("yes")


@pytest.mark.parametrize(
    ("raw", "status", "message"),
    [(b"a: [", 400, "not valid YAML"), (b"- a", 400, "must be a YAML object, got an array"), (b"", 400, "empty"),
     (b"a: &x 1\nb: *x", 400, "anchors"), (b'name: "a\\0"', 422, "Validation failed"),
     (b"name: x\n" + b"#" * 2**20, 413, "too large")],
)  # fmt: skip
def test_yaml_that_cannot_be_read_is_refused(alice_api: Api, raw: bytes, status: int, message: str) -> None:
    answer = alice_api.call("POST", "/workflows/import", raw=raw, content_type="application/yaml")
    assert (answer.status, message in answer.body["message"]) == (status, True), answer.body
    assert Workflow.objects.count() == 0


def test_only_import_takes_yaml(alice_api: Api) -> None:
    assert alice_api.call("POST", "/workflows", raw=b"name: x", content_type="application/yaml").status == 400


@pytest.mark.parametrize(
    ("change", "field"),
    [({"format": 2}, "format"), ({"id": "x"}, "id"), ({"name": ""}, "name"), ({"definition": 5}, "definition")],
)
def test_a_bad_document_is_422_and_named(alice_api: Api, change: dict[str, Any], field: str) -> None:
    answer = alice_api.post("/workflows/import", {"name": "w", "definition": LONE, **change})
    assert (answer.status, answer.fields) == (422, [field])


def test_an_exported_secret_must_be_written_anew(alice_api: Api) -> None:
    document = exported(alice_api, make(alice_api, definition=LITERAL)).data
    answer = alice_api.post("/workflows/import", {**document, "name": "Other"})
    assert (answer.status, answer.fields) == (422, ["definition.components[0].config.headers.Authorization"])


def test_a_bad_format_is_400(alice_api: Api) -> None:
    assert alice_api.get(f"/workflows/{make(alice_api)}/export?format=xml").fields == ["format"]
