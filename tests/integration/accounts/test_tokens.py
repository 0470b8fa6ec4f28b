"""Logging in, and how tokens live and end."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from accounts import services, tokens
from accounts.access_end import forget_ended_sessions
from accounts.models import Session, User
from accounts.throttling import LOGIN_ACCOUNT_ANYWHERE
from core.errors import AuthenticationFailedError
from core.ids import new_id
from tests.api import Api
from tests.conftest import PASSWORD
from tests.eventually import eventually
from tests.locks import waiting

pytestmark = pytest.mark.django_db

LOGIN = "/api/v1/auth/login"


def pair_of(user: User) -> services.TokenPair:
    return services.log_in(login=user.email, password=PASSWORD, address="127.0.0.1", user_agent="t")


@pytest.mark.parametrize("login", ["alice@example.com", "ALICE@example.com", "alice", " alice "])
def test_login_by_email_or_username_in_any_case(api: Api, alice: User, login: str) -> None:
    assert api.post(LOGIN, {"username": login, "password": PASSWORD}).status == 200


def test_an_email_is_its_owners_login_though_anothers_username(alice: User, bob: User) -> None:
    User.objects.filter(pk=alice.pk).update(username="bob@example.com")
    assert User.objects.by_login("bob@example.com") == bob


def test_a7_wrong_password_unknown_user_and_disabled_user_read_the_same(api: Api, alice: User, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)
    bodies = [
        {"username": "alice", "password": "wrong"},
        {"username": "nobody", "password": PASSWORD},
        {"username": "bob", "password": PASSWORD},
        {"username": "alice", "password": "x" * 10_000},
    ]
    answers = [api.post(LOGIN, body) for body in bodies]
    assert {(a.status, a.code, a.body["message"]) for a in answers} == {
        (401, "AUTHENTICATION_ERROR", "Invalid username or password")
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [({"username": "a"}, "password"), ({"username": None, "password": "x"}, "username"),
     ({"username": ["a"], "password": "x"}, "username"), ({"username": "a", "password": "x", "admin": True}, "admin")],
)  # fmt: skip
def test_a7_a_bad_login_body_is_422_and_named(api: Api, body: dict[str, Any], field: str) -> None:
    answer = api.post(LOGIN, body)
    assert (answer.status, answer.fields) == (422, [field])


def test_a7_an_account_is_throttled_with_the_four_headers(api: Api, alice: User) -> None:
    answers = [api.post(LOGIN, {"username": "alice", "password": "wrong"}) for _ in range(11)]
    assert [answer.status for answer in answers] == [401] * 10 + [429]
    last = answers[-1]
    assert last.code == "RATE_LIMIT_EXCEEDED"
    assert int(last.headers["Retry-After"]) == last.body["errors"][0]["retry_after"] > 0
    assert api.post(LOGIN, {"username": "alice", "password": PASSWORD}).status == 429


@pytest.mark.parametrize("spelling", ["ALICE", " alice ", "al\u0130ce", "ALI\u0307CE"])
def test_a7_another_spelling_of_a_name_is_counted_as_the_name(api: Api, alice: User, spelling: str) -> None:
    for _ in range(10):
        assert api.post(LOGIN, {"username": "alice", "password": "wrong"}).status == 401
    assert api.post(LOGIN, {"username": spelling, "password": PASSWORD}).status == 429


def test_what_is_one_letter_in_another_case_is_counted_as_one() -> None:
    apart = [
        letter
        for letter in map(chr, [*range(0xD800), *range(0xE000, 0x110000)])
        if services.counted_login(f"a{letter}a") != services.counted_login(f"a{letter.lower()}a")
    ]
    assert apart == []


def test_a7_a_stranger_locks_out_nobody_and_many_together_are_stopped(
    api: Api, alice: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRUSTED_PROXIES = ("127.0.0.1/32",)
    # As many, in so long that none comes back meanwhile.
    slow = replace(LOGIN_ACCOUNT_ANYWHERE, period_seconds=86400)
    monkeypatch.setattr("accounts.services.LOGIN_ACCOUNT_ANYWHERE", slow)

    def login(address: str, password: str) -> int:
        body = {"username": "alice", "password": password}
        return api.call("POST", LOGIN, body, X_Forwarded_For=address).status

    assert [login("192.0.2.1", "wrong") for _ in range(11)][-1] == 429
    assert login("192.0.2.2", PASSWORD) == 200
    statuses = [login(f"198.51.100.{number // 9}", "wrong") for number in range(100)]
    assert statuses.index(429) == 89
    assert login("192.0.2.3", PASSWORD) == 429


def test_a3_refresh_rotates_and_a_reused_token_ends_the_family(api: Api, alice: User) -> None:
    first = pair_of(alice).refresh_token
    second = api.post("/api/v1/auth/refresh", {"refresh_token": first})
    assert second.status == 200
    assert api.post("/api/v1/auth/refresh", {"refresh_token": first}).status == 401
    assert api.post("/api/v1/auth/refresh", {"refresh_token": second.data["refresh_token"]}).status == 401
    assert Api(second.data["access_token"]).get("/api/v1/auth/me").status == 401


@pytest.mark.django_db(transaction=True)
def test_a3_of_two_refreshes_at_once_one_passes_and_the_other_is_a_reuse(api: Api, alice: User) -> None:
    token = pair_of(alice).refresh_token
    with ThreadPoolExecutor(2) as threads, psycopg.connect(**connection.get_connection_params()) as holder:
        holder.execute("SELECT 1 FROM accounts_session FOR UPDATE")
        both = [threads.submit(refreshed, token) for _ in range(2)]
        eventually(lambda: waiting() == 2)
        holder.commit()
        found = [each.result(timeout=20) for each in both]
    assert sum(pair is not None for pair in found) == 1
    assert Session.objects.exclude(revoked_at=None).count() == 1


def refreshed(token: str) -> services.TokenPair | None:
    try:
        return services.refresh(refresh_token=token)
    except AuthenticationFailedError:
        return None
    finally:
        connection.close()


@pytest.mark.parametrize("change", ["password = 'another'", "is_active = false"])
@pytest.mark.django_db(transaction=True)
def test_a_login_during_which_the_account_changes_is_refused(alice: User, empty_redis: None, change: str) -> None:
    with ThreadPoolExecutor(1) as thread, psycopg.connect(**connection.get_connection_params()) as changing:
        changing.execute(f"UPDATE accounts_user SET {change}")
        login = thread.submit(logged_in, alice)
        eventually(waiting)
        changing.commit()
        assert login.result(timeout=20) is None
    assert not Session.objects.exists()


def logged_in(user: User) -> services.TokenPair | None:
    try:
        return pair_of(user)
    except AuthenticationFailedError:
        return None
    finally:
        connection.close()


@pytest.mark.parametrize("end", ["log out", "password", "disable"])
def test_a3_logout_a_new_password_and_disabling_end_tokens_at_once(api: Api, alice: User, end: str) -> None:
    pair = pair_of(alice)
    caller = Api(pair.access_token)
    assert caller.get("/api/v1/auth/me").data["email"] == "alice@example.com"
    if end == "log out":
        assert api.post("/api/v1/auth/logout", {"refresh_token": pair.refresh_token}).status == 200
    elif end == "password":
        services.set_password(alice, "another-good-password")
    else:
        User.objects.filter(pk=alice.pk).update(is_active=False)
    assert caller.get("/api/v1/auth/me").status == 401
    assert api.post("/api/v1/auth/refresh", {"refresh_token": pair.refresh_token}).status == 401


def test_a_family_that_was_refused_while_its_user_was_disabled_stays_dead(api: Api, alice: User) -> None:
    pair = pair_of(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert api.post("/api/v1/auth/refresh", {"refresh_token": pair.refresh_token}).status == 401
    User.objects.filter(pk=alice.pk).update(is_active=True)
    assert api.post("/api/v1/auth/refresh", {"refresh_token": pair.refresh_token}).status == 401
    assert Api(pair.access_token).get("/api/v1/auth/me").status == 401


def test_a_password_set_by_a_command_ends_tokens_too(alice: User) -> None:
    token = pair_of(alice).access_token
    user = User.objects.get(pk=alice.pk)
    # As `manage.py changepassword` and the admin do it.
    user.set_password("another-good-password")
    user.save()
    assert Api(token).get("/api/v1/auth/me").status == 401


def test_sessions_that_ended_long_ago_are_forgotten(alice: User) -> None:
    kept, revoked, expired = (pair_of(alice) for _ in range(3))
    ids = [tokens.read("refresh", pair.refresh_token).session_id for pair in (kept, revoked, expired)]
    now = timezone.now()
    Session.objects.filter(pk=ids[1]).update(revoked_at=now - timedelta(days=15))
    Session.objects.filter(pk=ids[2]).update(expires_at=now - timedelta(days=15))
    assert forget_ended_sessions(now) == 2
    assert [session.pk for session in Session.objects.all()] == [ids[0]]
    assert forget_ended_sessions(now) == 0


def test_a_better_hash_of_the_same_password_ends_nothing(alice: User, settings: Any) -> None:
    token = pair_of(alice).access_token
    settings.PASSWORD_HASHERS = ["accounts.hashers.Argon2Hasher", "django.contrib.auth.hashers.MD5PasswordHasher"]
    pair_of(alice)
    alice.refresh_from_db()
    assert alice.password.startswith("argon2")
    assert Api(token).get("/api/v1/auth/me").status == 200


def _segment(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def forged(alice: User) -> dict[str, str]:
    """Tokens that must not pass, by what is wrong with them."""
    good = pair_of(alice)
    claims = jwt.decode(good.access_token, options={"verify_signature": False})
    head, body, signature = good.access_token.split(".")
    key: Any = django_settings.SIMPLE_JWT["SIGNING_KEY"]

    def signed(headers: dict[str, Any] | None = None, algorithm: str = "HS256", **changes: Any) -> str:
        return jwt.encode({**claims, **changes}, key, algorithm=algorithm, headers=headers)

    return {
        "none": f"{_segment({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        "no signature": f"{head}.{body}.",
        "edited": f"{head}.{_segment({**claims, 'sub': new_id()})}.{signature}",
        "another algorithm": signed(algorithm="HS512"),
        "refresh as access": good.refresh_token,
        "expired": signed(exp=1),
        "not yet": signed(nbf=2**40),
        "another kind": signed(token_type="refresh"),
        "another key": jwt.encode(claims, "x" * 64, algorithm="HS256"),
        "jku": signed({"jku": "http://127.0.0.1/keys"}),
        "issuer": signed(iss="other"),
        "audience": signed(aud="other"),
        "kid": signed({"kid": "../../etc/passwd"}),
        "crit": signed({"crit": ["x"], "x": 1}),
        "unknown session": signed(sid=new_id()),
        "not an id": signed(sub="1"),
        "long": "a" * 1_000_000,
        "nonsense": "abc",
    }


def test_a2_forged_tokens_are_401(api: Api, alice: User) -> None:
    for name, token in forged(alice).items():
        answer = Api(token).get("/api/v1/auth/me")
        assert (name, answer.status, answer.code) == (name, 401, "AUTHENTICATION_ERROR")


def test_a_tier_lets_exactly_its_number_through(alice: User, as_user: Callable[..., Api]) -> None:
    User.objects.filter(pk=alice.pk).update(tier="custom", requests_per_hour=5)
    caller = as_user(alice)
    answers = [caller.get("/components") for _ in range(7)]
    assert [answer.status for answer in answers] == [200] * 5 + [429] * 2
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["4", "3", "2", "1", "0", "0", "0"]
    assert answers[0].headers["X-RateLimit-Limit"] == "5"


def test_without_redis_requests_pass_and_are_counted_here(alice: User, settings: Any) -> None:
    token = pair_of(alice).access_token
    User.objects.filter(pk=alice.pk).update(tier="custom", requests_per_hour=3)
    settings.REDIS_URL = "redis://127.0.0.1:1"
    statuses = [Api(token).get("/components").status for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]


def test_a_session_is_kept_for_each_login(alice: User) -> None:
    pair_of(alice)
    session = Session.objects.get(user=alice)
    assert (session.address, session.user_agent) == ("127.0.0.1", "t")
    assert tokens.lifetime_seconds("access") == 3600
