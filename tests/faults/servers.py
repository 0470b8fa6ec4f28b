"""A pytest plug-in: the suite's own servers and plug-in component, up before Django reads its settings."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# Not the harness's own, whose imports need settings.
_folder = Path(tempfile.mkdtemp(prefix="apg-faults-"))
PLUG_INS = _folder / "plugins"
FIGURES: dict[str, str] = {}


class _Later:
    """The harness's Servers, made once settings can be read."""

    def __getattr__(self, name: str) -> object:
        from tests.faults.harness import Servers

        if "_servers" not in self.__dict__:
            self.__dict__["_servers"] = Servers(_folder, os.environ["DATABASE_URL"], os.environ["REDIS_URL"])
        return getattr(self.__dict__["_servers"], name)


SERVERS = _Later()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Before `tests.servers`, which starts nothing where the environment names servers."""
    from config.embedded import start_postgres, start_valkey

    info = PLUG_INS / "apg_fault_poison-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: apg-fault-poison\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[apg_workflow.components]\ntest_poison = tests.faults.poison:Poison\n")
    sys.path.insert(0, str(PLUG_INS))
    os.environ["DATABASE_URL"] = start_postgres(_folder)
    os.environ["REDIS_URL"] = start_valkey(_folder)


def pytest_report_header() -> str:
    """What a failure is repeated with."""
    from tests.faults.harness import seed

    return f"fault seed: {seed()} (set APG_FAULT_SEED)"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures, at the end."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    terminalreporter.section("figures")
    terminalreporter.line(f"commit {commit.strip()}")
    for name, text in FIGURES.items():
        terminalreporter.line(f"{name}: {text}")


def pytest_unconfigure() -> None:
    """Nothing is left behind."""
    SERVERS.stop()  # type: ignore[operator]
    shutil.rmtree(_folder, ignore_errors=True)
