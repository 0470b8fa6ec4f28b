"""`python -m tests.faults.smoke`: the fault suite once, in two halves side by side, each on servers of its own."""

import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
# Most of the time is spent waiting for leases and for processes to start. About as long as all the others.
FIRST_HALF = ("test_poison.py", "test_waits.py", "test_workers.py")


def main() -> int:
    """0 if both halves passed."""
    first = [FOLDER / name for name in FIRST_HALF]
    second = sorted(set(FOLDER.glob("test_*.py")) - set(first))
    with tempfile.TemporaryFile() as output:
        beside = subprocess.Popen(_command(second), stdout=output, stderr=subprocess.STDOUT)
        codes = [subprocess.run(_command(first), check=False).returncode, beside.wait()]
        output.seek(0)
        sys.stdout.write(output.read().decode(errors="replace"))
    return max(codes)


def _command(files: list[Path]) -> list[str]:
    return [sys.executable, "-m", "pytest", "-p", "tests.faults.servers", *map(str, files)]


if __name__ == "__main__":
    sys.exit(main())
