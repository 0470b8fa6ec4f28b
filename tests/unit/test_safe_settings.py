"""A start with unsafe settings is refused in one sentence; with those of the compose file nothing is left to say."""

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env
from tests.deployment import ROOT, MissingVariableError, compose, compose_secrets

MADE_UP = {"APG_ADMIN_EMAIL": "admin@example.com"}


def compose_environment(folder: Path, **given: str) -> dict[str, str]:
    """What the web service runs with, its secrets in files of this folder, as deploy/make_secrets.sh makes them."""
    subprocess.run([ROOT / "deploy" / "make_secrets.sh", folder], check=True)
    environment = compose(**MADE_UP, **given)["web"].environment
    return {name: value.replace("/run/secrets", str(folder)) for name, value in environment.items()}


def check(**environment: str) -> "subprocess.CompletedProcess[str]":
    """`manage.py check --deploy` with this environment and no other."""
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "INFO"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_with_the_compose_settings_the_deployment_check_has_nothing_to_say(tmp_path: Path) -> None:
    environment = compose_environment(tmp_path)
    assert environment["APG_HTTPS"] == "true"
    done = check(**environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("System check identified no issues")


def test_the_compose_file_has_no_password_and_no_key_of_its_own() -> None:
    with pytest.raises(MissingVariableError, match="APG_ADMIN_EMAIL"):
        compose()
    for service in compose(**MADE_UP).values():
        for name, value in service.environment.items():
            if re.search(r"PASSWORD|SECRET|_KEYS?|EMAIL_URL|TOKEN(?!_SECONDS|_DAYS)", name):
                assert name.endswith("_FILE"), name
                assert value.removeprefix("/run/secrets/") in service.keys["secrets"]
                assert value.removeprefix("/run/secrets/") in compose_secrets()


def test_the_compose_file_hands_on_every_variable_that_is_not_its_own_to_set() -> None:
    names = set(re.findall(r"^#([A-Z][A-Z_0-9]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    # Of `make run`, of development, and what the image sets.
    names -= {"APG_HOST", "APG_PORT", "APG_WORKER_PROCESSES", "APG_DEMO", "APG_DEBUG", "APG_DATA_DIR"}
    given = {name.removesuffix("_FILE") for name in compose(**MADE_UP)["prepare"].environment}
    assert {name.removesuffix("_FILE") for name in names} == given


def test_without_its_secrets_the_compose_environment_does_not_start(tmp_path: Path) -> None:
    environment = compose_environment(tmp_path)
    (tmp_path / "secret_key").unlink()
    done = check(**environment)
    assert done.returncode == 2
    assert done.stderr == f"APG_SECRET_KEY_FILE: {tmp_path}/secret_key cannot be read: No such file or directory\n"


REFUSED: dict[str, tuple[str | None, str]] = {
    "missing": (None, "is not set"),
    "empty": ("", "is not set"),
    "short": (secrets.token_urlsafe(16)[:20], "must have at least 32 characters"),
    "one character": ("x" * 64, "too regular"),
    "few characters": ("abcdefg" * 8, "too regular"),
    "repeated": ("0123456789abc" * 4, "too regular"),
    "repeated once": ("0123456789abcdef" * 2, "too regular"),
    "repeated and cut": (("0123456789abcdefghijkl" * 3)[:50], "too regular"),
    "changeme": ("changeme" * 6, "placeholder"),
    "change-me": ("change-me-" * 6, "placeholder"),
    "secret": ("secret-" * 8, "placeholder"),
    "a sentence": ("change-me-to-at-least-32-random-characters", "placeholder"),
    "as the compose file says": ("set APG_SECRET_KEY to at least 32 random characters", "placeholder"),
    "your key": ("your-secret-key-your-secret-key-your", "placeholder"),
    "Django's": ("django-insecure-" + secrets.token_urlsafe(32), "placeholder"),
    "the former default": ("debug-only-key-debug-only-key-debug-only-key", "placeholder"),
}


@pytest.mark.parametrize(("value", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_a_missing_or_weak_secret_key_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str | None, sentence: str
) -> None:
    if value is None:
        monkeypatch.delenv("APG_SECRET_KEY")
    else:
        monkeypatch.setenv("APG_SECRET_KEY", value)
    with pytest.raises(ImproperlyConfigured, match=f"APG_SECRET_KEY .*{sentence}") as caught:
        env.secret_key("APG_SECRET_KEY", debug=False)
    assert not value or value not in str(caught.value)


@pytest.mark.parametrize("make", [secrets.token_urlsafe, secrets.token_hex])
def test_random_keys_are_taken(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    for size in range(32, 65):
        for _ in range(20):
            key = make(size)[:size]
            monkeypatch.setenv("APG_SECRET_KEY", key)
            assert env.secret_key("APG_SECRET_KEY", debug=False) == key


def test_when_debugging_a_missing_key_is_a_new_one_each_time_and_a_weak_one_still_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("APG_SECRET_KEY")
    one, other = (env.secret_key("APG_SECRET_KEY", debug=True) for _ in range(2))
    assert one != other
    assert len(one) == 64
    monkeypatch.setenv("APG_SECRET_KEY", "changeme" * 6)
    with pytest.raises(ImproperlyConfigured):
        env.secret_key("APG_SECRET_KEY", debug=True)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("APG_TRUSTED_PROXIES", "", "APG_HTTPS needs APG_TRUSTED_PROXIES: the address of the proxy that ends TLS"),
        ("APG_TRUSTED_PROXIES", "proxy", "APG_TRUSTED_PROXIES: 'proxy' is neither an address nor a network"),
        ("APG_TRUSTED_PROXIES", "10.0.0.0/33", "APG_TRUSTED_PROXIES: '10.0.0.0/33' is neither"),
        ("APG_HTTPS", "perhaps", "APG_HTTPS must be true or false"),
        ("APG_SECRET_KEY", "changeme" * 6, "APG_SECRET_KEY is a placeholder"),
    ],
)
def test_an_unsafe_setting_stops_the_start_with_one_sentence(
    tmp_path: Path, variable: str, value: str, sentence: str
) -> None:
    environment = compose_environment(tmp_path)
    environment.pop(f"{variable}_FILE", None)
    done = check(**{**environment, variable: value})
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert sentence in done.stderr


def test_the_example_file_names_no_key() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    for name in ("APG_SECRET_KEY", "APG_ENCRYPTION_KEYS", "APG_ADMIN_PASSWORD"):
        assert f"#{name}=" in lines


@pytest.mark.parametrize("value", ["short", "x" * 31, "with a space " * 4, "ungültig-" * 8, "line\n" * 10])
def test_a_metrics_token_that_could_be_guessed_or_not_be_sent_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("APG_METRICS_TOKEN", value)
    with pytest.raises(ImproperlyConfigured, match="at least 32 printable characters without a space") as caught:
        env.token("APG_METRICS_TOKEN")
    assert value not in str(caught.value)


def test_a_metrics_token_may_come_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("APG_METRICS_TOKEN", raising=False)
    assert env.token("APG_METRICS_TOKEN") == ""
    (tmp_path / "token").write_text("t" * 40 + "\n")
    monkeypatch.setenv("APG_METRICS_TOKEN_FILE", str(tmp_path / "token"))
    assert env.token("APG_METRICS_TOKEN") == "t" * 40


def test_lines_are_text_or_json_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APG_LOG_FORMAT", raising=False)
    assert env.one_of("APG_LOG_FORMAT", ("text", "json")) == "text"
    monkeypatch.setenv("APG_LOG_FORMAT", "JSON")
    assert env.one_of("APG_LOG_FORMAT", ("text", "json")) == "json"
    monkeypatch.setenv("APG_LOG_FORMAT", "xml")
    with pytest.raises(ImproperlyConfigured, match="APG_LOG_FORMAT must be one of text, json, got 'xml'"):
        env.one_of("APG_LOG_FORMAT", ("text", "json"))
