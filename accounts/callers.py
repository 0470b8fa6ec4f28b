"""An authenticated caller: the user, and what the credential at hand may be used for."""

from dataclasses import dataclass

from accounts.models import User
from accounts.scopes import Scope

SESSION = "session"


@dataclass(frozen=True, slots=True)
class Caller:
    """A user and the scopes of the credential; `credential` names it in the audit log without telling it."""

    user: User
    scopes: frozenset[Scope]
    credential: str = SESSION

    def allows(self, scope: Scope) -> bool:
        """Whether the credential carries the scope."""
        return scope in self.scopes

    @property
    def is_person(self) -> bool:
        """Whether somebody logged in; a key or an application may not manage accounts and keys."""
        return self.credential == SESSION
