"""Literal secrets of definitions over REST: hidden from everybody, kept by a round trip, in no table in plain."""

import base64
import copy
import importlib
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client

from accounts import vault
from accounts.models import User
from core.errors import ConflictError
from core.json_text import dumps
from core.redact import REDACTED
from core.types import JSONObject
from tests.api import Api
from tests.integration.workflows.conftest import LONE, START, make, told
from workflows.models import Workflow, WorkflowVersion
from workflows.sealing import place, whole_definition
from workflows.services import create_workflow, update_workflow

pytestmark = pytest.mark.django_db(transaction=True)

HEADER, PASSWORD, DEFAULT, TRIGGER = (f"canary-{name}-7Qx9" for name in ("header", "password", "default", "trigger"))
CALL = {
    "id": "call",
    "type": "http_request",
    "config": {
        "url": "https://api.example.com/",
        "method": "GET",
        "headers": {"Authorization": f"Bearer {HEADER}"},
        "auth": {"type": "basic", "username": "ann", "password": PASSWORD},
    },
}
EACH = {"id": "each", "type": "for_each", "config": {"items": [1], "components": [CALL]}}
DEFINITION: JSONObject = {
    "components": [
        {**START, "config": {"trigger_type": "schedule", "interval_seconds": 60, "parameters": {"token": TRIGGER}}},
        EACH,
    ],
    "connections": [{"source": "start", "target": "each", "type": "success"}],
    "parameters": [{"name": "api_key", "type": "string", "default_value": DEFAULT}],
}
CANARIES = (HEADER, PASSWORD, DEFAULT, TRIGGER)


def call_of(definition: Any) -> Any:
    return definition["components"][1]["config"]["components"][0]["config"]


def assert_nowhere(*answers: Any) -> None:
    for canary in CANARIES:
        for answer in answers:
            assert canary not in str(answer)


