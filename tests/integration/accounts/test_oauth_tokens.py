"""OAuth 2: client credentials, how tokens end, what is told of them, and what is kept."""

import threading
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from accounts.oauth import end_oauth_access, forget_ended_access, oauth_caller
from accounts.oauth_models import OAuthAccessToken, OAuthApplication, OAuthRefreshToken, digest
from accounts.scopes import ALL, DESCRIPTIONS, Scope
from accounts.services import set_password
from accounts.tasks import forget
from core.errors import AuthenticationFailedError
from tests import oauth
from tests.api import Api
from tests.eventually import eventually
from tests.locks import waiting
from tests.oauth import INTROSPECT, REDIRECT, REVOKE, Registered, works

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]


# --- client credentials --------------------------------------------------------------------------------------


def test_client_credentials_act_as_the_owner(service: Registered, alice: User) -> None:
    told = oauth.service_token(service, "workflow.read workflow.write")
    assert (told.status, set(told.body)) == (200, {"access_token", "expires_in", "token_type", "scope"})
    caller = oauth_caller(told.body["access_token"])
    assert (caller.user, caller.scopes) == (alice, frozenset({Scope.WORKFLOW_READ, Scope.WORKFLOW_WRITE}))
    assert works(told.body["access_token"])
    assert Api(told.body["access_token"]).get("/secrets").status == 403


@pytest.mark.parametrize("scope", ["", "root"])
def test_client_credentials_name_their_scopes(service: Registered, scope: str) -> None:
    told = oauth.service_token(service, scope)
    assert (told.status, told.error) == (400, "invalid_scope")


def test_an_application_without_an_active_owner_gets_nothing(service: Registered, alice: User) -> None:
    token = oauth.service_token(service).body["access_token"]
    nobody = oauth.service_token(oauth.register_service(None))
    assert (nobody.status, nobody.error) == (400, "unauthorized_client")
    User.objects.filter(pk=alice.pk).update(is_active=False)
    disabled = oauth.service_token(service)
    assert (disabled.status, disabled.error) == (400, "unauthorized_client")
    assert not works(token)


def test_a_token_without_any_owner_is_nobodys(service: Registered) -> None:
    token = oauth.service_token(service).body["access_token"]
    OAuthApplication.objects.update(user=None)
    assert not works(token)


def test_a_service_cannot_ask_people(service: Registered, alice: User) -> None:
    OAuthApplication.objects.filter(pk=service.application.pk).update(redirect_uris=REDIRECT)
    returned = oauth.sent_back(oauth.browser_of(alice).get(oauth.authorize_url(service)))
    assert returned["error"] == "unauthorized_client"


# --- how tokens end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token", "nonsense"])
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revoking_either_token_ends_both(reports: Registered, alice: User, kind: str, hint: str | None) -> None:
    tokens = oauth.tokens_of(reports, alice)
    form = {"token": tokens[kind], **reports.credentials(), **({"token_type_hint": hint} if hint else {})}
    told = oauth.post(REVOKE, form)
    assert (told.status, told.body, told.headers["Cache-Control"]) == (200, {}, "no-store")
    assert not works(tokens["access_token"])
    assert oauth.refresh(reports, tokens["refresh_token"]).error == "invalid_grant"


def test_only_the_client_itself_revokes(reports: Registered, alice: User) -> None:
    tokens = oauth.tokens_of(reports, alice)
    other = oauth.register("Other")
    assert oauth.post(REVOKE, {"token": tokens["access_token"], **other.credentials()}).status == 200
    anonymous = oauth.post(REVOKE, {"token": tokens["access_token"]})
    assert (anonymous.status, anonymous.error) == (401, "invalid_client")
    by_id = oauth.post(REVOKE, {"token": tokens["access_token"], "client_id": reports.id})
    assert (by_id.status, by_id.error) == (401, "invalid_client")
    assert oauth.post(REVOKE, reports.credentials()).error == "invalid_request"
    assert oauth.post(REVOKE, {"token": "unknown", **reports.credentials()}).status == 200
    assert works(tokens["access_token"])


def test_an_expired_token_is_bad(reports: Registered, alice: User) -> None:
    token = oauth.tokens_of(reports, alice)["access_token"]
    OAuthAccessToken.objects.update(expires=timezone.now())
    assert not works(token)


@pytest.mark.parametrize("token", ["unknown", "x" * 10_000, "é", "a b", "apg.x", "a.b.c.d"])
def test_any_other_text_is_bad(api: Api, token: str) -> None:
    with pytest.raises(AuthenticationFailedError, match="Invalid or expired credentials"):
        oauth_caller(token)
    assert Api(token).get("/workflows").status == 401


def test_a_digest_is_no_token(reports: Registered, alice: User) -> None:
    assert not works(digest(oauth.tokens_of(reports, alice)["access_token"]))


def test_a_disabled_user_has_no_tokens_and_gets_none(reports: Registered, alice: User) -> None:
    tokens, browser = oauth.tokens_of(reports, alice), oauth.browser_of(alice)
    code = oauth.decide(browser, oauth.authorize_url(reports))["code"]
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert not works(tokens["access_token"])
    assert oauth.refresh(reports, tokens["refresh_token"]).error == "invalid_grant"
    assert oauth.exchange(reports, code).error == "invalid_grant"
    assert browser.get(oauth.authorize_url(reports)).headers["Location"].startswith(oauth.LOGIN)


