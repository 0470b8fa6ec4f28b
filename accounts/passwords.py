"""Django's hook on stored passwords."""

from typing import Any

from accounts.access_end import end_access
from accounts.models import User


class EndsAccess:
    """Listed among the password validators, for the one method that Django calls after it has saved a new password.

    So the API, the admin and `manage.py changepassword` all end the user's tokens.
    """

    def validate(self, password: str, user: User | None = None) -> None:
        """Every password passes."""

    def get_help_text(self) -> str:
        return "Changing it ends every login of yours."

    def password_changed(self, password: str, user: Any = None) -> None:
        if isinstance(user, User):
            end_access(user)
