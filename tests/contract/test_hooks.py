"""Inbound hooks over REST: tokens, senders, bodies, one execution for a delivery, waiting, rotation, rates."""

import hashlib
import hmac
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.models import AuditEntry, User
from accounts.secret_store import create_secret
from core.log_filters import HookTokenFilter
from executions.models import Execution, IdempotencyKey
from tests.api import Answer, Api
from tests.eventually import eventually
from tests.integration.executions.conftest import Doorbells
from tests.integration.triggers.conftest import activate, doorbells, only_legal_moves, started_by
from workflows.models import Trigger

__all__ = ["doorbells", "only_legal_moves"]

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "a-shared-secret-of-the-sender"


@pytest.fixture
def hook(alice_api: Api, alice: User) -> Callable[..., str]:
    """`hook(hmac_secret=…)`: the address of a live hook of alice's."""

    def make(**config: Any) -> str:
        parameters = config.pop("declared", None)
        definition = started_by(trigger_type="webhook", **config)
        if parameters is not None:
            definition["parameters"] = parameters
        workflow = activate(alice, definition)
        return address(alice_api, workflow.pk)

    return make


def address(api: Api, workflow_id: str) -> str:
    (trigger,) = api.get(f"/workflows/{workflow_id}").data["triggers"]
    url: str = trigger["url"]
    assert url.startswith("http://testserver/api/v1/hooks/")
    return url.removeprefix("http://testserver")


def send(path: str, body: Any = None, **more: Any) -> Answer:
    raw = more.pop("raw", None)
    return Api().call(more.pop("method", "POST"), path, body, raw=raw, **more)


def test_a_delivery_is_answered_202_and_is_the_input(
    hook: Callable[..., str], doorbells: Doorbells, alice: User
) -> None:
    answer = send(hook() + "?source=shop&tag=a&tag=b", {"order": 7}, **{"X-Custom": "1"})
    assert answer.status == 202
    execution = Execution.objects.get()
    assert set(answer.data) == {"execution_id", "status", "created_at"}
    assert (answer.data["execution_id"], execution.created_by_id) == (execution.pk, alice.pk)
    doorbells.work()
    execution.refresh_from_db()
    results = execution.results
    assert set(results) == {"body", "headers", "query", "method"}
    assert (results["body"], results["method"]) == ({"order": 7}, "POST")
    assert results["query"] == {"source": "shop", "tag": ["a", "b"]}
    assert results["headers"]["x-custom"] == "1"
    assert execution.parameters == {}


def test_the_execution_says_what_started_it(alice_api: Api, hook: Callable[..., str]) -> None:
    answer = send(hook(), {"order": 7})
    shown = alice_api.get(f"/executions/{answer.data['execution_id']}").data
    assert shown["trigger"] == {"type": "webhook", "trigger_id": Trigger.objects.get().pk, "component_id": "begin"}
    entry = AuditEntry.objects.get(action="execution.started")
    assert (entry.details["trigger"], entry.actor, entry.address) == ("webhook", "", "127.0.0.1")


@pytest.mark.parametrize(
    ("content_type", "raw", "body"),
    [
        ("application/json", b"[1, 2]", [1, 2]),
        ("application/json", b'"text"', "text"),
        ("application/vnd.github+json; charset=utf-8", b'{"a": 1}', {"a": 1}),
        ("application/x-www-form-urlencoded", b"a=1&b=2&b=3&c=", {"a": "1", "b": ["2", "3"], "c": ""}),
        ("text/plain", "grüße".encode(), "grüße"),
        ("application/xml", b"<a/>", "<a/>"),
        ("application/json", b"", None),
    ],
)
def test_bodies_are_json_forms_and_text(hook: Callable[..., str], content_type: str, raw: bytes, body: Any) -> None:
    assert send(hook(), raw=raw, content_type=content_type).status == 202
    assert Execution.objects.get().trigger["input"]["body"] == body


