"""The `apg` command on a real server."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from apg_workflow import SyncWorkflowClient
from apg_workflow.cli.app import run

from accounts.models import User
from core.types import JSONObject
from executions.models import Execution
from tests.conftest import PASSWORD
from tests.eventually import eventually
from tests.integration.executions.conftest import Doorbells, linear, log, start, transform
from tests.integration.executions.test_waits import signal as wait_for_signal
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).parents[2]
DOUBLE: JSONObject = {
    "name": "Doubled",
    "definition": {
        **linear(transform("double", "{{ parameters.number * 2 }}"), log("tell", "done")),
        "parameters": [{"name": "number", "type": "integer", "required": True}],
    },
}


class Apg:
    """Runs the command in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        self.monkeypatch.setattr(sys, "argv", ["apg", *arguments])
        code = run()
        self.out, self.err = self.capsys.readouterr()
        assert "Traceback" not in self.err
        return code

    def json(self, *arguments: str) -> Any:
        """What it prints with --json, having succeeded."""
        assert self(*arguments, "--json") == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def apg(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Apg:
    """Without a login, and with a folder of its own to keep one in."""
    for name in ("APG_BASE_URL", "APG_API_KEY", "APG_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("APG_CONFIG_DIR", str(tmp_path / "settings"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return Apg(monkeypatch, capsys)


@pytest.fixture
def logged_in(apg: Apg, base_url: str, api_key: str, monkeypatch: pytest.MonkeyPatch) -> Apg:
    """With alice's API key in the profile."""
    monkeypatch.setenv("APG_API_KEY", api_key)
    assert apg("login", base_url) == 0, apg.err
    monkeypatch.delenv("APG_API_KEY")
    return apg


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "doubled.json"
    path.write_text(json.dumps(DOUBLE))
    return path


def test_a_login_is_kept_for_its_owner_alone(logged_in: Apg, tmp_path: Path, api_key: str) -> None:
    kept = tmp_path / "settings" / "profiles.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text())["default"]["api_key"] == api_key
    (profile,) = logged_in.json("profiles")
    assert (profile["profile"], profile["login"]) == ("default", "API key")
    assert api_key not in logged_in.out
    assert logged_in("logout") == 0
    assert json.loads(kept.read_text()) == {}


def test_a_bad_key_is_not_kept(apg: Apg, base_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("APG_API_KEY", "apg_nothing")
    assert apg("login", base_url) == 4
    assert "Error: " in apg.err
    assert not (tmp_path / "settings").exists()


def test_a_password_login_keeps_the_tokens_that_replace_its_own(
    apg: Apg, base_url: str, carol: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("APG_PASSWORD", PASSWORD)
    assert apg("--profile", "carol", "login", base_url, "--username", "carol@example.com") == 0, apg.err
    kept = tmp_path / "settings" / "profiles.json"
    first = json.loads(kept.read_text())["carol"]
    assert PASSWORD not in kept.read_text()
    kept.write_text(json.dumps({"carol": {**first, "token": "a.b.c"}}))
    assert apg.json("--profile", "carol", "workflows", "list") == []
    assert json.loads(kept.read_text())["carol"]["refresh_token"] != first["refresh_token"]


def test_without_a_login_it_says_how_to_get_one(apg: Apg) -> None:
    assert apg("workflows", "list") == 3
    assert apg.err == (
        "Error: There is no profile 'default': log in with apg login, or set APG_BASE_URL and APG_API_KEY\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["workflows", "get", "01HQNZ2G5XKJ8P7M9N6V3R4T5W"], 5),
        (["workflows", "list", "--status", "odd"], 3),
        (["workflows", "list", "--limit", "0"], 2),
        (["workflows", "create", "missing.json"], 5),
        (["run", "missing.json", "--param", "novalue"], 3),
        (["nothing"], 2),
    ],
)
def test_errors_are_a_line_and_an_exit_code(logged_in: Apg, arguments: list[str], code: int) -> None:
    assert logged_in(*arguments) == code
    assert logged_in.out == ""
    assert logged_in.err


def test_a_server_that_is_away_is_code_6(apg: Apg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APG_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("APG_API_KEY", "apg_x")
    monkeypatch.setattr("apg_workflow._sync.transport.sleep", lambda seconds: None)
    assert apg("workflows", "list") == 6
    assert "No answer from http://127.0.0.1:9/api/v1" in apg.err


def test_a_workflow_goes_into_a_file_and_back(logged_in: Apg, file: Path, tmp_path: Path) -> None:
    created = logged_in.json("workflows", "create", str(file))
    assert [found["name"] for found in logged_in.json("workflows", "list")] == ["Doubled"]
    exported = tmp_path / "exported.yaml"
    assert logged_in("workflows", "export", created["id"], "-o", str(exported)) == 0
    assert logged_in("workflows", "diff", created["id"], str(exported)) == 0
    assert logged_in.out == ""
    exported.write_text(exported.read_text().replace("Doubled", "Copied"))
    assert logged_in("workflows", "diff", created["id"], str(exported)) == 1
    assert {"-name: Doubled", "+name: Copied"} <= set(logged_in.out.splitlines())
    imported = logged_in.json("workflows", "import", str(exported))
    assert Workflow.objects.get(pk=imported["id"]).name == "Copied"


def test_validate_names_the_place_and_fails(logged_in: Apg, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("components:\n- {id: a, type: nothing}\n")
    assert logged_in("workflows", "validate", str(bad)) == 1
    assert "error definition.components[0].type: " in logged_in.out
    bad.write_text("components: [\n")
    assert logged_in("workflows", "validate", str(bad)) == 3
    assert "is no YAML" in logged_in.err
    assert not Workflow.objects.exists()


def test_run_stores_executes_and_prints_the_result(logged_in: Apg, tmp_path: Path, worker: None) -> None:
    path = tmp_path / "sum.yaml"
    path.write_text("components:\n- {id: sum, type: transform, config: {output: {sum: '{{ parameters.a + 1 }}'}}}\n")
    assert logged_in.json("run", str(path), "--param", "a=4")["results"] == {"sum": 5}
    assert Workflow.objects.get().name == "sum"


def test_run_again_changes_the_workflow_only_where_the_file_has(logged_in: Apg, file: Path, worker: None) -> None:
    first = logged_in.json("run", str(file), "--param", "number=4")
    second = logged_in.json("run", str(file), "--param", "number=5")
    assert (second["workflow_id"], second["version"]) == (first["workflow_id"], 1)
    file.write_text(file.read_text().replace("* 2", "* 3"))
    third = logged_in.json("run", str(file), "--param", "number=5")
    assert (third["workflow_id"], third["version"]) == (first["workflow_id"], 2)


def test_run_of_what_fails_ends_with_1(logged_in: Apg, tmp_path: Path, worker: None) -> None:
    bad = tmp_path / "stop.json"
    bad.write_text(json.dumps(linear({"id": "stop", "type": "fail", "config": {"message": "as planned"}})))
    assert logged_in("run", str(bad)) == 1
    assert "as planned" in logged_in.out


def test_watch_shows_the_components_and_how_it_ended(logged_in: Apg, file: Path, worker: None) -> None:
    assert logged_in("run", str(file), "--param", "number=4", "--watch") == 0
    lines = [line.split() for line in logged_in.out.splitlines()]
    assert ["double", "transform", "completed"] in [line[:3] for line in lines]
    assert ["status", "completed"] in lines


def test_watch_as_json_prints_each_message_and_the_execution(logged_in: Apg, file: Path, worker: None) -> None:
    assert logged_in("run", str(file), "--param", "number=4", "--watch", "--json") == 0
    found = [json.loads(line) for line in logged_in.out.splitlines()]
    assert found[0]["type"] == "execution_update"
    assert found[-1]["status"] == "completed"


def test_executions_are_listed_read_and_diagnosed(logged_in: Apg, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear(log("a"), wait_for_signal()))
    doorbells.work()
    assert [found["id"] for found in logged_in.json("executions", "list", "--status", "running")] == [execution.pk]
    components = logged_in.json("executions", "get", execution.pk)["components"]
    assert [(found["component_id"], found["status"]) for found in components] == [
        ("a", "completed"),
        ("wait", "waiting"),
    ]
    assert logged_in.json("executions", "diagnose", execution.pk)["reason"] == "waiting_for_signal"
    assert logged_in("executions", "diagnose", execution.pk) == 0
    assert logged_in.json("executions", "cancel", execution.pk)["status"] == "cancelled"
    assert logged_in("executions", "cancel", execution.pk) == 3


def test_logs_are_the_same_followed_or_not(logged_in: Apg, alice: User, doorbells: Doorbells) -> None:
    execution = start(
        alice, linear(log("a", "first"), log("b", "second", config={"message": "second", "level": "error"}))
    )
    doorbells.work()
    assert logged_in("executions", "logs", execution.pk, "--json") == 0
    read = logged_in.out
    assert [json.loads(line)["message"] for line in read.splitlines()] == ["first", "second"]
    assert logged_in("executions", "logs", execution.pk, "--follow", "--json") == 0
    assert logged_in.out == read
    assert logged_in("executions", "logs", execution.pk, "--level", "error") == 0
    assert "second" in logged_in.out and "first" not in logged_in.out


def test_retry_starts_a_new_execution(logged_in: Apg, alice: User, doorbells: Doorbells) -> None:
    execution = start(alice, linear({"id": "stop", "type": "fail", "config": {"message": "m"}}))
    doorbells.work()
    retried = logged_in.json("executions", "retry", execution.pk)
    assert Execution.objects.get(pk=retried["id"]).retry_of_id == execution.pk


def test_a_workflow_is_made_of_a_template(logged_in: Apg, base_url: str, api_key: str) -> None:
    parameter: Any = {"name": "who", "parameter_type": "string", "required": True}
    with SyncWorkflowClient(base_url, api_key=api_key) as client:
        template = client.templates.create(
            {"name": "Greets", "definition": linear(log("greet", "Hello")), "parameters": [parameter]}
        )
    assert [found["name"] for found in logged_in.json("templates", "list", "--search", "Greets")] == ["Greets"]
    assert logged_in("templates", "get", template.id) == 0
    assert ["who", "string", "true"] in [line.split() for line in logged_in.out.splitlines()]
    assert logged_in("templates", "create-workflow", template.id, "--name", "Nobody") == 3
    assert "parameters.who" in logged_in.err
    made = logged_in.json("templates", "create-workflow", template.id, "--name", "Ada", "--param", "who=Ada")
    assert Workflow.objects.get().pk == made["id"]


def test_listen_prints_what_is_signed_and_refuses_what_is_not(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "sdk/python/src"),
        "APG_WEBHOOK_SECRET": "a-secret-of-the-test",
    }
    command = [
        sys.executable,
        "-c",
        "from apg_workflow.cli import main; main()",
        "webhooks",
        "listen",
        "--port",
        "0",
        "--json",
    ]
    errors, output = tmp_path / "errors", tmp_path / "output"
    with errors.open("w") as stderr, output.open("w") as stdout:
        process = subprocess.Popen(command, env=environment, stderr=stderr, stdout=stdout)
    listening = r"Listening on http://127.0.0.1:(\d+)"
    try:
        port = int(eventually(lambda: re.findall(listening, errors.read_text()), timeout=60)[0])
        body = b'{"event": "webhook.test", "data": {}}'
        assert deliver(port, body, "another-secret-of-it") == 401
        assert deliver(port, body, "a-secret-of-the-test") == 204
        assert eventually(output.read_text) == body.decode() + "\n"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def deliver(port: int, body: bytes, secret: str) -> int:
    timestamp = str(int(time.time()))
    signed = hmac.new(secret.encode(), b"d1." + timestamp.encode() + b"." + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(signed).decode()
    headers = {"webhook-id": "d1", "webhook-timestamp": timestamp, "webhook-signature": signature}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status
