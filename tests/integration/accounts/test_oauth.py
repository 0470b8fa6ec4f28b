"""OAuth 2: codes and refresh tokens, and the requests that are refused."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.oauth import oauth_caller
from accounts.oauth_models import OAuthAccessToken, OAuthGrant
from accounts.scopes import ALL, Scope
from tests import oauth
from tests.api import BASES, Api
from tests.oauth import INTROSPECT, REDIRECT, REVOKE, TOKEN, Registered, works

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_redis")]


# --- authorization code -------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", BASES)
def test_from_the_log_in_page_to_a_call_of_the_api(reports: Registered, alice: User, base: str) -> None:
    browser = Client(enforce_csrf_checks=True)
    url = oauth.authorize_url(reports, scope="workflow.read execution.read")
    to_login = browser.get(url)
    assert (to_login.status_code, to_login.headers["Location"].split("?")[0]) == (302, oauth.LOGIN)
    page = browser.get(to_login.headers["Location"])
    form = {"username": "alice", "password": "correct-horse-battery", "csrfmiddlewaretoken": oauth.csrf_token(page)}
    back = browser.post(oauth.LOGIN, {**form, "next": page.context["next"]})
    assert (back.status_code, back.headers["Location"]) == (302, url)
    returned = oauth.decide(browser, url)
    assert set(returned) == {"code", "state", "iss"}
    assert (returned["state"], returned["iss"]) == ("state-1", "http://testserver")
    told = oauth.exchange(reports, returned["code"])
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


def test_a_client_may_prove_itself_in_the_header(reports: Registered, alice: User) -> None:
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(reports))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
    told = oauth.post(TOKEN, {**form, "code_verifier": oauth.VERIFIER}, Authorization=oauth.basic(reports))
    assert told.status == 200


def test_a_token_is_looked_up_with_one_query(
    reports: Registered, alice: User, django_assert_num_queries: Callable[[int], Any]
) -> None:
    token = oauth.tokens_of(reports, alice)["access_token"]
    with django_assert_num_queries(1):
        caller = oauth_caller(token)
        assert (caller.user.email, caller.scopes) == ("alice@example.com", frozenset({Scope.WORKFLOW_READ}))


def test_all_scopes_for_a_star(reports: Registered, alice: User) -> None:
    told = oauth.tokens_of(reports, alice, "*")
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
    reports: Registered, alice: User, changed: dict[str, str | None], error: str
) -> None:
    answer = oauth.browser_of(alice).get(oauth.authorize_url(reports, **changed))
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
    reports: Registered, alice: User, changed: dict[str, str | None], logged_in: bool
) -> None:
    browser = oauth.browser_of(alice) if logged_in else Client(raise_request_exception=False)
    answer = browser.get(oauth.authorize_url(reports, **changed))
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    body = json.loads(answer.content)
    assert set(body) == {"error", "error_description"}
    page = browser.get(oauth.authorize_url(reports, **changed), headers={"Accept": "text/html,*/*"})
    assert (page.status_code, page.headers["Content-Type"]) == (400, "text/html; charset=utf-8")


@pytest.mark.parametrize("query", ["", "?", "?foo", "?%", "?=x&&;", "?client_id=%ff", "?client_id=a&client_id=b"])
def test_a_query_of_garbage_is_400(reports: Registered, query: str) -> None:
    answer = Client(raise_request_exception=False).get(oauth.AUTHORIZE + query)
    assert (answer.status_code, set(json.loads(answer.content))) == (400, {"error", "error_description"})


def test_a_parameter_that_stands_there_twice_is_refused(reports: Registered, alice: User) -> None:
    browser = oauth.browser_of(alice)
    assert browser.get(oauth.authorize_url(reports) + "&redirect_uri=https://evil.example.com").status_code == 400
    twice = browser.get(oauth.authorize_url(reports) + "&code_challenge_method=plain")
    assert oauth.sent_back(twice)["error"] == "invalid_request"


def test_parameters_of_other_standards_mean_nothing(reports: Registered, alice: User) -> None:
    url = oauth.authorize_url(
        reports, resource="x", nonce="n", claims="{", request="r", response_mode="fragment", prompt="create",
        approval_prompt="auto",
    )  # fmt: skip
    assert oauth.exchange(reports, oauth.decide(oauth.browser_of(alice), url)["code"]).status == 200


def test_the_redirect_uri_may_be_left_out_where_there_is_one(reports: Registered, alice: User) -> None:
    returned = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(reports, redirect_uri=None))
    assert oauth.exchange(reports, returned["code"]).status == 200


def test_denied(reports: Registered, alice: User) -> None:
    returned = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(reports), "deny")
    assert (returned["error"], returned["state"], returned["iss"]) == ("access_denied", "state-1", "http://testserver")
    assert not OAuthGrant.objects.exists()


def test_nothing_is_allowed_without_a_decision_a_csrf_token_or_a_login(reports: Registered, alice: User) -> None:
    browser, url = oauth.browser_of(alice), oauth.authorize_url(reports)
    token = oauth.csrf_token(browser.get(url))
    assert browser.post(url, {"decision": "allow"}).status_code == 403
    assert browser.post(url, {"csrfmiddlewaretoken": token}).status_code == 400
    assert browser.post(url, {"csrfmiddlewaretoken": token, "decision": "yes"}).status_code == 400
    anonymous = Client().post(url, {"decision": "allow"})
    assert (anonymous.status_code, anonymous.headers["Location"].split("?")[0]) == (302, oauth.LOGIN)
    assert not OAuthGrant.objects.exists()


def test_a_code_that_is_used_twice_ends_what_came_of_it(reports: Registered, alice: User) -> None:
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(reports))["code"]
    first = oauth.exchange(reports, code).body
    second = oauth.refresh(reports, first["refresh_token"]).body
    assert works(second["access_token"])
    again = oauth.exchange(reports, code)
    assert (again.status, again.error) == (400, "invalid_grant")
    assert not works(second["access_token"])
    assert oauth.refresh(reports, second["refresh_token"]).error == "invalid_grant"


def test_a_code_that_is_used_twice_leaves_other_consents_alone(reports: Registered, alice: User) -> None:
    other = oauth.tokens_of(reports, alice)
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(reports))["code"]
    oauth.exchange(reports, code)
    oauth.exchange(reports, code)
    assert works(other["access_token"])


def test_another_clients_code_is_no_code(reports: Registered, alice: User) -> None:
    other = oauth.register("Other")
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(reports))["code"]
    assert oauth.exchange(other, code).error == "invalid_grant"
    assert oauth.exchange(reports, code).status == 200


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
    reports: Registered, alice: User, changed: dict[str, str], status: int, error: str
) -> None:
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(reports))["code"]
    told = oauth.exchange(reports, code, **changed)
    assert (told.status, told.error) == (status, error)
    assert told.headers["Cache-Control"] == "no-store"
    if status == 401:
        assert told.headers["WWW-Authenticate"] == 'Basic realm="oauth"'
    assert not OAuthAccessToken.objects.exists()


def test_a_code_is_good_for_a_minute(reports: Registered, alice: User) -> None:
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(reports))["code"]
    lifetime = OAuthGrant.objects.get().expires - timezone.now()
    assert 55 < lifetime.total_seconds() <= 60
    OAuthGrant.objects.update(expires=timezone.now())
    assert oauth.exchange(reports, code).error == "invalid_grant"


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


def test_a_refresh_token_rotates(reports: Registered, alice: User) -> None:
    first = oauth.tokens_of(reports, alice)
    told = oauth.refresh(reports, first["refresh_token"])
    assert (told.status, told.body["scope"]) == (200, "workflow.read")
    assert told.body["refresh_token"] != first["refresh_token"]
    assert works(told.body["access_token"])
    assert not works(first["access_token"])


def test_a_refresh_token_that_is_used_again_ends_its_family(reports: Registered, alice: User) -> None:
    first, other = oauth.tokens_of(reports, alice), oauth.tokens_of(reports, alice)
    second = oauth.refresh(reports, first["refresh_token"]).body
    third = oauth.refresh(reports, second["refresh_token"]).body
    again = oauth.refresh(reports, first["refresh_token"])
    assert (again.status, again.error) == (400, "invalid_grant")
    assert not works(third["access_token"])
    assert oauth.refresh(reports, third["refresh_token"]).error == "invalid_grant"
    assert works(other["access_token"])


def test_a_refresh_may_narrow_the_scopes_and_not_widen_them(reports: Registered, alice: User) -> None:
    first = oauth.tokens_of(reports, alice, "workflow.read execution.read")
    wider = oauth.refresh(reports, first["refresh_token"], scope="workflow.read secret.manage")
    assert (wider.status, wider.error) == (400, "invalid_scope")
    assert oauth.refresh(reports, first["refresh_token"], scope="*").error == "invalid_scope"
    told = oauth.refresh(reports, first["refresh_token"], scope="execution.read")
    assert (told.status, told.body["scope"]) == (200, "execution.read")
    assert Api(told.body["access_token"]).get("/workflows").status == 403


def test_a_refresh_token_is_its_clients(reports: Registered, alice: User) -> None:
    token = oauth.tokens_of(reports, alice)["refresh_token"]
    assert oauth.refresh(oauth.register("Other"), token).error == "invalid_grant"
    assert oauth.refresh(reports, token).status == 200


def test_an_unused_refresh_token_dies(reports: Registered, alice: User) -> None:
    token = oauth.tokens_of(reports, alice)["refresh_token"]
    lifetime = django_settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]
    OAuthAccessToken.objects.update(expires=timezone.now() - lifetime)
    assert oauth.refresh(reports, token).error == "invalid_grant"


def both_at_once(ask: Callable[[], oauth.Told]) -> list[oauth.Told]:
    """The two answers to a request that is made twice at the same time."""
    told: list[oauth.Told] = []
    ready = threading.Barrier(2)

    def run() -> None:
        ready.wait(10)
        told.append(ask())
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return told


@pytest.mark.django_db(transaction=True)
def test_of_two_refreshes_at_once_one_wins_and_ends_with_the_other(reports: Registered, alice: User) -> None:
    token = oauth.tokens_of(reports, alice)["refresh_token"]
    told = both_at_once(lambda: oauth.refresh(reports, token))
    assert sorted(answer.status for answer in told) == [200, 400]
    winner = next(answer for answer in told if answer.status == 200)
    assert not works(winner.body["access_token"])


@pytest.mark.django_db(transaction=True)
def test_of_two_exchanges_at_once_one_wins_and_ends_with_the_other(reports: Registered, alice: User) -> None:
    code = oauth.decide(oauth.browser_of(alice), oauth.authorize_url(reports))["code"]
    told = both_at_once(lambda: oauth.exchange(reports, code))
    assert sorted(answer.status for answer in told) == [200, 400]
    assert not OAuthAccessToken.objects.exists()
