"""Blocks of commands in the documentation that tests run as they stand: `<!-- run: name -->` before the fence."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"<!-- run: ([^>]+?) -->\n```sh\n(.*?)```", re.DOTALL)


def blocks(page: Path) -> dict[str, str]:
    """The marked blocks of a page, by name."""
    return dict(_BLOCK.findall(page.read_text()))


def run_block(text: str, environment: Mapping[str, str], **more: Any) -> "subprocess.CompletedProcess[str]":
    """Run the commands by bash, to the first that fails. Raises AssertionError with what they said."""
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", text],
        env=dict(environment), capture_output=True, text=True, timeout=120, check=False, **more,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done
