"""The plug-in of docs/plugin-example, installed as its README says, found and run by another process."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from core.types import JSONObject
from executions.models import ComponentRun
from executions.services import StartRequest, start_execution
from tests.integration.executions.conftest import Doorbells, make_workflow
from workflows.components import registry

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "plugin-example"

PROGRAM = """
import json, sys
import django
django.setup()
from tests.unit.components.context import context
from workflows.components import registry
from workflows.components.base import Completed
from workflows.validation import report

definition, bad = json.loads(sys.argv[1])
component = registry.get("text_statistics")
context = context()
outcome = component.run(definition["components"][0]["config"], context)
print(json.dumps({
    "types": [each.type for each in registry.all_types()],
    "report": report(definition).errors,
    "bad": report(bad).errors,
    "output": outcome.output if isinstance(outcome, Completed) else None,
    "log": [line.message for line in context.lines],
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the package was installed into by pip.

    Its own build backend would have to be downloaded; another one builds the same wheel here.
    """
    source = tmp_path_factory.mktemp("source") / "plugin"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).with_name("wheel_backend.py"), source)
    pyproject = (source / "pyproject.toml").read_text()
    own = pyproject.partition("[project]")[0]
    assert 'build-backend = "setuptools.build_meta"' in own
    offline = '[build-system]\nrequires = []\nbuild-backend = "wheel_backend"\nbackend-path = ["."]\n\n'
    (source / "pyproject.toml").write_text(pyproject.replace(own, offline))
    target = tmp_path_factory.mktemp("target")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--no-index", "--no-build-isolation", "--target", str(target), str(source)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return target


def definition_of(readme: str) -> JSONObject:
    (example,) = re.findall(r"```json\n(.*?)```", readme, re.DOTALL)
    found: JSONObject = json.loads(example)
    return found


def test_the_installed_plug_in_is_listed_checked_and_run(installed: Path) -> None:
    definition = definition_of((EXAMPLE / "README.md").read_text())
    bad = json.loads(json.dumps(definition))
    bad["components"][0]["config"]["ignore"] = ["two words"]
    environment = {**os.environ, "PYTHONPATH": f"{installed}:{ROOT}", "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-c", PROGRAM, json.dumps([definition, bad])]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert set(answer["types"]) == {*registry.BUILT_IN, "text_statistics"}
    assert answer["report"] == []
    assert [error["field"] for error in answer["bad"]] == ["definition.components[0].config.ignore[0]"]
    assert answer["output"] == {"characters": 30, "words": 7, "lines": 1, "top": [{"word": "the", "count": 2}]}
    assert answer["log"] == ["Counted 7 words"]


@pytest.mark.django_db(transaction=True)
def test_a_workflow_with_it_runs_to_its_result(
    installed: Path, alice: User, doorbells: Doorbells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(installed)
    registry._plug_ins.cache_clear()
    try:
        definition = definition_of((EXAMPLE / "README.md").read_text())
        workflow = make_workflow(alice, definition)
        execution = start_execution(workflow=workflow, user=alice, request=StartRequest()).execution
        doorbells.work()
        output: Any = ComponentRun.objects.get(execution=execution).output
        assert output["top"] == [{"word": "the", "count": 2}]
    finally:
        registry._plug_ins.cache_clear()