@pytest.mark.parametrize(
    ("content_type", "raw", "status"),
    [
        ("application/json", b"{", 400),
        ("application/json", b'{"a": 1, "a": 2}', 400),
        ("application/json", b"NaN", 400),
        ("application/json", b'"\\u0000"', 422),
        ("text/plain", b"\xff", 400),
        ("text/plain", b"a\0b", 422),
        ("application/octet-stream", b"a", 400),
        ("multipart/form-data; boundary=x", b"--x--", 400),
        ("application/x-www-form-urlencoded", b"&".join([b"a=1"] * 1001), 400),
    ],
)
def test_bad_bodies_are_refused_and_start_nothing(
    hook: Callable[..., str], content_type: str, raw: bytes, status: int
) -> None:
    answer = send(hook(), raw=raw, content_type=content_type)
    assert (answer.status, answer.code) == (status, "VALIDATION_ERROR")
    assert not Execution.objects.exists()


def test_more_than_an_input_holds_is_413(hook: Callable[..., str]) -> None:
    answer = send(hook(), raw=b"x" * (1024 * 1024), content_type="text/plain")
    assert answer.status == 413
    assert not Execution.objects.exists()


def test_credentials_are_not_handed_on_and_secret_looking_values_are_sealed(
    hook: Callable[..., str], doorbells: Doorbells, alice_api: Api
) -> None:
    path = hook(header_name="X-Hook-Secret", header_secret=SECRET)
    headers = {"Authorization": "Bearer tok-abcdef", "Cookie": "c=1", "X-API-Key": "k-abcdef", "X-Hook-Secret": SECRET}
    answer = send(path, {"password": "hunter2-hunter2", "n": 1, "note": "hunter2-hunter2"}, **headers)
    assert answer.status == 202
    doorbells.work()
    execution = Execution.objects.get()
    assert execution.status == "completed"
    assert execution.results["body"] == {"password": "[REDACTED]", "n": 1, "note": "[REDACTED]"}
    assert not {"authorization", "cookie", "x-api-key", "x-hook-secret"} & set(execution.results["headers"])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(t::text, ' ') FROM (SELECT e::text AS t FROM executions_execution e UNION ALL "
            "SELECT r::text FROM executions_componentrun r UNION ALL SELECT v::text FROM events_event v) AS x"
        )
        (stored,) = cursor.fetchone() or ("",)
    for text in ("hunter2-hunter2", SECRET, "tok-abcdef", "k-abcdef"):
        assert text not in stored
    assert "hunter2" not in json.dumps(alice_api.get(f"/executions/{execution.pk}/components").body)


def test_components_read_what_was_sealed(alice: User, alice_api: Api, doorbells: Doorbells) -> None:
    definition = started_by(trigger_type="webhook")
    definition["components"][1]["config"]["output"] = "{{ input.body.password | length }}"
    path = address(alice_api, activate(alice, definition).pk)
    send(path, {"password": "hunter2-hunter2"})
    doorbells.work()
    execution = Execution.objects.get()
    # Its length tells of it.
    assert (execution.status, execution.results) == ("completed", "[REDACTED]")
    retried = alice_api.post(f"/executions/{execution.pk}/retry")
    assert retried.status == 201
    doorbells.work()
    assert Execution.objects.get(pk=retried.data["id"]).status == "completed"


# Who may.


def test_an_unknown_token_is_the_404_of_any_unknown_path(hook: Callable[..., str]) -> None:
    hook()
    unknown = send("/api/v1/hooks/" + "A" * 43, {"a": 1})
    nowhere = send("/api/v1/nothing/here", {"a": 1})
    assert unknown.status == nowhere.status == 404
    assert {**unknown.body, "metadata": None} == {**nowhere.body, "metadata": None}
    # DRF tells an address's methods with every answer of it.
    assert set(unknown.headers) - {"Allow"} == set(nowhere.headers)
    broken = send("/api/v1/hooks/" + "A" * 43, raw=b"{", content_type="application/json")
    assert {**broken.body, "metadata": None} == {**nowhere.body, "metadata": None}


@pytest.mark.parametrize("action", ["deactivate", "archive"])
def test_a_hook_of_a_workflow_that_is_not_active_is_404_and_comes_back_with_it(
    hook: Callable[..., str], alice_api: Api, action: str
) -> None:
    path = hook()
    workflow_id = Trigger.objects.get().workflow_id
    alice_api.post(f"/workflows/{workflow_id}/{action}")
    assert send(path, {}).status == 404
    assert alice_api.get(f"/workflows/{workflow_id}").data["triggers"] == []
    assert not Execution.objects.exists()
    alice_api.post(f"/workflows/{workflow_id}/activate")
    assert send(path, {}).status == 202


