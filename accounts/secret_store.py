"""Secrets: set, replace, list, delete; and their values, for the worker alone (contract §4)."""

from collections.abc import Collection

from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit, vault
from accounts.audit import Action
from accounts.models import Secret, User
from core.errors import NotFoundError
from core.ids import new_id
from core.unique import name_conflicts

_NAME_CONSTRAINT = "secret_name_unique_per_owner"


def secrets_of(owner: User) -> QuerySet[Secret]:
    """The owner's secrets by name, without their values. Nobody sees another user's, staff neither."""
    return Secret.objects.filter(owner=owner).defer("sealed_value").order_by("name")


def create_secret(*, owner: User, name: str, value: str) -> Secret:
    """A new secret. Raises ConflictError for a name that the owner has given already."""
    secret = Secret(id=new_id(), owner=owner, name=name)
    secret.sealed_value = _sealed(secret.pk, value)
    taken = f"There is a secret called {name} already"
    with (
        name_conflicts(_NAME_CONSTRAINT, taken, "Replace its value with PUT, or choose another name"),
        audit.recording(Action.SECRET_CREATED, secret, name=name),
    ):
        secret.save(force_insert=True)
    return secret


def replace_secret(*, owner: User, name: str, value: str) -> Secret:
    """The secret with a new value, which components that start from now on read. Raises NotFoundError."""
    secret = secrets_of(owner).filter(name=name).first()
    if secret is None:
        raise NotFoundError("Secret not found")
    now = timezone.now()
    with audit.recording(Action.SECRET_UPDATED, secret, name=name):
        # The race: it is deleted meanwhile. Then no row changes.
        if not Secret.objects.filter(pk=secret.pk).update(sealed_value=_sealed(secret.pk, value), updated_at=now):
            raise NotFoundError("Secret not found")
    secret.updated_at = now
    return secret


def delete_secret(*, owner: User, name: str) -> None:
    """Delete it; what uses it fails from then on. Raises NotFoundError."""
    secret = secrets_of(owner).filter(name=name).first()
    if secret is None:
        raise NotFoundError("Secret not found")
    with audit.recording(Action.SECRET_DELETED, secret, name=name):
        Secret.objects.filter(pk=secret.pk).delete()


def names_of(owner_id: str) -> frozenset[str]:
    """The names of a user's secrets."""
    return frozenset(Secret.objects.filter(owner=owner_id).values_list("name", flat=True))


def values_of(owner_id: str, names: Collection[str] | None) -> dict[str, str]:
    """Name -> value of those of the owner's secrets that are named and exist; all of them for None.

    For the worker, never for an answer. Raises accounts.vault.SealBrokenError.
    """
    rows = Secret.objects.filter(owner=owner_id)
    if names is not None:
        rows = rows.filter(name__in=names)
    return {
        name: vault.unseal(bytes(sealed), bound_to=place(secret_id)).decode()
        for secret_id, name, sealed in rows.values_list("id", "name", "sealed_value")
    }


def _sealed(secret_id: str, value: str) -> bytes:
    return vault.seal(value.encode(), bound_to=place(secret_id))


def place(secret_id: str) -> str:
    """What a secret's sealed value is bound to."""
    return f"{secret_id}/secret"
