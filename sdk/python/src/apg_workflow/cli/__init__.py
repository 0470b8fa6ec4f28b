"""The `apg` command."""

import sys


def main() -> None:
    """Run it; ends the process with the exit code that README.md lists."""
    try:
        from apg_workflow.cli.app import run  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich", "yaml"}:
            raise
        sys.exit("apg needs an extra: pip install 'apg-workflow-client[cli]'")
    sys.exit(run())
