"""Logging in and out, and the profiles."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from apg_workflow import SyncWorkflowClient
from apg_workflow.calls import api_root
from apg_workflow.cli.output import Json, console, print_json, print_table
from apg_workflow.cli.session import read_profiles, session_of, write_profiles
from apg_workflow.errors import AuthenticationError
from apg_workflow.models import Tokens


def login(
    context: typer.Context,
    base_url: Annotated[str, typer.Argument(envvar="APG_BASE_URL", help="Such as https://your-domain.com/api/v1")],
    username: Annotated[
        str | None, typer.Option("--username", "-u", help="Log in with a password, which is asked for (APG_PASSWORD).")
    ] = None,
    client_id: Annotated[
        str | None, typer.Option(help="Log in as an OAuth application; its secret is asked for (APG_CLIENT_SECRET).")
    ] = None,
    scope: Annotated[list[str] | None, typer.Option(help="A scope for --client-id; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """Store a login: an API key, which is asked for (APG_API_KEY), unless an option says otherwise."""
    root = api_root(base_url)
    found: dict[str, Any] = {"base_url": root}
    made: list[Tokens] = []
    if username is not None:
        password = _secret("APG_PASSWORD", "Password")
        client = SyncWorkflowClient(root, username=username, password=password, on_tokens=made.append)
    else:
        if client_id is not None:
            secret = _secret("APG_CLIENT_SECRET", "Client secret")
            found |= {"client_id": client_id, "client_secret": secret, "scopes": scope or ["*"]}
        else:
            found |= {"api_key": _secret("APG_API_KEY", "API key")}
        client = SyncWorkflowClient(**found)
    with client:
        caller = client.auth.get_caller()
    if made:
        found |= {"token": made[-1].access_token, "refresh_token": made[-1].refresh_token}
    name = session_of(context).profile
    write_profiles({**read_profiles(), name: found})
    if as_json:
        print_json({"profile": name, "base_url": root, "username": caller.username})
    else:
        console().print(f"Logged in to {root} as {caller.username}; profile {name}", markup=False)


def logout(context: typer.Context) -> None:
    """Forget the profile's login; one by password is ended on the server too."""
    name = session_of(context).profile
    profiles = read_profiles()
    if name not in profiles:
        raise ValueError(f"There is no profile {name!r}")
    refresh_token = profiles[name].get("refresh_token")
    if refresh_token is not None:
        with session_of(context).client() as client:
            try:
                client.auth.log_out(refresh_token)
            except AuthenticationError:
                console(errors=True).print("The login had ended already")
    del profiles[name]
    write_profiles(profiles)
    console().print(f"Logged out of profile {name}", markup=False)


def profiles(as_json: Json = False) -> None:
    """The stored logins, without their secrets."""
    rows = [(name, found["base_url"], _kind(found)) for name, found in read_profiles().items()]
    if as_json:
        print_json([{"profile": name, "base_url": url, "login": kind} for name, url, kind in rows])
    else:
        print_table(["profile", "base url", "login"], rows)


def _kind(found: dict[str, Any]) -> str:
    return "API key" if "api_key" in found else "OAuth" if "client_id" in found else "password"


def _secret(variable: str, prompt: str) -> str:
    """From the environment, or asked for: arguments can be read by others on the machine."""
    given = os.environ.get(variable)
    return given if given else str(typer.prompt(prompt, hide_input=True, err=True))
