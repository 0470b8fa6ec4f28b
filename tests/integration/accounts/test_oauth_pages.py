"""The pages of OAuth: log in, consent, log out; and the admin, which has the same log-in and the applications."""

import logging
import re
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher, check_password
from django.test import Client

from accounts import audit
from accounts.models import User
from accounts.oauth_models import OAuthApplication
from accounts.scopes import ALL, DESCRIPTIONS, Scope
from accounts.throttling import LOGIN_ADDRESS
from tests import oauth
from tests.api import Api
from tests.conftest import PASSWORD
from tests.oauth import LOGIN, LOGOUT, REDIRECT

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]

ADMIN_LOGIN = "/admin/login/"
APPLICATIONS = "/admin/accounts/oauthapplication/"


def errors_of(page: Any) -> list[str]:
    """What the log-in page says is wrong."""
    return list(page.context["form"].non_field_errors())


def log_in(username: str, password: str, path: str = LOGIN, **fields: str) -> Any:
    return Client().post(path, {"username": username, "password": password, **fields})


# --- log in and out -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["alice", "ALICE@example.com"])
def test_people_who_are_not_staff_log_in(alice: User, login: str) -> None:
    browser = Client()
    answer = browser.post(LOGIN, {"username": login, "password": PASSWORD})
    assert (answer.status_code, answer.headers["Location"]) == (302, LOGIN)
    page = browser.get(LOGIN).content.decode()
    assert "You are logged in" in page
    assert "alice" in page


@pytest.mark.parametrize("path", [LOGIN, ADMIN_LOGIN])
def test_wrong_password_unknown_user_and_disabled_user_read_the_same(alice: User, bob: User, path: str) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)
    pages = [
        log_in("alice", "wrong", path),
        log_in("nobody", PASSWORD, path),
        log_in("bob", PASSWORD, path),
        log_in("alice", "x" * 10_000, path),
    ]
    said = {(page.status_code, *errors_of(page)) for page in pages}
    assert said == {(200, "Invalid username or password")}


