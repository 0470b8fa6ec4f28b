"""What a client proves itself with, without any I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from apg_workflow.models import Tokens

# A token that ends within these is got anew before it is used.
_EARLY_SECONDS = 30


@dataclass
class Credentials:
    """One way to prove who calls, and what has come of it so far. Shown in no repr."""

    api_key: str | None = field(default=None, repr=False)
    access_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    scopes: Sequence[str] = ()
    on_tokens: Callable[[Tokens], None] | None = field(default=None, repr=False)
    _ends_at: float | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if (self.client_id is None) != (self.client_secret is None):
            raise ValueError("client_id and client_secret go together")
        if self.client_id is not None and not self.scopes:
            raise ValueError("client credentials need scopes, such as ['workflow.read'], or ['*'] for all")
        if self.refresh_token is not None and self.access_token is None:
            raise ValueError("refresh_token goes with token")
        ways = (self.api_key, self.access_token, self.username, self.client_id)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("Give exactly one of api_key, token, username and password, client_id and client_secret")

    @property
    def secret(self) -> str | None:
        """What a request carries now; None before there is one."""
        return self.api_key or self.access_token

    @property
    def renewable(self) -> bool:
        """Whether a new token can be got."""
        return self.refresh_token is not None or self.username is not None or self.client_id is not None

    @property
    def stale(self) -> bool:
        """Whether a new token is due before the next request."""
        if self.api_key is not None or not self.renewable:
            return False
        return self.access_token is None or (self._ends_at is not None and time.monotonic() >= self._ends_at)

    def take_login(self, tokens: Tokens) -> None:
        """The tokens of a login or a refresh, which are told to `on_tokens`."""
        self.take_token(tokens.access_token, tokens.expires_in)
        self.refresh_token = tokens.refresh_token
        if self.on_tokens is not None:
            self.on_tokens(tokens)

    def take_token(self, token: str, expires_in: float) -> None:
        """An access token, good for so many seconds."""
        self.access_token = token
        self._ends_at = time.monotonic() + max(0.0, expires_in - min(_EARLY_SECONDS, expires_in / 2))

    def forget(self) -> None:
        """There is no login any more."""
        self.access_token = self.refresh_token = None

    def headers(self) -> dict[str, str]:
        """Those of a request."""
        return {} if self.secret is None else {"Authorization": f"Bearer {self.secret}"}
