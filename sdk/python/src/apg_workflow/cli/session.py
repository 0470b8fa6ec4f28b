"""Profiles, which keep logins for the command, and the client of the one in use."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from apg_workflow import SyncWorkflowClient
from apg_workflow.models import Tokens

_CREDENTIALS = ("api_key", "token", "refresh_token", "client_id", "client_secret", "scopes")


def profiles_file() -> Path:
    """`$APG_CONFIG_DIR/profiles.json`; by default in the user's folder for settings."""
    given = os.environ.get("APG_CONFIG_DIR")
    if given:
        return Path(given) / "profiles.json"
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "apg" / "profiles.json"


def read_profiles() -> dict[str, dict[str, Any]]:
    """All profiles by name. Raises ValueError for a file that is none of ours."""
    path = profiles_file()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise ValueError(f"{path} is not readable as JSON; remove it and log in again") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no profiles; remove it and log in again")
    return found


def write_profiles(profiles: Mapping[str, Mapping[str, Any]]) -> None:
    """Replaces the file in one step; only its owner may read it."""
    path = profiles_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Made with 0600 from the start.
    handle, made = tempfile.mkstemp(dir=path.parent, prefix=".profiles-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(profiles, file, indent=2)
        Path(made).replace(path)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class Session:
    """One run of the command: which profile it uses."""

    profile: str

    def client(self) -> SyncWorkflowClient:
        """A client by `APG_BASE_URL` and `APG_API_KEY` if they are set, else by the profile.

        Raises ValueError if there is neither.
        """
        address, key = os.environ.get("APG_BASE_URL"), os.environ.get("APG_API_KEY")
        if address and key:
            return SyncWorkflowClient(address, api_key=key)
        found = read_profiles().get(self.profile)
        if found is None:
            raise ValueError(
                f"There is no profile {self.profile!r}: log in with apg login, or set APG_BASE_URL and APG_API_KEY"
            )
        credentials = {name: found[name] for name in _CREDENTIALS if name in found}
        return SyncWorkflowClient(found["base_url"], on_tokens=self.keep, **credentials)

    def keep(self, tokens: Tokens) -> None:
        """Store new tokens of the profile: the old refresh token is of no use any more."""
        profiles = read_profiles()
        if self.profile in profiles:
            profiles[self.profile] |= {"token": tokens.access_token, "refresh_token": tokens.refresh_token}
            write_profiles(profiles)


def session_of(context: typer.Context) -> Session:
    """That of the command under way."""
    found = context.find_root().obj
    assert isinstance(found, Session)
    return found