def stored() -> str:
    """All tables as text, and all bytes in them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        found = ""
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{table}" AS t')
            found += " ".join(text for (text,) in cursor.fetchall())
    return found


def whole(workflow_id: str) -> JSONObject:
    version = WorkflowVersion.objects.filter(workflow=workflow_id).latest("number")
    return whole_definition(version)


def test_p4_no_answer_and_no_table_holds_a_literal_secret(
    caller: Api, admin_api: Api, admin: User, alice: User
) -> None:
    created = caller.post("/workflows", {"name": "w", "definition": DEFINITION})
    id_ = created.data["id"]
    shown = caller.get(f"/workflows/{id_}")
    assert call_of(shown.data["definition"])["headers"] == {"Authorization": REDACTED}
    assert call_of(shown.data["definition"])["auth"] == {"type": "basic", "username": "ann", "password": REDACTED}
    assert shown.data["definition"]["parameters"][0]["default_value"] == REDACTED
    assert shown.data["definition"]["components"][0]["config"]["parameters"] == {"token": REDACTED}
    changed = copy.deepcopy(DEFINITION)
    changed["settings"] = {"max_parallel": 2}
    in_admin = Client()
    in_admin.force_login(admin)
    assert_nowhere(
        created.body,
        shown.body,
        admin_api.get(f"/workflows/{id_}").body,
        caller.get("/workflows").body,
        caller.call("PUT", f"/workflows/{id_}", {"name": "w", "definition": changed}).body,
        caller.call("PATCH", f"/workflows/{id_}", {"description": "d"}).body,
        caller.post(f"/workflows/{id_}/validate").body,
        caller.post(f"/workflows/{id_}/validate", {"definition": DEFINITION}).body,
        caller.post("/workflows/validate", {"definition": DEFINITION}).body,
        caller.post(f"/workflows/{id_}/execute", {}).body,
        in_admin.get(f"/admin/workflows/workflow/{id_}/change/").content.decode(),
    )
    assert whole(id_) == changed
    tables = stored()
    assert_nowhere(tables)
    for canary in CANARIES:
        assert canary.encode().hex() not in tables
        assert base64.b64encode(canary.encode()).decode()[:-4] not in tables


def test_p4_a_put_of_what_get_gave_changes_nothing(caller: Api) -> None:
    id_ = make(caller, definition=DEFINITION)
    shown = caller.get(f"/workflows/{id_}").data["definition"]
    for method, body in (("PUT", {"name": "w", "definition": shown}), ("PATCH", {"definition": shown})):
        answer = caller.call(method, f"/workflows/{id_}", body)
        assert (answer.status, answer.data["version"], answer.data["definition"]) == (200, 1, shown)
    given = caller.call("PATCH", f"/workflows/{id_}", {"definition": DEFINITION})
    assert (given.status, given.data["version"]) == (200, 1)
    assert (WorkflowVersion.objects.count(), told(id_)) == (1, ["workflow.created"])


def test_a_change_beside_a_hidden_secret_keeps_it(caller: Api) -> None:
    id_ = make(caller, definition=DEFINITION)
    changed = caller.get(f"/workflows/{id_}").data["definition"]
    call_of(changed)["url"] = "https://other.example.com/"
    call_of(changed)["auth"]["password"] = "a-new-password"
    answer = caller.call("PUT", f"/workflows/{id_}", {"name": "w", "definition": changed})
    assert (answer.status, answer.data["version"]) == (200, 2)
    kept = call_of(whole(id_))
    assert kept["headers"] == {"Authorization": f"Bearer {HEADER}"}
    assert (kept["url"], kept["auth"]["password"]) == ("https://other.example.com/", "a-new-password")
    first = WorkflowVersion.objects.get(workflow=id_, number=1)
    assert whole_definition(first) == DEFINITION


def test_a_hidden_secret_can_be_taken_out(caller: Api) -> None:
    id_ = make(caller, definition=DEFINITION)
    caller.call("PATCH", f"/workflows/{id_}", {"definition": LONE})
    version = WorkflowVersion.objects.get(workflow=id_, number=2)
    assert (version.definition, version.sealed_definition) == (LONE, None)


def test_a_mark_that_stands_for_nothing_is_422_and_named(caller: Api) -> None:
    place = "definition.components[1].config.components[0].config"
    id_ = make(caller, definition=DEFINITION)
    shown = caller.get(f"/workflows/{id_}").data["definition"]
    new = caller.post("/workflows", {"name": "copy", "definition": shown})
    assert (new.status, new.code, set(new.fields)) == (422, "VALIDATION_ERROR", {
        "definition.components[0].config.parameters.token", f"{place}.headers.Authorization", f"{place}.auth.password",
        "definition.parameters[0].default_value",
    })  # fmt: skip
    judged = caller.post("/workflows/validate", {"definition": shown}).data
    assert (judged["is_valid"], len(judged["errors"])) == (False, 4)
    call_of(shown)["query"] = {"token": REDACTED}
    for method in ("PUT", "PATCH"):
        answer = caller.call(method, f"/workflows/{id_}", {"name": "w", "definition": shown})
        assert (answer.status, answer.code, answer.fields) == (422, "VALIDATION_ERROR", [f"{place}.query.token"])
        assert answer.body["errors"][0]["details"]["received"] == REDACTED
    judged = caller.post(f"/workflows/{id_}/validate", {"definition": shown}).data
    assert [error["field"] for error in judged["errors"]] == [f"{place}.query.token"]
    assert judged["errors"][0]["component_id"] == "each"
    assert (Workflow.objects.count(), WorkflowVersion.objects.count(), told(id_)) == (1, 1, ["workflow.created"])


def test_what_is_restored_is_validated_as_if_it_were_written(caller: Api) -> None:
    id_ = make(caller, definition=DEFINITION)
    shown = caller.get(f"/workflows/{id_}").data["definition"]
    assert caller.post(f"/workflows/{id_}/validate", {"definition": shown}).data["is_valid"] is True
    call_of(shown)["method"] = HEADER
    answer = caller.call("PATCH", f"/workflows/{id_}", {"definition": shown})
    assert answer.status == 422
    assert_nowhere(answer.body)


def test_a_viewer_reads_and_judges_without_learning_anything(alice_api: Api, bob_api: Api, bob: User) -> None:
    id_ = make(alice_api, definition=DEFINITION)
    alice_api.post(f"/workflows/{id_}/shares", {"user_id": bob.pk, "role": "viewer"})
    shown = bob_api.get(f"/workflows/{id_}").data["definition"]
    assert shown == alice_api.get(f"/workflows/{id_}").data["definition"]
    assert bob_api.post(f"/workflows/{id_}/validate").data["is_valid"] is True
    # Whether the stored value keeps a rule of the viewer's would tell it letter by letter.
    for pattern in ("^canary", "^other"):
        shown["parameters"][0]["validation_rules"] = {"pattern": pattern}
        judged = bob_api.post(f"/workflows/{id_}/validate", {"definition": shown})
        assert len(judged.data["errors"]) == 4
        assert {error["message"].split(";")[0] for error in judged.data["errors"]} == {
            f"{REDACTED} stands for a value that is stored in this place, and there is none"
        }
        assert_nowhere(judged.body)
    own = alice_api.post(f"/workflows/{id_}/validate", {"definition": shown}).data["errors"]
    assert [error["field"] for error in own] == ["definition.parameters[0].default_value"]


def test_an_editor_cannot_turn_a_secret_into_something_that_is_shown(alice_api: Api, bob_api: Api, bob: User) -> None:
    definition = {**LONE, "parameters": [{"name": "p", "type": "secret", "default_value": DEFAULT}]}
    id_ = make(alice_api, definition=definition)
    alice_api.post(f"/workflows/{id_}/shares", {"user_id": bob.pk, "role": "editor"})
    shown = bob_api.get(f"/workflows/{id_}").data["definition"]
    for type_ in ("string", "integer"):
        shown["parameters"][0]["type"] = type_
        for answer in (
            bob_api.call("PATCH", f"/workflows/{id_}", {"definition": shown}),
            bob_api.post(f"/workflows/{id_}/validate", {"definition": shown}),
        ):
            errors = answer.body["errors"] if answer.status == 422 else answer.data["errors"]
            assert [error["field"] for error in errors] == ["definition.parameters[0].default_value"]
            assert_nowhere(answer.body)
    assert whole(id_) == definition
    assert WorkflowVersion.objects.count() == 1


def test_a_workflow_that_changed_after_it_was_read_takes_no_marks(alice: User) -> None:
    workflow = create_workflow(user=alice, name="w", definition=DEFINITION)
    stale = Workflow.objects.get(pk=workflow.pk)
    update_workflow(workflow=workflow, user=alice, changes={"definition": LONE})
    with pytest.raises(ConflictError):
        update_workflow(
            workflow=stale,
            user=alice,
            changes={"definition": WorkflowVersion.objects.get(number=1).definition},
        )
    assert WorkflowVersion.objects.count() == 2


def test_a_version_is_restored_by_its_whole_definition(alice: User) -> None:
    workflow = create_workflow(user=alice, name="w", definition=DEFINITION)
    update_workflow(workflow=workflow, user=alice, changes={"definition": LONE})
    first = WorkflowVersion.objects.get(number=1)
    update_workflow(workflow=workflow, user=alice, changes={"definition": whole_definition(first)})
    third = WorkflowVersion.objects.get(number=3)
    assert (third.definition, whole_definition(third)) == (first.definition, DEFINITION)
    assert third.sealed_definition != first.sealed_definition


def break_seal() -> None:
    WorkflowVersion.objects.update(sealed_definition=vault.seal(b"{}", bound_to="another place"))


def test_a_version_that_does_not_open_is_told_and_can_be_written_anew(caller: Api) -> None:
    id_ = make(caller, definition=DEFINITION)
    break_seal()
    shown = caller.get(f"/workflows/{id_}").data["definition"]
    kept = caller.call("PATCH", f"/workflows/{id_}", {"definition": shown})
    assert (kept.status, kept.fields) == (422, ["definition"])
    (error,) = caller.post(f"/workflows/{id_}/validate").data["errors"]
    assert error["message"] == "The stored definition does not open: sealed for another place, or altered"
    for answer in (
        caller.call("PATCH", f"/workflows/{id_}", {"status": "active"}),
        caller.post(f"/workflows/{id_}/execute", {}),
    ):
        assert (answer.status, answer.code, answer.fields) == (422, "WORKFLOW_INVALID", ["definition"])
    written = caller.call("PATCH", f"/workflows/{id_}", {"definition": DEFINITION})
    assert (written.status, written.data["version"]) == (200, 2)
    assert caller.call("PATCH", f"/workflows/{id_}", {"status": "active"}).status == 200


def test_the_migration_seals_what_is_stored_in_plain_and_opens_it_again(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    migration = importlib.import_module("workflows.migrations.0004_seal_literal_secrets")
    plain = create_workflow(user=alice, name="plain", definition=LONE)
    ids = [create_workflow(user=alice, name=f"w{number}", definition=DEFINITION).pk for number in range(3)]
    WorkflowVersion.objects.filter(workflow__in=ids).update(definition=DEFINITION, sealed_definition=None)
    monkeypatch.setattr(migration, "_BATCH", 2)
    for _ in range(2):
        with connection.schema_editor() as editor:
            migration.seal(apps, editor)
        assert_nowhere(stored())
        assert [whole(id_) for id_ in ids] == [DEFINITION] * 3
    with connection.schema_editor() as editor:
        migration.unseal(apps, editor)
    for version in WorkflowVersion.objects.filter(workflow__in=ids):
        assert (version.definition, version.sealed_definition) == (DEFINITION, None)
    assert WorkflowVersion.objects.get(workflow=plain).definition == LONE


def test_an_execution_of_a_version_that_no_longer_validates_repeats_no_secret(caller: Api) -> None:
    id_ = make(caller, definition=DEFINITION)
    version = WorkflowVersion.objects.get(workflow=id_)
    broken = copy.deepcopy(DEFINITION)
    call_of(broken)["headers"]["Authorization"] = [HEADER]
    version.sealed_definition = vault.seal(dumps(broken), bound_to=place(version.pk))
    version.save(update_fields=["sealed_definition"])
    answer = caller.post(f"/workflows/{id_}/execute", {})
    assert (answer.status, answer.code) == (422, "WORKFLOW_INVALID")
    assert_nowhere(answer.body)
