"""The admin: what is done there is recorded, and ends what it must end."""

import pytest
from django.contrib import admin as django_admin
from django.contrib.auth.models import Group, Permission
from django.test import Client

from accounts.api_keys import create_api_key
from accounts.audited_admin import AuditedAdmin
from accounts.groups import group_id
from accounts.models import ApiKey, AuditEntry, Secret, Session, User
from accounts.secret_store import create_secret
from core.redis import client
from tests.api import Api
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(admin: User, empty_redis: None) -> Client:
    """Logged in to the admin."""
    client = Client()
    client.force_login(admin)
    return client


def told(action: str) -> list[tuple[str, str, str]]:
    entries = AuditEntry.objects.filter(action=action).order_by("pk")
    return list(entries.values_list("actor", "object_type", "object_id"))


def test_every_page_records_what_it_changes() -> None:
    assert [model for model, page in django_admin.site._registry.items() if not isinstance(page, AuditedAdmin)] == []


def user_form(user: User, **changes: object) -> dict[str, object]:
    form = {"email": user.email, "username": user.username, "tier": user.tier, "is_active": "on", **changes}
    return {name: value for name, value in form.items() if value is not None}


def test_disabling_a_user_ends_their_sessions_for_good(browser: Client, alice_api: Api, alice: User) -> None:
    assert alice_api.get("/api/v1/auth/me").status == 200
    path = f"/admin/accounts/user/{alice.pk}/change/"
    assert browser.post(path, user_form(alice, is_active=None)).status_code == 302
    assert browser.post(path, user_form(alice)).status_code == 302
    alice.refresh_from_db()
    assert alice.is_active
    assert alice_api.get("/api/v1/auth/me").status == 401
    assert told("admin.changed") == [("admin@example.com", "user", alice.pk)] * 2


def test_a_user_who_is_no_longer_custom_keeps_no_numbers_of_their_own(browser: Client, alice: User) -> None:
    numbers = {"requests_per_hour": 7, "concurrent_executions": 8}
    path = f"/admin/accounts/user/{alice.pk}/change/"
    for tier, kept in (("custom", (7, 8)), ("pro", (None, None))):
        assert browser.post(path, user_form(alice, tier=tier, **numbers)).status_code == 302
        alice.refresh_from_db()
        assert (alice.tier, alice.requests_per_hour, alice.concurrent_executions) == (tier, *kept)


def test_a_password_set_in_the_admin_ends_sessions(browser: Client, alice_api: Api, alice: User) -> None:
    form = {"password1": "a-long-unusual-phrase", "password2": "a-long-unusual-phrase", "usable_password": "true"}
    assert browser.post(f"/admin/accounts/user/{alice.pk}/password/", form).status_code == 302
    assert alice_api.get("/api/v1/auth/me").status == 401
    assert told("admin.changed") == [("admin@example.com", "user", alice.pk)]
    assert "a-long-unusual-phrase" not in str(list(AuditEntry.objects.values_list("details")))


@pytest.fixture
def helpdesk(bob: User, empty_redis: None) -> Client:
    """Logged in to the admin as bob, who is staff, may do anything with users and groups, and is no superuser."""
    User.objects.filter(pk=bob.pk).update(is_staff=True)
    bob.user_permissions.set(Permission.objects.filter(content_type__model__in=["user", "group"]))
    client = Client()
    client.force_login(User.objects.get(pk=bob.pk))
    return client


def test_who_is_no_superuser_makes_none(helpdesk: Client, bob: User) -> None:
    strong = Group.objects.create(name="strong")
    strong.permissions.set(Permission.objects.all())
    rights = {"is_superuser": "on", "is_staff": "on", "groups": [strong.pk]}
    assert helpdesk.post(f"/admin/accounts/user/{bob.pk}/change/", user_form(bob, **rights)).status_code == 302
    bob.refresh_from_db()
    assert (bob.is_staff, bob.is_superuser, list(bob.groups.all())) == (True, False, [])
    permissions = [permission.pk for permission in Permission.objects.all()]
    helpdesk.post("/admin/auth/group/add/", {"name": "made", "permissions": permissions})
    assert not Group.objects.get(name="made").permissions.exists()


def test_who_is_no_superuser_leaves_superusers_alone(helpdesk: Client, admin: User) -> None:
    path = f"/admin/accounts/user/{admin.pk}"
    form = {"password1": "a-long-unusual-phrase", "password2": "a-long-unusual-phrase", "usable_password": "true"}
    assert helpdesk.post(f"{path}/password/", form).status_code == 403
    assert helpdesk.post(f"{path}/change/", user_form(admin, is_active=None)).status_code == 403
    assert helpdesk.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
    helpdesk.post("/admin/accounts/user/", {"action": "delete_selected", "_selected_action": [admin.pk], "post": "yes"})
    kept = User.objects.get(pk=admin.pk)
    assert (kept.is_active, kept.password) == (True, admin.password)
    assert told("admin.changed") == []


