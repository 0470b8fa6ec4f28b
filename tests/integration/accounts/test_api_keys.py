"""API keys: made once, used by programs, gone at once (contract §4)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.api_keys import MAX_KEYS, create_api_key
from accounts.models import ApiKey, User
from core.times import iso
from tests.api import Api

pytestmark = pytest.mark.django_db

KEYS = "/api/v1/auth/api-keys"
DEFINITION = {"components": [{"id": "start", "type": "start", "config": {"trigger_type": "manual"}}]}


def make(api: Api, **fields: Any) -> Any:
    return api.post(KEYS, {"name": "Integration", "permissions": ["workflow.read"], **fields})


def test_a_key_is_shown_once_and_kept_as_a_hash(alice_api: Api) -> None:
    body = {
        "name": "My Integration",
        "description": "API key for workflow automation",
        "expires_at": iso(timezone.now() + timedelta(days=30)),
        "permissions": ["workflow.read", "workflow.execute"],
    }
    made = alice_api.post(KEYS, body)
    assert made.status == 201
    key = made.data["key"]
    assert key.startswith(made.data["prefix"]) and key.startswith("apg_") and len(key) == 55
    assert made.data["permissions"] == ["workflow.execute", "workflow.read"]
    shown = {**made.data}
    del shown["key"]
    assert alice_api.get(f"{KEYS}/{made.data['id']}").data == shown
    assert alice_api.get(KEYS).data == [shown]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT accounts_apikey::text || accounts_auditentry::text FROM accounts_apikey, accounts_auditentry"
        )
        assert not [row for (row,) in cursor.fetchall() if key[12:] in row]


def test_a_key_works_in_its_header_and_as_a_bearer_token(alice_api: Api) -> None:
    key = make(alice_api).data["key"]
    for caller in (Api(key=key), Api(key)):
        assert caller.get("/workflows").status == 200
        me = caller.get("/api/v1/auth/me")
        assert (me.data["email"], me.data["scopes"]) == ("alice@example.com", ["workflow.read"])


def test_a5_a_key_does_what_its_permissions_say_and_no_more(alice_api: Api) -> None:
    caller = Api(key=make(alice_api).data["key"])
    answer = caller.post("/workflows", {"name": "w", "definition": DEFINITION})
    assert (answer.status, answer.code) == (403, "AUTHORIZATION_ERROR")
    assert alice_api.get("/workflows").data == []
    assert Api(key=make(alice_api, permissions=[]).data["key"]).get("/workflows").status == 403
    everything = Api(key=make(alice_api, permissions=["*"]).data["key"])
    assert everything.post("/workflows", {"name": "w", "definition": DEFINITION}).status == 201


def test_who_may_write_and_not_read_is_told_no_definition(alice_api: Api) -> None:
    id_ = alice_api.post("/workflows", {"name": "w", "definition": DEFINITION}).data["id"]
    writer = Api(key=make(alice_api, permissions=["workflow.write"]).data["key"])
    answer = writer.call("PATCH", f"/workflows/{id_}", {"description": "d"})
    assert (answer.status, answer.data["description"], "definition" in answer.data) == (200, "d", False)


def test_a4_a_key_never_exceeds_its_owner(alice_api: Api, as_user: Callable[..., Api], bob: User) -> None:
    workflow = as_user(bob).post("/workflows", {"name": "w", "definition": DEFINITION}).data["id"]
    caller = Api(key=make(alice_api, permissions=["*"]).data["key"])
    assert caller.get(f"/workflows/{workflow}").status == 404
    assert caller.get("/api/v1/auth/users").status == 403
    assert caller.get("/audit").status == 403


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", KEYS, None), ("POST", KEYS, {"name": "x", "permissions": ["*"]}), ("POST", "/api/v1/auth/password", {}),
     ("GET", "/api/v1/auth/users", None), ("POST", "/api/v1/auth/users", {}), ("GET", "/api/v1/auth/groups", None)],
)  # fmt: skip
def test_a6_a_key_cannot_manage_keys_or_accounts_even_of_staff(
    as_user: Callable[..., Api], admin: User, method: str, path: str, body: Any
) -> None:
    _, key = create_api_key(owner=admin, name="k", permissions=["*"])
    answer = Api(key=key).call(method, path, body)
    assert (answer.status, answer.code) == (403, "AUTHORIZATION_ERROR")
    assert admin.api_keys.count() == 1


def test_a4_a_deleted_key_is_refused_at_once(alice_api: Api) -> None:
    made = make(alice_api)
    caller = Api(key=made.data["key"])
    assert caller.get("/workflows").status == 200
    assert alice_api.call("DELETE", f"{KEYS}/{made.data['id']}").status == 200
    answer = caller.get("/workflows")
    assert (answer.status, answer.code) == (401, "AUTHENTICATION_ERROR")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert alice_api.call("DELETE", f"{KEYS}/{made.data['id']}").status == 404


def test_a4_an_expired_key_and_one_of_a_disabled_user_are_refused(alice_api: Api, alice: User) -> None:
    made = make(alice_api, expires_at=iso(timezone.now() + timedelta(hours=1)))
    caller = Api(key=made.data["key"])
    assert caller.get("/workflows").status == 200
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert caller.get("/workflows").status == 401
    ApiKey.objects.update(expires_at=None)
    assert caller.get("/workflows").status == 200
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert caller.get("/workflows").status == 401


def test_a4_keys_that_are_no_keys_are_refused(alice_api: Api) -> None:
    key = make(alice_api).data["key"]
    other = make(alice_api).data["key"]
    for text in ("", " ", "apg_", key[:-1], key + "x", key[:-1] + ("A" if key[-1] != "A" else "B"), key.upper(),
                 other[:12] + key[12:], key[:12] + "0" * 43, "x" * 100_000, "apg_" + "é" * 51):  # fmt: skip
        assert Api().call("GET", "/workflows", X_API_Key=text).status == 401, text[:60]
    assert Api(key=f" {key} ").get("/workflows").status == 200


def test_a1_two_credentials_at_once_are_refused(alice_api: Api) -> None:
    key = make(alice_api).data["key"]
    assert Api(alice_api.token, key=key).get("/workflows").status == 401


def last_used() -> datetime:
    at = ApiKey.objects.get().last_used_at
    assert at is not None
    return at


def test_last_use_is_kept_by_the_minute(alice_api: Api) -> None:
    made = make(alice_api)
    assert made.data["last_used_at"] is None
    Api(key=made.data["key"]).get("/workflows")
    first = last_used()
    assert timezone.now() - first < timedelta(minutes=1)
    Api(key=made.data["key"]).get("/workflows")
    assert last_used() == first
    ApiKey.objects.update(last_used_at=first - timedelta(hours=1))
    Api(key=made.data["key"]).get("/workflows")
    assert last_used() > first


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"permissions": ["workflow.fly"]}, "permissions[0]"), ({"permissions": "*"}, "permissions"),
     ({"permissions": [["*"]]}, "permissions[0]"), ({"permissions": None}, "permissions"), ({"name": ""}, "name"),
     ({"name": "x" * 101}, "name"), ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
     ({"expires_at": "9998-01-01T00:00:00Z"}, "expires_at"), ({"expires_at": "tomorrow"}, "expires_at"),
     ({"expires_at": 5}, "expires_at"), ({"key": "apg_mine"}, "key"), ({"owner": "x"}, "owner")],
)  # fmt: skip
def test_a4_a_bad_field_is_422_and_named(alice_api: Api, fields: dict[str, Any], field: str) -> None:
    answer = make(alice_api, **fields)
    assert (answer.status, answer.code, answer.fields) == (422, "VALIDATION_ERROR", [field])
    assert ApiKey.objects.count() == 0


def test_permissions_must_be_given(alice_api: Api) -> None:
    assert alice_api.post(KEYS, {"name": "x"}).fields == ["permissions"]


def test_keys_are_their_owners_alone(alice_api: Api, as_user: Callable[..., Api], bob: User, admin: User) -> None:
    made = make(alice_api)
    for other in (as_user(bob), as_user(admin)):
        assert other.get(KEYS).body["metadata"]["total_count"] == 0
        assert other.get(f"{KEYS}/{made.data['id']}").status == 404
        assert other.call("DELETE", f"{KEYS}/{made.data['id']}").status == 404
    assert ApiKey.objects.count() == 1


def test_an_account_has_so_many_keys_at_most(alice_api: Api, alice: User) -> None:
    now = datetime.now(UTC)
    ApiKey.objects.bulk_create(
        ApiKey(owner=alice, name="k", prefix=f"apg_{number}", key_hash=b"", permissions=[], created_at=now)
        for number in range(MAX_KEYS)
    )
    assert make(alice_api).status == 409
    assert ApiKey.objects.count() == MAX_KEYS