def signed(raw: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-Webhook-Signature": "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()}


def test_a_signature_over_the_raw_body_is_checked(hook: Callable[..., str]) -> None:
    path = hook(hmac_secret=SECRET)
    raw = b'{"a":   1}'
    for headers in ({}, signed(raw, "another-secret-of-16"), signed(b'{"a": 1}'), {"X-Webhook-Signature": "sha256="}):
        answer = send(path, raw=raw, **headers)
        assert (answer.status, answer.code) == (401, "AUTHENTICATION_ERROR")
        assert "WWW-Authenticate" in answer.headers
    assert not Execution.objects.exists()
    assert send(path, raw=raw, **signed(raw)).status == 202


def test_the_secret_of_a_signature_may_be_a_secret_of_the_owner(hook: Callable[..., str], alice: User) -> None:
    create_secret(owner=alice, name="SIGNING", value=SECRET)
    path = hook(hmac_secret="{{ secrets.SIGNING }}")
    assert send(path, raw=b"{}").status == 401
    assert send(path, raw=b"{}", **signed(b"{}")).status == 202
    alice.secrets.all().delete()
    gone = send(path, raw=b"{}", **signed(b"{}"))
    assert gone.status == 422
    assert Execution.objects.count() == 1


def test_a_secret_header_is_checked(hook: Callable[..., str]) -> None:
    path = hook(header_name="X-Hook-Secret", header_secret=SECRET)
    assert send(path, {}).status == 401
    assert send(path, {}, **{"X-Hook-Secret": SECRET + "x"}).status == 401
    assert not Execution.objects.exists()
    assert send(path, {}, **{"X-Hook-Secret": SECRET}).status == 202


def test_get_is_for_hooks_that_allow_it(hook: Callable[..., str]) -> None:
    refused = send(hook(), method="GET")
    assert (refused.status, refused.code) == (405, "VALIDATION_ERROR")
    assert not Execution.objects.exists()
    path = hook(methods=["GET"])
    assert send(path + "?n=1", method="GET").status == 202
    assert Execution.objects.get().trigger["input"]["query"] == {"n": "1"}
    assert send(path, {}).status == 405
    for method in ("PUT", "DELETE", "PATCH"):
        assert send(path, {}, method=method).status == 405


def test_somebody_else_s_credentials_are_none_of_ours(hook: Callable[..., str]) -> None:
    assert send(hook(), {}, Authorization="Basic Zm9vOmJhcg==").status == 202


def test_an_owner_whose_account_is_closed_starts_nothing(hook: Callable[..., str], alice: User) -> None:
    path = hook()
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert send(path, {}).status == 422
    assert not Execution.objects.exists()


# Once.


def test_the_same_key_answers_the_same_execution(hook: Callable[..., str]) -> None:
    path = hook()
    first = send(path, {"n": 1}, **{"Idempotency-Key": "delivery 1"})
    again = send(path, {"n": 2}, **{"Idempotency-Key": "delivery 1"})
    other = send(path, {"n": 1}, **{"Idempotency-Key": "delivery 2"})
    assert (first.status, again.status, other.status) == (202, 202, 202)
    assert first.data["execution_id"] == again.data["execution_id"] != other.data["execution_id"]
    assert Execution.objects.count() == 2
    IdempotencyKey.objects.update(created_at="2000-01-01T00:00:00Z")
    assert send(path, {"n": 1}, **{"Idempotency-Key": "delivery 1"}).data["execution_id"] not in (
        first.data["execution_id"], other.data["execution_id"],
    )  # fmt: skip


def test_the_key_may_stand_in_another_header_and_is_each_hook_s_own(hook: Callable[..., str]) -> None:
    one, two = hook(dedupe_header="X-GitHub-Delivery"), None
    first = send(one, {}, **{"X-GitHub-Delivery": "d1"})
    assert send(one, {}, **{"X-GitHub-Delivery": "d1"}).data["execution_id"] == first.data["execution_id"]
    assert send(one, {}, **{"Idempotency-Key": "d1"}).data["execution_id"] != first.data["execution_id"]
    assert two is None
    too_long = send(one, {}, **{"X-GitHub-Delivery": "x" * 256})
    assert (too_long.status, too_long.fields) == (400, ["X-GitHub-Delivery"])


