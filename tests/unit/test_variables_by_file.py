"""Every variable may come in a file; what is wrong with it is said without saying what is in it."""

import logging
import os
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env
from tests.unit.test_safe_settings import check, compose_environment

VALUE = "a value that is told to nobody"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "value"
    path.write_text(VALUE)
    monkeypatch.delenv("APG_TEST", raising=False)
    monkeypatch.setenv("APG_TEST_FILE", str(path))
    return path


def refused() -> str:
    with pytest.raises(ImproperlyConfigured) as caught:
        env.read("APG_TEST")
    assert VALUE not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_value_is_what_is_in_the_file_without_its_lines_end(file: Path, end: str) -> None:
    file.write_bytes(f" {VALUE} {end}".encode())
    assert env.text("APG_TEST") == f" {VALUE} "


def test_every_reader_takes_a_file(file: Path) -> None:
    file.write_text("true\n")
    assert env.boolean("APG_TEST", default=False) is True
    file.write_text("17\n")
    assert env.integer("APG_TEST", 1, low=1, high=20) == 17
    file.write_text("one, other\n")
    assert env.words("APG_TEST") == ["one", "other"]
    file.write_text("10.0.0.0/8\n")
    assert env.networks("APG_TEST") == env.addresses("APG_TEST") == ("10.0.0.0/8",)
    file.write_text("redis://valkey/1\n")
    assert env.redis_urls("APG_TEST") == ("redis://valkey/1", "redis://valkey/1")
    file.write_text("smtps://mail.example.com\n")
    assert env.mail_server("APG_TEST").host == "mail.example.com"
    file.write_text("apg@example.com\n")
    assert env.sender("APG_TEST", "", required=True) == "apg@example.com"
    file.write_text("/srv\n")
    assert env.folder("APG_TEST", Path("/")) == Path("/srv")
    file.write_text("0123456789abcdefghijklmnopqrstuvwxyz\n")
    assert env.secret_key("APG_TEST", debug=False) == "0123456789abcdefghijklmnopqrstuvwxyz"
    file.write_text("postgresql://apg:secret@db/apg\n")
    assert env.database("APG_TEST", pgbouncer=False)["PASSWORD"] == "secret"


def test_no_other_module_reads_the_environment_of_a_deployment() -> None:
    # A variable read around config.env would take no file.
    root = Path(env.__file__).parents[1]
    # Among them OpenTelemetry's own variable, and those of tests.
    allowed = {
        "config/env.py", "config/run.py", "config/asgi.py", "config/celery.py", "core/tracing_sdk.py",
        "executions/failpoints.py",
    }  # fmt: skip
    readers = {
        str(path.relative_to(root))
        for app in ("accounts", "config", "core", "events", "executions", "templates_app", "webhooks", "workflows")
        for path in (root / app).rglob("*.py")
        if "os.environ" in path.read_text() or "getenv" in path.read_text()
    }
    assert readers <= allowed, readers - allowed
    # In `read` and `given`.
    assert Path(env.__file__).read_text().count("os.environ") == 4


def test_a_database_url_without_a_password_takes_the_one_of_its_own_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD_FILE", str(file))
    monkeypatch.setenv("APG_OTHER", "postgresql://apg@db/apg")
    assert env.database("APG_OTHER", pgbouncer=False)["PASSWORD"] == VALUE
    monkeypatch.setenv("APG_OTHER", "postgresql://apg:own@db/apg")
    assert env.database("APG_OTHER", pgbouncer=False)["PASSWORD"] == "own"


def test_a_database_that_is_gone_without_a_word_is_given_up_unless_the_url_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("APG_OTHER", "postgresql://apg@db/apg?tcp_user_timeout=5000")
    assert env.database("APG_OTHER", pgbouncer=False)["OPTIONS"] == {
        "connect_timeout": 5,
        "prepare_threshold": 5,
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": "5000",
    }


def test_an_empty_file_is_a_variable_that_is_empty(file: Path) -> None:
    file.write_text("\n")
    assert env.integer("APG_TEST", 5, low=1, high=9) == 5
    with pytest.raises(ImproperlyConfigured, match="APG_TEST is not set"):
        env.text("APG_TEST")


def test_both_at_once_are_refused_and_an_empty_variable_is_none(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APG_TEST", "")
    assert env.read("APG_TEST") == VALUE
    monkeypatch.setenv("APG_TEST", VALUE)
    assert refused() == "APG_TEST and APG_TEST_FILE are both set; set one of them"


def test_a_file_that_is_not_there_or_a_folder_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.unlink()
    assert refused() == f"APG_TEST_FILE: {file} cannot be read: No such file or directory"
    monkeypatch.setenv("APG_TEST_FILE", str(file.parent))
    assert refused() == f"APG_TEST_FILE: {file.parent} cannot be read: Is a directory"


def test_a_file_that_is_no_text_or_too_long_is_refused(file: Path) -> None:
    file.write_bytes(VALUE.encode() + b"\xff")
    assert refused() == f"APG_TEST_FILE: {file} is not UTF-8 text"
    file.write_text(VALUE * 10_000)
    assert refused() == f"APG_TEST_FILE: {file} has more than 65536 bytes"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(file: Path) -> None:
    file.chmod(0)
    assert refused() == f"APG_TEST_FILE: {file} cannot be read: Permission denied"


def test_a_weak_key_in_a_file_stops_the_start_without_being_shown(tmp_path: Path) -> None:
    environment = compose_environment(tmp_path)
    (tmp_path / "secret_key").write_text("changeme" * 6)
    done = check(**environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "APG_SECRET_KEY is a placeholder: set it to at least 32 random characters\n"


def test_reading_logs_nothing(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        env.text("APG_TEST")
    assert caplog.records == []
