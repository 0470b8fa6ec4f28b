"""Redaction by value and by name: what is found in which form, what is left alone, and that nothing survives."""

import base64
import copy
import json
import re
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.redact import REDACTED, Redactor, looks_secret, redact, redact_text
from tests import cpu

SECRET = 's3cr/t+"Wört&x'


@pytest.mark.parametrize(
    "name",
    [
        *("password", "PASSWORD", "db_password", "dbPassword", "userpassword", "password1", "password_hash", "passwd"),
        *("pwd", "pass", "smtp_pass", "passphrase", "pass_phrase", "passcode", "password_reset_url"),
        *("secret", "client_secret", "clientSecret", "ClientSecret", "hmac-secret", "secrets", "secret_id"),
        *("token", "api_token", "access_token", "accessToken", "accesstoken", "X-Auth-Token", "csrfmiddlewaretoken"),
        *("refresh_tokens", "tokens", "x-amz-security-token", "oauth2_token", "bearer", "jwt"),
        *("api_key", "apiKey", "APIKey", "apikey", "X-API-Key", "x_api_key_2", "api_keys", "access_key_id"),
        *("private_key", "sshPrivateKey", "signing_key", "encryption_keys", "AccountKey", "session_key"),
        *("authorization", "Authorization", "Proxy-Authorization", "cookie", "Set-Cookie", "cookies"),
        *("credential", "credentials", "aws_credentials", "connection_string", "connectionString", "database_url"),
        *("DATABASE_URL", "sentry_dsn"),
    ],
)
def test_name_of_a_secret_looks_secret(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("token_count", "max_tokens", "maxTokens", "tokens_used", "total_tokens", "prompt_tokens", "output_tokens"),
        *("token_type", "token_limit", "token_expires_at", "expires_in", "token_url", "access_token_url", "page_token"),
        *("nextPageToken", "authorization_endpoint", "tokenizer", "tokenized", "secret_name", "cookie_name"),
        *("password_length", "password_policy", "is_secret", "has_password", "hasPassword", "num_secrets"),
        *("author", "authors", "authority", "authorized", "authentication", "auth", "passenger", "passport", "bypass"),
        *("pass_rate", "passed", "secretary", "keyboard", "key", "keys", "primary_key", "foreign_key", "public_key"),
        *("idempotency_key", "sort_key", "monkey", "connection", "name", "url", "", "___", "42", "パスワード"),
    ],
)
def test_name_of_something_else_does_not(name: str) -> None:
    assert not looks_secret(name)


