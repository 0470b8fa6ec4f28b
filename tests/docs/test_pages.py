"""Examples that need more than a shell: other languages, a person at a browser, a plug-in's files."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from executions.models import Execution
from tests import oauth
from tests.api import Api
from tests.contract.reference import EXAMPLES
from tests.docs.blocks import BLOCKS, ROOT, Block, blocks_of
from tests.docs.conftest import ADDRESS, Machine
from tests.docs.covered import COVERED
from tests.graphql import GraphQL
from tests.integration.live.test_graphql_socket import node
from workflows.validation import report

__all__ = ["node"]

pytestmark = pytest.mark.django_db(transaction=True)
LONE = {"components": [{"id": "a", "type": "log", "config": {"message": "Hello, {{ who | default('you') }}"}}]}


def of_test(name: str) -> list[Block]:
    """The blocks that the list gives to a test."""
    return [block for block in BLOCKS if any(each.by == name and each.takes(block) for each in COVERED)]


# --- Clients


def test_the_quickstart_is_followed_in_each_language(machine: Machine, tmp_path: Path) -> None:
    python, javascript = of_test("test_the_quickstart_is_followed_in_each_language")
    made = next(block for block in blocks_of("docs/quickstart.md") if "order.json" in block.text)
    machine.paste([made])
    environment = {
        **os.environ, "APG_BASE_URL": f"{machine.url}/api/v1", "APG_API_KEY": machine.api_key,
        "PYTHONPATH": str(ROOT / "sdk" / "python" / "src"),
    }  # fmt: skip
    commands = [[sys.executable, "-c", python.text]]
    if shutil.which("node"):
        package = tmp_path / "node_modules" / "@apg"
        package.mkdir(parents=True)
        (package / "workflow-client").symlink_to(ROOT / "sdk" / "javascript")
        (tmp_path / "follow.mjs").write_text(javascript.text)
        commands.append(["node", "follow.mjs"])
    for command in commands:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert "component_started look" in lines
        assert re.fullmatch(r"\{ ?'?total'?: 320, '?looked_at'?: [Tt]rue ?\}", lines[-1])


def test_the_command_runs_a_file(machine: Machine) -> None:
    blocks = of_test("test_the_command_runs_a_file")
    assert [block.page for block in blocks] == ["docs/sdk.md", "sdk/python/README.md"]
    key = machine.api_key
    for block in blocks:
        (name,) = re.findall(r"apg run (\S+)", block.text)
        file = machine.folder / "work" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"name": name, "definition": LONE}))
        (printed,) = machine.paste(
            [block], APG_API_KEY=key, APG_CONFIG_DIR=str(machine.folder / "profiles"), NO_COLOR="1"
        )
        assert "completed" in printed
        assert Execution.objects.filter(workflow__name=name, status="completed").count() == 1


def test_types_are_made_of_the_document(machine: Machine) -> None:
    if not (ROOT / "sdk" / "javascript" / "node_modules" / "openapi-typescript").exists():
        pytest.skip("openapi-typescript is not installed: make check-javascript")
    (block,) = of_test("test_types_are_made_of_the_document")
    work = machine.folder / "work"
    work.mkdir()
    (work / "node_modules").symlink_to(ROOT / "sdk" / "javascript" / "node_modules")
    machine.paste([block], npm_config_offline="true")
    assert '"/api/v1/workflow_orchestration/workflows/{workflow_id}/execute"' in (work / "apg.d.ts").read_text()


# --- The API reference's own


def test_the_addresses_of_the_reference_answer(machine: Machine, api: Api) -> None:
    printed = [urlsplit(block.text.strip()).path for block in of_test("test_the_addresses_of_the_reference_answer")]
    assert printed == ["/api/v1/workflow_orchestration", "/api/beta/graphql", "/api/v1/ws", "/api/v1/ws"]
    assert api.get("/workflows").status == 401
    done = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", machine.url + printed[1], "-H", "Accept: text/html"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "200"


def test_the_curl_examples_of_the_reference_run_as_printed(machine: Machine) -> None:
    create, execute, read = of_test("test_the_curl_examples_of_the_reference_run_as_printed")
    token = {"<token>": machine.token}
    workflow = json.loads(machine.paste([create], **token)[0])["data"]["id"]
    started = _with(execute, "{workflow_id}", workflow)
    execution = json.loads(machine.paste([started], **token)[0])["data"]["execution_id"]
    shown = json.loads(machine.paste([_with(read, "{execution_id}", execution)], **token)[0])
    assert shown["data"]["parameters"] == {"param1": "value1"}


def _with(block: Block, name: str, value: str) -> Block:
    return Block(block.page, block.line, block.language, block.text.replace(name, value))


# --- Single pages


def test_a_problem_is_told_as_the_page_says() -> None:
    (block,) = of_test("test_a_problem_is_told_as_the_page_says")
    field, expected, received = re.split(r"\s{2,}(?:expected|received): ", block.text.strip())
    config = {"url": "invalid-url", "method": "GET"}
    (error,) = report({"components": [{"id": "a", "type": "http_request", "config": config}]}).errors
    assert (error["field"], error["details"]) == (field, {"expected": expected, "received": received})


def test_what_a_hook_brings_is_as_the_page_says(alice_api: Api, doorbells: Any) -> None:
    (block,) = of_test("test_what_a_hook_brings_is_as_the_page_says")
    printed = json.loads(block.text)
    definition = {"components": [{"id": "start", "type": "start", "config": {"trigger_type": "webhook"}}]}
    workflow = alice_api.post("/workflows", {"name": "Hooked", "definition": definition}).data["id"]
    assert alice_api.post(f"/workflows/{workflow}/activate").status == 200
    (trigger,) = alice_api.get(f"/workflows/{workflow}").data["triggers"]
    address = urlsplit(trigger["url"]).path + "?source=shop"
    assert Api(base="").post(address, printed["body"]).status == 202
    doorbells.work()
    results: Any = Execution.objects.get(workflow_id=workflow).results
    assert set(results) == set(printed)
    assert {**results, "headers": printed["headers"]} == printed
    assert results["headers"]["content-type"] == printed["headers"]["content-type"]


def test_the_webhook_that_is_shown_is_the_references() -> None:
    (block,) = of_test("test_the_webhook_that_is_shown_is_the_references")
    shown = json.loads(block.text)
    assert shown.pop("delivery_id")
    assert shown == EXAMPLES["Webhook Payload"].answer


def test_an_answer_has_the_headers_that_are_shown(alice_api: Api) -> None:
    (block,) = of_test("test_an_answer_has_the_headers_that_are_shown")
    answer = alice_api.get("/components")
    shown = dict(line.split(": ") for line in block.text.strip().splitlines())
    assert {name: value.isdigit() for name, value in shown.items()} == dict.fromkeys(shown, True)
    assert all(answer.headers[name].isdigit() for name in shown)
    assert [answer.headers[name] for name in list(shown)[:2]] == ["1000", "999"]


def test_the_plug_in_has_the_files_that_are_listed() -> None:
    (block,) = of_test("test_the_plug_in_has_the_files_that_are_listed")
    listed = {line.split()[0] for line in block.text.splitlines()}
    folder = ROOT / "docs" / "plugin-example"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in {".py", ".toml"}}
    assert listed == files


# --- GraphQL


def test_refusals_over_graphql_read_as_the_page_says(alice_api: Api) -> None:
    (block,) = of_test("test_refusals_over_graphql_read_as_the_page_says")
    query = """mutation { createWorkflow(input: {name: " ", priority: 11, definition: {components: []}}) {
      success workflow { id } errors } }"""
    assert GraphQL(alice_api.token).ask(query).body == json.loads(block.text)


def test_the_subscription_follows_an_execution(machine: Machine, node: Path, tmp_path: Path) -> None:
    (block,) = of_test("test_the_subscription_follows_an_execution")
    api = Api(machine.token)
    definition = {"components": [{"id": "pause", "type": "delay", "config": {"seconds": 0.5}}]}
    workflow = api.post("/workflows", {"name": "Followed", "definition": definition}).data["id"]
    execution = api.post(f"/workflows/{workflow}/execute", {}).data["execution_id"]
    page = {"location": {"host": urlsplit(machine.url).netloc}, "token": machine.token, "executionId": execution}
    stage = f"import WebSocket from 'ws'; Object.assign(globalThis, {json.dumps(page)}, {{ WebSocket }});\n"
    (node / "docs.mjs").write_text(stage + block.text.replace("wss://", "ws://") + "\nprocess.exit(0);\n")
    done = subprocess.run(["node", "docs.mjs"], cwd=node, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "COMPLETED 100"


# --- OAuth


def test_the_walk_of_a_person_who_allows_it(machine: Machine) -> None:
    (block,) = of_test("test_the_walk_of_a_person_who_allows_it")
    client = oauth.register()
    code = block.text.replace(ADDRESS, machine.url)
    variables = {"CLIENT_ID": client.id, "CLIENT_SECRET": client.secret, "REDIRECT": oauth.REDIRECT}
    with subprocess.Popen(
        ["bash", "-eu", "-c", code], env={**os.environ, **variables}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as shell:  # fmt: skip
        assert shell.stdout is not None
        address = urlsplit(shell.stdout.readline().strip())
        browser = oauth.browser_of(machine.admin)
        back = oauth.decide(browser, f"{address.path}?{address.query}")
        said, errors = shell.communicate(back["code"] + "\n", timeout=120)
    assert shell.returncode == 0, errors
    listed, looked, *_ = said.replace("}{", "}\n{").splitlines()
    assert json.loads(listed)["success"] is True
    assert json.loads(looked)["active"] is True


def test_the_token_of_a_service(machine: Machine) -> None:
    (block,) = of_test("test_the_token_of_a_service")
    client = oauth.register_service(machine.admin)
    (said,) = machine.paste([block], CLIENT_ID=client.id, CLIENT_SECRET=client.secret)
    assert json.loads(said)["scope"] == "workflow.read workflow.execute"


# --- Figures


def test_the_figures_of_the_home_page_are_those_of_the_results() -> None:
    section = (ROOT / "docs" / "index.md").read_text().split("## What was measured")[1].split("\n## ")[0]
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text()
    exact = re.findall(r"\d+\.\d+ ms", section)
    assert len(exact) == 3
    assert [figure for figure in exact if f"| {figure} |" not in results] == []
    (loop,) = re.findall(r"1000 items, max_concurrency 10 \| (\d+\.\d+) s", results)
    (batch,) = re.findall(r"`execute-batch` of 100 \| (\d+\.\d+) /s", results)
    assert f"| {float(loop):.1f} s |" in section
    assert f"| {float(batch) // 10 * 10:.0f} a second |" in section
