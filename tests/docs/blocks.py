"""The fenced blocks of all pages, and walks: a page's shell blocks run one after the other in one shell."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("docs/**/*.md", "*.md", "sdk/*/README.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
_FENCE = re.compile(r"^( *)(`{3,}|~{3,})(\w*)[^\n]*\n(.*?)^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
_SHELL = {"sh", "bash", "shell", "console"}


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is that of its opening fence, `answers` whether it is what the block before prints."""

    page: str
    line: int
    language: str
    text: str
    answers: bool = False

    @property
    def is_shell(self) -> bool:
        return self.language in _SHELL

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page, in their order.

    A `text` or `json` block right after a shell block, with no heading and at most a line between, is its answer.
    """
    found: list[Block] = []
    text, end = (ROOT / page).read_text(), 0
    for fence in _FENCE.finditer(text):
        between = text[end : fence.start()].strip()
        follows = bool(found) and found[-1].is_shell and "\n" not in between and not between.startswith("#")
        inner = re.sub(rf"^{fence[1]}", "", fence[4], flags=re.MULTILINE)
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(page, line, fence[3], inner, follows and fence[3] in {"text", "json"}))
        end = fence.end()
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def walk(blocks: list[Block], replaced: Mapping[str, str], environment: Mapping[str, str], folder: Path) -> list[str]:
    """What each of the shell blocks prints, pasted into one bash in a folder of its own that stops at the first error.

    `replaced` says what stands on the page and what stands in its place here.
    """
    mark = "=====8<====="
    script = f"\necho '{mark}'\n".join(_here(block.text, replaced) for block in blocks)
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script], cwd=folder, env=dict(environment),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{blocks[0].page} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return [part.strip("\n") for part in done.stdout.split(f"{mark}\n")]


def _here(text: str, replaced: Mapping[str, str]) -> str:
    for printed, put in replaced.items():
        text = text.replace(printed, put)
    return text


def fits(printed: str, said: str) -> bool:
    """Whether the output is as printed, where `…` stands for any text."""
    pattern = ".*?".join(re.escape(part) for part in printed.strip("\n").split("…"))
    return re.fullmatch(pattern, said, re.DOTALL) is not None