def test_very_long_name_is_judged_too() -> None:
    assert looks_secret("x" * 10_000 + "_password")
    assert not looks_secret("x" * 10_000)


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        quote(SECRET),
        quote(SECRET, safe=""),
        re.sub("%..", lambda escape: escape[0].lower(), quote(SECRET, safe="")),
        quote_plus(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_secret_is_found_in_every_encoding(form: str) -> None:
    assert redact_text(f"before {form} after", [SECRET]) == f"before {REDACTED} after"


def test_short_secret_is_found_in_base64_without_padding() -> None:
    assert redact_text("x YWJjZA x", ["abcd"]) == f"x {REDACTED} x"


@pytest.mark.parametrize("user", ["a", "ab", "abc", "someone@example.com"])
def test_secret_is_found_inside_longer_base64(user: str) -> None:
    header = "Basic " + base64.b64encode(f"{user}:correct-horse:x".encode()).decode()
    redacted = redact_text(header, ["correct-horse"])
    kept = redacted.split(REDACTED)
    assert len(kept) == 2
    # At most one character at each side holds bits of the secret, and those are too few to be one of its bytes.
    assert sum(map(len, kept)) <= len("Basic ") + len(base64.b64encode(f"{user}::x".encode())) + 4


def test_all_occurrences_go_and_the_longest_secret_first() -> None:
    assert redact_text("abcd-efgh abcd efgh", ["abcd", "abcd-efgh"]) == f"{REDACTED} {REDACTED} efgh"


@pytest.mark.parametrize(("secret", "found"), [("abc", False), ("abcd", True)])
def test_secrets_from_four_characters_on_are_searched_for(secret: str, found: bool) -> None:
    assert (redact_text(f"x{secret}x", [secret]) == f"x{REDACTED}x") is found


def test_numbers_that_spell_a_secret_go_and_others_stay() -> None:
    value = [123456, 1234567, 123456.0, 3.1415, -123456, 10**5000, True, None]
    assert redact(value, secrets=["123456", "3.1415"]) == [
        REDACTED,
        1234567,
        123456.0,
        REDACTED,
        -123456,
        10**5000,
        True,
        None,
    ]


def test_secret_goes_from_nested_strings_and_keys_and_the_value_is_left_as_it_was() -> None:
    value = {"a": [{"b": f"x{SECRET}"}, SECRET], SECRET: 1, f"{SECRET}{SECRET}": 2, "plain": "text"}
    before = copy.deepcopy(value)
    assert redact(value, secrets=[SECRET]) == {
        "a": [{"b": f"x{REDACTED}"}, REDACTED],
        REDACTED: 1,
        f"{REDACTED}{REDACTED}": 2,
        "plain": "text",
    }
    assert value == before


def test_keys_that_become_equal_are_numbered_and_keep_their_order() -> None:
    value = {"one-canary": 1, "two-canary": 2, REDACTED: 3, "last": 4}
    redacted = redact(value, secrets=["one-canary", "two-canary"])
    assert list(redacted.items()) == [(f"{REDACTED}_2", 1), (f"{REDACTED}_3", 2), (REDACTED, 3), ("last", 4)]


def test_value_under_a_secret_looking_key_goes_whole() -> None:
    value = {
        "headers": {"Authorization": "Bearer x", "Accept": "*/*"},
        "auth": {"type": "basic", "username": "alice", "password": "short"},
        "tokens": ["a", {"b": 1}],
        "pin_token": 1234,
        "password": "",
        "secret": None,
        "credentials": {},
        "use_cookie": True,
        "max_tokens": 500,
    }
    assert redact(value) == {
        "headers": {"Authorization": REDACTED, "Accept": "*/*"},
        "auth": {"type": "basic", "username": "alice", "password": REDACTED},
        "tokens": REDACTED,
        "pin_token": REDACTED,
        "password": "",
        "secret": None,
        "credentials": {},
        "use_cookie": True,
        "max_tokens": 500,
    }


@pytest.mark.parametrize("name_key", ["name", "key"])
@pytest.mark.parametrize("value_key", ["value", "default_value", "default"])
def test_value_of_a_named_entry_goes(name_key: str, value_key: str) -> None:
    entry = {name_key: "api_token", value_key: "hunter2", "description": "for the shop"}
    assert redact([entry]) == [{**entry, value_key: REDACTED}]
    other = {name_key: "customer", value_key: "hunter2"}
    assert redact([other]) == [other]


def test_names_are_not_judged_when_asked_not_to() -> None:
    value = {"password": "hunter2", "x": "canary-value"}
    assert redact(value, secrets=["canary-value"], by_name=False) == {"password": "hunter2", "x": REDACTED}


def test_nothing_to_look_for_costs_nothing() -> None:
    value = {"password": ["hunter2"]}
    assert Redactor().redact(value, by_name=False) is value


@pytest.mark.parametrize("depth", [64, 100_000])
def test_depth_of_nesting_does_not_matter(depth: int) -> None:
    value: Any = "the canary-value"
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    redacted = redact(value, secrets=["canary-value"])
    for level in reversed(range(depth)):
        redacted = redacted[0] if level % 2 else redacted["k"]
    assert redacted == f"the {REDACTED}"


@pytest.mark.parametrize("value", [b"bytes", {1: "a"}, [object()], {"a": {1, 2}}])
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="not a JSON"):
        redact(value, secrets=["abcd"])


