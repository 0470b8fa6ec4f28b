"""Who is calling, whatever the credential."""

from dataclasses import dataclass

from accounts.models import User
from accounts.scopes import Scope


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated user and what the credential at hand may be used for."""

    user: User
    scopes: frozenset[Scope]

    def allows(self, scope: Scope) -> bool:
        """Whether the credential carries the scope."""
        return scope in self.scopes
