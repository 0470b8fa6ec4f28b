"""The log-in and password forms of pages: the same checks, words and throttle as the API's."""

import math
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, UsernameField
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from accounts import audit
from accounts.audit import Action
from accounts.models import User
from accounts.services import check_credentials, knows_password, set_password
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


class OwnPasswordForm(PasswordChangeForm):
    """One's own password in the admin: the same check, throttle and rules as `POST auth/password`."""

    def clean_old_password(self) -> str:
        """Raises ValidationError."""
        current: str = self.cleaned_data["old_password"]
        assert isinstance(self.user, User), "it is for who logged in"
        try:
            if not knows_password(self.user, current):
                raise ValidationError("This is not your current password.")
        except RateLimitedError as error:
            raise ValidationError(f"Too many attempts. Try again in {_in_words(error.retry_after)}.") from None
        return current

    def save(self, commit: bool = True) -> Any:
        assert isinstance(self.user, User), "it is for who logged in"
        set_password(self.user, self.cleaned_data["new_password1"], by=self.user)
        return self.user


def record_sign_out(request: HttpRequest) -> None:
    """Who ends the session of a browser, if there is one."""
    if isinstance(request.user, User):
        audit.record(Action.SESSION_ENDED, request.user, actor=request.user)


def _in_words(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} second{'' if seconds == 1 else 's'}"
    return f"{math.ceil(seconds / 60)} minutes"