def test_end_oauth_access_ends_the_users_and_nobody_elses(
    reports: Registered, service: Registered, alice: User, bob: User
) -> None:
    hers, his = oauth.tokens_of(reports, alice), oauth.tokens_of(reports, bob)
    of_service = oauth.service_token(service).body["access_token"]
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(reports))["code"]
    end_oauth_access(alice)
    assert not works(hers["access_token"])
    assert not works(of_service)
    assert oauth.refresh(reports, hers["refresh_token"]).error == "invalid_grant"
    assert oauth.exchange(reports, code).error == "invalid_grant"
    assert works(his["access_token"])
    assert oauth.refresh(reports, his["refresh_token"]).status == 200


def test_a_new_password_ends_them_and_a_browsers_session(reports: Registered, alice: User) -> None:
    tokens, browser = oauth.tokens_of(reports, alice), oauth.browser_of(alice)
    set_password(alice, "another-horse-battery")
    assert not works(tokens["access_token"])
    assert oauth.refresh(reports, tokens["refresh_token"]).error == "invalid_grant"
    assert browser.get(oauth.authorize_url(reports)).headers["Location"].startswith(oauth.LOGIN)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("grant", ["code", "refresh_token"])
def test_what_is_given_out_while_access_ends_ends_too(reports: Registered, alice: User, grant: str) -> None:
    if grant == "code":
        code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(reports))["code"]
    else:
        token = oauth.tokens_of(reports, alice)["refresh_token"]
    given: list[oauth.Told] = []
    exchanged, finish = threading.Event(), threading.Event()

    def give() -> None:
        with transaction.atomic():
            given.append(oauth.exchange(reports, code) if grant == "code" else oauth.refresh(reports, token))
            exchanged.set()
            finish.wait(20)
        connection.close()

    def end() -> None:
        end_oauth_access(alice)
        connection.close()

    giving, ending = threading.Thread(target=give), threading.Thread(target=end)
    giving.start()
    assert exchanged.wait(20)
    ending.start()
    eventually(lambda: waiting() == 1)
    finish.set()
    for thread in (giving, ending):
        thread.join(20)
    assert given[0].status == 200
    assert not works(given[0].body["access_token"])
    assert oauth.refresh(reports, given[0].body["refresh_token"]).error == "invalid_grant"


def test_an_application_is_no_person(reports: Registered, alice: User) -> None:
    api = Api(oauth.tokens_of(reports, alice, "*")["access_token"])
    assert api.get("/api/v1/auth/api-keys").status == 403
    change = {"current_password": "correct-horse-battery", "new_password": "another-horse-battery"}
    assert api.post("/api/v1/auth/password", change).status == 403


def test_the_audit_log_tells_of_consent_and_of_reuse(reports: Registered, alice: User) -> None:
    browser = oauth.browser_of(alice)
    codes = [oauth.decide(browser, oauth.authorize_url(reports))["code"] for _ in range(2)]
    token = oauth.exchange(reports, codes[0]).body["refresh_token"]
    # The third time nothing lives any more.
    for _ in range(3):
        oauth.refresh(reports, token)
    for _ in range(3):
        oauth.exchange(reports, codes[1])
    oauth.exchange(reports, codes[0])
    found = [
        (entry.action, entry.actor, entry.object_id, entry.details)
        for entry in audit.entries().filter(action__startswith="oauth.").order_by("pk")
    ]
    application = reports.application.pk
    assert found == [
        *[("oauth.allowed", alice.email, application, {"name": "Reports", "scopes": ["workflow.read"]})] * 2,
        ("oauth.reused", alice.email, application, {"kind": "refresh_token"}),
        ("oauth.reused", alice.email, application, {"kind": "code"}),
    ]


def test_what_an_application_does_is_told_as_its_doing(reports: Registered, alice: User) -> None:
    api = Api(oauth.tokens_of(reports, alice, "secret.manage")["access_token"])
    assert api.post("/secrets", {"name": "TOKEN", "value": "a-value"}).status == 201
    entry = audit.entries().get(action="secret.created")
    assert (entry.actor, entry.credential) == (alice.email, f"oauth:{reports.application.pk}")


# --- introspection ------------------------------------------------------------------------------------------


def test_a_client_may_look_at_its_own_tokens(reports: Registered, alice: User) -> None:
    tokens = oauth.tokens_of(reports, alice)
    told = oauth.post(INTROSPECT, {"token": tokens["access_token"], **reports.credentials()})
    stored = OAuthAccessToken.objects.get()
    assert (told.status, told.headers["Cache-Control"]) == (200, "no-store")
    assert told.body == {
        "active": True,
        "token_type": "Bearer",
        "scope": "workflow.read",
        "client_id": reports.id,
        "username": "alice",
        "sub": alice.pk,
        "iat": int(stored.created.timestamp()),
        "exp": int(stored.expires.timestamp()),
    }
    refresh = oauth.post(INTROSPECT, {"token": tokens["refresh_token"]}, Authorization=oauth.basic(reports)).body
    assert (refresh["active"], refresh["token_type"], refresh["sub"]) == (True, "refresh_token", alice.pk)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert oauth.post(INTROSPECT, {"token": token, **reports.credentials()}).body == {"active": False}


