"""Writes `_sync` from `_async`, so that there is one implementation of both clients; `--check` only compares."""

import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "apg_workflow" / "_async"
TARGET = SOURCE.with_name("_sync")
BY_HAND = {"__init__.py", "io.py"}
WORDS = {
    "AsyncIterator": "Iterator",
    "StopAsyncIteration": "StopIteration",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
    "_async": "_sync",
    "WorkflowClient": "SyncWorkflowClient",
}
_KEYWORDS = re.compile(r"\b(?:async|await) +")
_WORDS = re.compile(rf"\b(?:{'|'.join(WORDS)})\b")


def without_async(text: str) -> str:
    """The module as one for threads, its imports sorted and its lines broken as ruff does."""
    found = _WORDS.sub(lambda match: WORDS[match.group()], _KEYWORDS.sub("", text))
    for command in (["check", "--select=I", "--fix-only", "-"], ["format", "-"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--quiet", "--stdin-filename", str(TARGET / "made.py")]
        found = subprocess.run(ruff, input=found, capture_output=True, text=True, check=True).stdout
    return found


def main() -> int:
    """1 if something is out of date, which without `--check` is written anew."""
    modules = {path.name: without_async(path.read_text()) for path in SOURCE.glob("*.py") if path.name not in BY_HAND}
    stale = [name for name, text in modules.items() if _current(TARGET / name) != text]
    stale += [path.name for path in TARGET.glob("*.py") if path.name not in {*modules, *BY_HAND}]
    if "--check" in sys.argv[1:]:
        for name in stale:
            sys.stderr.write(f"sdk/python: _sync/{name} is out of date: run tools/make_sync.py\n")
        return bool(stale)
    for name in stale:
        if name in modules:
            (TARGET / name).write_text(modules[name])
        else:
            (TARGET / name).unlink()
    return 0


def _current(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
