"""OAuth 2: what clients get, how it ends, and what is refused."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts import audit
from accounts.models import User
from accounts.oauth import end_oauth_access, forget_ended_access, oauth_caller
from accounts.oauth_models import OAuthAccessToken, OAuthApplication, OAuthGrant, OAuthRefreshToken, digest
from accounts.scopes import ALL, DESCRIPTIONS, Scope
from accounts.services import set_password
from accounts.tasks import forget
from core.errors import AuthenticationFailedError
from tests import oauth
from tests.api import BASES, Api
from tests.eventually import eventually
from tests.oauth import INTROSPECT, REDIRECT, REVOKE, TOKEN, Registered

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]


@pytest.fixture
def client(db: None) -> Registered:
    """A confidential application of nobody in particular."""
    return oauth.register()


@pytest.fixture
def service(alice: User) -> Registered:
    """An application that acts as alice."""
    return oauth.register_service(alice)


def works(token: str) -> bool:
    """Whether the API takes the token."""
    answer = Api(token).get("/workflows")
    assert answer.status in {200, 401}
    if answer.status == 401:
        assert answer.body["message"] == "Invalid or expired credentials"
    return answer.status == 200


# --- authorization code -------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", BASES)
def test_from_the_log_in_page_to_a_call_of_the_api(client: Registered, alice: User, base: str) -> None:
    browser = Client(enforce_csrf_checks=True)
    url = oauth.authorize_url(client, scope="workflow.read execution.read")
    to_login = browser.get(url)
    assert (to_login.status_code, to_login.headers["Location"].split("?")[0]) == (302, oauth.LOGIN)
    page = browser.get(to_login.headers["Location"])
    form = {"username": "alice", "password": "correct-horse-battery", "csrfmiddlewaretoken": oauth.csrf_token(page)}
    back = browser.post(oauth.LOGIN, {**form, "next": page.context["next"]})
    assert (back.status_code, back.headers["Location"]) == (302, url)
    returned = oauth.decide(browser, url)
    assert set(returned) == {"code", "state", "iss"}
    assert (returned["state"], returned["iss"]) == ("state-1", "http://testserver")
    told = oauth.exchange(client, returned["code"])
    assert told.status == 200
    assert set(told.body) == {"access_token", "refresh_token", "expires_in", "token_type", "scope"}
    assert (told.body["expires_in"], told.body["token_type"]) == (3600, "Bearer")
    assert told.body["scope"] == "workflow.read execution.read"
    assert (told.headers["Cache-Control"], told.headers["Pragma"]) == ("no-store", "no-cache")
    api = Api(told.body["access_token"], base)
    assert api.get("/workflows").status == 200
    me = api.get("/api/v1/auth/me").data
    assert (me["username"], me["scopes"]) == ("alice", ["execution.read", "workflow.read"])
    assert api.post("/workflows", {}).status == 403


def test_a_public_client_needs_no_secret(alice: User) -> None:
    public = oauth.register(client_type="public")
    first = oauth.tokens_of(public, alice)
    assert works(first["access_token"])
    second = oauth.refresh(public, first["refresh_token"])
    assert second.status == 200
    assert oauth.post(REVOKE, {"token": second.body["access_token"], "client_id": public.id}).status == 200
    assert not works(second.body["access_token"])


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic ", "Basic !!!", "Basic YQ==", "Basic YQBiOmM=", "Basic //8=", "Basic Og==", "Bearer x", "x y z"],
)
@pytest.mark.parametrize("path", [TOKEN, REVOKE, INTROSPECT])
def test_a_header_of_garbage_is_no_client(path: str, header: str, service: Registered) -> None:
    told = oauth.post(path, {"grant_type": "client_credentials", "scope": "*", "token": "x"}, Authorization=header)
    assert (told.status, told.error) == (401, "invalid_client")


def test_a_client_may_prove_itself_in_the_header(client: Registered, alice: User) -> None:
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(client))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
    told = oauth.post(TOKEN, {**form, "code_verifier": oauth.VERIFIER}, Authorization=oauth.basic(client))
    assert told.status == 200


def test_a_token_is_looked_up_with_one_query(
    client: Registered, alice: User, django_assert_num_queries: Callable[[int], Any]
) -> None:
    token = oauth.tokens_of(client, alice)["access_token"]
    with django_assert_num_queries(1):
        caller = oauth_caller(token)
        assert (caller.user.email, caller.scopes) == ("alice@example.com", frozenset({Scope.WORKFLOW_READ}))


def test_all_scopes_for_a_star(client: Registered, alice: User) -> None:
    told = oauth.tokens_of(client, alice, "*")
    assert set(told["scope"].split()) == ALL
    assert Api(told["access_token"]).get("/api/v1/auth/me").data["scopes"] == sorted(ALL)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "S512"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": "\0" * 43}, "invalid_request"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unauthorized_client"),
        ({"response_type": "none"}, "unauthorized_client"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "workflow.read root"}, "invalid_scope"),
        ({"scope": "* workflow.read"}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
    ],
)
def test_a_bad_question_is_sent_back_to_the_client(
    client: Registered, alice: User, changed: dict[str, str | None], error: str
) -> None:
    answer = oauth.browser_of(alice).get(oauth.authorize_url(client, **changed))
    assert answer.status_code == 302
    returned = oauth.sent_back(answer)
    assert (returned["error"], returned["state"], returned["iss"]) == (error, "state-1", "http://testserver")
    assert not OAuthGrant.objects.exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": "https://evil.example.com/callback"},
        {"redirect_uri": REDIRECT + "/"},
        {"redirect_uri": REDIRECT + "?x=1"},
        {"redirect_uri": REDIRECT + "#x"},
        {"redirect_uri": REDIRECT.upper()},
        {"redirect_uri": REDIRECT.replace("https", "http")},
        {"redirect_uri": "https://client.example.com:443/callback"},
        {"redirect_uri": "https://client.example.com@evil.example.com/callback"},
        {"redirect_uri": "https://[::1"},
        {"redirect_uri": "http://[:::::::::::::::::::::::::::::::::::::::::::::::::::]/"},
        {"redirect_uri": "//evil.example.com"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "\0"},
        {"client_id": "unknown"},
        {"client_id": None},
        {"client_id": "\0"},
        {"client_id": "https://evil.example.com/client.json"},
        {"client_id": "unknown", "prompt": "none"},
    ],
)
@pytest.mark.parametrize("logged_in", [False, True])
def test_nobody_is_sent_to_an_address_that_is_not_the_clients(
    client: Registered, alice: User, changed: dict[str, str | None], logged_in: bool
) -> None:
    browser = oauth.browser_of(alice) if logged_in else Client(raise_request_exception=False)
    answer = browser.get(oauth.authorize_url(client, **changed))
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    body = json.loads(answer.content)
    assert set(body) == {"error", "error_description"}
    page = browser.get(oauth.authorize_url(client, **changed), headers={"Accept": "text/html,*/*"})
    assert (page.status_code, page.headers["Content-Type"]) == (400, "text/html; charset=utf-8")


@pytest.mark.parametrize("query", ["", "?", "?foo", "?%", "?=x&&;", "?client_id=%ff", "?client_id=a&client_id=b"])
def test_a_query_of_garbage_is_400(client: Registered, query: str) -> None:
    answer = Client(raise_request_exception=False).get(oauth.AUTHORIZE + query)
    assert (answer.status_code, set(json.loads(answer.content))) == (400, {"error", "error_description"})


def test_a_parameter_that_stands_there_twice_is_refused(client: Registered, alice: User) -> None:
    browser = oauth.browser_of(alice)
    assert browser.get(oauth.authorize_url(client) + "&redirect_uri=https://evil.example.com").status_code == 400
    twice = browser.get(oauth.authorize_url(client) + "&code_challenge_method=plain")
    assert oauth.sent_back(twice)["error"] == "invalid_request"


def test_parameters_of_other_standards_mean_nothing(client: Registered, alice: User) -> None:
    url = oauth.authorize_url(
        client, resource="x", nonce="n", claims="{", request="r", response_mode="fragment", prompt="create",
        approval_prompt="auto",
    )  # fmt: skip
    assert oauth.exchange(client, oauth.decide(oauth.browser_of(alice), url)["code"]).status == 200


def test_the_redirect_uri_may_be_left_out_where_there_is_one(client: Registered, alice: User) -> None:
    returned = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(client, redirect_uri=None))
    assert oauth.exchange(client, returned["code"]).status == 200


def test_denied(client: Registered, alice: User) -> None:
    returned = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(client), "deny")
    assert (returned["error"], returned["state"], returned["iss"]) == ("access_denied", "state-1", "http://testserver")
    assert not OAuthGrant.objects.exists()


def test_nothing_is_allowed_without_a_decision_a_csrf_token_or_a_login(client: Registered, alice: User) -> None:
    browser, url = oauth.browser_of(alice), oauth.authorize_url(client)
    token = oauth.csrf_token(browser.get(url))
    assert browser.post(url, {"decision": "allow"}).status_code == 403
    assert browser.post(url, {"csrfmiddlewaretoken": token}).status_code == 400
    assert browser.post(url, {"csrfmiddlewaretoken": token, "decision": "yes"}).status_code == 400
    anonymous = Client().post(url, {"decision": "allow"})
    assert (anonymous.status_code, anonymous.headers["Location"].split("?")[0]) == (302, oauth.LOGIN)
    assert not OAuthGrant.objects.exists()


def test_a_code_that_is_used_twice_ends_what_came_of_it(client: Registered, alice: User) -> None:
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(client))["code"]
    first = oauth.exchange(client, code).body
    second = oauth.refresh(client, first["refresh_token"]).body
    assert works(second["access_token"])
    again = oauth.exchange(client, code)
    assert (again.status, again.error) == (400, "invalid_grant")
    assert not works(second["access_token"])
    assert oauth.refresh(client, second["refresh_token"]).error == "invalid_grant"


def test_a_code_that_is_used_twice_leaves_other_consents_alone(client: Registered, alice: User) -> None:
    other = oauth.tokens_of(client, alice)
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(client))["code"]
    oauth.exchange(client, code)
    oauth.exchange(client, code)
    assert works(other["access_token"])


def test_another_clients_code_is_no_code(client: Registered, alice: User) -> None:
    other = oauth.register("Other")
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(client))["code"]
    assert oauth.exchange(other, code).error == "invalid_grant"
    assert oauth.exchange(client, code).status == 200


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"redirect_uri": "https://client.example.com/other"}, 400, "invalid_grant"),
        ({"code_verifier": "another-verifier-of-at-least-forty-three-chars"}, 400, "invalid_grant"),
        ({"code_verifier": ""}, 400, "invalid_request"),
        ({"code": "unknown"}, 400, "invalid_grant"),
        ({"code": "\0"}, 400, "invalid_grant"),
        ({"code": ""}, 400, "invalid_request"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"client_id": "unknown"}, 401, "invalid_client"),
        ({"client_id": "\0"}, 401, "invalid_client"),
        ({"grant_type": "password", "username": "alice", "password": "x"}, 400, "unsupported_grant_type"),
        ({"grant_type": "implicit"}, 400, "unsupported_grant_type"),
        ({"grant_type": "openid"}, 400, "unauthorized_client"),
        ({"grant_type": "client_credentials"}, 400, "unauthorized_client"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "unsupported_grant_type"),
    ],
)
def test_a_bad_exchange_gives_nothing(
    client: Registered, alice: User, changed: dict[str, str], status: int, error: str
) -> None:
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(client))["code"]
    told = oauth.exchange(client, code, **changed)
    assert (told.status, told.error) == (status, error)
    assert told.headers["Cache-Control"] == "no-store"
    if status == 401:
        assert told.headers["WWW-Authenticate"] == 'Basic realm="oauth"'
    assert not OAuthAccessToken.objects.exists()


def test_a_code_is_good_for_a_minute(client: Registered, alice: User) -> None:
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(client))["code"]
    lifetime = OAuthGrant.objects.get().expires - timezone.now()
    assert 55 < lifetime.total_seconds() <= 60
    OAuthGrant.objects.update(expires=timezone.now())
    assert oauth.exchange(client, code).error == "invalid_grant"


@pytest.mark.parametrize(
    ("form", "content_type", "query"),
    [
        ("grant_type=client_credentials&scope=a&scope=b", "application/x-www-form-urlencoded", ""),
        ("", "application/x-www-form-urlencoded", "?client_secret=x"),
        ('{"grant_type": "client_credentials"}', "application/json", ""),
        ("a", "multipart/form-data; boundary=x", ""),
        ("a=b", "application/x-www-form-urlencoded; charset=latin-1", ""),
    ],
)
@pytest.mark.parametrize("path", [TOKEN, REVOKE, INTROSPECT])
def test_a_request_that_is_no_form_is_invalid(path: str, form: str, content_type: str, query: str, db: None) -> None:
    answer = Client(raise_request_exception=False).post(path + query, form, content_type=content_type)
    body = json.loads(answer.content)
    assert (answer.status_code, body["error"]) == (400, "invalid_request")
    assert body["error_description"]


@pytest.mark.parametrize("path", [TOKEN, REVOKE, INTROSPECT])
def test_programs_post(path: str, db: None) -> None:
    answer = Client(raise_request_exception=False).get(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert json.loads(answer.content)["error"] == "invalid_request"


def test_an_endpoint_for_programs_is_counted_by_address(settings: Any, service: Registered) -> None:
    settings.ANONYMOUS_REQUESTS_PER_HOUR = 2
    assert oauth.service_token(service).status == 200
    told = oauth.service_token(service)
    assert (told.status, told.headers["X-RateLimit-Remaining"]) == (200, "0")
    last = oauth.service_token(service)
    assert (last.status, last.error, last.headers["Cache-Control"]) == (429, "temporarily_unavailable", "no-store")
    seconds = int(last.headers["Retry-After"])
    assert seconds > 0
    assert last.body["error_description"] == f"Too many requests. Try again in {seconds} seconds."


# --- refresh ------------------------------------------------------------------------------------------------


def test_a_refresh_token_rotates(client: Registered, alice: User) -> None:
    first = oauth.tokens_of(client, alice)
    told = oauth.refresh(client, first["refresh_token"])
    assert (told.status, told.body["scope"]) == (200, "workflow.read")
    assert told.body["refresh_token"] != first["refresh_token"]
    assert works(told.body["access_token"])
    assert not works(first["access_token"])


def test_a_refresh_token_that_is_used_again_ends_its_family(client: Registered, alice: User) -> None:
    first, other = oauth.tokens_of(client, alice), oauth.tokens_of(client, alice)
    second = oauth.refresh(client, first["refresh_token"]).body
    third = oauth.refresh(client, second["refresh_token"]).body
    again = oauth.refresh(client, first["refresh_token"])
    assert (again.status, again.error) == (400, "invalid_grant")
    assert not works(third["access_token"])
    assert oauth.refresh(client, third["refresh_token"]).error == "invalid_grant"
    assert works(other["access_token"])


def test_a_refresh_may_narrow_the_scopes_and_not_widen_them(client: Registered, alice: User) -> None:
    first = oauth.tokens_of(client, alice, "workflow.read execution.read")
    wider = oauth.refresh(client, first["refresh_token"], scope="workflow.read secret.manage")
    assert (wider.status, wider.error) == (400, "invalid_scope")
    assert oauth.refresh(client, first["refresh_token"], scope="*").error == "invalid_scope"
    told = oauth.refresh(client, first["refresh_token"], scope="execution.read")
    assert (told.status, told.body["scope"]) == (200, "execution.read")
    assert Api(told.body["access_token"]).get("/workflows").status == 403


def test_a_refresh_token_is_its_clients(client: Registered, alice: User) -> None:
    token = oauth.tokens_of(client, alice)["refresh_token"]
    assert oauth.refresh(oauth.register("Other"), token).error == "invalid_grant"
    assert oauth.refresh(client, token).status == 200


def test_an_unused_refresh_token_dies(client: Registered, alice: User) -> None:
    token = oauth.tokens_of(client, alice)["refresh_token"]
    lifetime = django_settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]
    OAuthAccessToken.objects.update(expires=timezone.now() - lifetime)
    assert oauth.refresh(client, token).error == "invalid_grant"


@pytest.mark.django_db(transaction=True)
def test_of_two_refreshes_at_once_one_wins_and_ends_with_the_other(client: Registered, alice: User) -> None:
    token = oauth.tokens_of(client, alice)["refresh_token"]
    told: list[oauth.Told] = []
    ready = threading.Barrier(2)

    def run() -> None:
        ready.wait(10)
        told.append(oauth.refresh(client, token))
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answer.status for answer in told) == [200, 400]
    winner = next(answer for answer in told if answer.status == 200)
    assert not works(winner.body["access_token"])


@pytest.mark.django_db(transaction=True)
def test_of_two_exchanges_at_once_one_wins_and_ends_with_the_other(client: Registered, alice: User) -> None:
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(client))["code"]
    told: list[oauth.Told] = []
    ready = threading.Barrier(2)

    def run() -> None:
        ready.wait(10)
        told.append(oauth.exchange(client, code))
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answer.status for answer in told) == [200, 400]
    assert not OAuthAccessToken.objects.exists()


# --- client credentials -------------------------------------------------------------------------------------


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
def test_revoking_either_token_ends_both(client: Registered, alice: User, kind: str, hint: str | None) -> None:
    tokens = oauth.tokens_of(client, alice)
    form = {"token": tokens[kind], **client.credentials(), **({"token_type_hint": hint} if hint else {})}
    told = oauth.post(REVOKE, form)
    assert (told.status, told.body, told.headers["Cache-Control"]) == (200, {}, "no-store")
    assert not works(tokens["access_token"])
    assert oauth.refresh(client, tokens["refresh_token"]).error == "invalid_grant"


def test_only_the_client_itself_revokes(client: Registered, alice: User) -> None:
    tokens = oauth.tokens_of(client, alice)
    other = oauth.register("Other")
    assert oauth.post(REVOKE, {"token": tokens["access_token"], **other.credentials()}).status == 200
    anonymous = oauth.post(REVOKE, {"token": tokens["access_token"]})
    assert (anonymous.status, anonymous.error) == (401, "invalid_client")
    by_id = oauth.post(REVOKE, {"token": tokens["access_token"], "client_id": client.id})
    assert (by_id.status, by_id.error) == (401, "invalid_client")
    assert oauth.post(REVOKE, client.credentials()).error == "invalid_request"
    assert oauth.post(REVOKE, {"token": "unknown", **client.credentials()}).status == 200
    assert works(tokens["access_token"])


def test_an_expired_token_is_bad(client: Registered, alice: User) -> None:
    token = oauth.tokens_of(client, alice)["access_token"]
    OAuthAccessToken.objects.update(expires=timezone.now())
    assert not works(token)


@pytest.mark.parametrize("token", ["unknown", "x" * 10_000, "é", "a b", "apg.x", "a.b.c.d"])
def test_any_other_text_is_bad(api: Api, token: str) -> None:
    with pytest.raises(AuthenticationFailedError, match="Invalid or expired credentials"):
        oauth_caller(token)
    assert Api(token).get("/workflows").status == 401


def test_a_digest_is_no_token(client: Registered, alice: User) -> None:
    assert not works(digest(oauth.tokens_of(client, alice)["access_token"]))


def test_a_disabled_user_has_no_tokens_and_gets_none(client: Registered, alice: User) -> None:
    tokens, browser = oauth.tokens_of(client, alice), oauth.browser_of(alice)
    code = oauth.decide(browser, oauth.authorize_url(client))["code"]
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert not works(tokens["access_token"])
    assert oauth.refresh(client, tokens["refresh_token"]).error == "invalid_grant"
    assert oauth.exchange(client, code).error == "invalid_grant"
    assert browser.get(oauth.authorize_url(client)).headers["Location"].startswith(oauth.LOGIN)


def test_end_oauth_access_ends_the_users_and_nobody_elses(
    client: Registered, service: Registered, alice: User, bob: User
) -> None:
    hers, his = oauth.tokens_of(client, alice), oauth.tokens_of(client, bob)
    of_service = oauth.service_token(service).body["access_token"]
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(client))["code"]
    end_oauth_access(alice)
    assert not works(hers["access_token"])
    assert not works(of_service)
    assert oauth.refresh(client, hers["refresh_token"]).error == "invalid_grant"
    assert oauth.exchange(client, code).error == "invalid_grant"
    assert works(his["access_token"])
    assert oauth.refresh(client, his["refresh_token"]).status == 200


def test_a_new_password_ends_them_and_a_browsers_session(client: Registered, alice: User) -> None:
    tokens, browser = oauth.tokens_of(client, alice), oauth.browser_of(alice)
    set_password(alice, "another-horse-battery")
    assert not works(tokens["access_token"])
    assert oauth.refresh(client, tokens["refresh_token"]).error == "invalid_grant"
    assert browser.get(oauth.authorize_url(client)).headers["Location"].startswith(oauth.LOGIN)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("grant", ["code", "refresh_token"])
def test_what_is_given_out_while_access_ends_ends_too(client: Registered, alice: User, grant: str) -> None:
    if grant == "code":
        code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(client))["code"]
    else:
        token = oauth.tokens_of(client, alice)["refresh_token"]
    given: list[oauth.Told] = []
    exchanged, finish = threading.Event(), threading.Event()

    def give() -> None:
        with transaction.atomic():
            given.append(oauth.exchange(client, code) if grant == "code" else oauth.refresh(client, token))
            exchanged.set()
            finish.wait(20)
        connection.close()

    def end() -> None:
        end_oauth_access(alice)
        connection.close()

    def waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool(cursor.fetchone()[0])

    giving, ending = threading.Thread(target=give), threading.Thread(target=end)
    giving.start()
    assert exchanged.wait(20)
    ending.start()
    eventually(waits)
    finish.set()
    for thread in (giving, ending):
        thread.join(20)
    assert given[0].status == 200
    assert not works(given[0].body["access_token"])
    assert oauth.refresh(client, given[0].body["refresh_token"]).error == "invalid_grant"


def test_an_application_is_no_person(client: Registered, alice: User) -> None:
    api = Api(oauth.tokens_of(client, alice, "*")["access_token"])
    assert api.get("/api/v1/auth/api-keys").status == 403
    change = {"current_password": "correct-horse-battery", "new_password": "another-horse-battery"}
    assert api.post("/api/v1/auth/password", change).status == 403


def test_the_audit_log_tells_of_consent_and_of_reuse(client: Registered, alice: User) -> None:
    browser = oauth.browser_of(alice)
    codes = [oauth.decide(browser, oauth.authorize_url(client))["code"] for _ in range(2)]
    token = oauth.exchange(client, codes[0]).body["refresh_token"]
    # The third time nothing lives any more.
    for _ in range(3):
        oauth.refresh(client, token)
    for _ in range(3):
        oauth.exchange(client, codes[1])
    oauth.exchange(client, codes[0])
    found = [
        (entry.action, entry.actor, entry.object_id, entry.details)
        for entry in audit.entries().filter(action__startswith="oauth.").order_by("pk")
    ]
    application = client.application.pk
    assert found == [
        *[("oauth.allowed", alice.email, application, {"name": "Reports", "scopes": ["workflow.read"]})] * 2,
        ("oauth.reused", alice.email, application, {"kind": "refresh_token"}),
        ("oauth.reused", alice.email, application, {"kind": "code"}),
    ]


def test_what_an_application_does_is_told_as_its_doing(client: Registered, alice: User) -> None:
    api = Api(oauth.tokens_of(client, alice, "secret.manage")["access_token"])
    assert api.post("/secrets", {"name": "TOKEN", "value": "a-value"}).status == 201
    entry = audit.entries().get(action="secret.created")
    assert (entry.actor, entry.credential) == (alice.email, f"oauth:{client.application.pk}")


# --- introspection ------------------------------------------------------------------------------------------


def test_a_client_may_look_at_its_own_tokens(client: Registered, alice: User) -> None:
    tokens = oauth.tokens_of(client, alice)
    told = oauth.post(INTROSPECT, {"token": tokens["access_token"], **client.credentials()})
    stored = OAuthAccessToken.objects.get()
    assert (told.status, told.headers["Cache-Control"]) == (200, "no-store")
    assert told.body == {
        "active": True,
        "token_type": "Bearer",
        "scope": "workflow.read",
        "client_id": client.id,
        "username": "alice",
        "sub": alice.pk,
        "iat": int(stored.created.timestamp()),
        "exp": int(stored.expires.timestamp()),
    }
    refresh = oauth.post(INTROSPECT, {"token": tokens["refresh_token"]}, Authorization=oauth.basic(client)).body
    assert (refresh["active"], refresh["token_type"], refresh["sub"]) == (True, "refresh_token", alice.pk)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert oauth.post(INTROSPECT, {"token": token, **client.credentials()}).body == {"active": False}


def test_a_foreign_unknown_or_ended_token_reads_inactive(client: Registered, alice: User) -> None:
    tokens, other = oauth.tokens_of(client, alice), oauth.register("Other")
    for token in (tokens["access_token"], tokens["refresh_token"], "unknown", "\0"):
        assert oauth.post(INTROSPECT, {"token": token, **other.credentials()}).body == {"active": False}
    end_oauth_access(alice)
    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert oauth.post(INTROSPECT, {"token": token, **client.credentials()}).body == {"active": False}


def test_introspection_is_for_clients_with_a_secret(client: Registered, alice: User) -> None:
    public = oauth.register("Public", client_type="public")
    token = oauth.tokens_of(public, alice)["access_token"]
    # A secret that a public client has in the table, and that nobody was told.
    OAuthApplication.objects.filter(pk=public.application.pk).update(client_secret=make_password("guessed"))
    bodies: list[dict[str, str]] = [
        {},
        {"client_id": client.id},
        {"client_id": client.id, "client_secret": "wrong"},
        {"client_id": public.id},
        {"client_id": public.id, "client_secret": ""},
        {"client_id": public.id, "client_secret": "guessed"},
    ]
    for body in bodies:
        told = oauth.post(INTROSPECT, {"token": token, **body})
        assert (told.status, told.error) == (401, "invalid_client")
    # The toolkit's own would let in any bearer.
    assert oauth.post(INTROSPECT, {"token": token}, Authorization=f"Bearer {token}").status == 401
    assert oauth.post(INTROSPECT, client.credentials()).error == "invalid_request"


# --- what is kept -------------------------------------------------------------------------------------------


def test_no_credential_stands_in_the_database(client: Registered, service: Registered, alice: User) -> None:
    browser = oauth.browser_of(alice)
    used, unused = (oauth.decide(browser, oauth.authorize_url(client))["code"] for _ in range(2))
    first = oauth.exchange(client, used).body
    second = oauth.refresh(client, first["refresh_token"]).body
    credentials = {
        "used code": used, "unused code": unused, "secret": client.secret, "secret of service": service.secret,
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
    client: Registered, service: Registered, alice: User
) -> None:
    living = oauth.tokens_of(client, alice)
    ended = oauth.tokens_of(client, alice)
    refreshed = oauth.refresh(client, ended["refresh_token"]).body
    oauth.service_token(service)
    lifetime = django_settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]
    now = timezone.now()
    assert forget_ended_access(now) == 0
    # An access token of client credentials has nothing to be refreshed with.
    assert forget_ended_access(now + timedelta(hours=2)) == 1
    oauth.post(REVOKE, {"token": refreshed["access_token"], **client.credentials()})
    later = now + lifetime + timedelta(minutes=10)
    # Two codes, the revoked refresh tokens; what was not used in the meantime can still be refreshed for 50 minutes.
    assert forget_ended_access(later) == 4
    assert oauth.refresh(client, living["refresh_token"]).status == 200
    assert forget_ended_access(later + lifetime + timedelta(hours=2)) == 3
    assert not OAuthRefreshToken.objects.exists()
    assert not OAuthAccessToken.objects.exists()


def test_beat_asks_for_it() -> None:
    scheduled = [entry["task"] for entry in django_settings.CELERY_BEAT_SCHEDULE.values()]
    assert forget.name in scheduled
    forget()


def test_deleting_a_user_deletes_their_tokens(client: Registered, alice: User) -> None:
    oauth.tokens_of(client, alice)
    alice.delete()
    assert not OAuthRefreshToken.objects.exists()
    assert not OAuthAccessToken.objects.exists()