def test_a_foreign_unknown_or_ended_token_reads_inactive(reports: Registered, alice: User) -> None:
    tokens, other = oauth.tokens_of(reports, alice), oauth.register("Other")
    for token in (tokens["access_token"], tokens["refresh_token"], "unknown", "\0"):
        assert oauth.post(INTROSPECT, {"token": token, **other.credentials()}).body == {"active": False}
    end_oauth_access(alice)
    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert oauth.post(INTROSPECT, {"token": token, **reports.credentials()}).body == {"active": False}


def test_introspection_is_for_clients_with_a_secret(reports: Registered, alice: User) -> None:
    public = oauth.register("Public", client_type="public")
    token = oauth.tokens_of(public, alice)["access_token"]
    # A secret that a public client has in the table, and that nobody was told.
    OAuthApplication.objects.filter(pk=public.application.pk).update(client_secret=make_password("guessed"))
    bodies: list[dict[str, str]] = [
        {},
        {"client_id": reports.id},
        {"client_id": reports.id, "client_secret": "wrong"},
        {"client_id": public.id},
        {"client_id": public.id, "client_secret": ""},
        {"client_id": public.id, "client_secret": "guessed"},
    ]
    for body in bodies:
        told = oauth.post(INTROSPECT, {"token": token, **body})
        assert (told.status, told.error) == (401, "invalid_client")
    # The toolkit's own would let in any bearer.
    assert oauth.post(INTROSPECT, {"token": token}, Authorization=f"Bearer {token}").status == 401
    assert oauth.post(INTROSPECT, reports.credentials()).error == "invalid_request"


# --- what is kept -------------------------------------------------------------------------------------------


def test_no_credential_stands_in_the_database(reports: Registered, service: Registered, alice: User) -> None:
    browser = oauth.browser_of(alice)
    used, unused = (oauth.decide(browser, oauth.authorize_url(reports))["code"] for _ in range(2))
    first = oauth.exchange(reports, used).body
    second = oauth.refresh(reports, first["refresh_token"]).body
    credentials = {
        "used code": used, "unused code": unused, "secret": reports.secret, "secret of service": service.secret,
        "service": oauth.service_token(service).body["access_token"],
        **{f"{number} {kind}": tokens[kind] for number, tokens in enumerate((first, second))
           for kind in ("access_token", "refresh_token")},
    }  # fmt: skip
    tables = [name for name in connection.introspection.table_names() if not name.startswith("django_migrations")]
    with connection.cursor() as cursor:
        kept = []
        for table in tables:
            cursor.execute(f'SELECT row_to_json(t)::text FROM "{table}" t')
            kept += [row[0] for row in cursor.fetchall()]
    everything = "\n".join(kept)
    assert digest(unused) in everything
    assert [name for name, value in credentials.items() if value in everything] == []


def test_the_toolkit_has_no_tables(db: None) -> None:
    assert [name for name in connection.introspection.table_names() if name.startswith("oauth2_provider")] == []


def test_every_scope_has_a_text() -> None:
    assert set(DESCRIPTIONS) == ALL
    assert all(text[0].isupper() and text[-1] != "." for text in DESCRIPTIONS.values())


def test_what_ended_long_ago_is_forgotten_and_what_lives_is_kept(
    reports: Registered, service: Registered, alice: User
) -> None:
    living = oauth.tokens_of(reports, alice)
    ended = oauth.tokens_of(reports, alice)
    refreshed = oauth.refresh(reports, ended["refresh_token"]).body
    oauth.service_token(service)
    lifetime = django_settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]
    now = timezone.now()
    assert forget_ended_access(now) == 0
    # An access token of client credentials has nothing to be refreshed with.
    assert forget_ended_access(now + timedelta(hours=2)) == 1
    oauth.post(REVOKE, {"token": refreshed["access_token"], **reports.credentials()})
    later = now + lifetime + timedelta(minutes=10)
    # Two codes, the revoked refresh tokens; what was not used in the meantime can still be refreshed for 50 minutes.
    assert forget_ended_access(later) == 4
    assert oauth.refresh(reports, living["refresh_token"]).status == 200
    assert forget_ended_access(later + lifetime + timedelta(hours=2)) == 3
    assert not OAuthRefreshToken.objects.exists()
    assert not OAuthAccessToken.objects.exists()


def test_beat_asks_for_it() -> None:
    scheduled = [entry["task"] for entry in django_settings.CELERY_BEAT_SCHEDULE.values()]
    assert forget.name in scheduled
    forget()


def test_deleting_a_user_deletes_their_tokens(reports: Registered, alice: User) -> None:
    oauth.tokens_of(reports, alice)
    alice.delete()
    assert not OAuthRefreshToken.objects.exists()
    assert not OAuthAccessToken.objects.exists()