OWN = {"old_password": PASSWORD, "new_password1": "a-long-unusual-phrase", "new_password2": "a-long-unusual-phrase"}


def test_ones_own_password_is_changed_under_the_same_throttle_and_recorded(browser: Client, admin: User) -> None:
    wrong = {**OWN, "old_password": "wrong"}
    pages = [browser.post("/admin/password_change/", wrong).content.decode() for _ in range(11)]
    assert ["not your current password" in page for page in pages] == [True] * 10 + [False]
    assert "Too many attempts" in pages[-1]
    assert told("password.refused") == [("admin@example.com", "user", admin.pk)] * 10
    client().flushdb()
    assert browser.post("/admin/password_change/", OWN).status_code == 302
    assert told("password.changed") == [("admin@example.com", "user", admin.pk)]
    admin.refresh_from_db()
    assert admin.check_password("a-long-unusual-phrase")


def test_a_weak_password_of_ones_own_is_refused(browser: Client, admin: User) -> None:
    weak = {**OWN, "new_password1": "12345", "new_password2": "12345"}
    assert browser.post("/admin/password_change/", weak).status_code == 200
    admin.refresh_from_db()
    assert admin.check_password(PASSWORD)


def test_a_log_out_is_recorded(browser: Client, admin: User) -> None:
    browser.post("/admin/logout/")
    assert told("session.ended") == [("admin@example.com", "user", admin.pk)]


def test_a_group_is_made_and_deleted(browser: Client) -> None:
    browser.post("/admin/auth/group/add/", {"name": "ops"})
    key = Group.objects.get(name="ops").pk
    browser.post(f"/admin/auth/group/{key}/delete/", {"post": "yes"})
    assert told("admin.added") == [("admin@example.com", "group", group_id(key))]
    assert told("admin.deleted") == [("admin@example.com", "group", group_id(key))]


def test_sessions_are_ended_by_the_action(browser: Client, alice_api: Api, alice: User) -> None:
    session = Session.objects.get(user=alice)
    form = {"action": "end_sessions", "_selected_action": [session.pk]}
    assert browser.post("/admin/accounts/session/", form).status_code == 302
    assert alice_api.get("/api/v1/auth/me").status == 401
    assert told("admin.changed") == [("admin@example.com", "session", session.pk)]


def test_a_key_is_seen_without_its_hash_and_deleted(browser: Client, alice: User) -> None:
    key, text = create_api_key(owner=alice, name="k", permissions=["*"])
    page = browser.get(f"/admin/accounts/apikey/{key.pk}/change/")
    assert key.prefix in page.content.decode() and text[12:] not in page.content.decode()
    assert "key_hash" not in page.content.decode()
    browser.post(f"/admin/accounts/apikey/{key.pk}/delete/", {"post": "yes"})
    assert ApiKey.objects.count() == 0
    assert Api(key=text).get("/workflows").status == 401
    assert told("admin.deleted") == [("admin@example.com", "api_key", key.pk)]


@pytest.mark.parametrize("model", ["apikey", "secret", "session", "auditentry"])
def test_what_is_not_made_here_cannot_be_added(browser: Client, model: str) -> None:
    assert browser.get(f"/admin/accounts/{model}/add/").status_code == 403


def test_a_secrets_value_is_on_no_page(browser: Client, alice: User) -> None:
    secret = create_secret(owner=alice, name="TOKEN", value="a-secret-value")
    page = browser.get(f"/admin/accounts/secret/{secret.pk}/change/").content.decode()
    assert "TOKEN" in page and "a-secret-value" not in page and "sealed_value" not in page
    form = {"name": "OTHER", "sealed_value": "x", "owner": ""}
    browser.post(f"/admin/accounts/secret/{secret.pk}/change/", form)
    assert Secret.objects.values_list("name", "owner").get() == ("TOKEN", alice.pk)


def test_the_audit_log_is_read_and_not_changed(browser: Client, alice_api: Api) -> None:
    entry = AuditEntry.objects.get(action="login.succeeded")
    assert entry.pk in browser.get("/admin/accounts/auditentry/?q=alice@example.com").content.decode()
    path = f"/admin/accounts/auditentry/{entry.pk}"
    assert browser.get(f"{path}/change/").status_code == 200
    assert browser.post(f"{path}/change/", {"actor": "x"}).status_code == 403
    assert browser.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
