"""Users and groups as staff manage them, and one's own password (contract §4)."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission

from accounts.groups import group_id, group_key
from accounts.models import User
from core.ids import new_id
from tests.api import Api
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db

USERS, GROUPS, ME = "/api/v1/auth/users", "/api/v1/auth/groups", "/api/v1/auth/me"
CAROL = {"email": "carol@example.com", "password": "a-long-unusual-phrase"}


@pytest.fixture
def staff(as_user: Callable[..., Api], admin: User) -> Api:
    return as_user(admin)


def log_in(name: str, password: str) -> int:
    return Api().post("/api/v1/auth/login", {"username": name, "password": password}).status


def test_a_user_is_made_read_and_listed(staff: Api) -> None:
    made = staff.post(USERS, {**CAROL, "tier": "pro"})
    assert made.status == 201
    assert made.data["username"] == "carol@example.com"
    assert made.data["limits"] == {"requests_per_hour": 10_000, "concurrent_executions": 25}
    assert (made.data["is_active"], made.data["is_staff"]) == (True, False)
    assert "password" not in made.data
    assert staff.get(f"{USERS}/{made.data['id']}").data == made.data
    listed = staff.get(f"{USERS}?search=CAROL&tier=pro&is_active=true")
    assert [user["email"] for user in listed.data] == ["carol@example.com"]
    assert log_in("carol@example.com", CAROL["password"]) == 200


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"email": "no address"}, "email"), ({"email": None}, "email"), ({"password": "short"}, "password"),
     ({"password": "password123"}, "password"), ({"password": "carol@example.com"}, "password"),
     ({"password": "x" * 1025}, "password"), ({"tier": "gold"}, "tier"), ({"is_staff": "yes"}, "is_staff"),
     ({"tier": "custom", "requests_per_hour": 0}, "requests_per_hour"), ({"requests_per_hour": 5}, "requests_per_hour"),
     ({"is_superuser": True}, "is_superuser"), ({"id": "x"}, "id")],
)  # fmt: skip
def test_a_bad_field_is_422_and_named(staff: Api, fields: dict[str, Any], field: str) -> None:
    answer = staff.post(USERS, {**CAROL, **fields})
    assert (answer.status, set(answer.fields)) == (422, {field})
    assert not User.objects.filter(email="carol@example.com").exists()


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"email": "ALICE@example.com"}, "email"), ({"email": "alice@example.com"}, "email"),
     ({"username": "Alice"}, "username")],
)  # fmt: skip
def test_a_taken_name_is_409_and_named(staff: Api, alice: User, fields: dict[str, Any], field: str) -> None:
    answer = staff.post(USERS, {**CAROL, **fields})
    assert (answer.status, answer.fields) == (409, [field])


def test_patch_sets_what_is_given_and_put_keeps_the_password(staff: Api, alice: User) -> None:
    path = f"{USERS}/{alice.pk}"
    changed = staff.call("PATCH", path, {"tier": "custom", "requests_per_hour": 7, "concurrent_executions": 2})
    assert changed.data["limits"] == {"requests_per_hour": 7, "concurrent_executions": 2}
    answer = staff.call("PUT", path, {"email": "alice@example.org", "tier": "custom"})
    assert (answer.status, answer.data["email"]) == (200, "alice@example.org")
    assert log_in("alice@example.org", PASSWORD) == 200
    assert staff.call("PATCH", path, {"tier": "free"}).fields == ["requests_per_hour", "concurrent_executions"]
    alice.refresh_from_db()
    assert alice.tier == "custom"


def test_numbers_that_no_tier_of_theirs_has_do_not_keep_a_user_from_being_disabled(staff: Api, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(tier="free", requests_per_hour=7)
    assert staff.call("PATCH", f"{USERS}/{alice.pk}", {"is_active": False}).status == 200
    assert staff.call("PATCH", f"{USERS}/{alice.pk}", {"requests_per_hour": 8}).fields == ["requests_per_hour"]


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "a-long-unusual-phrase"}])
def test_disabling_and_a_new_password_end_every_token_for_good(
    staff: Api, alice_api: Api, alice: User, change: dict[str, Any]
) -> None:
    assert alice_api.get(ME).status == 200
    assert staff.call("PATCH", f"{USERS}/{alice.pk}", change).status == 200
    assert alice_api.get(ME).status == 401
    staff.call("PATCH", f"{USERS}/{alice.pk}", {"is_active": True})
    assert alice_api.get(ME).status == 401


def test_nobody_disables_or_demotes_themselves(staff: Api, admin: User) -> None:
    for change in ({"is_active": False}, {"is_staff": False}):
        assert staff.call("PATCH", f"{USERS}/{admin.pk}", change).status == 409
    admin.refresh_from_db()
    assert admin.is_active and admin.is_staff


def test_staff_who_are_no_superuser_leave_superusers_alone(
    as_user: Callable[..., Api], alice: User, admin: User
) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    answer = as_user(alice).call("PATCH", f"{USERS}/{admin.pk}", {"password": "a-long-unusual-phrase"})
    assert (answer.status, answer.code) == (403, "AUTHORIZATION_ERROR")
    assert log_in("admin", PASSWORD) == 200


def test_staff_who_are_no_superuser_take_no_rights_from_a_group(as_user: Callable[..., Api], alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    strong, team = Group.objects.create(name="strong"), Group.objects.create(name="team")
    strong.permissions.set(Permission.objects.all())
    staff = as_user(alice)
    answer = staff.call("PATCH", f"{GROUPS}/{group_id(strong.pk)}", {"members": [alice.pk]})
    assert (answer.status, answer.code) == (403, "AUTHORIZATION_ERROR")
    assert staff.call("PATCH", f"{GROUPS}/{group_id(team.pk)}", {"members": [alice.pk]}).status == 200
    assert [group.name for group in alice.groups.all()] == ["team"]


@pytest.mark.parametrize("path", [USERS, GROUPS, "/audit"])
def test_only_staff_may(alice_api: Api, path: str) -> None:
    answer = alice_api.get(path)
    assert (answer.status, answer.code) == (403, "AUTHORIZATION_ERROR")
    assert Api().get(path).status == 401


def test_an_unknown_user_is_404(staff: Api) -> None:
    assert staff.get(f"{USERS}/{new_id()}").status == 404
    assert staff.call("PATCH", f"{USERS}/{new_id()}", {"tier": "pro"}).status == 404


def test_one_changes_ones_own_password(alice_api: Api) -> None:
    body = {"current_password": "wrong", "new_password": "a-long-unusual-phrase"}
    assert alice_api.post("/api/v1/auth/password", body).fields == ["current_password"]
    weak = alice_api.post("/api/v1/auth/password", {"current_password": PASSWORD, "new_password": "12345"})
    assert (weak.status, set(weak.fields)) == (422, {"new_password"})
    assert alice_api.post("/api/v1/auth/password", {**body, "current_password": PASSWORD}).status == 200
    assert alice_api.get(ME).status == 401
    assert [log_in("alice", PASSWORD), log_in("alice", "a-long-unusual-phrase")] == [401, 200]


def test_guessing_the_current_password_is_throttled(alice_api: Api) -> None:
    body = {"current_password": "wrong", "new_password": "a-long-unusual-phrase"}
    statuses = [alice_api.post("/api/v1/auth/password", body).status for _ in range(11)]
    assert statuses == [422] * 10 + [429]


def test_groups_are_made_changed_and_deleted(staff: Api, alice: User, bob: User, alice_api: Api) -> None:
    made = staff.post(GROUPS, {"name": "data", "members": [alice.pk]})
    assert (made.status, made.data["name"], made.data["members"]) == (201, "data", [alice.pk])
    assert len(made.data["id"]) == 26
    path = f"{GROUPS}/{made.data['id']}"
    assert staff.get(path).data == made.data
    assert alice_api.get(ME).data["groups"] == [{"id": made.data["id"], "name": "data"}]
    assert staff.call("PATCH", path, {"members": [alice.pk, bob.pk]}).data["members"] == sorted([alice.pk, bob.pk])
    assert staff.call("PUT", path, {"name": "ops"}).data == {"id": made.data["id"], "name": "ops", "members": []}
    assert [group["name"] for group in staff.get(GROUPS).data] == ["ops"]
    assert staff.call("DELETE", path).status == 200
    assert staff.get(path).status == 404


def test_bad_groups_are_refused(staff: Api) -> None:
    staff.post(GROUPS, {"name": "data"})
    assert staff.post(GROUPS, {"name": "data"}).status == 409
    unknown = new_id()
    assert staff.post(GROUPS, {"name": "x", "members": [unknown]}).fields == ["members[0]"]
    assert staff.post(GROUPS, {"name": "x", "members": ["bob"]}).fields == ["members[0]"]
    assert staff.get(f"{GROUPS}/{unknown}").status == 404
    assert staff.post(GROUPS, {"name": unknown}).fields == ["name"]
    assert Group.objects.count() == 1


@pytest.mark.parametrize("key", [1, 255, 2**31 - 1])
def test_a_groups_id_is_its_key_as_a_ulid(key: int) -> None:
    assert group_key(group_id(key)) == key


def test_an_id_of_something_else_is_no_groups() -> None:
    assert group_key(new_id()) == 0