def test_two_hooks_share_no_key(hook: Callable[..., str], alice_api: Api, alice: User) -> None:
    paths = [address(alice_api, activate(alice, started_by(trigger_type="webhook")).pk) for _ in range(2)]
    ids = {send(path, {}, **{"Idempotency-Key": "d1"}).data["execution_id"] for path in paths}
    assert len(ids) == 2


def test_the_same_delivery_many_times_at_once_starts_one(hook: Callable[..., str]) -> None:
    path = hook()
    answers: list[Answer] = []

    def deliver() -> None:
        answers.append(send(path, {}, **{"Idempotency-Key": "d1"}))
        connection.close()

    threads = [threading.Thread(target=deliver) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [answer.status for answer in answers] == [202] * 6
    assert len({answer.data["execution_id"] for answer in answers}) == 1
    assert Execution.objects.count() == 1


# Parameters and concurrency.


def test_parameters_are_made_of_what_came(hook: Callable[..., str]) -> None:
    path = hook(
        parameters={"customer": "{{ input.body.customer }}", "kept": "{{ input.body.password }}"},
        declared=[{"name": "customer", "type": "integer", "required": True}],
    )
    assert send(path, {"customer": 7, "password": "hunter2-hunter2"}).status == 202
    assert Execution.objects.get().parameters == {"customer": 7, "kept": "[REDACTED]"}
    refused = send(path, {"customer": "seven", "password": "x"})
    assert (refused.status, refused.fields) == (422, ["parameters.customer"])
    assert send(path, {"password": "x"}).status == 422
    assert Execution.objects.count() == 1


def test_a_refusal_tells_a_sender_no_secret_of_the_owner(hook: Callable[..., str], alice: User) -> None:
    create_secret(owner=alice, name="KEY", value="a-very-secret-value")
    path = hook(parameters={"n": "{{ secrets.KEY | upper }}"}, declared=[{"name": "n", "type": "integer"}])
    refused = send(path, {})
    assert (refused.status, refused.fields) == (422, ["parameters.n"])
    assert "secret-value" not in json.dumps(refused.body).lower()
    assert not Execution.objects.exists()


# Waiting.


def test_wait_answers_the_result(hook: Callable[..., str], doorbells: Doorbells) -> None:
    path = hook()
    answers: list[Answer] = []

    def deliver() -> None:
        answers.append(send(path + "?wait=30", {"n": 1}))
        connection.close()

    thread = threading.Thread(target=deliver)
    thread.start()
    eventually(lambda: Execution.objects.exists() and doorbells.work())
    thread.join(30)
    (answer,) = answers
    assert answer.status == 200
    assert (answer.data["status"], answer.data["results"]["body"], answer.data["error"]) == (
        "completed",
        {"n": 1},
        None,
    )
    assert answer.data["results"]["query"] == {}


def test_wait_ends_with_202_when_the_time_is_over(hook: Callable[..., str], doorbells: Doorbells) -> None:
    answer = send(hook() + "?wait=1", {})
    assert (answer.status, answer.data["status"]) == (202, "queued")


def test_where_too_many_wait_the_next_is_answered_at_once(
    hook: Callable[..., str], doorbells: Doorbells, nobody_waits: None
) -> None:
    assert send(hook() + "?wait=60", {}).status == 202


@pytest.mark.parametrize("wait", ["-1", "61", "x", "1.5"])
def test_a_bad_wait_is_named_and_starts_nothing(hook: Callable[..., str], wait: str) -> None:
    answer = send(hook() + f"?wait={wait}", {})
    assert (answer.status, answer.fields) == (400, ["wait"])
    assert not Execution.objects.exists()


# The address.


def test_the_address_is_for_editors_with_a_scope_for_it(
    hook: Callable[..., str], alice_api: Api, as_user: Callable[..., Api], bob: User
) -> None:
    hook()
    workflow_id = Trigger.objects.get().workflow_id
    share = alice_api.post(f"/workflows/{workflow_id}/shares", {"user_id": bob.pk, "role": "operator"}).data["id"]
    (seen,) = as_user(bob).get(f"/workflows/{workflow_id}").data["triggers"]
    assert (seen["component_id"], seen["type"], seen["url"]) == ("begin", "webhook", None)
    alice_api.call("DELETE", f"/workflows/{workflow_id}/shares/{share}")
    alice_api.post(f"/workflows/{workflow_id}/shares", {"user_id": bob.pk, "role": "editor"})
    assert as_user(bob).get(f"/workflows/{workflow_id}").data["triggers"][0]["url"]
    made = alice_api.post("/api/v1/auth/api-keys", {"name": "reads", "permissions": ["workflow.read"]})
    assert Api(key=made.data["key"]).get(f"/workflows/{workflow_id}").data["triggers"][0]["url"] is None


def test_a_rotated_token_is_new_and_the_old_one_dead(hook: Callable[..., str], alice_api: Api) -> None:
    old = hook()
    workflow_id = Trigger.objects.get().workflow_id
    answer = alice_api.post(f"/workflows/{workflow_id}/triggers/begin/rotate")
    assert answer.status == 200
    new = answer.data["url"].removeprefix("http://testserver")
    assert new != old
    assert (send(old, {}).status, send(new, {}).status) == (404, 202)
    assert address(alice_api, workflow_id) == new
    entry = AuditEntry.objects.get(action="hook.rotated")
    assert (entry.object_id, entry.details["component_id"]) == (Trigger.objects.get().pk, "begin")
    token = new.rpartition("/")[2]
    assert all(token not in str(row) for row in AuditEntry.objects.values())
    # One that is no hook; and ids that no component has or can have.
    for component in ("end", "none", "%00", "a b", "x" * 65):
        assert alice_api.post(f"/workflows/{workflow_id}/triggers/{component}/rotate").status == 404
        if component != "end":
            assert alice_api.get(f"/workflows/{workflow_id}/triggers/{component}/events").status == 404
    assert alice_api.post(f"/workflows/{workflow_id}/triggers/begin/rotate", {"now": True}).status == 422
    assert address(alice_api, workflow_id) == new


def test_the_token_is_stored_as_a_digest_and_sealed(hook: Callable[..., str]) -> None:
    token = hook().rpartition("/")[2]
    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM workflows_trigger AS t")
        (stored,) = cursor.fetchone() or ("",)
    assert token not in stored
    assert token.encode().hex() not in stored
    assert bytes(Trigger.objects.get().token_digest or b"") == hashlib.sha256(token.encode()).digest()


def test_the_token_is_in_no_log_line(hook: Callable[..., str], caplog: pytest.LogCaptureFixture) -> None:
    path = hook(hmac_secret=SECRET)
    caplog.handler.addFilter(HookTokenFilter())
    with caplog.at_level(logging.DEBUG):
        for answer in (send(path, {}), send(path, method="PUT"), send("/api/v1/hooks/" + "A" * 43, {})):
            assert answer.status in {401, 404, 405}
    assert "/api/v1/hooks/[REDACTED]" in caplog.text
    assert path.rpartition("/")[2] not in caplog.text


def test_the_platform_s_log_has_the_filter() -> None:
    from django.conf import settings

    handlers: Any = settings.LOGGING["handlers"]
    assert "hook_tokens" in handlers["console"]["filters"]


# Rates.


def test_a_hook_has_a_rate_of_its_own(hook: Callable[..., str], settings: Any) -> None:
    path = hook()
    settings.HOOK_REQUESTS_PER_MINUTE = 2
    answers = [send(path, {}) for _ in range(3)]
    assert [answer.status for answer in answers] == [202, 202, 429]
    assert answers[0].headers["X-RateLimit-Limit"] == "2"
    assert Execution.objects.count() == 2
    assert Api().get("/health").headers["X-RateLimit-Limit"] == str(settings.ANONYMOUS_REQUESTS_PER_HOUR)


def test_unknown_tokens_count_for_the_caller_s_address(settings: Any, api: Api) -> None:
    settings.ANONYMOUS_REQUESTS_PER_HOUR = 2
    statuses = [Client().post("/api/v1/hooks/" + "A" * 43).status_code for _ in range(3)]
    assert statuses == [404, 404, 429]
