"""Secrets over REST: written, replaced, listed without their values, deleted; and sealed where they lie."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import secret_store, vault
from accounts.callers import Caller
from accounts.models import Secret, User
from accounts.scopes import Scope
from tests.api import BASES, Api

pytestmark = pytest.mark.django_db

VALUE = "correct-horse-battery-staple"


@pytest.fixture(params=BASES)
def caller(request: pytest.FixtureRequest, as_user: Callable[..., Api], alice: User) -> Api:
    """Alice, at each base address."""
    return as_user(alice, request.param)


@pytest.fixture
def bob_api(as_user: Callable[..., Api], bob: User) -> Api:
    """The API as bob."""
    return as_user(bob)


def test_a_secret_is_created_listed_replaced_and_deleted(caller: Api, alice: User) -> None:
    created = caller.post("/secrets", {"name": "api_key", "value": VALUE})
    assert (created.status, set(created.data)) == (201, {"name", "created_at", "updated_at"})
    assert secret_store.values_of(alice.pk, None) == {"api_key": VALUE}

    caller.post("/secrets", {"name": "_another", "value": " white space\nand lines "})
    listed = caller.get("/secrets")
    assert [entry["name"] for entry in listed.data] == ["_another", "api_key"]
    assert listed.body["metadata"]["total_count"] == 2
    assert secret_store.values_of(alice.pk, {"_another", "nope"}) == {"_another": " white space\nand lines "}

    replaced = caller.call("PUT", "/secrets/api_key", {"value": "new value"})
    assert (replaced.status, replaced.data["name"]) == (200, "api_key")
    assert replaced.data["updated_at"] > created.data["updated_at"]
    assert replaced.data["created_at"] == created.data["created_at"]
    assert secret_store.values_of(alice.pk, {"api_key"}) == {"api_key": "new value"}

    assert caller.call("DELETE", "/secrets/api_key").status == 200
    assert [entry["name"] for entry in caller.get("/secrets").data] == ["_another"]
    assert VALUE not in str([created.body, listed.body, replaced.body])


def test_a_taken_name_is_409_and_changes_nothing(caller: Api, alice: User) -> None:
    caller.post("/secrets", {"name": "k", "value": VALUE})
    again = caller.post("/secrets", {"name": "k", "value": "other"})
    assert (again.status, again.code, again.fields) == (409, "RESOURCE_CONFLICT", ["name"])
    assert secret_store.values_of(alice.pk, None) == {"k": VALUE}
    # Names differ by case, as in expressions.
    assert caller.post("/secrets", {"name": "K", "value": "other"}).status == 201


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "a.b", "é", "a" * 65, "a\n", 5, None, ["a"]])
def test_a_bad_name_is_422_and_named(alice_api: Api, name: Any) -> None:
    answer = alice_api.post("/secrets", {"name": name, "value": VALUE})
    assert (answer.status, answer.code, answer.fields) == (422, "VALIDATION_ERROR", ["name"])
    assert Secret.objects.count() == 0


@pytest.mark.parametrize("value", ["", 5, None, {}, True, "x" * 65_537])
def test_a_bad_value_is_422_and_never_repeated(alice_api: Api, value: Any) -> None:
    answer = alice_api.post("/secrets", {"name": "k", "value": value})
    assert (answer.status, answer.fields) == (422, ["value"])
    assert "xxxx" not in str(answer.body)
    assert Secret.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "fields"),
    [({}, ["value", "name"]), ({"name": "k"}, ["value"]), ({"name": "k", "value": "v", "owner": "x"}, ["owner"])],
)
def test_missing_and_unknown_fields_are_422(alice_api: Api, body: dict[str, Any], fields: list[str]) -> None:
    answer = alice_api.post("/secrets", body)
    assert (answer.status, answer.fields) == (422, fields)


def test_the_longest_name_and_value_pass(alice_api: Api, alice: User) -> None:
    name, value = "a" * 64, "é" * 65_536
    assert alice_api.post("/secrets", {"name": name, "value": value}).status == 201
    assert secret_store.values_of(alice.pk, {name}) == {name: value}


def test_others_do_not_see_or_change_a_secret(
    alice_api: Api, bob_api: Api, as_user: Callable[..., Api], admin: User, alice: User
) -> None:
    alice_api.post("/secrets", {"name": "k", "value": VALUE})
    for api in (bob_api, as_user(admin)):
        assert api.get("/secrets").data == []
        assert api.call("PUT", "/secrets/k", {"value": "mine"}).status == 404
        assert api.call("DELETE", "/secrets/k").status == 404
        assert api.post("/secrets", {"name": "k", "value": "own"}).status == 201
    assert secret_store.values_of(alice.pk, None) == {"k": VALUE}


@pytest.mark.parametrize("name", ["nope", "a-b", "1", "%00", "k%0A", "a" * 65])
def test_an_unknown_name_is_404(alice_api: Api, name: str) -> None:
    assert alice_api.call("PUT", f"/secrets/{name}", {"value": "v"}).status == 404
    assert alice_api.call("DELETE", f"/secrets/{name}").status == 404


def test_wrong_methods_are_405_and_no_credentials_401(alice_api: Api, api: Api) -> None:
    alice_api.post("/secrets", {"name": "k", "value": VALUE})
    assert alice_api.get("/secrets/k").status == 405
    assert api.get("/secrets").status == 401
    assert api.post("/secrets", {"name": "k", "value": "v"}).status == 401


def test_a_credential_without_the_scope_is_403(alice_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Caller, "allows", lambda self, scope: scope != Scope.SECRET_MANAGE)
    for answer in (
        alice_api.get("/secrets"),
        alice_api.post("/secrets", {"name": "k", "value": "v"}),
        alice_api.call("PUT", "/secrets/k", {"value": "v"}),
        alice_api.call("DELETE", "/secrets/k"),
    ):
        assert (answer.status, answer.code) == (403, "AUTHORIZATION_ERROR")


def test_a_value_is_sealed_for_its_row_alone(alice: User) -> None:
    first = secret_store.create_secret(owner=alice, name="a", value=VALUE)
    second = secret_store.create_secret(owner=alice, name="b", value=VALUE)
    sealed = [bytes(Secret.objects.get(pk=secret.pk).sealed_value) for secret in (first, second)]
    assert VALUE.encode() not in sealed[0]
    assert sealed[0] != sealed[1]
    Secret.objects.filter(pk=second.pk).update(sealed_value=sealed[0])
    with pytest.raises(vault.SealBrokenError):
        secret_store.values_of(alice.pk, {"b"})


def test_a_list_takes_the_same_queries_however_long_and_reads_no_value(alice_api: Api, alice: User) -> None:
    def queries() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            alice_api.get("/secrets")
        return [query["sql"] for query in captured.captured_queries]

    secret_store.create_secret(owner=alice, name="a", value=VALUE)
    one = queries()
    for name in "bcdef":
        secret_store.create_secret(owner=alice, name=name, value=VALUE)
    assert len(queries()) == len(one)
    assert not any("sealed_value" in sql for sql in one)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "offset=-1", "limit=x"])
def test_a_bad_page_is_400(alice_api: Api, query: str) -> None:
    assert alice_api.get(f"/secrets?{query}").status == 400


def test_the_admin_shows_no_value(admin: User, alice: User, client: Any) -> None:
    secret = secret_store.create_secret(owner=alice, name="k", value=VALUE)
    client.force_login(admin)
    for path in ("", f"{secret.pk}/change/"):
        page = client.get(f"/admin/accounts/secret/{path}")
        assert page.status_code == 200
        assert VALUE not in page.content.decode()
    assert Secret in django_admin.site._registry
    assert client.get("/admin/accounts/secret/add/").status_code == 403
