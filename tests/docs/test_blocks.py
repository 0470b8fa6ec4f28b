"""Every fenced block of every page is run by a test; and what can be said of each without running it."""

import ast
import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from graphql import build_schema, parse, validate

from tests.docs.blocks import BLOCKS, ROOT, Block
from tests.docs.covered import COVERED, REFERENCE, WALKED
from workflows.validation import report


def lines_of(block: Block) -> list[str]:
    """The commands of a shell block without their comments."""
    return [line.split("  #")[0].split(" #")[0].strip() for line in block.text.splitlines() if line.strip()]


def makes(block: Block) -> bool:
    """Whether it only runs targets of the Makefile."""
    return block.is_shell and all(line.startswith("make ") for line in lines_of(block))


def fetches(block: Block) -> bool:
    """Whether it only installs a published package. That asks a registry, which no test does."""
    return block.is_shell and all(line.startswith(("pip install ", "npm install ")) for line in lines_of(block))


def is_definition(block: Block) -> bool:
    """Whether it is a workflow's definition, which is judged here."""
    return block.language == "json" and not is_listed(block) and "components" in _json(block)


def is_listed(block: Block) -> bool:
    """Whether the list names a test that runs it."""
    return any(each.takes(block) for each in COVERED)


def _json(block: Block) -> Any:
    return json.loads(block.text)


def is_run(block: Block) -> bool:
    """Whether a test runs the block."""
    return (
        (block.page in WALKED and (block.is_shell or block.answers))
        or makes(block)
        or fetches(block)
        or is_definition(block)
        or block.language == "mermaid"
        or is_listed(block)
    )


def chosen(*languages: str) -> Any:
    """Parametrizes over the blocks of some languages."""
    return pytest.mark.parametrize("block", [each for each in BLOCKS if each.language in languages], ids=str)


def test_every_block_is_run_by_a_test() -> None:
    assert [f"{block}: {block.text.splitlines()[0]}" for block in BLOCKS if not is_run(block)] == []


def test_every_entry_of_the_list_takes_a_block() -> None:
    assert [each for each in COVERED if not any(each.takes(block) for block in BLOCKS)] == []
    assert [page for page in WALKED if not any(block.page == page and block.is_shell for block in BLOCKS)] == []


def test_every_test_that_is_named_is_there_once() -> None:
    names = [
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    ]
    assert {each.by: names.count(each.by) for each in COVERED if names.count(each.by) != 1} == {}


# --- Of each language, what can be said without running it


@chosen("json")
def test_json_is_json_and_definitions_can_be_saved(block: Block) -> None:
    if block.page == REFERENCE:  # words stand there in the place of values; tests/contract/reference.py reads them
        return
    value = _json(block)
    if is_definition(block):
        assert report(value).errors == []


def test_yaml_is_yaml() -> None:
    for block in BLOCKS:
        if block.language in {"yaml", "yml"}:
            assert any(each is not None for each in yaml.safe_load_all(block.text)), block


@chosen("python")
def test_python_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@chosen("sh", "bash", "shell")
def test_shell_is_shell(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not on this machine")
def test_javascript_is_javascript() -> None:
    found = [block for block in BLOCKS if block.language in {"js", "javascript"}]
    for block in found:
        done = subprocess.run(
            ["node", "--input-type=module", "--check"], input=block.text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block}: {done.stderr}"


@chosen("graphql")
def test_graphql_is_of_the_schema(block: Block) -> None:
    document = parse(block.text)
    if re.match(r"(query|mutation|subscription)\b", block.text):
        assert validate(build_schema((ROOT / "docs" / "schema.graphql").read_text()), document) == []


@pytest.mark.parametrize("block", [each for each in BLOCKS if makes(each)], ids=str)
def test_targets_of_make_exist(block: Block) -> None:
    told = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {line.split()[1] for line in lines_of(block)} <= told


@pytest.mark.parametrize("block", [each for each in BLOCKS if fetches(each)], ids=str)
def test_packages_that_are_installed_are_ours_with_extras_that_they_have(block: Block) -> None:
    python = (ROOT / "sdk" / "python" / "pyproject.toml").read_text()
    javascript = json.loads((ROOT / "sdk" / "javascript" / "package.json").read_text())
    for line in lines_of(block):
        if line.startswith("npm"):
            assert line.split()[2] == javascript["name"]
            continue
        name, extra = re.fullmatch(r"pip install '?([./\w-]+)(?:\[(\w+)\])?'?", line).groups()  # type: ignore[union-attr]
        assert (ROOT / name / "pyproject.toml").exists() or f'name = "{name}"' in python
        assert extra is None or f"\n{extra} = [" in python
