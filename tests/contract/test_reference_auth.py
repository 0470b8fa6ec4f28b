"""API reference, "Authentication" and "Rate Limiting"."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from accounts.api_keys import create_api_key
from accounts.models import User
from tests import oauth
from tests.api import Api
from tests.conftest import PASSWORD
from tests.contract.reference import ENVELOPE, EXAMPLES, assert_as_printed, differences, provokes, quotes, send

pytestmark = pytest.mark.django_db


@quotes("Authentication Methods", "Authentication Methods (2)", "Authentication Methods (3)")
def test_each_method_of_authentication_is_taken_in_the_header_that_is_printed(
    api: Api, as_user: Callable[..., Api], alice: User
) -> None:
    """Authentication Methods."""
    _, key = create_api_key(owner=alice, name="k", permissions=("workflow.read",))
    credentials = {
        "<jwt_token>": as_user(alice).token,
        "<api_key>": key,
        "<oauth_token>": oauth.service_token(oauth.register_service(alice)).body["access_token"],
    }
    assert api.get("/workflows").status == 401
    for name in ("Authentication Methods", "Authentication Methods (2)", "Authentication Methods (3)"):
        ((header, printed),) = EXAMPLES[name].headers.items()
        scheme, _, placeholder = printed.rpartition(" ")
        sent: dict[str, Any] = {header.replace("-", "_"): f"{scheme} {credentials[placeholder]}".strip()}
        assert api.call("GET", "/workflows", **sent).status == 200, name


def _head(token: str) -> Any:
    """The first part of a JWT."""
    head = token.partition(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))


@quotes("Getting Authentication Tokens")
def test_a_login_answers_a_pair_of_tokens(api: Api, db: None) -> None:
    """Getting Authentication Tokens, "JWT Token via Login"."""
    User.objects.create_user("user@example.com", "password", username="user")
    answer = send(api, "Getting Authentication Tokens")
    tokens = ("data.access_token", "data.refresh_token")
    assert_as_printed(answer, "Getting Authentication Tokens", status=200, free=tokens)
    printed = EXAMPLES["Getting Authentication Tokens"].answer["data"]
    for name in ("access_token", "refresh_token"):
        assert _head(answer.data[name]) == _head(printed[name]) == {"typ": "JWT", "alg": "HS256"}
    assert Api(answer.data["access_token"]).get("/workflows").status == 200


@quotes("Getting Authentication Tokens (2)")
def test_an_api_key_is_made_with_the_permissions_asked_for(alice_api: Api) -> None:
    """Getting Authentication Tokens, "API Key Generation". The printed day has passed since, and is refused."""
    name = "Getting Authentication Tokens (2)"
    refused = send(alice_api, name)
    assert (refused.status, refused.code, refused.fields) == (422, "VALIDATION_ERROR", ["expires_at"])
    body = {**EXAMPLES[name].body, "expires_at": "2035-12-31T23:59:59Z"}
    answer = send(alice_api, name, body=body)
    assert answer.status == 201
    assert list(differences(body, answer.data, free=("permissions",))) == []
    assert set(answer.data["permissions"]) == set(body["permissions"])
    assert answer.data["expires_at"] == "2035-12-31T23:59:59Z"
    key = Api(key=answer.data["key"])
    assert key.get("/workflows").status == 200
    assert key.post("/workflows", {"name": "w", "definition": {}}).code == "AUTHORIZATION_ERROR"


@quotes("Rate Limit Headers")
def test_every_answer_says_how_many_requests_are_left(alice_api: Api) -> None:
    """Rate Limit Headers: of the free tier, whose limit is printed; RetryAfter is 0 while requests are left."""
    headers = alice_api.get("/workflows").headers
    printed = EXAMPLES["Rate Limit Headers"].headers
    assert [name for name in printed if not headers[name].isdecimal()] == []
    for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining"):
        assert headers[name] == printed[name].strip()
    assert int(headers["X-RateLimit-Reset"]) > int(printed["X-RateLimit-Reset"])


@quotes("Rate Limit Exceeded Response")
@provokes(429, "RATE_LIMIT_EXCEEDED")
def test_over_the_rate_the_answer_says_when_to_come_again(alice: User, alice_api: Api) -> None:
    """Rate Limit Exceeded Response: of sixty an hour, the next one passes 60 seconds after the last was counted."""
    User.objects.filter(pk=alice.pk).update(tier="custom", requests_per_hour=60)
    answers = [alice_api.get("/workflows") for _ in range(61)]
    assert {answer.status for answer in answers[:-1]} == {200}
    refused = answers[-1]
    wait = refused.body["errors"][0]["retry_after"]
    assert 0 < wait <= 60
    printed = json.loads(json.dumps(EXAMPLES["Rate Limit Exceeded Response"].answer).replace("60", str(wait)))
    assert list(differences(printed, refused.body)) == []
    assert (refused.status, set(refused.body)) == (429, ENVELOPE)
    assert refused.headers["Retry-After"] == refused.headers["X-RateLimit-RetryAfter"] == str(wait)


@pytest.mark.parametrize(
    ("tier", "requests", "executions"), [("free", 1000, 5), ("pro", 10_000, 25), ("enterprise", 100_000, 100)]
)
def test_each_tier_has_its_two_numbers(
    as_user: Callable[..., Api], tier: str, requests: int, executions: int, db: None, empty_redis: None
) -> None:
    """Rate Limit Tiers."""
    user = User.objects.create_user("t@example.com", PASSWORD, username="t", tier=tier)
    assert as_user(user).get("/workflows").headers["X-RateLimit-Limit"] == str(requests)
    assert user.limits.concurrent_executions == executions


def test_the_custom_tier_has_numbers_of_its_own(as_user: Callable[..., Api], empty_redis: None, db: None) -> None:
    """Rate Limit Tiers."""
    numbers: dict[str, Any] = {"requests_per_hour": 123, "concurrent_executions": 7}
    user = User.objects.create_user("t@example.com", PASSWORD, username="t", tier="custom", **numbers)
    assert as_user(user).get("/workflows").headers["X-RateLimit-Limit"] == "123"
    assert user.limits.concurrent_executions == 7
