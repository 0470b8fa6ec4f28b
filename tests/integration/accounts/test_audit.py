"""The audit log: who did what, when, from where, to which object; append-only."""

from collections.abc import Callable

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.api_keys import create_api_key
from accounts.models import AuditEntry, User
from tests.api import Api
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db

KEYS = "/api/v1/auth/api-keys"


@pytest.fixture
def staff(as_user: Callable[..., Api], admin: User) -> Api:
    return as_user(admin)


def test_an_entry_says_who_when_where_and_what(alice_api: Api, alice: User, staff: Api) -> None:
    made = alice_api.call("POST", KEYS, {"name": "k", "permissions": ["*"]}, X_Request_ID="from-a-test")
    (entry,) = staff.get("/audit?action=api_key.created").data
    assert entry.pop("id") and entry.pop("at")
    assert entry == {
        "actor_id": alice.pk,
        "actor": "alice@example.com",
        "credential": "session",
        "address": "127.0.0.1",
        "request_id": "from-a-test",
        "action": "api_key.created",
        "object_type": "api_key",
        "object_id": made.data["id"],
        "details": {"prefix": made.data["prefix"], "permissions": ["*"]},
    }


def test_logins_are_told_also_refused_ones(staff: Api, alice: User) -> None:
    login = "/api/v1/auth/login"
    Api().post(login, {"username": "alice", "password": "wrong-and-secret"})
    Api().post(login, {"username": "nobody-of-this-name", "password": "wrong-and-secret"})
    pair = Api().post(login, {"username": "alice", "password": PASSWORD})
    Api().post("/api/v1/auth/logout", {"refresh_token": pair.data["refresh_token"]})
    entries = staff.get("/audit").data
    told = [
        (entry["action"], entry["object_id"], entry["actor_id"])
        for entry in entries
        if entry["actor"] != "admin@example.com"
    ]
    assert told == [
        ("session.ended", alice.pk, alice.pk),
        ("login.succeeded", alice.pk, alice.pk),
        ("login.refused", "", None),
        ("login.refused", alice.pk, None),
    ]
    assert "wrong-and-secret" not in str(entries) and "nobody-of-this-name" not in str(entries)


def test_what_a_key_did_names_the_key(alice: User, staff: Api, empty_redis: None) -> None:
    key, text = create_api_key(owner=alice, name="k", permissions=["secret.manage"])
    Api(key=text).post("/secrets", {"name": "TOKEN", "value": "s3cret-value"})
    (entry,) = staff.get("/audit?object_type=secret").data
    assert (entry["actor_id"], entry["credential"]) == (alice.pk, f"api_key:{key.prefix}")
    assert entry["details"] == {"name": "TOKEN"}


def test_filters(alice_api: Api, alice: User, staff: Api) -> None:
    made = alice_api.post(KEYS, {"name": "k", "permissions": []}).data
    alice_api.call("DELETE", f"{KEYS}/{made['id']}")

    def actions(query: str) -> list[str]:
        return [entry["action"] for entry in staff.get(f"/audit?{query}").data]

    assert actions(f"object_type=api_key&object_id={made['id']}") == ["api_key.deleted", "api_key.created"]
    assert actions(f"actor_id={alice.pk}&action=api_key.deleted") == ["api_key.deleted"]
    assert actions("object_type=api_key&end_date=2020-01-01") == []
    assert actions("object_type=api_key&address=127.0.0.1&start_date=2020-01-01&limit=1") == ["api_key.deleted"]
    assert actions("address=::1") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [("action=x", "action"), ("actor_id=x", "actor_id"), ("address=x", "address"), ("start_date=x", "start_date"),
     ("address=fe80::1%251", "address"), (f"address=fe80::1%25{'a' * 40}", "address"),
     ("object_id=a%00", "object_id"), ("start_date=2025-01-02&end_date=2025-01-01", "start_date"),
     ("limit=0", "limit")],
)  # fmt: skip
def test_a_bad_parameter_is_400_and_named(staff: Api, query: str, field: str) -> None:
    answer = staff.get(f"/audit?{query}")
    assert (answer.status, answer.fields) == (400, [field])


@pytest.mark.parametrize("statement", ["UPDATE accounts_auditentry SET actor = ''", "DELETE FROM accounts_auditentry"])
def test_the_database_keeps_entries_as_they_are(alice_api: Api, statement: str) -> None:
    with (
        pytest.raises(DatabaseError, match="not changed or deleted"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert AuditEntry.objects.filter(actor="alice@example.com").count() == 1


def test_a_refused_change_leaves_no_entry(alice_api: Api) -> None:
    alice_api.post("/secrets", {"name": "TOKEN", "value": "value"})
    assert alice_api.post("/secrets", {"name": "TOKEN", "value": "value"}).status == 409
    assert AuditEntry.objects.filter(action="secret.created").count() == 1
