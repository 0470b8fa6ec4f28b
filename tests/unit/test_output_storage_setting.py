"""`APG_OUTPUT_STORAGE`: where large outputs go, and what is refused."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env

FOLDER = Path("/data/outputs")


def read(monkeypatch: pytest.MonkeyPatch, value: str) -> dict[str, object] | None:
    monkeypatch.setenv("APG_OUTPUT_STORAGE", value)
    return env.output_storage("APG_OUTPUT_STORAGE", FOLDER)


@pytest.mark.parametrize("value", ["", "file"])
def test_files_are_the_default(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert read(monkeypatch, value) == {
        "BACKEND": "executions.output_files.FileOutputStorage",
        "OPTIONS": {"location": "/data/outputs"},
    }


def test_in_the_database_there_is_no_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, "database") is None


def test_a_bucket_with_its_prefix_and_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    value = "s3://bucket/a/prefix/?endpoint_url=https%3A%2F%2Fs3.example.com&region=eu-west-1"
    assert read(monkeypatch, value) == {
        "BACKEND": "executions.output_s3.S3OutputStorage",
        "OPTIONS": {
            "bucket_name": "bucket",
            "location": "a/prefix",
            "endpoint_url": "https://s3.example.com",
            "region_name": "eu-west-1",
        },
    }
    found = read(monkeypatch, "s3://bucket")
    assert found is not None
    assert found["OPTIONS"] == {"bucket_name": "bucket", "location": ""}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("ftp://x/y", "must be file, database or s3://"),
        ("files", "must be file, database or s3://"),
        ("s3:///prefix", "must name a bucket"),
        ("s3://key:secret@bucket/prefix", "no credentials"),
        ("s3://bucket/prefix?secret=x", "'secret' is unknown"),
        ("s3://bucket/prefix#part", "must name a bucket"),
    ],
)
def test_anything_else_stops_the_start_without_repeating_a_credential(
    monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=message) as caught:
        read(monkeypatch, value)
    assert "key:secret" not in str(caught.value)


def test_without_its_packages_a_bucket_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImproperlyConfigured, match=r"needs the extra s3"):
        read(monkeypatch, "s3://bucket")
