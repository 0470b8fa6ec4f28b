"""Users, as staff manage them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from accounts import audit, services
from accounts.access_end import end_access
from accounts.audit import Action
from accounts.models import Tier, User
from core.errors import ConflictError, NotAllowedError, NotFoundError, Problem, ValidationFailedError
from core.unique import name_conflicts

_OWN_LIMITS = ("requests_per_hour", "concurrent_executions")


def users() -> QuerySet[User]:
    """All users, the newest first, with their groups."""
    return User.objects.prefetch_related("groups").order_by("-pk")


def get_user(user_id: str) -> User:
    """One user. Raises NotFoundError."""
    user = users().filter(pk=user_id).first()
    if user is None:
        raise NotFoundError("User not found")
    return user


def create_user(*, email: str, password: str, **fields: Any) -> User:
    """A new user. Raises ValidationFailedError (password, own limits without the custom tier), ConflictError."""
    user = User(email=User.objects.normalize_email(email), **fields)
    user.username = user.username or user.email
    _check_limits(user)
    services.check_password_rules(password, user, field="password")
    user.set_password(password)
    with _name_conflicts(), audit.recording(Action.USER_CREATED, user, fields=sorted(["email", *fields])):
        user.save(force_insert=True)
    return user


def update_user(*, user: User, by: User, changes: Mapping[str, Any]) -> User:
    """Set the given fields; a new password, or `is_active: false`, ends every token of the user.

    Raises NotAllowedError for a superuser's account unless `by` is one, ConflictError for a taken name and for
    disabling or demoting oneself, ValidationFailedError. Opens its own transaction.
    """
    if user.is_superuser and not by.is_superuser:
        raise NotAllowedError("Only a superuser may change a superuser")
    changes = dict(changes)
    password = changes.pop("password", None)
    if "email" in changes:
        changes["email"] = User.objects.normalize_email(changes["email"])
    changed = {name: value for name, value in changes.items() if getattr(user, name) != value}
    if user.pk == by.pk and not (changed.get("is_active", True) and changed.get("is_staff", True)):
        raise ConflictError("You may not disable or demote yourself; ask another member of staff")
    for name, value in changed.items():
        setattr(user, name, value)
    if changed.keys() & {"tier", *_OWN_LIMITS}:
        _check_limits(user)
    if password is not None:
        services.check_password_rules(password, user, field="password")
    with _name_conflicts(), transaction.atomic():
        if changed:
            user.save(update_fields=list(changed))
            audit.record(Action.USER_UPDATED, user, fields=sorted(changed))
        if password is not None:
            services.set_password(user, password)
        if changed.get("is_active") is False:
            end_access(user)
    return user


def _check_limits(user: User) -> None:
    if user.tier == Tier.CUSTOM:
        return
    given = [name for name in _OWN_LIMITS if getattr(user, name) is not None]
    if given:
        details = {"expected": f"tier {Tier.CUSTOM}", "received": f"tier {user.tier}"}
        raise ValidationFailedError(
            problems=[
                Problem("Only the custom tier has numbers of its own", field=name, details=details) for name in given
            ]
        )


@contextmanager
def _name_conflicts() -> Iterator[None]:
    taken, advice = "There is a user with this {} already", "Choose another one"
    with (
        name_conflicts("accounts_user_email_key", taken.format("email"), advice, "email"),
        name_conflicts("user_email_unique", taken.format("email"), advice, "email"),
        name_conflicts("user_username_unique", taken.format("username"), advice, "username"),
    ):
        yield
