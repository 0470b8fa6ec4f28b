"""Groups: Django's, as teams that workflows are shared with (contract §4).

Django keeps a group under an integer. On the wire, as everything else, it has a ULID: that integer, written as one.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet
from ulid_transform import bytes_to_ulid, ulid_to_bytes

from accounts import audit
from accounts.audit import Action
from accounts.models import User
from core.errors import NotAllowedError, NotFoundError, Problem, ValidationFailedError
from core.unique import name_conflicts

_MAX_KEY = 2**31 - 1


def group_id(key: int) -> str:
    """The id on the wire of a group's key."""
    return bytes_to_ulid(key.to_bytes(16))


def group_key(id_: str) -> int:
    """The key of an id as `core.ids.parse_id` gives it; 0, which no group has, for one that is none of a group."""
    key = int.from_bytes(ulid_to_bytes(id_))
    return key if key <= _MAX_KEY else 0


def groups() -> QuerySet[Group]:
    """All groups by name, with their members."""
    return Group.objects.prefetch_related("user_set").order_by("name")


def get_group(id_: str) -> Group:
    """One group. Raises NotFoundError."""
    group = groups().filter(pk=group_key(id_)).first()
    if group is None:
        raise NotFoundError("Group not found")
    return group


def create_group(*, name: str, members: Sequence[str] = ()) -> Group:
    """A new group. Raises ConflictError for a taken name, ValidationFailedError for members that are no users."""
    with _name_conflicts(), transaction.atomic():
        group = Group.objects.create(name=name)
        group.user_set.set(_users(members))
        audit.record(Action.GROUP_CREATED, group, object_id=group_id(group.pk), name=name, members=list(members))
    return get_group(group_id(group.pk))


def update_group(*, group: Group, by: User, name: str | None = None, members: Sequence[str] | None = None) -> Group:
    """Set the name, the members, or both. Raises as `create_group` does.

    Also NotAllowedError for the members of a group that gives rights in the admin, unless `by` is a superuser: staff
    would give themselves these rights.
    """
    if members is not None and not by.is_superuser and group.permissions.exists():
        raise NotAllowedError("Only a superuser may choose the members of a group that gives rights in the admin")
    details: dict[str, Any] = {"name": name} if name is not None else {}
    with _name_conflicts(), transaction.atomic():
        if name is not None:
            group.name = name
            group.save(update_fields=["name"])
        if members is not None:
            group.user_set.set(_users(members))
            details["members"] = list(members)
        audit.record(Action.GROUP_UPDATED, group, object_id=group_id(group.pk), **details)
    return get_group(group_id(group.pk))


def delete_group(*, group: Group) -> None:
    """Delete it; what was shared with it is not shared with its members any more."""
    with audit.recording(Action.GROUP_DELETED, group, object_id=group_id(group.pk), name=group.name):
        Group.objects.filter(pk=group.pk).delete()


def _users(ids: Sequence[str]) -> list[User]:
    found = User.objects.in_bulk(ids)
    unknown = [
        Problem("There is no such user", field=f"members[{index}]", details={"received": id_})
        for index, id_ in enumerate(ids)
        if id_ not in found
    ]
    if unknown:
        raise ValidationFailedError(problems=unknown)
    return list(found.values())


def _name_conflicts() -> AbstractContextManager[None]:
    return name_conflicts("auth_group_name_key", "There is a group of this name already", "Choose another name")