@pytest.mark.parametrize("secret", ["REDACTED", "[REDACTED]", "ACTED", f"left{REDACTED}right", "pass["])
def test_secret_that_looks_like_the_marker_does_no_harm(secret: str) -> None:
    redactor = Redactor([secret, "other-secret"])
    once = redactor.redact_text(f"{secret} pass other-secret, {REDACTED}")
    assert redactor.redact_text(once) == once
    assert "other-secret" not in once
    assert "left" not in once
    assert "right" not in once


SECRETS = st.lists(st.text(min_size=4, max_size=12), max_size=4)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def strings(value: Any) -> list[str]:
    """Every string and key of a JSON value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in [key, *strings(item)]]
    return []


def plant(value: Any, secrets: list[str]) -> Any:
    """The value with the secrets beside its strings and in its keys."""
    if isinstance(value, list):
        return [plant(item, secrets) for item in value]
    if isinstance(value, dict):
        return {key + "".join(secrets): plant(item, secrets) for key, item in value.items()}
    return value + "".join(secrets) if isinstance(value, str) else value


@given(value=JSON_VALUES, secrets=SECRETS)
def test_no_secret_survives_between_the_markers(value: Any, secrets: list[str]) -> None:
    redacted = redact(plant(value, secrets), secrets=secrets)
    left = [piece for text in strings(redacted) for piece in text.split(REDACTED)]
    assert not [(piece, secret) for piece in left for secret in secrets if secret in piece]


@given(value=JSON_VALUES, secrets=SECRETS)
def test_redacting_twice_is_redacting_once(value: Any, secrets: list[str]) -> None:
    redactor = Redactor(secrets)
    once = redactor.redact(plant(value, secrets))
    assert redactor.redact(once) == once


@pytest.mark.parametrize(
    ("value", "redacted"),
    [
        ({"passwordabcd": "t"}, {f"password{REDACTED}": REDACTED}),
        ({"name": "tokenabcd", "value": "t"}, {"name": f"token{REDACTED}", "value": REDACTED}),
    ],
)
def test_a_name_that_looks_secret_once_it_is_redacted_hides_what_stands_under_it(value: Any, redacted: Any) -> None:
    assert not looks_secret("passwordabcd")
    assert redact(value, secrets=["abcd"]) == redacted
    assert redact(value, secrets=["abcd"], by_name=False) == redact_values(value)


def redact_values(value: dict[str, str]) -> dict[str, str]:
    return {redact_text(key, ["abcd"]): redact_text(item, ["abcd"]) for key, item in value.items()}


@given(value=JSON_VALUES)
def test_value_without_secrets_is_unchanged(value: Any) -> None:
    redactor = Redactor(["\U0010fffe" * 4])  # outside of what the strategy is likely to make
    redacted = redactor.redact(value, by_name=False)
    assert redacted == value
    assert json.dumps(redacted) == json.dumps(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a hunter2-and-more", f"a {REDACTED}"),
        ("a hunter2-and…", f"a {REDACTED}…"),
        ("a hunt…", f"a {REDACTED}…"),
        ("a hun…", "a hun…"),
        ("hunter2-a… and hunter2-b… hunt", f"{REDACTED}… and {REDACTED}b… hunt"),
        ("none…", "none…"),
    ],
)
def test_half_a_secret_before_a_cut_goes_too(text: str, expected: str) -> None:
    redactor = Redactor(["hunter2-and-more", "hunter2-"])
    assert redactor.redact_cut(text, "…") == expected


def test_a_secret_of_a_megabyte_is_looked_for_at_once() -> None:
    secret = "{{ a long piece of text }}" * 40_000

    def play() -> None:
        redactor = Redactor([secret])
        assert redactor.redact_text("nothing of it here") == "nothing of it here"

    cpu.assert_within(2, play)