@pytest.mark.parametrize("login", ["alice", "nobody"])
def test_an_unknown_user_costs_a_hash_like_a_known_one(
    monkeypatch: pytest.MonkeyPatch, alice: User, login: str
) -> None:
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode

    def counted(self: MD5PasswordHasher, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    log_in(login, "wrong")
    assert hashed == ["wrong"]


@pytest.mark.parametrize("path", [LOGIN, ADMIN_LOGIN])
def test_the_pages_and_the_api_share_one_throttle_of_an_account(alice: User, path: str) -> None:
    api = Api()
    for _ in range(5):
        api.post("/api/v1/auth/login", {"username": "alice", "password": "wrong"})
        log_in("alice", "wrong", path)
    page = log_in("alice", PASSWORD, path)
    assert re.fullmatch(r"Too many attempts\. Try again in \d+ seconds\.", errors_of(page)[0])
    assert api.post("/api/v1/auth/login", {"username": "alice", "password": PASSWORD}).status == 429
    if path == LOGIN:
        assert page.status_code == 429
        assert 0 < int(page.headers["Retry-After"]) <= 60


def test_an_address_is_throttled_over_all_accounts(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    # As many, in so long that none comes back meanwhile.
    monkeypatch.setattr("accounts.services.LOGIN_ADDRESS", replace(LOGIN_ADDRESS, period_seconds=86400))
    answers = [log_in(f"user-{number}", "wrong").status_code for number in range(61)]
    assert answers == [200] * 60 + [429]


@pytest.mark.parametrize(
    "target",
    ["https://evil.example.com/", "//evil.example.com/", "/\\evil.example.com", "javascript:alert(1)", "http:///evil"],
)
def test_nobody_is_sent_elsewhere_after_logging_in_or_out(alice: User, target: str) -> None:
    answer = log_in("alice", PASSWORD, next=target)
    assert (answer.status_code, answer.headers["Location"]) == (302, LOGIN)
    assert target not in Client().get(LOGIN, {"next": target}).content.decode()
    browser = Client()
    browser.force_login(alice)
    assert browser.post(LOGOUT, {"next": target}).headers["Location"] == LOGIN


def test_logging_in_makes_a_new_session_and_needs_a_csrf_token(alice: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    assert browser.post(LOGIN, {"username": "alice", "password": PASSWORD}).status_code == 403
    # A session that somebody else planted in the browser.
    session = browser.session
    session["planted"] = True
    session.save()
    form = {"username": "alice", "password": PASSWORD, "csrfmiddlewaretoken": oauth.csrf_token(browser.get(LOGIN))}
    assert browser.post(LOGIN, form).status_code == 302
    assert browser.cookies["sessionid"].value != session.session_key


def test_logging_out_is_a_post_with_a_csrf_token(alice: User) -> None:
    browser = oauth.browser_of(alice)
    assert browser.get(LOGOUT).status_code == 405
    assert browser.post(LOGOUT).status_code == 403
    token = oauth.csrf_token(browser.get(LOGIN))
    assert browser.post(LOGOUT, {"csrfmiddlewaretoken": token}).headers["Location"] == LOGIN
    assert "You are logged in" not in browser.get(LOGIN).content.decode()


def test_a_nul_in_a_name_is_an_error_of_the_form(db: None) -> None:
    page = log_in("a\0b", "x")
    assert (page.status_code, list(page.context["form"].errors)) == (200, ["username"])


def test_a_browser_session_ends_with_the_password(alice: User) -> None:
    browser = oauth.browser_of(alice)
    alice.set_password("another-horse-battery")
    alice.save(update_fields=["password"])
    assert "You are logged in" not in browser.get(LOGIN).content.decode()


def test_the_audit_log_has_the_log_ins_of_pages(alice: User) -> None:
    log_in("alice", "wrong")
    log_in("alice", PASSWORD, ADMIN_LOGIN)
    log_in("alice", PASSWORD)
    found = [(entry.action, entry.actor, entry.address) for entry in audit.entries().order_by("pk")]
    assert found == [
        ("login.refused", "", "127.0.0.1"),
        ("login.refused", "", "127.0.0.1"),
        ("login.succeeded", alice.email, "127.0.0.1"),
    ]


# --- consent ------------------------------------------------------------------------------------------------


def test_the_consent_page_says_who_asks_whom_for_what(alice: User) -> None:
    client = oauth.register("<b>Reports</b>")
    browser = oauth.browser_of(alice)
    answer = browser.get(oauth.authorize_url(client, scope="workflow.read execution.manage"))
    page = answer.content.decode()
    assert "&lt;b&gt;Reports&lt;/b&gt;" in page
    assert "<b>Reports" not in page
    assert "alice" in page
    assert "alice@example.com" in page
    assert "client.example.com" in page
    asked = {scope for scope, text in DESCRIPTIONS.items() if text in page}
    assert asked == {Scope.WORKFLOW_READ, Scope.EXECUTION_MANAGE}
    assert re.findall(r'name="decision" value="(\w+)"', page) == ["deny", "allow"]
    assert client.secret not in page


def test_a_star_is_spelt_out(alice: User) -> None:
    page = oauth.browser_of(alice).get(oauth.authorize_url(oauth.register(), scope="*")).content.decode()
    assert {scope for scope, text in DESCRIPTIONS.items() if text in page} == ALL


@pytest.mark.parametrize("logged_in", [False, True])
def test_pages_are_framed_by_nobody_kept_by_nobody_and_load_nothing(alice: User, logged_in: bool) -> None:
    browser = oauth.browser_of(alice) if logged_in else Client()
    answer = browser.get(oauth.authorize_url(oauth.register()) if logged_in else LOGIN)
    assert answer.status_code == 200
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"
    policy = answer.headers["Content-Security-Policy"]
    nonce = re.search(r"'nonce-([\w-]+)'", policy)
    assert nonce is not None
    assert policy.replace(nonce[1], "N") == (
        "default-src 'none'; style-src 'nonce-N'; base-uri 'none'; frame-ancestors 'none'"
    )
    page = answer.content.decode()
    assert f'<style nonce="{nonce[1]}">' in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=", page)
    assert 'name="viewport"' in page
    assert "X-RateLimit-Limit" in answer.headers


def test_from_the_consent_page_another_person_may_log_in(alice: User, bob: User) -> None:
    browser, url = oauth.browser_of(alice), oauth.authorize_url(oauth.register())
    page = browser.get(url)
    out = browser.post(LOGOUT, {"next": page.context["here"], "csrfmiddlewaretoken": oauth.csrf_token(page)})
    assert out.headers["Location"] == url
    to_login = browser.get(url)
    assert to_login.headers["Location"].startswith(LOGIN)
    form = browser.get(to_login.headers["Location"])
    fields = {"username": "bob", "password": PASSWORD, "next": form.context["next"]}
    back = browser.post(LOGIN, {**fields, "csrfmiddlewaretoken": oauth.csrf_token(form)})
    assert "bob@example.com" in browser.get(back.headers["Location"]).content.decode()


# --- the admin ----------------------------------------------------------------------------------------------


def test_the_admin_lets_in_staff_alone(alice: User, admin: User) -> None:
    refused = log_in("alice", PASSWORD, ADMIN_LOGIN)
    assert (refused.status_code, errors_of(refused)) == (200, ["Invalid username or password"])
    assert "sessionid" not in refused.cookies
    assert log_in("admin", PASSWORD, ADMIN_LOGIN).status_code == 302


@pytest.fixture
def staff(admin: User) -> Client:
    """A browser in which the administrator has logged in."""
    browser = Client()
    browser.force_login(admin)
    return browser


def filled(**fields: str) -> dict[str, str]:
    return {
        "name": "Reports",
        "user": "",
        "client_type": "confidential",
        "authorization_grant_type": "authorization-code",
        "redirect_uris": REDIRECT,
        **fields,
    }


def test_registering_shows_the_secret_once_and_keeps_a_hash(staff: Client, alice: User) -> None:
    answer = staff.post(f"{APPLICATIONS}add/", filled(user=alice.pk))
    assert (answer.status_code, "no-store" in answer.headers["Cache-Control"]) == (200, True)
    stored = OAuthApplication.objects.get()
    client_id, secret = re.findall(r"<code>(\w+)</code>", answer.content.decode())
    assert (client_id, len(secret)) == (stored.client_id, 64)
    assert check_password(secret, stored.client_secret)
    assert staff.session.get("_messages") is None
    assert not any(secret in morsel.value for morsel in staff.cookies.values())
    for page in (APPLICATIONS, f"{APPLICATIONS}{stored.pk}/change/", f"{APPLICATIONS}{stored.pk}/history/"):
        text = staff.get(page).content.decode()
        assert secret not in text
        assert stored.client_secret not in text
    told = oauth.tokens_of(oauth.Registered(stored, secret), alice)
    assert told["scope"] == "workflow.read"


def test_changing_an_application_keeps_its_secret_and_kind(staff: Client) -> None:
    client = oauth.register()
    url = f"{APPLICATIONS}{client.application.pk}/change/"
    answer = staff.post(url, {"name": "Renamed", "user": "", "redirect_uris": REDIRECT, "client_type": "public"})
    assert answer.status_code == 302
    client.application.refresh_from_db()
    assert (client.application.name, client.application.client_type) == ("Renamed", "confidential")
    assert check_password(client.secret, client.application.client_secret)


def test_a_public_client_has_no_secret_to_show(staff: Client) -> None:
    page = staff.post(f"{APPLICATIONS}add/", filled(client_type="public")).content.decode()
    assert len(re.findall(r"<code>(\w+)</code>", page)) == 1


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"redirect_uris": ""}, ["redirect_uris"]),
        ({"redirect_uris": "http://client.example.com/callback"}, ["redirect_uris"]),
        ({"redirect_uris": f"{REDIRECT} ftp://client.example.com/"}, ["redirect_uris"]),
        ({"redirect_uris": "https://*.example.com/"}, ["redirect_uris"]),
        ({"redirect_uris": f"{REDIRECT}#part"}, ["redirect_uris"]),
        ({"redirect_uris": "https://user@client.example.com/"}, ["redirect_uris"]),
        ({"redirect_uris": "https://[::1"}, ["redirect_uris"]),
        ({"redirect_uris": "https://client.example.com:port/"}, ["redirect_uris"]),
        ({"redirect_uris": "javascript:alert(1)"}, ["redirect_uris"]),
        ({"redirect_uris": "https:/callback"}, ["redirect_uris"]),
        ({"redirect_uris": "https://clïent.example.com/"}, ["redirect_uris"]),
        ({"authorization_grant_type": "implicit"}, ["authorization_grant_type"]),
        ({"authorization_grant_type": "password"}, ["authorization_grant_type"]),
        ({"authorization_grant_type": "client-credentials"}, ["user"]),
        ({"authorization_grant_type": "client-credentials", "client_type": "public"}, ["client_type", "user"]),
        ({"name": ""}, ["name"]),
    ],
)
def test_an_application_that_is_not_safe_is_not_registered(
    staff: Client, fields: dict[str, str], named: list[str]
) -> None:
    page = staff.post(f"{APPLICATIONS}add/", filled(**fields))
    assert page.status_code == 200
    assert sorted(page.context["adminform"].form.errors) == named
    assert not OAuthApplication.objects.exists()


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8123/callback", "http://[::1]:8123/callback", "http://localhost/callback"]
)
def test_a_redirect_to_the_users_own_machine_may_be_http(staff: Client, alice: User, address: str) -> None:
    staff.post(f"{APPLICATIONS}add/", filled(client_type="public", redirect_uris=f"{REDIRECT}\n{address}"))
    client = oauth.Registered(OAuthApplication.objects.get(), "")
    browser, url = oauth.browser_of(alice), oauth.authorize_url(client, redirect_uri=address)
    token = oauth.csrf_token(browser.get(url))
    answer = browser.post(url, {"decision": "allow", "csrfmiddlewaretoken": token})
    assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (302, address)


def test_the_admin_has_no_page_for_tokens(staff: Client) -> None:
    index = staff.get("/admin/").content.decode()
    assert "oauthapplication" in index
    for model in ("oauthgrant", "oauthaccesstoken", "oauthrefreshtoken", "oauthunused"):
        assert f"/admin/accounts/{model}/" not in index
        assert staff.get(f"/admin/accounts/{model}/").status_code == 404


@pytest.mark.parametrize(
    "path", ["applications", "applications/register", "authorized_tokens", "userinfo", "device", "o", "jwks"]
)
def test_nothing_else_of_the_toolkit_answers(staff: Client, path: str) -> None:
    assert staff.get(f"/api/v1/oauth/{path}").status_code == 404


def test_codes_and_tokens_are_in_no_log(alice: User, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client = oauth.register()
        tokens = oauth.tokens_of(client, alice)
        told = oauth.refresh(client, tokens["refresh_token"]).body
    for credential in (*[tokens[kind] for kind in ("access_token", "refresh_token")], told["access_token"]):
        assert credential not in caplog.text
    assert client.secret not in caplog.text
