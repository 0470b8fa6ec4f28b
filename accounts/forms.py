"""The log-in forms of pages: the same check, in the same words and under the same throttle as the API's login."""

import math
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, UsernameField
from django.core.exceptions import ValidationError

from accounts import audit
from accounts.audit import Action
from accounts.services import check_credentials
from accounts.throttling import client_address
from core.errors import AuthenticationFailedError, RateLimitedError


class SignInForm(AuthenticationForm):
    """For anyone. `retry_after`: whole seconds, where the throttle refused."""

    username = UsernameField(
        label="E-mail or username", max_length=254, widget=forms.TextInput(attrs={"autofocus": True})
    )
    retry_after: int | None = None

    def clean(self) -> dict[str, Any]:
        login, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if login is None or not password:
            return self.cleaned_data
        assert self.request is not None, "a page makes it with its request"
        try:
            user = check_credentials(login=login, password=password, address=client_address(self.request))
        except RateLimitedError as error:
            self.retry_after = error.retry_after
            raise ValidationError(f"Too many attempts. Try again in {_in_words(error.retry_after)}.") from None
        except AuthenticationFailedError as error:
            raise ValidationError(error.message) from None
        self.confirm_login_allowed(user)
        audit.record(Action.LOGIN_SUCCEEDED, user, actor=user)
        self.user_cache = user
        return self.cleaned_data


class AdminSignInForm(SignInForm):
    """For staff."""

    def confirm_login_allowed(self, user: Any) -> None:
        """Raises ValidationError as for a wrong password."""
        super().confirm_login_allowed(user)
        if not user.is_staff:
            audit.record(Action.LOGIN_REFUSED, user)
            raise ValidationError("Invalid username or password")


def _in_words(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} second{'' if seconds == 1 else 's'}"
    return f"{math.ceil(seconds / 60)} minutes"
