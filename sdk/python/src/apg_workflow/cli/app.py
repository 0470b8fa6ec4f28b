"""All commands together, and what becomes of errors."""

from __future__ import annotations

from typing import Annotated

import typer

from apg_workflow import __version__
from apg_workflow.cli import account, executions, runs, templates, webhooks, workflows
from apg_workflow.cli.output import complain, exit_code
from apg_workflow.cli.session import Session
from apg_workflow.errors import APGError


def _leave(code: int | None, **options: object) -> None:
    """End with the code that a command gives."""
    if code:
        raise typer.Exit(code)


app = typer.Typer(
    name="apg",
    no_args_is_help=True,
    help="APG Workflow Orchestration on the command line.",
    result_callback=_leave,
    pretty_exceptions_enable=False,
)
app.add_typer(workflows.app, name="workflows")
app.add_typer(executions.app, name="executions")
app.add_typer(templates.app, name="templates")
app.add_typer(webhooks.app, name="webhooks")
app.command("login")(account.login)
app.command("logout")(account.logout)
app.command("profiles")(account.profiles)
app.command("run")(runs.run)


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def choose(
    context: typer.Context,
    profile: Annotated[
        str, typer.Option("--profile", "-p", envvar="APG_PROFILE", help="Which login to use.")
    ] = "default",
    version: Annotated[
        bool, typer.Option("--version", callback=lambda value: _version(wanted=value), is_eager=True)
    ] = False,
) -> None:
    """APG Workflow Orchestration on the command line."""
    context.obj = Session(profile)


def run() -> int:
    """The exit code; what is expected to go wrong is told in a line."""
    try:
        app()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0
    except (APGError, OSError, ValueError, ImportError) as error:
        complain(error)
        return exit_code(error)
    return 0
