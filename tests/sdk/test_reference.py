"""The Python examples of the API reference and of the client's README run as printed."""

import base64
import hashlib
import hmac
import re
import time
from pathlib import Path

import pytest

from tests.sdk.examples import python_blocks, run
from tests.sdk.test_command import Apg, apg

__all__ = ["apg"]

ROOT = Path(__file__).parents[2]
README = (ROOT / "sdk" / "python" / "README.md").read_text()
pytestmark = pytest.mark.django_db(transaction=True)


def test_the_example_of_the_reference_runs_as_printed(base_url: str, api_key: str, worker: None) -> None:
    page = (ROOT / "docs" / "api-reference.md").read_text()
    (code,) = python_blocks(page.partition("### Python SDK")[2].partition("### JavaScript SDK")[0])
    assert run(code, base_url, api_key)[0] == "Execution completed with status: completed\n"


@pytest.mark.parametrize("code", python_blocks(README), ids=lambda code: code.splitlines()[0])
def test_the_readmes_examples_print_what_they_say(
    code: str, base_url: str, api_key: str, worker: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = re.findall(r"# prints: (.*)", code)
    assert run(code, base_url, api_key)[0].splitlines() == expected


def test_the_readmes_receiver_tells_good_from_bad(base_url: str, api_key: str) -> None:
    (code,) = (block for block in python_blocks(README) if "def receive" in block)
    names = run(code, base_url, api_key)[1]
    timestamp = str(int(time.time()))
    signed = hmac.new(b"your-webhook-secret", f"d1.{timestamp}.{{}}".encode(), hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(signed).decode()
    headers = {"Webhook-Id": "d1", "Webhook-Timestamp": timestamp, "Webhook-Signature": signature}
    assert names["receive"](b"{}", headers) == 204
    assert names["receive"](b"{ }", headers) == 401
    assert names["seen"] == {"d1"}


def test_the_readmes_table_has_the_commands_and_options_that_there_are(apg: Apg) -> None:
    rows = re.findall(r"^\| (`apg .*?) \| (.*) \|$", README, re.MULTILINE)
    commands = {command: options for cell, options in rows for command in re.findall(r"`apg ([a-z -]+)", cell)}
    assert len(commands) == 22
    for command, options in commands.items():
        assert apg(*command.split(), "--help") == 0
        told = apg.out
        assert all(option in told for option in re.findall(r"`(-[a-z-]+)", options))
